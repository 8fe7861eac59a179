"""Messages as handlers see them: whether they match the segment filter, and their attributes grouped if asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from hull_sdk.client import group_traits as grouped
from hull_sdk.context import Context
from hull_sdk.helpers import segment_matcher
from hull_sdk.wire.entities import EntityKind

__all__ = ["KIND_OF_CHANNEL", "Prepare", "message_preparer"]

#: Whom the messages of a channel are about; those of other channels are about no user and no account.
KIND_OF_CHANNEL: Final[dict[str, EntityKind]] = {
    "user:update": "user",
    "account:update": "account",
    "user:delete": "user",
    "account:delete": "account",
}

#: Makes messages about users or accounts ready for a handler: they are not copied, since there may be many.
Prepare = Callable[[Iterable[dict[str, Any]]], list[dict[str, Any]]]


def message_preparer(
    context: Context,
    kind: EntityKind,
    *,
    group_traits: bool,
    segment_filter_setting: str | None,
    unfiltered: bool = False,
) -> Prepare:
    """Return what makes messages ready for a handler; the filter is read once for all of them.

    Args:
        context: The context.
        kind: Whom the messages are about.
        group_traits: ``True`` nests attributes.
        segment_filter_setting: Private setting for ``matches_filter``; the connector's when ``None``.
        unfiltered: ``True`` counts every message as matching.
    """
    matches = _everybody if unfiltered else segment_matcher(context, kind, segment_filter_setting)

    def prepare(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
        prepared = list(messages)
        for message in prepared:
            message["matches_filter"] = matches(message)
        return list(map(_grouped, prepared)) if group_traits else prepared

    return prepare


def _everybody(_message: Mapping[str, Any]) -> bool:
    return True


def _grouped(message: dict[str, Any]) -> dict[str, Any]:
    entities = {name: grouped(message[name]) for name in ("user", "account") if isinstance(message.get(name), dict)}
    return {**message, **entities}
