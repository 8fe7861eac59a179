"""The segments of an organization: making, changing and removing them, and deciding anew who is in them.

Rules: section "Segments" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.intake import Intake, SegmentListener
from hull_sdk.platform.segments import Segment
from hull_sdk.platform.store import KINDS

__all__ = ["Segmentation"]


class Segmentation(Intake):
    """What comes into an organization, sorted into segments.

    It is made as an :class:`~hull_sdk.platform.intake.Intake`.
    """

    def on_segment_change(self, listener: SegmentListener) -> None:
        """Have a listener told of every segment that is created, changed or removed, as :meth:`on_change`.

        Args:
            listener: Called with ``"update"`` or ``"delete"`` and the segment.
        """
        self._segment_listeners.append(listener)

    def create_segment(
        self,
        kind: str,
        name: str,
        predicate: Any = None,
        *,
        query: Any = None,
        id: str | None = None,  # noqa: A002 - the name that the wire gives it
    ) -> dict[str, Any]:
        """Create a segment, or replace the one that has the id.

        Everybody is evaluated at once: who matches enters it, which counts and notifies like any other entry.

        Args:
            kind: ``"user"`` or ``"account"``, or as on the wire ``"users_segment"`` or ``"accounts_segment"``.
            name: What connectors show.
            predicate: A tree; see the section "Segments" of ``docs/protocol.md``.
            query: A query, instead of a predicate.
            id: Its id; a fresh one when ``None``.

        Returns:
            The segment as the REST API shows it.

        Raises:
            InvalidArgumentError: The kind is unknown, or the definition cannot be read; nothing is created.
        """
        with self.lock:
            now = self.clock.time()
            segment_id = self.runtime.ids.object_id() if id is None else id
            segment = self._book.build(kind, name, segment_id=segment_id, now=now, predicate=predicate, query=query)
            with self._all_or_nothing():
                self._book.put(segment)
                self._settle_all(segment.kind, now)
            self._tell_segment("update", segment)
            return self._full_wire(segment)

    def update_segment(self, segment_id: str, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Change a segment's name or definition.

        Args:
            segment_id: Its id.
            changes: ``name``, and ``predicate`` or ``query``; other keys are ignored.

        Returns:
            The segment as the REST API shows it.

        Raises:
            InvalidArgumentError: There is no such segment, or the definition cannot be read.
        """
        segment = self.segment(segment_id)
        if segment is None:
            raise InvalidArgumentError(f"there is no segment {segment_id!r}")
        definition = {key: changes[key] for key in ("predicate", "query") if changes.get(key) is not None}
        if len(definition) == 2 and segment.predicate is not None:
            del definition["query"]  # a read segment is written back: its query was compiled from the predicate
        if not definition:
            predicate = segment.predicate
            definition = {"query": segment.query.source} if predicate is None else {"predicate": predicate}
        return self.create_segment(segment.kind, changes.get("name", segment.name), id=segment_id, **definition)

    def delete_segment(self, segment_id: str) -> bool:
        """Remove a segment; everybody in it leaves it.

        Args:
            segment_id: Its id.

        Returns:
            ``False`` when there is no such segment.
        """
        with self.lock:
            segment = self._book.get(segment_id)
            if segment is None:
                return False
            with self._all_or_nothing():
                self._book.remove(segment_id)
                self._settle_all(segment.kind, self.clock.time())
            self._tell_segment("delete", segment)
            return True

    def reevaluate(self, now: float | None = None) -> int:
        """Decide the segments anew that time alone can change; call it now and then, such as every six hours.

        Args:
            now: Unix seconds of domain time; now by default.

        Returns:
            How many entities changed.
        """
        with self.lock:
            moment = self.clock.time() if now is None else now
            kinds = {segment.kind for kind in KINDS for segment in self._book.of(kind) if segment.query.relative}
            return sum(self._settle_all(kind, moment) for kind in KINDS if kind in kinds)

    def users_segments(self) -> list[dict[str, Any]]:
        """Return the segments of users, as the REST API shows them."""
        with self.lock:
            return [self._full_wire(segment) for segment in self._book.of("user")]

    def accounts_segments(self) -> list[dict[str, Any]]:
        """Return the segments of accounts, as the REST API shows them."""
        with self.lock:
            return [self._full_wire(segment) for segment in self._book.of("account")]

    def segment(self, segment_id: str) -> Segment | None:
        """Return a segment, or ``None``; its ``to_wire()`` has the fields that notifications carry."""
        with self.lock:
            return self._book.get(segment_id)

    @property
    def segment_transitions(self) -> dict[str, dict[str, int]]:
        """How often each segment was entered and left, by id: ``{"entered": 3, "left": 1}``."""
        with self.lock:
            return {segment_id: dict(counts) for segment_id, counts in self._book.transitions.items()}

    def _tell_segment(self, action: str, segment: Segment) -> None:
        for listener in list(self._segment_listeners):
            listener(action, segment)

    def _full_wire(self, segment: Segment) -> dict[str, Any]:
        return segment.to_full_wire(self._store.table(segment.kind).count("segment_id", segment.id))
