"""Segments: named queries, who is in them, and how often they were entered and left.

Rules: section "Segments" of ``docs/protocol.md``.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Final

from hull_sdk.core.clock import iso_seconds
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.fields import Document
from hull_sdk.platform.predicate import compile_predicate
from hull_sdk.platform.query import Query, compile_query
from hull_sdk.platform.reports import WRITTEN_LAST
from hull_sdk.wire.entities import EntityKind

__all__ = ["SEGMENT_TYPES", "Segment", "SegmentBook", "Transition"]

SEGMENT_TYPES: Final[dict[EntityKind, str]] = {"user": "users_segment", "account": "accounts_segment"}

_KINDS: Final[dict[str, EntityKind]] = {name: kind for kind, type_ in SEGMENT_TYPES.items() for name in (kind, type_)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A segment.

    Args:
        id: Its id.
        kind: What it is made of.
        name: What connectors show and send on.
        query: The compiled query.
        predicate: The tree that the query came from, if any.
        created_at: Unix seconds.
        updated_at: Unix seconds of the last change of name or query.
    """

    id: str
    kind: EntityKind
    name: str
    query: Query
    predicate: Mapping[str, Any] | None
    created_at: float
    updated_at: float

    def to_wire(self) -> dict[str, Any]:
        """Return the five fields that notifications carry."""
        return {
            "id": self.id,
            "name": self.name,
            "type": SEGMENT_TYPES[self.kind],
            "created_at": iso_seconds(self.created_at),
            "updated_at": iso_seconds(self.updated_at),
        }

    def to_told_wire(self) -> dict[str, Any]:
        """Return the fields that tell of it among all segments: what it is and how it is defined, not who is in it."""
        wire = {**self.to_wire(), "query": self.query.source}
        return wire if self.predicate is None else {**wire, "predicate": self.predicate}

    def to_full_wire(self, members: int) -> dict[str, Any]:
        """Return all fields, as the REST API shows them.

        Args:
            members: How many entities are in it.
        """
        return {**self.to_told_wire(), "stats": {f"{self.kind}s": members}}


@dataclass(frozen=True, slots=True)
class Transition:
    """A step into or out of a segment."""

    segment_id: str
    direction: str


class SegmentIndex:
    """Segments of one kind by what they look at: what changed leads to those that may decide otherwise now.

    Args:
        segments: In order of their creation.
    """

    def __init__(self, segments: list[Segment]) -> None:
        self.segments = segments
        self._places = {segment.id: place for place, segment in enumerate(segments)}
        self._always: dict[str, Segment] = {}
        self._by_field: dict[str, dict[str, Segment]] = {}
        for segment in segments:
            query = segment.query
            if query.relative or query.uses_events or not query.looks_at.isdisjoint(WRITTEN_LAST):
                self._always[segment.id] = segment
            for name in query.looks_at:
                self._by_field.setdefault(name, {})[segment.id] = segment

    def looking_at(self, changed: Iterable[str]) -> Collection[Segment]:
        """Return the segments that look at one of these fields, and those that more than fields decides."""
        found = dict(self._always)
        for name in changed:
            found.update(self._by_field.get(name, ()))
        return found.values()

    def in_order(self, known: Iterable[str], turned: set[str]) -> tuple[str, ...]:
        """Return memberships in order of creation, without looking at all segments.

        Args:
            known: Those that there were, in this order.
            turned: Those that have ended, and new ones.
        """
        stayed = [each for each in known if each not in turned and each in self._places]
        for each in turned.difference(known):
            insort(stayed, each, key=self._places.__getitem__)
        return tuple(stayed)


