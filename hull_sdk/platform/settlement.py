"""Settling a unit of work: segments are decided, reports are built, and what really changed is named.

Rules: sections "Segments" and "Reports" of ``docs/protocol.md``. Accounts are settled before their users, since a
user's view holds its account's report.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from hull_sdk.core.clock import iso_seconds
from hull_sdk.platform.events import SEGMENTS_CHANGED
from hull_sdk.platform.fields import Document
from hull_sdk.platform.reports import EntityChange, View, build_report, changed_names, full_report
from hull_sdk.platform.segments import SegmentBook, Transition
from hull_sdk.platform.store import KINDS, Entity
from hull_sdk.platform.unit import Unit
from hull_sdk.wire.entities import EntityKind

__all__ = ["Settlement", "ViewKey", "settle"]

ViewKey = tuple[EntityKind, str]

_NONE: Final[frozenset[str]] = frozenset()


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
        accounts = dict.fromkeys(self.unit.store.accounts.touched, False) | _anew(also, "account")
        users = dict.fromkeys(self._touched_users(), False) | _anew(also, "user")
        for account_id, anew in accounts.items():
            if self._settle("account", account_id, anew=anew):
                for user in self.unit.store.users.find("account_id", account_id):
                    users.setdefault(user.id, False)
        for user_id, anew in users.items():
            self._settle("user", user_id, anew=anew)
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
                gone = EntityChange(
                    kind=kind,
                    entity_id=entity_id,
                    before=before,
                    after=None,
                    cause=self.unit.cause,
                    deleted_at=self.unit.now if entity_id in self.unit.deleted else None,
                )
                self.result.changes.append(gone)

    def _settle(self, kind: EntityKind, entity_id: str, *, anew: bool) -> bool:
        """Settle one entity; tells whether its view changed.

        Args:
            kind: ``"user"`` or ``"account"``.
            entity_id: Its id.
            anew: ``True`` asks all segments, whatever changed.
        """
        entity = self.unit.table(kind).get(entity_id)
        if entity is None:
            return False
        before = self.views.get((kind, entity_id))
        if kind == "user":
            self.unit.note_attributes(entity)
        view = self._view(entity)
        own = _NONE if before is None else changed_names(before.report, view.report)
        account = _NONE if before is None else _changed_account(kind, before, view)
        ids = self._decide_segments(entity, view, None if before is None or anew else own | account)
        events = [event.to_wire() for event in self.unit.news.get(entity_id, ())] if kind == "user" else []
        if before is not None and not own and not account and before.segment_ids == ids and not events:
            return False
        view = self._stamped(entity, view, ids, own=before is None or bool(own))
        self.result.views[kind, entity_id] = view
        self.result.changes.append(
            EntityChange(
                kind=kind,
                entity_id=entity_id,
                before=before,
                after=view,
                events=events,
                is_new=before is None,
                absorbed=tuple(self.unit.absorbed.get((kind, entity_id), ())),
                cause=self.unit.cause,
            )
        )
        return True

    def _stamped(self, entity: Entity, view: View, ids: tuple[str, ...], *, own: bool) -> View:
        """Write segments and dates of the change, which the comparison left aside, into entity and report."""
        now = self.unit.now
        updated_at = now if own else entity.updated_at
        self.unit.table(entity.kind).put(entity.changed(segment_ids=ids, indexed_at=now, updated_at=updated_at))
        report = view.report  # built for this view, and not published yet
        report["segment_ids"] = list(ids)
        report["updated_at"], report["indexed_at"] = iso_seconds(updated_at), iso_seconds(now)
        return View(report, view.account_report, ids, ids if entity.kind == "account" else view.account_segment_ids)

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

    def _decide_segments(self, entity: Entity, view: View, changed: Collection[str] | None) -> tuple[str, ...]:
        document = Document(full_report(entity.kind, view), lambda: self._events(entity), self.moment)
        ids = self.book.evaluate(entity.kind, document, entity.segment_ids, changed)
        if ids == entity.segment_ids:
            return ids
        earlier, now = set(entity.segment_ids), set(ids)
        entered = [each for each in ids if each not in earlier]
        left = [each for each in entity.segment_ids if each not in now]
        self.result.transitions.extend(Transition(each, "entered") for each in entered)
        self.result.transitions.extend(Transition(each, "left") for each in left)
        if entity.kind == "user" and (entered or left):
            sides = {"entered": entered, "left": left}
            names = {side: [self.book.name(each) for each in found] for side, found in sides.items() if found}
            self.unit.emit(entity.id, SEGMENTS_CHANGED, names)
        return ids

    def _events(self, entity: Entity) -> list[dict[str, Any]]:
        return [event.to_wire() for event in self.unit.store.events.find("user_id", entity.id)]


def _anew(keys: list[ViewKey], kind: EntityKind) -> dict[str, bool]:
    return {entity_id: True for each, entity_id in keys if each == kind}


def _changed_account(kind: EntityKind, before: View, after: View) -> AbstractSet[str]:
    """Return the field under which a query asks for a user's account, when that says something else now."""
    same = kind == "account" or before.account_segment_ids == after.account_segment_ids
    return _NONE if same and not changed_names(before.account_report, after.account_report) else {"account"}
