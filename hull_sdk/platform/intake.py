"""Taking in messages: the one place where units of work are put in sequence.

A message is read, then planned, applied, settled and committed under the organization's lock; listeners are told under
the same lock, so they only take note. Rules: section "Ingestion" of ``docs/protocol.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final

from hull_sdk.core import logs
from hull_sdk.core.clock import Clock
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock, RLock
from hull_sdk.platform.attributes import AttributeSchema
from hull_sdk.platform.consequences import Consequences
from hull_sdk.platform.deletions import Deletions
from hull_sdk.platform.door import ConnectorCredentials, admit, check_size
from hull_sdk.platform.event_contexts import Locator
from hull_sdk.platform.events import Source
from hull_sdk.platform.ingestion import Outcome, apply_message
from hull_sdk.platform.logs import LogBook, LogEntry, claimed, identifiers, subject_of
from hull_sdk.platform.messages import MessageError, ParsedMessage, message_id_of, parse_message
from hull_sdk.platform.reports import EntityChange, View
from hull_sdk.platform.segments import Segment, SegmentBook
from hull_sdk.platform.settings import OrganizationSettings, load_settings
from hull_sdk.platform.settlement import Settlement, ViewKey, settle
from hull_sdk.platform.store import KINDS, Store
from hull_sdk.platform.trace import Journal, Record
from hull_sdk.platform.unit import Unit
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.firehose import Rejection

__all__ = ["ChangeListener", "Intake", "SegmentListener"]

_log = logging.getLogger(__name__)

#: Told of each change of an entity, in order.
ChangeListener = Callable[[EntityChange], None]
#: Told of a segment that was created or changed (``"update"``) or removed (``"delete"``).
SegmentListener = Callable[[str, Segment], None]

_LOG_SUFFIXES: Final = {
    "applied": (logging.INFO, "success"),
    "merged": (logging.INFO, "success"),
    "ignored": (logging.INFO, "skip"),
    "failed": (logging.ERROR, "error"),
}


class Intake:
    """Where the messages of one organization come in, and what became of each of them.

    Args:
        host: Its name, for example ``"acme.hullapp.test"``.
        runtime: The doors; tokens are checked against its clock.
        clock: Domain time: what events, memberships and reports are dated by.
        admin_secret: Opens the admin endpoints; made up by default.
        settings: See :func:`hull_sdk.platform.settings.load_settings`.

    Example:
        >>> from hull_sdk.core.runtime import Runtime
        >>> from hull_sdk.platform.intake import Intake
        >>> runtime = Runtime.virtual()
        >>> intake = Intake("acme.hullapp.test", runtime=runtime, clock=runtime.clock)
        >>> claims = {"io.hull.asUser": {"email": "ann@acme.test"}}
        >>> intake.ingest({"type": "traits", "body": {"plan": "pro"}}, claims, None).state
        'applied'
    """

    def __init__(
        self,
        host: str,
        *,
        runtime: Runtime,
        clock: Clock,
        admin_secret: str | None = None,
        settings: Mapping[str, Any] | OrganizationSettings | None = None,
    ) -> None:
        self.host = host
        self.runtime = runtime
        self.clock = clock
        self.admin_secret: str = runtime.ids.secret() if admin_secret is None else admin_secret
        self.settings: OrganizationSettings = load_settings(settings)
        #: Finds the location of events by their ``ip``; none by default.
        self.locator: Locator | None = None
        self.lock: RLock = RLock()
        self._counting = Lock()
        self._receiving = 0
        self.connectors: dict[str, Any] = {}
        self._store = Store()
        self._schemas: dict[EntityKind, AttributeSchema] = {kind: AttributeSchema(kind) for kind in KINDS}
        self._book = SegmentBook()
        self._deletions = Deletions()
        self._journal = Journal()
        self._consequences = Consequences()
        self._log_book = LogBook()
        self._views: dict[ViewKey, View] = {}
        self._listeners: list[ChangeListener] = []
        self._segment_listeners: list[SegmentListener] = []

    # Messages

    def accept(self, message: Any, *, connector: ConnectorCredentials, index: int = 0) -> Rejection | None:
        """Check one message at the door, changing nothing.

        Args:
            message: As it came in.
            connector: Who sent it.
            index: Its place in the batch, for the rejection.

        Returns:
            ``None`` when it can be ingested, else why not.
        """
        try:
            self._admit(message, connector)
        except MessageError as err:
            return _rejection(message, err, index)
        return None

    def receive(self, batch: Iterable[Any], connector: ConnectorCredentials) -> tuple[int, list[Rejection]]:
        """Take in a batch: each message passes the door and is applied, or is refused.

        Args:
            batch: Messages of ``hull_sdk.wire.firehose.FirehoseMessage``.
            connector: Who sent them.

        Returns:
            How many were accepted (a repeated message id counts and changes nothing), and the refused ones.
        """
        with self._counting:
            self._receiving += 1
        try:
            return self._receive(batch, connector)
        finally:
            with self._counting:
                self._receiving -= 1

    def _receive(self, batch: Iterable[Any], connector: ConnectorCredentials) -> tuple[int, list[Rejection]]:
        accepted, rejections = 0, []
        for index, message in enumerate(batch):
            try:
                admitted = self._admit(message, connector)
            except MessageError as err:
                rejections.append(_rejection(message, err, index))
                self._record_unreadable(message, err, err.claims, connector.id, remember=False)
            else:
                self._process(admitted, connector.id)
                accepted += 1
        return accepted, rejections

    def ingest(
        self,
        message: Any,
        claims: Mapping[str, Any],
        connector_id: str | None,
        *,
        notify: bool = True,
        emit_events: bool = True,
    ) -> Record:
        """Apply one message whose token has been verified.

        Args:
            message: For example ``{"type": "traits", "body": {"plan": "pro"}}``.
            claims: The token's claims, for example ``{"io.hull.asUser": {"email": "ann@acme.test"}}``.
            connector_id: Who sent it, or ``None`` for the platform itself.
            notify: ``False`` tells no connector what it changes.
            emit_events: ``False`` makes no ``User created`` and ``Segments changed`` for it.

        Returns:
            The final state; a message id that was applied within a day of domain time changes nothing and gives
            its record again.
        """
        try:
            check_size(message)
            parsed = parse_message(message, claims, self.settings, self.locator)
        except MessageError as err:
            return self._record_unreadable(message, err, claims, connector_id)
        return self._process(parsed, connector_id, notify=notify, emit_events=emit_events)

    @property
    def busy(self) -> bool:
        """``True`` while messages of the firehose are being taken in."""
        return self._receiving > 0

    def _admit(self, message: Any, connector: ConnectorCredentials) -> ParsedMessage:
        now = self.runtime.clock.time()
        return admit(message, connector=connector, settings=self.settings, now=now, locator=self.locator)

    def _process(
        self,
        message: ParsedMessage,
        connector_id: str | None,
        *,
        notify: bool = True,
        emit_events: bool = True,
    ) -> Record:
        with self.lock:
            now = self.clock.time()
            repeated = self._journal.repeated(message.message_id, now)
            if repeated is not None:
                return repeated
            unit = self._unit(now, connector_id, emits=emit_events)
            unit.cause = message.message_id
            try:
                with self._all_or_nothing():
                    outcome = apply_message(unit, message)
                    settlement = self._settle(unit)
            except Exception as err:  # noqa: BLE001 - whatever it was, it ends in a recorded state
                logs.emit(_log, logging.ERROR, "incoming.failed", {"message_id": message.message_id}, exc_info=err)
                outcome, settlement = Outcome("failed", f"internal error: {type(err).__name__}: {err}"), Settlement()
                unit = self._unit(now, connector_id)
            record = self._record(message, outcome, unit, connector_id)
            self._consequences.keep(message.message_id, settlement.changes)
            self._commit(settlement, notify=notify)
            for kind, entity_id in unit.activated:
                self._tell_active(kind, entity_id)
            return record

    def _tell_active(self, kind: EntityKind, entity_id: str) -> None:
        """Take note that an entity was marked active; what waits to be told of it goes ahead."""

    def _unit(self, now: float, connector_id: str | None = None, *, emits: bool = True) -> Unit:
        return Unit(
            store=self._store,
            schemas=self._schemas,
            settings=self.settings,
            ids=self.runtime.ids,
            now=now,
            source=self._source(connector_id),
            deletions=self._deletions,
            emits=emits,
        )

    def _source(self, connector_id: str | None) -> Source:
        connector = None if connector_id is None else self.connectors.get(connector_id)
        return Source(connector_id, getattr(connector, "name", None))

    def _settle(self, unit: Unit, also: Iterable[ViewKey] = ()) -> Settlement:
        return settle(unit, self._views, self._book, also)

    @contextmanager
    def _all_or_nothing(self) -> Iterator[None]:
        """Take a unit of work back when it fails before it is committed."""
        try:
            yield
        except BaseException:
            self._store.rollback()
            for schema in self._schemas.values():
                schema.rollback()
            self._book.rollback()
            raise

    def _commit(self, settlement: Settlement, *, notify: bool = True) -> None:
        self._store.commit()
        for schema in self._schemas.values():
            schema.commit()
        self._book.commit()
        self._book.count(settlement.transitions)
        for key, view in settlement.views.items():
            if view is None:
                self._views.pop(key, None)
            else:
                self._views[key] = view
        self.publish(settlement.changes if notify else [replace(each, quiet=True) for each in settlement.changes])

    def _settle_all(self, kind: EntityKind, now: float) -> int:
        unit = self._unit(now)
        with self._all_or_nothing():
            settlement = self._settle(unit, [(kind, entity.id) for entity in self._store.table(kind)])
        self._commit(settlement)
        return len(settlement.changes)

    # Records and logs

    def _record(self, message: ParsedMessage, outcome: Outcome, unit: Unit, connector_id: str | None) -> Record:
        merged = outcome.state == "applied" and bool(unit.absorbed)
        record = self._journal.add(
            Record(
                message_id=message.message_id,
                type=message.type,
                state="merged" if merged else outcome.state,
                reason=outcome.reason,
                kind=outcome.kind,
                entity_id=outcome.entity_id,
                connector_id=connector_id,
                request_id=message.request_id,
                at=unit.now,
                idempotent=message.message_id is not None,
                notes=(*unit.notes, *unit.errors),
            )
        )
        self._log_message(message, record, unit)
        return record

    def _log_message(self, message: ParsedMessage, record: Record, unit: Unit) -> None:
        subject = message.subject
        what = "event" if message.type == "track" else subject.kind
        fields = {
            **identifiers(subject.user, subject.account),
            **{f"{kind}_id": entity_id for kind, entity_id in unit.subjects.items()},
            "connector_id": unit.source.id,
            "connector_name": unit.source.name,
            "message_id": message.message_id,
            "request_id": message.request_id,
            "type": message.type,
            "reason": record.reason,
            "notes": list(unit.notes) or None,
        }
        if record.entity_id is not None:
            fields[f"{record.kind}_id"] = record.entity_id
        level, suffix = _LOG_SUFFIXES[record.state]
        self._log_book.write(level, f"incoming.{what}.{suffix}", unit.now, fields)
        for reason in unit.errors:
            self._log_book.write(logging.ERROR, f"incoming.{what}.error", unit.now, {**fields, "reason": reason})
        for note in getattr(message.content, "debug", ()):
            self._log_book.write(logging.DEBUG, f"incoming.{what}.skip", unit.now, {**fields, "reason": note})

    def _record_unreadable(
        self,
        message: Any,
        err: MessageError,
        claims: Mapping[str, Any],
        connector_id: str | None,
        *,
        remember: bool = True,
    ) -> Record:
        message_id = message_id_of(message)
        kind = message.get("type") if isinstance(message, Mapping) else None
        with self.lock:
            now = self.clock.time()
            repeated = self._journal.repeated(message_id, now)
            if repeated is not None:
                return repeated
            record = Record(
                message_id=message_id,
                type=kind if isinstance(kind, str) else None,
                state="failed",
                reason=f"{err.code}: {err.reason}",
                connector_id=connector_id,
                at=now,
                idempotent=message_id is not None,
            )
            fields = {
                **claimed(claims),
                "connector_id": connector_id,
                "connector_name": self._source(connector_id).name,
                "message_id": message_id,
                "code": err.code,
                "reason": err.reason,
            }
            self._log_book.write(logging.ERROR, f"incoming.{subject_of(kind, claims)}.error", now, fields)
            return self._journal.add(record, remember=remember)

    @property
    def records(self) -> list[Record]:
        """The final states of the latest messages, oldest first."""
        with self.lock:
            return list(self._journal)

    @property
    def record_counts(self) -> dict[str, int]:
        """How many messages ended in each state, all of them counted."""
        with self.lock:
            return {state: self._journal.counts[state] for state in ("applied", "merged", "ignored", "failed")}

    def trace(self, message_id: str) -> Record | None:
        """Return what became of a message, or ``None`` when it never came or is long ago."""
        with self.lock:
            return self._journal.trace(message_id)

    @property
    def log(self) -> list[LogEntry]:
        """The latest entries ``incoming.*``, oldest first."""
        with self.lock:
            return self._log_book.entries

    # Changes

    def on_change(self, listener: ChangeListener) -> None:
        """Have a listener told of every change of an entity.

        Args:
            listener: Called with one change at a time, in order, while the organization is locked: it takes note,
                and neither waits nor sends.
        """
        self._listeners.append(listener)

    def publish(self, changes: list[EntityChange]) -> None:
        """Tell the listeners what one unit of work changed: entities that are gone, then accounts, then users."""
        for change in changes:
            for listener in list(self._listeners):
                listener(change)


def _rejection(message: Any, err: MessageError, index: int) -> Rejection:
    return Rejection(index, message_id_of(message), err.code, err.reason)