class SegmentBook:
    """The segments of one organization; what is put in and removed is taken back by :meth:`rollback`."""

    STATE: ClassVar[dict[str, Any]] = {
        "_segments": dict[str, Segment],
        "_names": dict[str, str],
        "transitions": dict[str, dict[str, int]],
    }

    def __init__(self) -> None:
        self._segments: dict[str, Segment] = {}
        self._names: dict[str, str] = {}
        self.transitions: dict[str, dict[str, int]] = {}
        self._before: tuple[dict[str, Segment], dict[str, str]] | None = None
        self._indexes: dict[EntityKind, SegmentIndex] = {}

    def of(self, kind: EntityKind) -> list[Segment]:
        """Return the segments of a kind, in order of creation."""
        return [segment for segment in self._segments.values() if segment.kind == kind]

    def get(self, segment_id: str) -> Segment | None:
        """Return a segment, or ``None``."""
        return self._segments.get(segment_id)

    def name(self, segment_id: str) -> str:
        """Return the name of a segment, also of one that has been removed."""
        return self._names[segment_id]

    def build(
        self,
        kind: str,
        name: str,
        *,
        segment_id: str,
        now: float,
        predicate: Any = None,
        query: Any = None,
    ) -> Segment:
        """Check and build a segment without taking it in.

        Args:
            kind: ``"user"`` or ``"account"``, or a type of :data:`SEGMENT_TYPES`.
            name: Not empty.
            segment_id: Its id; an existing segment with it is replaced and keeps its creation date.
            now: Unix seconds.
            predicate: A tree, or ``None``.
            query: A query, or ``None``; one of both is needed.

        Raises:
            InvalidArgumentError: The definition cannot be read.
        """
        known = _KINDS.get(kind)
        if known is None:
            raise InvalidArgumentError(f"the kind of a segment is {kind!r}; use one of {', '.join(_KINDS)}")
        if not isinstance(name, str) or not name.strip():
            raise InvalidArgumentError(f"the name of a segment is {name!r}; it must be text that is not empty")
        if not isinstance(segment_id, str) or not segment_id:
            raise InvalidArgumentError(
                f"the id of a segment is {segment_id!r:.100}; it must be text that is not empty, "
                "or absent for a fresh one"
            )
        if (predicate is None) == (query is None):
            raise InvalidArgumentError(f"the segment {name!r} needs either a predicate or a query, and not both")
        compiled = compile_query(query if predicate is None else compile_predicate(predicate, known))
        if known == "account" and compiled.uses_events:
            raise InvalidArgumentError(f"the segment {name!r} asks for events; accounts have no events")
        existing = self._segments.get(segment_id)
        if existing is not None and existing.kind != known:
            raise InvalidArgumentError(
                f"the id {segment_id!r} belongs to a segment of {existing.kind}s; choose another"
            )
        return Segment(
            id=segment_id,
            kind=known,
            name=name.strip(),
            query=compiled,
            predicate=predicate,
            created_at=now if existing is None else existing.created_at,
            updated_at=now,
        )

    def put(self, segment: Segment) -> None:
        """Take a segment in."""
        self._keep_before()
        self._segments[segment.id] = segment
        self._names[segment.id] = segment.name
        self._indexes.clear()

    def remove(self, segment_id: str) -> None:
        """Forget a segment; its counts stay."""
        self._keep_before()
        del self._segments[segment_id]
        self._indexes.clear()

    def commit(self) -> None:
        """Keep what was put in and removed."""
        if self._before is not None:
            self._before = None
            for segment_id in self._segments:
                self.transitions.setdefault(segment_id, {"entered": 0, "left": 0})

    def rollback(self) -> None:
        """Take back what was put in and removed since the last commit."""
        if self._before is not None:
            (self._segments, self._names), self._before = self._before, None
            self._indexes.clear()

    def _keep_before(self) -> None:
        if self._before is None:
            self._before = dict(self._segments), dict(self._names)

    def evaluate(
        self,
        kind: EntityKind,
        document: Document,
        known: tuple[str, ...] = (),
        changed: Collection[str] | None = None,
    ) -> tuple[str, ...]:
        """Return the ids of the segments that a document is in, in order of creation.

        Args:
            kind: What the document is about.
            document: The document.
            known: The segments that it was in before.
            changed: The fields that changed since then: only segments that look at one of them are asked, and those
                that something else can change; ``None`` asks all.
        """
        index = self._indexes.get(kind)
        if index is None:
            index = self._indexes[kind] = SegmentIndex(self.of(kind))
        if changed is None:
            return tuple(segment.id for segment in index.segments if segment.query.matches(document))
        asked = index.looking_at(changed)
        if not asked:
            return known
        members = set(known)
        turned = {each.id for each in asked if each.query.matches(document) != (each.id in members)}
        return index.in_order(known, turned) if turned else known

    def count(self, transitions: Iterable[Transition]) -> None:
        """Add steps to the counts."""
        for transition in transitions:
            self.transitions[transition.segment_id][transition.direction] += 1
