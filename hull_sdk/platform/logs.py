"""The platform's own log of what came in: ``incoming.{user|account|event}.{success|error|skip}``.

Rules: section "Logs" of ``docs/protocol.md``.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hull_sdk.core import logs
from hull_sdk.core.clock import iso_millis
from hull_sdk.core.masking import mask, mask_text
from hull_sdk.platform.identity import EntityClaims
from hull_sdk.platform.store import HANDLES, KINDS
from hull_sdk.wire.entities import CLAIM_NAMES
from hull_sdk.wire.tokens import AS_CLAIMS, CLAIM_SUBJECT_TYPE

__all__ = ["LogBook", "LogEntry", "claimed", "identifiers", "subject_of"]

_log = logging.getLogger(__name__)

#: Entries kept; older ones fall out.
_KEPT: Final = 10_000
#: Characters of an identifier that nobody has checked.
_LONGEST: Final = 200


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One line.

    Args:
        event: For example ``"incoming.user.success"``.
        level: ``"debug"``, ``"info"``, ``"warning"`` or ``"error"``.
        timestamp: Domain time, for example ``"2024-01-05T10:00:01.000Z"``.
        fields: Identifiers (``user_email``, ``connector_id`` ...) and data, secrets masked.
    """

    event: str
    level: str
    timestamp: str
    fields: Mapping[str, Any] = field(default_factory=dict)

    def to_wire(self) -> dict[str, Any]:
        """Return the entry as plain data."""
        return {"event": self.event, "level": self.level, "timestamp": self.timestamp, "fields": dict(self.fields)}


class LogBook:
    """The latest entries of one organization; each is also given to ``logging``."""

    def __init__(self) -> None:
        self._entries: deque[LogEntry] = deque(maxlen=_KEPT)
        #: Written since somebody read the entries; most are never read, and masking costs more than the rest.
        self._fresh: deque[tuple[int, str, float, dict[str, Any]]] = deque(maxlen=_KEPT)

    def fill(self, entries: Iterable[LogEntry]) -> None:
        """Take in entries that were saved."""
        self._entries.extend(entries)

    @property
    def entries(self) -> list[LogEntry]:
        """The kept entries, oldest first."""
        while self._fresh:
            self._entries.append(_entry(*self._fresh.popleft()))
        return list(self._entries)

    def write(self, level: int, event: str, at: float, fields: Mapping[str, Any]) -> None:
        """Add an entry.

        Args:
            level: For example ``logging.INFO``.
            event: Its stable name.
            at: Unix seconds of domain time.
            fields: Identifiers and data, which nobody changes afterwards; secrets are masked before anybody reads
                them, ``None`` is left out.
        """
        known = {name: value for name, value in fields.items() if value is not None}
        self._fresh.append((level, event, at, known))
        logs.emit(_log, level, event, known)


def _entry(level: int, event: str, at: float, fields: dict[str, Any]) -> LogEntry:
    return LogEntry(mask_text(event), logging.getLevelName(level).lower(), iso_millis(at), mask(fields))


def identifiers(*claims: EntityClaims | None) -> dict[str, str | None]:
    """Return the identifiers of claims under the names that logs use, for example ``user_email``."""
    return {
        f"{each.kind}_{name}": value
        for each in claims
        if each is not None
        for name, value in (
            ("id", each.id),
            ("external_id", each.external_id),
            (HANDLES[each.kind], each.handle),
            ("anonymous_id", each.anonymous_id),
        )
        if value is not None
    }


def claimed(claims: Mapping[str, Any]) -> dict[str, str]:
    """Return the identifiers of claims that may break rules, as :func:`identifiers` names them.

    Args:
        claims: Of a token that was verified, for example ``{"io.hull.asUser": {"email": "ann@acme.test"}}``.
    """
    found = {}
    for kind in KINDS:
        given = claims.get(AS_CLAIMS[kind])
        values = given if isinstance(given, Mapping) else {"id": given}
        for name in CLAIM_NAMES[kind]:
            value = values.get(name)
            if isinstance(value, str | int) and not isinstance(value, bool) and value != "":
                found[f"{kind}_{name}"] = str(value)[:_LONGEST]
    return found


def subject_of(kind: Any, claims: Mapping[str, Any]) -> str:
    """Return the middle of a line's name for a message that could not be read.

    Args:
        kind: The message's type, perhaps malformed.
        claims: Of its token, perhaps empty.

    Returns:
        ``"event"``, ``"account"`` or ``"user"``.
    """
    if kind == "track":
        return "event"
    subject = claims.get(CLAIM_SUBJECT_TYPE)
    only_account = subject is None and claims.get(AS_CLAIMS["user"]) is None and AS_CLAIMS["account"] in claims
    return "account" if subject == "account" or only_account else "user"
