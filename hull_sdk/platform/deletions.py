"""Who was deleted lately: messages that were written before stay without effect when they arrive afterwards.

Rules: section "Deletion" of ``docs/protocol.md``. Identifiers are kept as digests, for thirty days. Times are those of
the real clock, since messages are dated by it.
"""

from __future__ import annotations

import hashlib
import math
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from hull_sdk.platform.identity import EntityClaims
from hull_sdk.platform.packing import pack, unpack
from hull_sdk.platform.store import Entity
from hull_sdk.wire.entities import EntityKind

__all__ = ["REMEMBERED_S", "Deletions"]

#: How long a deletion is remembered, in seconds.
REMEMBERED_S: Final = 30 * 86_400.0


@dataclass(frozen=True, slots=True)
class _Deletion:
    at: float
    sequence: int


class Deletions:
    """The deletions of one organization."""

    def __init__(self) -> None:
        self._by_identifier: dict[bytes, _Deletion] = {}
        self._order: deque[tuple[_Deletion, tuple[bytes, ...]]] = deque()

    def __len__(self) -> int:
        return len(self._by_identifier)

    def add(self, entity: Entity, *, at: float, sequence: int) -> None:
        """Remember a deletion.

        Args:
            entity: Who was deleted.
            at: Unix seconds of the real clock.
            sequence: The place of the deletion in the order of creation.
        """
        self._forget_before(at - REMEMBERED_S)
        # Messages are dated in whole milliseconds.
        deletion, keys = _Deletion(math.floor(at * 1000) / 1000, sequence), tuple(_keys_of(entity))
        self._by_identifier.update(dict.fromkeys(keys, deletion))
        self._order.append((deletion, keys))

    def names(self, kind: EntityKind, entity_id: str) -> bool:
        """Tell whether somebody with this id is among them."""
        return _key(kind, "id", entity_id) in self._by_identifier

    def packed(self) -> list[Any]:
        """Return what is remembered as plain data."""
        return pack(list(self._order))  # type: ignore[no-any-return]  # a list of a list

    def restore(self, plain: list[Any]) -> None:
        """Take in what was saved."""
        for deletion, keys in unpack(list[tuple[_Deletion, tuple[bytes, ...]]], plain):
            self._by_identifier.update(dict.fromkeys(keys, deletion))
            self._order.append((deletion, keys))

    def outdates(self, claims: EntityClaims, written_at: float | None, found: Entity | None) -> bool:
        """Tell whether a message comes too late.

        Args:
            claims: Whom it names.
            written_at: When it was written, in Unix seconds; ``None`` when it does not say.
            found: Who has these identifiers now, ``None`` when nobody has.

        Returns:
            ``True`` when somebody with one of the identifiers was deleted after it was written, and nobody has them
            since before that.
        """
        if written_at is None or not self._by_identifier:
            return False
        deletions = (self._by_identifier.get(key) for key in _keys_of_claims(claims))
        return any(
            deletion is not None and written_at < deletion.at and (found is None or found.sequence > deletion.sequence)
            for deletion in deletions
        )

    def _forget_before(self, moment: float) -> None:
        while self._order and self._order[0][0].at <= moment:
            deletion, keys = self._order.popleft()
            for key in keys:
                if self._by_identifier.get(key) is deletion:
                    del self._by_identifier[key]


def _keys_of(entity: Entity) -> Iterator[bytes]:
    yield _key(entity.kind, "id", entity.id)
    for name, value in entity.identifiers():
        yield _key(entity.kind, name, value)


def _keys_of_claims(claims: EntityClaims) -> Iterator[bytes]:
    for name in ("id", "external_id", "handle", "anonymous_id"):
        value: Any = getattr(claims, name)
        if value is not None:
            yield _key(claims.kind, name, value)


def _key(kind: EntityKind, name: str, value: str) -> bytes:
    return hashlib.sha256(f"{kind}\n{name}\n{value}".encode("utf-8", "surrogatepass")).digest()[:16]
