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
from hull_sdk.platform.store import HANDLES

__all__ = ["LogBook", "LogEntry", "identifiers"]

_log = logging.getLogger(__name__)

#: Entries kept; older ones fall out.
_KEPT: Final = 10_000


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

    def fill(self, entries: Iterable[LogEntry]) -> None:
        """Take in entries that were saved."""
        self._entries.extend(entries)

    @property
    def entries(self) -> list[LogEntry]:
        """The kept entries, oldest first."""
        return list(self._entries)

    def write(self, level: int, event: str, at: float, fields: Mapping[str, Any]) -> None:
        """Add an entry.

        Args:
            level: For example ``logging.INFO``.
            event: Its stable name.
            at: Unix seconds of domain time.
            fields: Identifiers and data; secrets are masked here, ``None`` is left out.
        """
        known = {name: value for name, value in fields.items() if value is not None}
        self._entries.append(
            LogEntry(mask_text(event), logging.getLevelName(level).lower(), iso_millis(at), mask(known))
        )
        logs.emit(_log, level, event, known)


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
