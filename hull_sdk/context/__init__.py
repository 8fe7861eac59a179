"""The context and what belongs to it; nothing here knows the web framework."""

from __future__ import annotations

from hull_sdk.context.context import CONNECTOR_KEY, Context
from hull_sdk.context.credentials import MISSING_CREDENTIALS, Credentials, TokenPurpose
from hull_sdk.context.current import current_context
from hull_sdk.context.helpers import Helpers
from hull_sdk.context.response import SmartNotifierResponse
from hull_sdk.context.services import DEFAULT_TIMEOUT_S, Services

__all__ = [
    "CONNECTOR_KEY",
    "DEFAULT_TIMEOUT_S",
    "MISSING_CREDENTIALS",
    "Context",
    "Credentials",
    "Helpers",
    "Services",
    "SmartNotifierResponse",
    "TokenPurpose",
    "current_context",
]
