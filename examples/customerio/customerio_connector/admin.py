"""What an operator copies to Customer.io: the webhook's address."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Response, make_response, render_template

from customerio_connector.inbound import WEBHOOK_PATH
from customerio_connector.settings import private_settings
from hull_sdk import Context, current_context
from hull_sdk.types import RequestParts

__all__ = ["admin", "credentials", "webhook_url"]

admin = Blueprint("admin", __name__)


def webhook_url(ctx: Context) -> str:
    """Return where Customer.io posts: an address that works without the connector's secret."""
    query = urlencode({"token": ctx.token_for("webhook") or ""})
    return f"{ctx.ship['source_url'].rstrip('/')}{WEBHOOK_PATH}?{query}"


def credentials(ctx: Context, _request: RequestParts) -> dict[str, Any]:
    """Answer the same as JSON, for a button of the dashboard."""
    return {"webhook_url": webhook_url(ctx)}


@admin.get("/admin")
def page() -> Response:
    """Show the webhook's address, and what the settings have sent."""
    ctx = current_context
    ctx.credentials()
    settings = private_settings(ctx)
    response = make_response(
        render_template(
            "admin.html",
            webhook_url=webhook_url(ctx),
            is_signed=bool(settings["webhook_signing_key"]),
            has_credentials=bool(settings["site_id"] and settings["api_key"]),
            has_segments=bool(settings["synchronized_segments"]),
        )
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response
