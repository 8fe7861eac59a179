"""Puts everything together; ``gunicorn "customerio_connector.app:create_app()"`` serves it."""

from __future__ import annotations

from typing import Any

from flask import Flask

from customerio_connector.admin import admin, credentials
from customerio_connector.health import credentials_are_right, settings_go_together
from customerio_connector.inbound import ANSWER_S, WEBHOOK_PATH, check_call, limit_body, receive
from customerio_connector.outbound import forget_users, send_users
from hull_sdk import Connector
from hull_sdk.handlers import action_handler, smart_notifier_handler, status_handler

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
    app.before_request(limit_body)
    webhook = action_handler(receive, webhook=True, retry_status=503, timeout_s=ANSWER_S)
    users = {"user:update": send_users, "user:delete": forget_users}
    app.register_blueprint(webhook, url_prefix=WEBHOOK_PATH)
    app.register_blueprint(action_handler(credentials), url_prefix="/credentials")
    app.register_blueprint(smart_notifier_handler(users), url_prefix="/smart-notifier")
    app.register_blueprint(smart_notifier_handler({"user:update": send_users}), url_prefix="/batch")
    app.register_blueprint(status_handler([settings_go_together, credentials_are_right]), url_prefix="/status")
    app.register_blueprint(admin)
    return (connect() if connector is None else connector).setup_app(app)
