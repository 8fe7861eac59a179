"""Messages as handlers see them: whether they match the segment filter, and their attributes grouped if asked for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.client import group_traits as grouped
from hull_sdk.context import Context
from hull_sdk.helpers import matches_filter
from hull_sdk.wire.entities import EntityKind

__all__ = ["KIND_OF_CHANNEL", "prepare_message"]

#: Whom the messages of a channel are about; those of other channels are about no user and no account.
KIND_OF_CHANNEL: Final[dict[str, EntityKind]] = {
    "user:update": "user",
    "account:update": "account",
    "user:delete": "user",
    "account:delete": "account",
}


def prepare_message(
    context: Context,
    kind: EntityKind,
    message: Mapping[str, Any],
    *,
    group_traits: bool,
    segment_filter_setting: str | None,
    unfiltered: bool = False,
) -> dict[str, Any]:
    """Return a message about a user or an account for a handler.

    Args:
        context: The context.
        kind: Whom the message is about.
        message: As it came.
        group_traits: ``True`` nests attributes.
        segment_filter_setting: Private setting for ``matches_filter``; the connector's when ``None``.
        unfiltered: ``True`` counts every message as matching.
    """
    matches = unfiltered or matches_filter(context, message, kind, segment_filter_setting)
    prepared = {**message, "matches_filter": matches}
    if group_traits:
        for entity in ("user", "account"):
            if isinstance(message.get(entity), dict):
                prepared[entity] = grouped(message[entity])
    return prepared
