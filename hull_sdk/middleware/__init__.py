"""From a request to a complete context, one step after the other; knows nothing of the web framework."""

from __future__ import annotations

from hull_sdk.middleware.base import Arrival, Extension, Incoming, RequestFacts, Step, trust_root
from hull_sdk.middleware.connector import load_connector
from hull_sdk.middleware.credentials import resolve_credentials
from hull_sdk.middleware.deadline import log_rejected, run_within_deadline, settle, settle_outbox
from hull_sdk.middleware.keys import KeyRing, check_sns_url
from hull_sdk.middleware.legacy import read_legacy_notification
from hull_sdk.middleware.notification import read_notification
from hull_sdk.middleware.options import (
    checked_client_config,
    checked_count,
    checked_instance,
    checked_seconds,
    checked_text,
    switches,
)
from hull_sdk.middleware.segments import load_segments
from hull_sdk.middleware.shutdown import DEFAULT_SHUTDOWN_S
from hull_sdk.middleware.tokens import MIN_SECRET_CHARS, ContextTokens, host_secrets

__all__ = [
    "DEFAULT_MIDDLEWARE",
    "DEFAULT_SHUTDOWN_S",
    "MIN_SECRET_CHARS",
    "Arrival",
    "ContextTokens",
    "Extension",
    "Incoming",
    "KeyRing",
    "RequestFacts",
    "Step",
    "check_sns_url",
    "checked_client_config",
    "checked_count",
    "checked_instance",
    "checked_seconds",
    "checked_text",
    "host_secrets",
    "log_rejected",
    "run_within_deadline",
    "settle",
    "settle_outbox",
    "switches",
    "trust_root",
]

#: The steps, in the order in which they fill in a context.
DEFAULT_MIDDLEWARE: tuple[Step, ...] = (
    read_notification,
    read_legacy_notification,
    resolve_credentials,
    load_connector,
    load_segments,
)
