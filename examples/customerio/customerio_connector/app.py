"""Puts everything together; ``gunicorn "customerio_connector.app:create_app()"`` serves it."""

from __future__ import annotations

from typing import Any

from flask import Flask

from customerio_connector.health import credentials_are_right, settings_go_together
from customerio_connector.outbound import send_users
from hull_sdk import Connector
from hull_sdk.handlers import smart_notifier_handler, status_handler

__all__ = ["connect", "create_app"]


def connect(**options: Any) -> Connector:
    """Return the connector.

    Args:
        **options: Options of ``Connector`` over those of the environment, for example ``host_secret="..."``.
    """
    return Connector(**options)


def create_app(connector: Connector | None = None) -> Flask:
    """Return the application.

    Args:
        connector: What :func:`connect` returned, or ``None`` for one that the environment configures.
    """
    app = Flask(__name__)
    app.register_blueprint(smart_notifier_handler({"user:update": send_users}), url_prefix="/smart-notifier")
    app.register_blueprint(smart_notifier_handler({"user:update": send_users}), url_prefix="/batch")
    app.register_blueprint(status_handler([settings_go_together, credentials_are_right]), url_prefix="/status")
    return (connect() if connector is None else connector).setup_app(app)
