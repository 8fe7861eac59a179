"""What became of every message: one final state each, and the ids that were already applied.

Rules: section "Final states" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final, Literal

from hull_sdk.core.clock import iso_millis
from hull_sdk.wire.entities import EntityKind

__all__ = ["REMEMBERED_S", "Journal", "Record", "RecordState"]

RecordState = Literal["applied", "merged", "ignored", "failed"]

#: How long a message id is remembered, in seconds of domain time.
REMEMBERED_S: Final = 86_400.0

#: Records kept; older ones fall out, their counts stay.
_KEPT: Final = 100_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """The final state of one message.

    Args:
        message_id: Its id, or ``None``.
        type: ``"traits"``, ``"track"`` ..., or ``None`` when it could not be read.
        state: ``"applied"``, ``"merged"`` (applied, and entities merged), ``"ignored"`` or ``"failed"``.
        reason: Why it was ignored or failed.
        kind: What it was about.
        entity_id: Whom it was about.
        connector_id: Who sent it.
        request_id: The request in which its sender wrote it, if it says so.
        at: Unix seconds of domain time.
        idempotent: ``False`` for a message without an id: sent twice, it is applied twice.
        repeats: How often the same id came again and changed nothing.
        notes: What was left aside, and why.
    """

    message_id: str | None
    type: str | None
    state: RecordState
    reason: str | None = None
    kind: EntityKind | None = None
    entity_id: str | None = None
    connector_id: str | None = None
    request_id: str | None = None
    at: float = 0.0
    idempotent: bool = True
    repeats: int = 0
    notes: tuple[str, ...] = ()

    def to_wire(self) -> dict[str, Any]:
        """Return the record as plain data."""
        return {
            "message_id": self.message_id,
            "type": self.type,
            "state": self.state,
            "reason": self.reason,
            "entity": None if self.kind is None else {"type": self.kind, "id": self.entity_id},
            "connector_id": self.connector_id,
            "request_id": self.request_id,
            "at": iso_millis(self.at),
            "idempotent": self.idempotent,
            "repeats": self.repeats,
            "notes": list(self.notes),
        }


class Journal:
    """The records of one organization, and its memory of message ids."""

    STATE: ClassVar[dict[str, Any]] = {
        "counts": Counter[str],
        "_records": dict[int, Record],
        "_number": int,
        "_latest": dict[str, int],
        "_remembered": dict[str, float],
        "_order": deque[tuple[float, str]],
    }

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self._records: dict[int, Record] = {}
        self._number = 0
        self._latest: dict[str, int] = {}
        self._remembered: dict[str, float] = {}
        self._order: deque[tuple[float, str]] = deque()

    def __iter__(self) -> Iterator[Record]:
        """Walk the kept records, oldest first."""
        return iter(list(self._records.values()))

    def __len__(self) -> int:
        return len(self._records)

    def trace(self, message_id: str) -> Record | None:
        """Return the latest record of a message id, or ``None``."""
        number = self._latest.get(message_id)
        return None if number is None else self._records.get(number)

    def repeated(self, message_id: str | None, now: float) -> Record | None:
        """Return the record of an id that was applied within the last day, and count the repetition.

        Args:
            message_id: The id of a message that has just come in.
            now: Unix seconds of domain time.
        """
        while self._order and self._order[0][0] <= now - REMEMBERED_S:
            at, old = self._order.popleft()
            if self._remembered.get(old) == at:
                del self._remembered[old]
                if self._latest[old] not in self._records:
                    del self._latest[old]
        if message_id is None or message_id not in self._remembered:
            return None
        number = self._latest[message_id]
        record = self._records.get(number)
        if record is None:
            return Record(message_id=message_id, type=None, state="applied", repeats=1)
        self._records[number] = replace(record, repeats=record.repeats + 1)
        return self._records[number]

    def add(self, record: Record, *, remember: bool = True) -> Record:
        """Keep a record.

        Args:
            record: The final state.
            remember: ``False`` for a message refused at the door: mended, it may come again under its id.
        """
        self._number += 1
        self._records[self._number] = record
        self.counts[record.state] += 1
        if record.message_id is not None:
            self._latest[record.message_id] = self._number
            if remember:
                self._remembered[record.message_id] = record.at
                self._order.append((record.at, record.message_id))
        self._trim()
        return record

    def _trim(self) -> None:
        if len(self._records) <= _KEPT:
            return
        number = self._number - len(self._records) + 1  # numbers have no gaps; the first key of a dict is found slowly
        record = self._records.pop(number)
        message_id = record.message_id
        if message_id is not None and self._latest.get(message_id) == number and message_id not in self._remembered:
            del self._latest[message_id]
