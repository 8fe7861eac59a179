"""A unit of work: everything that one message may change, and what came of it on the way.

Nothing here decides; a unit carries the doors, the source of the message, and collects new events, merges and notes
until the organization settles it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hull_sdk.core.ids import Ids
from hull_sdk.platform.attributes import AttributeSchema, changed_values
from hull_sdk.platform.deletions import Deletions
from hull_sdk.platform.events import ATTRIBUTES_CHANGED, USER_MERGED, Source, builtin_item
from hull_sdk.platform.settings import OrganizationSettings
from hull_sdk.platform.store import Entity, Store, StoredEvent, Table
from hull_sdk.wire.entities import EntityKind

__all__ = ["Unit"]


@dataclass(slots=True, kw_only=True)
class Unit:
    """One unit of work.

    Args:
        store: The tables it writes to.
        schemas: The attribute schema of each kind.
        settings: The organization's settings.
        ids: Where new ids come from.
        now: Unix seconds of domain time; the same throughout.
        source: The connector behind it.
        deletions: Who was deleted lately.
        emits: ``False`` makes no events of the platform's own, except about merges.
        news: New events by user id.
        absorbed: Ids merged into each entity.
        notes: What was left aside, and why.
        errors: Attributes that were refused, and why.
        activated: Users and accounts that were marked active.
        cause: Id of the message that it applies, if it has one.
        subjects: Ids of the user and the account that the message names, as far as they were found or made.
        deleted: Ids of those who were deleted; who is gone without that was merged.
    """

    store: Store
    schemas: Mapping[EntityKind, AttributeSchema]
    settings: OrganizationSettings
    ids: Ids
    now: float
    source: Source
    deletions: Deletions = field(default_factory=Deletions)
    emits: bool = True
    news: dict[str, list[StoredEvent]] = field(default_factory=dict)
    absorbed: dict[tuple[EntityKind, str], list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    activated: list[tuple[EntityKind, str]] = field(default_factory=list)
    cause: str | None = None
    subjects: dict[EntityKind, str] = field(default_factory=dict)
    deleted: set[str] = field(default_factory=set)

    def table(self, kind: EntityKind) -> Table[Entity]:
        """Return the table of a kind."""
        return self.store.table(kind)

    def entity(self, kind: EntityKind, entity_id: str) -> Entity:
        """Return an entity that exists."""
        entity = self.table(kind).get(entity_id)
        if entity is None:
            raise RuntimeError(f"the {kind} {entity_id} was planned for and is not there")
        return entity

    def emit(self, user_id: str, name: str, properties: Mapping[str, Any]) -> None:
        """Add an event that the platform makes itself."""
        if not self.emits and name != USER_MERGED:
            return
        event_id = self.ids.object_id()
        item = builtin_item(name, properties, event_id=event_id, at=self.now, source=self.source)
        self.add_event(user_id, event_id, item, tracked=False)

    def note_attributes(self, user: Entity) -> None:
        """Store the event about changes of attributes that are tracked; it is no news, so no connector is told."""
        names = self.schemas["user"].tracked if self.emits else ()
        old = self.store.users.original(user.id) if names else None
        if old is None:
            return
        properties = changed_values(names, old.attributes, user.attributes)
        if properties:
            event_id, since = self.ids.object_id(), user.attributes.get("created_at")
            source, name = self.source, ATTRIBUTES_CHANGED
            item = builtin_item(name, properties, event_id=event_id, at=self.now, source=source, since=since)
            self._put_event(user.id, event_id, item, tracked=False)

    def add_event(self, user_id: str, event_id: str, item: Mapping[str, Any], *, tracked: bool) -> StoredEvent:
        """Store an event under its id and count it as news of its user.

        Args:
            user_id: Whose it is.
            event_id: Its id; an event that has it is overwritten and keeps its place.
            item: The event without ``user_id``.
            tracked: ``False`` for the platform's own events.
        """
        event = self._put_event(user_id, event_id, item, tracked=tracked)
        self.news.setdefault(user_id, []).append(event)
        return event

    def _put_event(self, user_id: str, event_id: str, item: Mapping[str, Any], *, tracked: bool) -> StoredEvent:
        old = self.store.events.get(event_id)
        sequence = self.store.next_sequence() if old is None else old.sequence
        event = StoredEvent(
            id=event_id, sequence=sequence, user_id=user_id, tracked=tracked, item=item, indexed_at=self.now
        )
        return self.store.events.put(event)
