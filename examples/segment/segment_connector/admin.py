"""What an operator copies to Segment: the API key and the webhook's address."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, Response, current_app, make_response, render_template, url_for

from hull_sdk import Context, current_context
from hull_sdk.types import RequestParts
from segment_connector.door import WEBHOOK_PATH
from segment_connector.settings import private_settings

__all__ = ["admin", "api_key", "credentials", "webhook_url"]

admin = Blueprint("admin", __name__)


def api_key(ctx: Context) -> str:
    """Return what Segment authenticates with: the connector's credentials, encrypted, for webhooks only."""
    return ctx.token_for("webhook") or ""


def webhook_url(ctx: Context) -> str:
    """Return where Segment sends its calls."""
    return f"{ctx.ship['source_url'].rstrip('/')}{WEBHOOK_PATH}"


def credentials(ctx: Context, _request: RequestParts) -> dict[str, Any]:
    """Answer the same as JSON, for a button of the dashboard."""
    return {"api_key": api_key(ctx), "webhook_url": webhook_url(ctx)}


@admin.get("/admin")
def page() -> Response:
    """Show the API key, the address, and the button "Enable with Segment" where that is configured."""
    ctx = current_context
    ctx.credentials()
    private = private_settings(ctx)
    response = make_response(
        render_template(
            "admin.html",
            api_key=api_key(ctx),
            webhook_url=webhook_url(ctx),
            enable_url=url_for("enabling.handle", hullToken=ctx.token)
            if "enabling" in current_app.blueprints
            else None,
            enabled=private["enabled_with_segment"],
            is_source=bool(private["write_key"]),
        )
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
