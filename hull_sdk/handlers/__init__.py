"""Flask blueprints for what the platform calls; the names here are public."""

from __future__ import annotations

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
