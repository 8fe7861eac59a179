"""Flask blueprints for what the platform calls; the names here are public, and loaded when they are first used."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hull_sdk.lazy import lazy_names

if TYPE_CHECKING:
    from hull_sdk.flask_app import json_body
    from hull_sdk.handlers.action import action_handler
    from hull_sdk.handlers.batcher import batcher_handler
    from hull_sdk.handlers.notif import notif_handler
    from hull_sdk.handlers.oauth import oauth_handler
    from hull_sdk.handlers.oauth_tokens import fresh_tokens
    from hull_sdk.handlers.once import run_once
    from hull_sdk.handlers.results import for_each
    from hull_sdk.handlers.smart_notifier import smart_notifier_handler
    from hull_sdk.handlers.status import status_handler
    from hull_sdk.middleware.marks import takes_state, takes_webhooks

__all__ = [
    "action_handler",
    "batcher_handler",
    "for_each",
    "fresh_tokens",
    "json_body",
    "notif_handler",
    "oauth_handler",
    "run_once",
    "smart_notifier_handler",
    "status_handler",
    "takes_state",
    "takes_webhooks",
]

__getattr__ = lazy_names(
    __name__,
    {
        "action_handler": "hull_sdk.handlers.action",
        "batcher_handler": "hull_sdk.handlers.batcher",
        "for_each": "hull_sdk.handlers.results",
        "fresh_tokens": "hull_sdk.handlers.oauth_tokens",
        "json_body": "hull_sdk.flask_app",
        "notif_handler": "hull_sdk.handlers.notif",
        "oauth_handler": "hull_sdk.handlers.oauth",
        "run_once": "hull_sdk.handlers.once",
        "smart_notifier_handler": "hull_sdk.handlers.smart_notifier",
        "status_handler": "hull_sdk.handlers.status",
        "takes_state": "hull_sdk.middleware.marks",
        "takes_webhooks": "hull_sdk.middleware.marks",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
