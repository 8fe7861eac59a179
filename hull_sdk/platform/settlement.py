"""Settling a unit of work: segments are decided, reports are built, and what really changed is named.

Rules: sections "Segments" and "Reports" of ``docs/protocol.md``. Accounts are settled before their users, since a
user's view holds its account's report.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from hull_sdk.platform.events import SEGMENTS_CHANGED
from hull_sdk.platform.fields import Document
from hull_sdk.platform.reports import EntityChange, View, build_report, full_report, same_report, same_view
from hull_sdk.platform.segments import SegmentBook, Transition
from hull_sdk.platform.store import KINDS, Entity
from hull_sdk.platform.unit import Unit
from hull_sdk.wire.entities import EntityKind

__all__ = ["Settlement", "ViewKey", "settle"]

ViewKey = tuple[EntityKind, str]


@dataclass(slots=True)
class Settlement:
    """What a unit of work comes to; nothing of it is kept until the organization commits it.

    Args:
        changes: What to publish: entities that are gone, then accounts, then users.
        views: New views by kind and id; ``None`` for an entity that is gone.
        transitions: Steps into and out of segments.
    """

    changes: list[EntityChange] = field(default_factory=list)
    views: dict[ViewKey, View | None] = field(default_factory=dict)
    transitions: list[Transition] = field(default_factory=list)


def settle(unit: Unit, views: Mapping[ViewKey, View], book: SegmentBook, also: Iterable[ViewKey] = ()) -> Settlement:
    """Decide segments and build views for everything that a unit of work touched.

    Args:
        unit: The unit; segment memberships and the events about them are written through it.
        views: The views as they were last published.
        book: The segments.
        also: Entities to settle although nothing touched them.

    Returns:
        The settlement.
    """
    return _Settler(unit, views, book).run(list(also))


class _Settler:
    def __init__(self, unit: Unit, views: Mapping[ViewKey, View], book: SegmentBook) -> None:
        self.unit = unit
        self.views = views
        self.book = book
        self.moment = datetime.fromtimestamp(unit.now, UTC)
        self.result = Settlement()

    def run(self, also: list[ViewKey]) -> Settlement:
        for kind in KINDS:
            self._settle_gone(kind)
        accounts = dict.fromkeys([*self.unit.store.accounts.touched, *_ids(also, "account")])
        users = dict.fromkeys([*self._touched_users(), *_ids(also, "user")])
        for account_id in accounts:
            if self._settle("account", account_id):
                users.update(dict.fromkeys(user.id for user in self.unit.store.users.find("account_id", account_id)))
        for user_id in users:
            self._settle("user", user_id)
        return self.result

    def _touched_users(self) -> list[str]:
        store = self.unit.store
        found = list(store.users.touched)
        for event_id in store.events.touched:
            rows = (store.events.original(event_id), store.events.get(event_id))
            found.extend(row.user_id for row in rows if row is not None)
        return found

    def _settle_gone(self, kind: EntityKind) -> None:
        table = self.unit.table(kind)
        for entity_id in table.touched:
            before = self.views.get((kind, entity_id))
            if table.get(entity_id) is None and before is not None:
                self.result.views[kind, entity_id] = None
                gone = EntityChange(kind=kind, entity_id=entity_id, before=before, after=None, cause=self.unit.cause)
                self.result.changes.append(gone)

    def _settle(self, kind: EntityKind, entity_id: str) -> bool:
        """Settle one entity; tells whether its view changed."""
        entity = self.unit.table(kind).get(entity_id)
        if entity is None:
            return False
        before = self.views.get((kind, entity_id))
        if kind == "user":
            self.unit.note_attributes(entity)
        entity = self._decide_segments(entity)
        view = self._view(entity)
        events = [event.to_wire() for event in self.unit.news.get(entity_id, ())] if kind == "user" else []
        absorbed = tuple(self.unit.absorbed.get((kind, entity_id), ()))
        if same_view(before, view) and not events:
            return False
        view = self._stamped(entity, before, view)
        self.result.views[kind, entity_id] = view
        self.result.changes.append(
            EntityChange(
                kind=kind,
                entity_id=entity_id,
                before=before,
                after=view,
                events=events,
                is_new=before is None,
                absorbed=absorbed,
                cause=self.unit.cause,
            )
        )
        return True

    def _stamped(self, entity: Entity, before: View | None, view: View) -> View:
        """Write the dates of the change, which the comparison left aside."""
        own = before is None or not same_report(_without_segments(before.report), _without_segments(view.report))
        entity = replace(entity, indexed_at=self.unit.now, updated_at=self.unit.now if own else entity.updated_at)
        self.unit.table(entity.kind).put(entity)
        return replace(view, report=build_report(entity, self.unit.schemas[entity.kind]))

    def _account_view(self, entity: Entity) -> View | None:
        if entity.account_id is None:
            return None
        key: ViewKey = ("account", entity.account_id)
        return self.result.views.get(key) or self.views.get(key)

    def _view(self, entity: Entity) -> View:
        report = build_report(entity, self.unit.schemas[entity.kind])
        if entity.kind == "account":
            return View(report, {}, entity.segment_ids, entity.segment_ids)
        account = self._account_view(entity)
        if account is None:
            return View(report, {}, entity.segment_ids)
        return View(report, account.report, entity.segment_ids, account.segment_ids)

    def _decide_segments(self, entity: Entity) -> Entity:
        ids = self.book.evaluate(entity.kind, self._document(entity))
        if ids == entity.segment_ids:
            return entity
        entered = [each for each in ids if each not in entity.segment_ids]
        left = [each for each in entity.segment_ids if each not in ids]
        self.result.transitions.extend(Transition(each, "entered") for each in entered)
        self.result.transitions.extend(Transition(each, "left") for each in left)
        if entity.kind == "user" and (entered or left):
            sides = {"entered": entered, "left": left}
            names = {side: [self.book.name(each) for each in found] for side, found in sides.items() if found}
            self.unit.emit(entity.id, SEGMENTS_CHANGED, names)
        return self.unit.table(entity.kind).put(replace(entity, segment_ids=ids))

    def _document(self, entity: Entity) -> Document:
        return Document(full_report(entity.kind, self._view(entity)), lambda: self._events(entity), self.moment)

    def _events(self, entity: Entity) -> list[dict[str, Any]]:
        return [event.to_wire() for event in self.unit.store.events.find("user_id", entity.id)]


def _ids(keys: list[ViewKey], kind: EntityKind) -> list[str]:
    return [entity_id for each, entity_id in keys if each == kind]


def _without_segments(report: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in report.items() if name != "segment_ids"}
