"""Flask blueprints for what the platform calls; the names here are public, and loaded when they are first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hull_sdk.flask_app import takes_state, takes_webhooks
    from hull_sdk.handlers.action import action_handler
    from hull_sdk.handlers.batcher import batcher_handler
    from hull_sdk.handlers.notif import notif_handler
    from hull_sdk.handlers.oauth import oauth_handler
    from hull_sdk.handlers.oauth_tokens import fresh_tokens
    from hull_sdk.handlers.once import run_once
    from hull_sdk.handlers.results import for_each
    from hull_sdk.handlers.smart_notifier import smart_notifier_handler
    from hull_sdk.handlers.status import status_handler

__all__ = [
    "action_handler",
    "batcher_handler",
    "for_each",
    "fresh_tokens",
    "notif_handler",
    "oauth_handler",
    "run_once",
    "smart_notifier_handler",
    "status_handler",
    "takes_state",
    "takes_webhooks",
]

_HOMES = {
    "action_handler": "hull_sdk.handlers.action",
    "batcher_handler": "hull_sdk.handlers.batcher",
    "for_each": "hull_sdk.handlers.results",
    "fresh_tokens": "hull_sdk.handlers.oauth_tokens",
    "notif_handler": "hull_sdk.handlers.notif",
    "oauth_handler": "hull_sdk.handlers.oauth",
    "run_once": "hull_sdk.handlers.once",
    "smart_notifier_handler": "hull_sdk.handlers.smart_notifier",
    "status_handler": "hull_sdk.handlers.status",
    "takes_state": "hull_sdk.flask_app",
    "takes_webhooks": "hull_sdk.flask_app",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(
            f"module 'hull_sdk.handlers' has no attribute {name!r}; it has {', '.join(sorted(_HOMES))}"
        )
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
