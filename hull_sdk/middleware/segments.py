"""The organization's segments: from the notification, or from the platform through the cache when first read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from hull_sdk.context import Context
from hull_sdk.helpers import is_selected, segment_selection
from hull_sdk.middleware.base import Arrival
from hull_sdk.middleware.connector import FETCH_RETRY, FETCH_TIMEOUT_S
from hull_sdk.middleware.legacy import subject_of
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.notifications import Segment

__all__ = ["load_segments"]

#: Keys of a notification that carry each list, in the order in which they are tried.
_BODY_KEYS: Final = {
    "users_segments": ("users_segments", "segments"),
    "accounts_segments": ("accounts_segments", "account_segments"),
}
_KINDS: Final[dict[str, EntityKind]] = {"users_segments": "user", "accounts_segments": "account"}


def load_segments(arrival: Arrival) -> None:
    """Let a context with credentials find its segments.

    Args:
        arrival: The request and its context.
    """
    context = arrival.context
    if context.config is None:
        return
    if "segment" in subject_of(context):
        for name in _BODY_KEYS:
            context.internal_cache.delete(name)
    setting = arrival.extension.segment_filter_setting
    found: dict[str, list[Segment]] = {}

    def load(context: Context, name: str) -> list[Segment]:
        if name not in found:
            found[name] = _marked(context, name, _find(context, name), setting)
        return found[name]

    context.load_segments_with(load)


def _find(context: Context, name: str) -> list[Any]:
    # Read by computed keys.
    notification = cast("Mapping[str, Any]", {} if context.notification is None else context.notification)
    for key in _BODY_KEYS[name]:
        if isinstance(notification.get(key), list):
            return list(notification[key])
    fetched: list[Any] = context.internal_cache.wrap(name, lambda: _fetch(context, name))
    return fetched


def _fetch(context: Context, name: str) -> list[Any]:
    found = context.client.get(name, timeout_s=FETCH_TIMEOUT_S, retry=FETCH_RETRY)
    return found if isinstance(found, list) else []


def _marked(context: Context, name: str, segments: list[Any], setting: str | None) -> list[Segment]:
    selection = segment_selection(context, _KINDS[name], setting)
    return [_mark(segment, selection) for segment in segments]


def _mark(segment: dict[str, Any], selection: frozenset[str] | None) -> Segment:
    filtered = selection is not None and is_selected(selection, segment.get("id"))
    return cast("Segment", {**segment, "filtered": filtered})
