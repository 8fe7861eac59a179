"""Puts everything together; ``gunicorn "segment_connector.app:create_app()"`` serves it."""

from __future__ import annotations

from typing import Any

from flask import Flask

from hull_sdk import Connector
from hull_sdk.handlers import action_handler, smart_notifier_handler, status_handler
from segment_connector.admin import admin, credentials
from segment_connector.door import WEBHOOK_PATH, check_call, read_api_key
from segment_connector.enabling import enabling, is_available
from segment_connector.health import settings_go_together
from segment_connector.inbound import receive
from segment_connector.outbound import send_users

__all__ = ["connect", "create_app"]


def connect(**options: Any) -> Connector:
    """Return the connector.

    Args:
        **options: Options of ``Connector`` over those of the environment, for example ``host_secret="..."``.
    """
    connector = Connector(**options)
    connector.use(check_call)
    return connector


def create_app(connector: Connector | None = None) -> Flask:
    """Return the application.

    Args:
        connector: What :func:`connect` returned, or ``None`` for one that the environment configures.
    """
    app = Flask(__name__)
    app.before_request(read_api_key)
    app.register_blueprint(action_handler(receive, webhook=True, retry_status=503), url_prefix=WEBHOOK_PATH)
    app.register_blueprint(action_handler(credentials), url_prefix="/credentials")
    app.register_blueprint(smart_notifier_handler({"user:update": send_users}), url_prefix="/smart-notifier")
    app.register_blueprint(smart_notifier_handler({"user:update": send_users}), url_prefix="/batch")
    app.register_blueprint(status_handler(settings_go_together), url_prefix="/status")
    app.register_blueprint(admin)
    if is_available():
        app.register_blueprint(enabling(), name="enabling", url_prefix="/enable")
    return (connect() if connector is None else connector).setup_app(app)
