"""Functions for connectors that take the context first; on a context they are bound: ``ctx.helpers``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from hull_sdk.helpers.extracts import ExtractFile, download_request, handle_extract, open_extract, request_extract
from hull_sdk.helpers.filters import (
    DEFAULT_FILTER_SETTINGS,
    filter_notification,
    is_selected,
    segment_matcher,
    segment_selection,
)
from hull_sdk.helpers.settings import update_settings

__all__ = [
    "BOUND_HELPERS",
    "DEFAULT_FILTER_SETTINGS",
    "ExtractFile",
    "download_request",
    "filter_notification",
    "handle_extract",
    "is_selected",
    "open_extract",
    "request_extract",
    "segment_matcher",
    "segment_selection",
    "update_settings",
]

#: What ``ctx.helpers`` offers.
BOUND_HELPERS: Final[dict[str, Callable[..., Any]]] = {
    "filter_notification": filter_notification,
    "handle_extract": handle_extract,
    "request_extract": request_extract,
    "update_settings": update_settings,
}
