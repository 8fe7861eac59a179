"""What an organization remembers: entities and events in tables that can take a unit of work back.

Rows are frozen and replaced whole, so a row that somebody holds never changes under them. This module knows
nothing of rules: who may hold which identifier is decided in ``identity``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Any, Final, Generic, Protocol, TypeVar

from hull_sdk.platform.packing import pack, unpack
from hull_sdk.wire.entities import EntityKind

__all__ = ["HANDLES", "KINDS", "Entity", "Store", "StoredEvent", "Table"]

KINDS: Final[tuple[EntityKind, ...]] = ("user", "account")

#: The identifier of each kind that several entities may share.
HANDLES: Final[dict[EntityKind, str]] = {"user": "email", "account": "domain"}

_Key = tuple[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """A user or an account.

    Args:
        kind: ``"user"`` or ``"account"``.
        id: The platform's own id, 24 hexadecimal characters.
        sequence: Order of creation; the smaller of two is the older one.
        external_id: The id that the company's own systems use; an entity without one is mergeable.
        handle: E-mail of a user, domain of an account.
        former_handles: Handles of entities merged into this one; they resolve to it for good.
        anonymous_ids: In the order in which they arrived.
        attributes: Values by attribute name, without nulls.
        first_seen_at: Unix seconds of the earliest tracked event.
        last_seen_at: Unix seconds of the latest tracked event.
        account_id: The account that a user is linked to.
        segment_ids: The segments it is in now, in order of their creation.
        updated_at: Unix seconds of the last change of its own data.
        indexed_at: Unix seconds of the last change of anything that its notifications carry.
        active_until: Unix seconds until which it is served first.
        sessions: The sessions ``first``, ``signup`` and ``latest`` of a user, as far as there were any.
        identities: Report fields of a user's identities elsewhere, such as ``github_id``.
    """

    kind: EntityKind
    id: str
    sequence: int
    external_id: str | None = None
    handle: str | None = None
    former_handles: tuple[str, ...] = ()
    anonymous_ids: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    first_seen_at: float | None = None
    last_seen_at: float | None = None
    account_id: str | None = None
    segment_ids: tuple[str, ...] = ()
    updated_at: float = 0.0
    indexed_at: float = 0.0
    active_until: float = 0.0
    sessions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    identities: Mapping[str, Any] = field(default_factory=dict)

    def changed(self, **values: Any) -> Entity:
        """Return it with other values: what ``dataclasses.replace`` does, in a third of the time.

        Args:
            **values: By field, for example ``handle="ann@acme.test"``.
        """
        copy = object.__new__(Entity)
        for write, value in zip(_WRITERS, _READ(self), strict=True):
            write(copy, value)
        for name, value in values.items():
            object.__setattr__(copy, name, value)
        return copy

    def identifiers(self) -> list[_Key]:
        """Return what leads to it beside its id: pairs of ``external_id``, ``handle`` or ``anonymous_id`` and value."""
        found = [] if self.external_id is None else [("external_id", self.external_id)]
        if self.handle is not None:
            found.append(("handle", self.handle))
        found.extend([("handle", handle) for handle in self.former_handles])
        found.extend([("anonymous_id", anonymous_id) for anonymous_id in self.anonymous_ids])
        return found

    @property
    def mergeable(self) -> bool:
        """``True`` when it may be merged into another one: it has no external_id."""
        return self.external_id is None


_FIELDS: Final = tuple(each.name for each in fields(Entity))
_READ: Final = attrgetter(*_FIELDS)
_WRITERS: Final = tuple(getattr(Entity, name).__set__ for name in _FIELDS)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredEvent:
    """An event and whose it is.

    Args:
        id: Its ``event_id``.
        sequence: Order of arrival.
        user_id: Whose it is.
        tracked: ``False`` for the events that the platform makes itself.
        item: The event as notifications carry it, without ``user_id``.
        indexed_at: Unix seconds of domain time at which it came in.
    """

    id: str
    sequence: int
    user_id: str
    tracked: bool
    item: Mapping[str, Any]
    indexed_at: float = 0.0

    def to_wire(self) -> dict[str, Any]:
        """Return a fresh copy in the shape of ``hull_sdk.wire.notifications.Event``."""
        return {**self.item, "user_id": self.user_id}


class _Row(Protocol):
    @property
    def id(self) -> str: ...
    @property
    def sequence(self) -> int: ...


_R = TypeVar("_R", bound=_Row)


class Table(Generic[_R]):
    """Rows by id, with secondary indexes and one level of undo.

    Args:
        keys: The index entries of a row, as pairs of index name and value.
        keyed: The names of the fields that they are made of.
        unique: Names of the indexes in which a value leads to one row at most.
    """

    def __init__(
        self, keys: Callable[[_R], list[_Key]], keyed: tuple[str, ...], unique: frozenset[str] = frozenset()
    ) -> None:
        self._keys = keys
        self._keyed: Callable[[_R], Any] = attrgetter(*keyed)
        self._unique = unique
        self._rows: dict[str, _R] = {}
        self._index: dict[_Key, dict[str, None]] = {}
        self._originals: dict[str, _R | None] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __iter__(self) -> Iterator[_R]:
        """Walk the rows, oldest first."""
        return iter(sorted(self._rows.values(), key=lambda row: row.sequence))

    def get(self, row_id: str | None) -> _R | None:
        """Return a row, or ``None``."""
        return None if row_id is None else self._rows.get(row_id)

    def find(self, index: str, value: str) -> list[_R]:
        """Return the rows under a value of an index, oldest first."""
        rows = [self._rows[row_id] for row_id in self._index.get((index, value), ())]
        rows.sort(key=lambda row: row.sequence)
        return rows

    def holder(self, index: str, value: str | None) -> _R | None:
        """Return the one row under a value of a unique index, or ``None``; nobody is under ``None``."""
        for row_id in () if value is None else self._index.get((index, value), ()):
            return self._rows[row_id]
        return None

    def count(self, index: str, value: str) -> int:
        """Return how many rows are under a value of an index."""
        return len(self._index.get((index, value), ()))

    def put(self, row: _R) -> _R:
        """Insert or replace a row and return it.

        Raises:
            RuntimeError: A unique value is on another row; the caller has planned wrongly.
        """
        old = self._rows.get(row.id)
        self._originals.setdefault(row.id, old)
        self._replace(row.id, old, row)
        return row

    def remove(self, row_id: str) -> None:
        """Delete a row that exists."""
        old = self._rows[row_id]
        self._originals.setdefault(row_id, old)
        self._replace(row_id, old, None)

    @property
    def touched(self) -> list[str]:
        """Ids of the rows put or removed since the last commit, in the order of the first touch."""
        return list(self._originals)

    def original(self, row_id: str) -> _R | None:
        """Return a touched row as it was at the last commit; ``None`` when it is new."""
        return self._originals.get(row_id)

    def commit(self) -> None:
        """Make everything since the last commit final."""
        self._originals.clear()

    def rollback(self) -> None:
        """Take back everything since the last commit."""
        originals, self._originals = self._originals, {}
        for row_id in originals:
            self._replace(row_id, self._rows.get(row_id), None)
        for row_id, row in originals.items():
            self._replace(row_id, None, row)

    def packed(self) -> list[Any]:
        """Return the rows as plain data, oldest first."""
        return [pack(row) for row in self]

    def fill(self, rows: Iterable[_R]) -> None:
        """Take in rows that were saved."""
        for row in rows:
            self._replace(row.id, self._rows.get(row.id), row)

    def _replace(self, row_id: str, old: _R | None, new: _R | None) -> None:
        if old is None or new is None or self._keyed(old) != self._keyed(new):
            before = {} if old is None else dict.fromkeys(self._keys(old))
            self._index_anew(row_id, before, {} if new is None else dict.fromkeys(self._keys(new)))
        if new is None:
            self._rows.pop(row_id, None)
        else:
            self._rows[row_id] = new

    def _index_anew(self, row_id: str, before: dict[_Key, None], after: dict[_Key, None]) -> None:
        entered = [key for key in after if key not in before]
        for key in entered:
            if key[0] in self._unique and self._index.get(key):
                raise RuntimeError(f"{key[0]} {key[1]!r} is already held by {next(iter(self._index[key]))}")
        for key in [key for key in before if key not in after]:
            self._index[key].pop(row_id, None)
            if not self._index[key]:
                del self._index[key]
        for key in entered:
            self._index.setdefault(key, {})[row_id] = None


_TABLES: Final[dict[str, type]] = {"users": Entity, "accounts": Entity, "events": StoredEvent}


class Store:
    """The tables of one organization."""

    def __init__(self) -> None:
        unique = frozenset({"external_id", "anonymous_id"})
        self.users: Table[Entity] = Table(_entity_keys, _KEYED, unique)
        self.accounts: Table[Entity] = Table(_entity_keys, _KEYED, unique)
        self.events: Table[StoredEvent] = Table(lambda event: [("user_id", event.user_id)], ("user_id",))
        self._sequence = 0

    def table(self, kind: EntityKind) -> Table[Entity]:
        """Return the table of a kind."""
        return self.users if kind == "user" else self.accounts

    def next_sequence(self) -> int:
        """Return the next place in the order of creation."""
        self._sequence += 1
        return self._sequence

    def packed(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {"sequence": self._sequence, **{name: pack(getattr(self, name)) for name in _TABLES}}

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Take in what was saved."""
        self._sequence = plain["sequence"]
        for name, kind in _TABLES.items():
            getattr(self, name).fill(unpack(kind, row) for row in plain[name])

    def commit(self) -> None:
        """End a unit of work and keep what it did."""
        for table in (self.users, self.accounts, self.events):
            table.commit()

    def rollback(self) -> None:
        """End a unit of work and take back what it did."""
        for table in (self.users, self.accounts, self.events):
            table.rollback()


_KEYED: Final = ("external_id", "handle", "former_handles", "anonymous_ids", "account_id", "segment_ids")


def _entity_keys(entity: Entity) -> list[_Key]:
    keys = entity.identifiers()
    if entity.account_id is not None:
        keys.append(("account_id", entity.account_id))
    keys.extend([("segment_id", segment_id) for segment_id in entity.segment_ids])
    return keys
