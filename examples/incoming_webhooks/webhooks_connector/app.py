"""Puts everything together; ``gunicorn "webhooks_connector.app:create_app()"`` serves it."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlencode

from flask import Blueprint, Flask, Response, make_response, render_template

from hull_sdk import Connector, Context, current_context
from hull_sdk.handlers import action_handler, status_handler
from hull_sdk.types import StatusAnswer
from webhooks_connector.inbound import WEBHOOK_PATH, check_call, limit_body, receive
from webhooks_connector.settings import private_settings

__all__ = ["create_app"]

#: Settings that name no part of a webhook.
_NO_PLACES = frozenset({"shared_secret", "signature_header"})

pages = Blueprint("pages", __name__)


def webhook_address(ctx: Context) -> str:
    """Return where the service posts: an address that works without the connector's secret."""
    query = urlencode({"token": ctx.token_for("webhook") or ""})
    return f"{ctx.ship['source_url'].rstrip('/')}{WEBHOOK_PATH}?{query}"


@pages.get("/admin")
def admin() -> Response:
    """Show the address to copy, and what the settings name."""
    ctx = current_context
    ctx.credentials()
    places = {name: place for name, place in private_settings(ctx).items() if place and name not in _NO_PLACES}
    response = make_response(render_template("admin.html", address=webhook_address(ctx), places=places))
    response.headers["Cache-Control"] = "no-store"
    response.headers["Referrer-Policy"] = "no-referrer"
    return response


def is_mapped(ctx: Context) -> StatusAnswer | None:
    """Ask for an identifier: without one no webhook says whom it is about."""
    settings = private_settings(ctx)
    names = ("user_external_id", "user_email", "user_anonymous_id", "account_external_id", "account_domain")
    if not any(settings[name] for name in names):  # type: ignore[literal-required]  # names of the settings
        return {"status": "setupRequired", "messages": ["Name the place of at least one identifier."]}
    return None


def create_app(**options: Any) -> Flask:
    """Return the application.

    Args:
        **options: Options of ``Connector`` over those of the environment, for example ``host_secret="..."``.
    """
    app = Flask(__name__)
    app.before_request(limit_body)
    app.register_blueprint(action_handler(receive, webhook=True, retry_status=503), url_prefix=WEBHOOK_PATH)
    app.register_blueprint(status_handler(is_mapped), url_prefix="/status")
    app.register_blueprint(pages)
    connector = Connector(**options)
    connector.use(check_call)
    return connector.setup_app(app)
