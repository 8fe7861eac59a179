"""Finding lines of the log: by whom they are about, by connector, by name and by time.

Rules: section "Logs" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hull_sdk.core.clock import iso_millis
from hull_sdk.platform.checks import check_known, checked_count, checked_moment
from hull_sdk.platform.logs import LogEntry
from hull_sdk.platform.store import HANDLES, Entity

__all__ = ["LOG_FILTERS", "MOST_LINES", "LogQuery", "find_lines", "read_log_query"]

#: Filters that a line must equal; a connector's line may have them in its ``context``.
_EQUAL: Final = (
    *(f"user_{name}" for name in ("id", "email", "external_id", "anonymous_id")),
    *(f"account_{name}" for name in ("id", "domain", "external_id", "anonymous_id")),
    "connector_id",
    "connector_name",
    "message_id",
    "request_id",
)
#: All that a query may ask for.
LOG_FILTERS: Final = (*_EQUAL, "entity", "event", "level", "since", "until", "limit")
_DEFAULT_LIMIT: Final = 100
#: Most lines of one answer.
MOST_LINES: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class LogQuery:
    """Which lines are wanted; all of it must hold.

    Args:
        equal: Fields and their values, for example ``{"user_email": "ann@acme.test"}``.
        entity: Id of a user or account: lines with any of its identifiers.
        event: A name or its first parts, for example ``"incoming.user"``.
        level: For example ``"error"``.
        since: The earliest time, as lines have it.
        until: The first time that is too late.
        limit: Most lines that are returned.
    """

    equal: Mapping[str, str] = field(default_factory=dict)
    entity: str | None = None
    event: str | None = None
    level: str | None = None
    since: str | None = None
    until: str | None = None
    limit: int = _DEFAULT_LIMIT


def read_log_query(parameters: Mapping[str, str]) -> LogQuery:
    """Check the parameters of a query.

    Args:
        parameters: For example ``{"user_email": "ann@acme.test", "since": "2024-01-05T10:00:00Z", "limit": "10"}``.

    Raises:
        InvalidArgumentError: A name is unknown, or a value breaks a rule.
    """
    check_known(parameters, LOG_FILTERS, " in a query of logs")
    return LogQuery(
        equal={name: parameters[name] for name in _EQUAL if name in parameters},
        entity=parameters.get("entity"),
        event=parameters.get("event"),
        level=parameters.get("level"),
        since=_moment("since", parameters.get("since")),
        until=_moment("until", parameters.get("until")),
        limit=checked_count("limit", parameters.get("limit"), _DEFAULT_LIMIT, MOST_LINES),
    )


def find_lines(entries: Iterable[LogEntry], query: LogQuery, entity: Entity | None = None) -> list[LogEntry]:
    """Return the lines that a query wants, newest first, regardless of its limit.

    Args:
        entries: All lines, oldest first.
        query: Which are wanted.
        entity: Whom ``query.entity`` names, if it is there.
    """
    own = {} if query.entity is None else _identifiers(query.entity, entity)
    found = [entry for entry in entries if _matches(entry, query) and (not own or _is_about(entry, own))]
    return found[::-1]


def _matches(entry: LogEntry, query: LogQuery) -> bool:
    return (
        (query.level is None or entry.level == query.level)
        and (query.event is None or f"{entry.event}.".startswith(f"{query.event.rstrip('.')}."))
        and (query.since is None or entry.timestamp >= query.since)
        and (query.until is None or entry.timestamp < query.until)
        and all(_value(entry, name) == value for name, value in query.equal.items())
    )


def _value(entry: LogEntry, name: str) -> Any:
    context = entry.fields.get("context")
    value = entry.fields.get(name, context.get(name) if isinstance(context, Mapping) else None)
    return None if value is None else str(value)


def _is_about(entry: LogEntry, own: Mapping[str, set[str]]) -> bool:
    return any(_value(entry, name) in values for name, values in own.items())


def _identifiers(entity_id: str, entity: Entity | None) -> dict[str, set[str]]:
    if entity is None:  # deleted, or merged away: its id may still be found
        return {"user_id": {entity_id}, "account_id": {entity_id}}
    kind, found = entity.kind, {f"{entity.kind}_id": {entity.id}}
    for name, value in entity.identifiers():
        found.setdefault(f"{kind}_{HANDLES[kind] if name == 'handle' else name}", set()).add(value)
    return found


def _moment(name: str, text: str | None) -> str | None:
    if text is None:
        return None
    is_number = text.isascii() and text.replace(".", "", 1).isdigit()
    return iso_millis(checked_moment(name, float(text) if is_number else text))
