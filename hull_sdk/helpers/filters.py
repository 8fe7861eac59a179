"""The segment filter: whom a connector handles, by the segments that one of its settings names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from operator import methodcaller
from typing import Any, Final

from hull_sdk.context import Context
from hull_sdk.wire.entities import EntityKind

__all__ = [
    "DEFAULT_FILTER_SETTINGS",
    "filter_notification",
    "is_selected",
    "segment_matcher",
    "segment_selection",
]

#: Private settings that hold the ids of the segments which a connector handles.
DEFAULT_FILTER_SETTINGS: Final[dict[EntityKind, str]] = {
    "user": "synchronized_segments",
    "account": "synchronized_account_segments",
}

_id_of: Final = methodcaller("get", "id")

#: Ids that stand for everybody.
_EVERYBODY: Final = frozenset({"ALL", "all_segments"})


def filter_notification(ctx: Context, message: Mapping[str, Any], setting: str | None = None) -> bool:
    """Tell whether a message is about somebody in the segments that the connector handles.

    Args:
        ctx: The context.
        message: A message of ``user:update`` or ``account:update``.
        setting: Name of the private setting with the segments' ids; the connector's
            ``segment_filter_setting`` when ``None``, else ``synchronized_segments`` for users and
            ``synchronized_account_segments`` for accounts.

    Returns:
        ``True`` when the setting is missing, or holds ``"ALL"``, or one of the entity's segments; ``False`` when it
        is empty or the message names nobody.
    """
    kind: EntityKind = "user" if "user" in message else "account"
    entity = message.get(kind)
    if not isinstance(entity, Mapping) or not entity.get("id"):
        return False
    return segment_matcher(ctx, kind, setting)(message)


def segment_matcher(ctx: Context, kind: EntityKind, setting: str | None = None) -> Callable[[Mapping[str, Any]], bool]:
    """Return what tells whether a message's segments are among those that the connector handles.

    Args:
        ctx: The context; its setting is read once, for any number of messages.
        kind: ``"user"`` looks at a message's ``segments``, ``"account"`` at its ``account_segments``.
        setting: As of :func:`filter_notification`.
    """
    selection = segment_selection(ctx, kind, setting)
    if selection is None or not selection.isdisjoint(_EVERYBODY):
        return lambda _message: True
    name = "segments" if kind == "user" else "account_segments"

    def matches(message: Mapping[str, Any]) -> bool:
        return not selection.isdisjoint(map(_id_of, message.get(name) or ()))

    return matches


def segment_selection(ctx: Context, kind: EntityKind, setting: str | None = None) -> frozenset[str] | None:
    """Return the ids of the segments that the connector handles.

    Args:
        ctx: The context.
        kind: ``"user"`` or ``"account"``.
        setting: As of :func:`filter_notification`.

    Returns:
        The ids, or ``None`` when the connector has no such setting, which means everybody.
    """
    if setting is None:
        setting = ctx.connector_config.get("segment_filter_setting")
    name = DEFAULT_FILTER_SETTINGS[kind] if setting is None else setting
    private = (ctx.ship or {}).get("private_settings") or {}
    ids = private.get(name)
    return frozenset(map(str, ids)) if isinstance(ids, list) else None


def is_selected(selection: frozenset[str], segment_id: Any) -> bool:
    """Tell whether a selection holds a segment.

    Args:
        selection: What :func:`segment_selection` returned.
        segment_id: The segment's.
    """
    return segment_id in selection or not selection.isdisjoint(_EVERYBODY)
