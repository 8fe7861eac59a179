"""Who is next: what each connector is still to be told, in the order in which it is told.

Rules: section "Notifications" of ``docs/protocol.md``. A :class:`Mailbox` belongs to one connector and channel.
It keeps an :class:`Entry` per entity, in one of two lanes; a lane has one notification under way. Plain state without
locks, clocks or sending: the dispatcher holds the organization's lock around every call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final

from hull_sdk.platform.notifications import Catalog, entity_message, object_message
from hull_sdk.platform.reports import EntityChange, View
from hull_sdk.wire.entities import EntityKind

__all__ = ["FAST", "LANES", "LIFETIME_S", "NORMAL", "EntityNews", "Entry", "Lane", "Mailbox", "ObjectNews", "Outgoing"]

FAST: Final = "fast"
NORMAL: Final = "normal"
LANES: Final = (FAST, NORMAL)

#: A message that is still not done this long after its first delivery becomes a dead letter, in seconds.
LIFETIME_S: Final = 86_400.0


@dataclass(slots=True)
class EntityNews:
    """What happened to a user or account since its connector was told last.

    Args:
        kind: ``"user"`` or ``"account"``.
        entity_id: Its id.
        baseline: The view that was told last, ``None`` when none was.
        latest: The view now.
        events: What happened in between.
        is_new: Whether it was created in between.
    """

    kind: EntityKind
    entity_id: str
    baseline: View | None
    latest: View | None
    events: list[dict[str, Any]] = field(default_factory=list)
    is_new: bool = False

    def add(self, change: EntityChange) -> None:
        """Take in one more change of the same entity."""
        self.latest = change.after
        self.is_new = self.is_new or change.is_new
        self.add_events(change.events)

    def add_events(self, events: list[dict[str, Any]]) -> None:
        """Append events; one with a known id replaces the earlier one, and all belong to this entity."""
        if not events:  # as mostly: those that were inherited from a merge
            return
        known = {event.get("event_id"): place for place, event in enumerate(self.events)}
        for event in events:
            own = event if event["user_id"] == self.entity_id else {**event, "user_id": self.entity_id}
            place = known.get(own.get("event_id"))
            if place is None:
                known[own.get("event_id")] = len(self.events)
                self.events.append(own)
            else:
                self.events[place] = own

    def message(self, catalog: Catalog) -> dict[str, Any] | None:
        """Return what differs between then and now, with the events."""
        if self.latest is None:
            return None
        return entity_message(
            self.kind, self.baseline, self.latest, events=self.events, is_new=self.is_new, catalog=catalog
        )


@dataclass(frozen=True, slots=True)
class ObjectNews:
    """The newest state of a connector or a segment, or what is told of a deletion."""

    value: dict[str, Any]

    def message(self, catalog: Catalog) -> dict[str, Any] | None:  # noqa: ARG002 - the object says it all
        """Return the object itself."""
        return object_message(self.value)


@dataclass(slots=True)
class Entry:
    """One entity in a mailbox.

    Args:
        lane: The lane it is in.
        news: What is not yet part of a notification, ``None`` when nothing.
        held: Notifications under way that hold a message about it.
    """

    lane: str
    news: EntityNews | ObjectNews | None = None
    held: int = 0


@dataclass(eq=False, slots=True, kw_only=True)
class Outgoing:
    """A frozen notification, under way until each of its messages is done or dead.

    Args:
        id: The notification id.
        parent_id: The notification that it is a part of.
        messages: With their ids.
        keys: The entity of each message.
        body: The bytes that every try sends.
        first_at: Domain time (``monotonic``) of the first delivery of its messages; ``None`` before it.
        attempt: Tries so far.
        failures: Tries in a row without a valid answer.
    """

    id: str
    parent_id: str | None
    messages: list[dict[str, Any]]
    keys: list[str]
    body: bytes
    first_at: float | None = None
    attempt: int = 0
    failures: int = 0

    @property
    def message_ids(self) -> tuple[str, ...]:
        """The ids of its messages."""
        return tuple(message["message_id"] for message in self.messages)

    def expires_in(self, now: float) -> float:
        """Return the seconds until its messages become dead letters."""
        return LIFETIME_S if self.first_at is None else self.first_at + LIFETIME_S - now


@dataclass(eq=False, slots=True)
class Lane:
    """One lane of a mailbox.

    Args:
        name: ``"fast"`` or ``"normal"``.
        size: Messages in the next notification, as the connector last asked for.
        due_at: Domain time (``monotonic``) before which nothing is sent.
        queue: Entities with news, first come first served.
        parts: Notifications that earlier ones were split into.
        current: The notification that is sent or waits to be sent again.
        part_last: Whether the previous notification was a part, so that parts and news take turns.
    """

    name: str
    size: int = 1
    due_at: float = 0.0
    queue: dict[str, None] = field(default_factory=dict)
    parts: deque[Outgoing] = field(default_factory=deque)
    current: Outgoing | None = None
    part_last: bool = False


#: Freezes messages into a notification: the entities and their messages, still without ids.
Freeze = Callable[[list[tuple[str, dict[str, Any]]]], Outgoing]

#: Returns the part of a message that is wanted, or ``None``.
Choose = Callable[[dict[str, Any]], dict[str, Any] | None]


def _all_of_it(message: dict[str, Any]) -> dict[str, Any]:
    return message


class Mailbox:
    """What one connector is still to be told on one channel.

    Args:
        channel: For example ``"user:update"``.
        waits: Tells of an entity whether it has to wait, because something earlier about it is under way elsewhere.
    """

    STATE: ClassVar[dict[str, Any]] = {
        "entries": dict[str, Entry],
        "lanes": dict[str, Lane],
        "_orphans": dict[str, list[dict[str, Any]]],
        "_leaving": bool,
    }

    def __init__(self, channel: str, waits: Callable[[str], bool] | None = None) -> None:
        self.channel = channel
        self._waits = waits
        self.entries: dict[str, Entry] = {}
        self.lanes: dict[str, Lane] = {name: Lane(name) for name in LANES}
        self._orphans: dict[str, list[dict[str, Any]]] = {}
        self._leaving = False

    def __len__(self) -> int:
        """Return how many entities have news or are under way."""
        return len(self.entries)

    def shift(self, seconds: float) -> None:
        """Move every time, after the clock that they were read from was replaced."""
        for lane in self.lanes.values():
            lane.due_at += seconds
            for outgoing in (*lane.parts, *((lane.current,) if lane.current is not None else ())):
                outgoing.first_at = None if outgoing.first_at is None else outgoing.first_at + seconds

    def add_change(self, change: EntityChange, wanted_lane: str) -> Lane | None:
        """Take in the change of a user or account.

        Args:
            change: What happened.
            wanted_lane: The lane that suits the entity now.

        Returns:
            The lane that has something to do, or ``None``.
        """
        if change.after is None:
            self._take_leave(change.entity_id)
            return None
        self._leaving = False
        if change.quiet:
            return self._add_quietly(change)
        inherited = [event for absorbed in change.absorbed for event in self._orphans.pop(absorbed, [])]
        entry = self._enter(change.entity_id, wanted_lane)
        if not isinstance(entry.news, EntityNews):
            entry.news = EntityNews(change.kind, change.entity_id, change.before, change.after)
        entry.news.add_events(inherited)
        entry.news.add(change)
        return self.lanes[entry.lane]

    def _add_quietly(self, change: EntityChange) -> Lane | None:
        """Keep what is still to be told up to date, and the events of those who were merged away."""
        events = [event for absorbed in change.absorbed for event in self._orphans.pop(absorbed, [])]
        entry = self.entries.get(change.entity_id)
        if entry is None and events:
            entry = self._enter(change.entity_id, NORMAL)
            entry.news = EntityNews(change.kind, change.entity_id, change.before, change.after)
        if entry is None or not isinstance(entry.news, EntityNews):
            return None
        entry.news.latest = change.after
        entry.news.add_events(events)
        return self.lanes[entry.lane]

    def hurry(self, key: str) -> Lane | None:
        """Move an entity with waiting news to the fast lane, unless something of it is under way.

        Args:
            key: Its id.

        Returns:
            The lane that has something to do, or ``None``.
        """
        entry = self.entries.get(key)
        if entry is None or entry.news is None:
            return None
        return self.lanes[self._enter(key, FAST).lane]

    def add_object(self, key: str, value: dict[str, Any]) -> Lane:
        """Take in the newest state of a connector or segment, or the deletion of a user or account.

        Args:
            key: Its id.
            value: What is told.
        """
        entry = self._enter(key, NORMAL)
        entry.news = ObjectNews(value)
        return self.lanes[entry.lane]

    def next_outgoing(
        self, lane: Lane, catalog: Catalog, freeze: Freeze, choose: Choose = _all_of_it
    ) -> Outgoing | None:
        """Return the notification to send next, freezing news into one where it is their turn.

        Args:
            lane: A lane of this mailbox.
            catalog: The organization's segments.
            freeze: Makes the notification.
            choose: Returns what is wanted of each message.
        """
        if lane.current is None and (not lane.parts or lane.part_last):
            told = self._take(lane, catalog, choose)
            if told:
                lane.current, lane.part_last = freeze(told), False
        if lane.current is None and lane.parts:
            lane.current, lane.part_last = lane.parts.popleft(), True
        return lane.current

    def has_work(self, lane: Lane) -> bool:
        """Tell whether a lane has something to send, now or later."""
        return lane.current is not None or bool(lane.parts) or any(self._may_go(key) for key in lane.queue)

    def is_telling(self, key: str) -> bool:
        """Tell whether something about an entity is under way."""
        entry = self.entries.get(key)
        return entry is not None and entry.held > 0

    def _may_go(self, key: str) -> bool:
        return not self.entries[key].held and (self._waits is None or not self._waits(key))

    def lane_of(self, key: str, otherwise: str) -> str:
        """Return the lane that an entity is in; ``otherwise`` when it is in none."""
        entry = self.entries.get(key)
        return otherwise if entry is None else entry.lane

    def hold(self, keys: list[str], lane: str) -> None:
        """Mark entities as part of one more notification under way; those in no lane are in this one then."""
        for key in keys:
            self._entry(key, lane).held += 1

    def release(self, keys: list[str]) -> None:
        """Mark entities as done in a notification; what is left of them waits for its turn."""
        for key in keys:
            entry = self.entries[key]
            entry.held -= 1
            self._drop_if_done(key)

    def _entry(self, key: str, lane: str) -> Entry:
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = Entry(lane)
        return entry

    def _enter(self, key: str, wanted_lane: str) -> Entry:
        """Return the entity's entry, queued in the lane it may be in.

        With nothing of it under way it moves to the fast lane at once; back to the normal one only when it
        has no news left, so that waiting news are never put behind.
        """
        entry = self._entry(key, wanted_lane)
        if entry.held == 0 and entry.lane != wanted_lane and (entry.news is None or wanted_lane == FAST):
            self.lanes[entry.lane].queue.pop(key, None)
            entry.lane = wanted_lane
        self.lanes[entry.lane].queue.setdefault(key, None)
        return entry

    def _take(self, lane: Lane, catalog: Catalog, choose: Choose) -> list[tuple[str, dict[str, Any]]]:
        told: list[tuple[str, dict[str, Any]]] = []
        taken: list[str] = []
        for key in lane.queue:
            if len(told) >= lane.size:
                break
            entry = self.entries[key]
            if not self._may_go(key):
                continue
            message = None if entry.news is None else entry.news.message(catalog)
            entry.news = None
            taken.append(key)
            wanted = None if message is None else choose(message)
            if wanted is not None:
                entry.held += 1
                told.append((key, wanted))
        for key in taken:
            del lane.queue[key]
            self._drop_if_done(key)
        return told

    def _take_leave(self, key: str) -> None:
        """Forget an entity that is gone; its waiting events pass on to the one that absorbed it.

        Those who are gone are told of first in a unit of work, so events that nobody has claimed when the next
        ones leave belong to an entity that was deleted.
        """
        if not self._leaving:
            self._orphans.clear()
        self._leaving = True
        entry = self.entries.get(key)
        if entry is None:
            return
        if isinstance(entry.news, EntityNews):
            self._orphans[key] = entry.news.events
        entry.news = None
        self.lanes[entry.lane].queue.pop(key, None)
        self._drop_if_done(key)

    def _drop_if_done(self, key: str) -> None:
        entry = self.entries[key]
        if entry.news is None and entry.held <= 0:
            del self.entries[key]
