"""An organization: its data, its rules, and the one place where units of work are put in sequence.

A message is read, planned, applied, settled and committed under the organization's lock; listeners are told under the
same lock, so they only take note. Rules: section "Ingestion" of ``docs/protocol.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from hull_sdk.core import logs
from hull_sdk.core.clock import Clock
from hull_sdk.core.ids import Ids
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import RLock
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.attributes import AttributeSchema
from hull_sdk.platform.door import ConnectorCredentials, admit, check_size
from hull_sdk.platform.events import Source
from hull_sdk.platform.identity import read_claims, resolve
from hull_sdk.platform.ingestion import Outcome, apply_message
from hull_sdk.platform.logs import LogBook, LogEntry, identifiers
from hull_sdk.platform.messages import MessageError, ParsedMessage, message_id_of, parse_message
from hull_sdk.platform.reports import EntityChange, View
from hull_sdk.platform.segments import Segment, SegmentBook
from hull_sdk.platform.settings import OrganizationSettings, load_settings
from hull_sdk.platform.settlement import Settlement, ViewKey, settle
from hull_sdk.platform.state import dump_store
from hull_sdk.platform.store import KINDS, Entity, Store
from hull_sdk.platform.trace import Journal, Record
from hull_sdk.platform.unit import Unit
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.firehose import Rejection

__all__ = ["ChangeListener", "Organization", "SegmentListener"]

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


class Organization:
    """Users, accounts, events and segments of one customer; nothing of it is visible in another.

    Args:
        host: Its name, for example ``"acme.hullapp.test"``.
        runtime: The doors; tokens are checked against its clock.
        clock: Domain time: what events, memberships and reports are dated by.
        ids: Where new ids come from; the runtime's ids by default, asked anew each time.
        admin_secret: Opens the admin endpoints; made up by default.
        settings: See :func:`hull_sdk.platform.settings.load_settings`.

    Example:
        >>> from hull_sdk.core.runtime import Runtime
        >>> from hull_sdk.platform.organization import Organization
        >>> runtime = Runtime.virtual()
        >>> organization = Organization("acme.hullapp.test", runtime=runtime, clock=runtime.clock)
        >>> claims = {"io.hull.asUser": {"email": "ann@acme.test"}}
        >>> organization.ingest({"type": "traits", "body": {"plan": "pro"}}, claims, None).state
        'applied'
    """

    def __init__(
        self,
        host: str,
        *,
        runtime: Runtime,
        clock: Clock,
        ids: Ids | None = None,
        admin_secret: str | None = None,
        settings: Mapping[str, Any] | OrganizationSettings | None = None,
    ) -> None:
        self.host = host
        self.runtime = runtime
        self.clock = clock
        self._ids = ids
        self.admin_secret = self.ids.secret() if admin_secret is None else admin_secret
        self.settings = load_settings(settings)
        self.lock = RLock()
        self.connectors: dict[str, Any] = {}
        self._store = Store()
        self._schemas: dict[EntityKind, AttributeSchema] = {kind: AttributeSchema(kind) for kind in KINDS}
        self._book = SegmentBook()
        self._journal = Journal()
        self._log_book = LogBook()
        self._views: dict[ViewKey, View] = {}
        self._listeners: list[ChangeListener] = []
        self._segment_listeners: list[SegmentListener] = []

    @property
    def ids(self) -> Ids:
        """Where new ids come from."""
        return self.runtime.ids if self._ids is None else self._ids

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
        admitted = self._admit(message, connector, index)
        return admitted if isinstance(admitted, Rejection) else None

    def receive(self, batch: Iterable[Any], connector: ConnectorCredentials) -> tuple[int, list[Rejection]]:
        """Take in a batch: each message passes the door and is applied, or is refused.

        Args:
            batch: Messages of ``hull_sdk.wire.firehose.FirehoseMessage``.
            connector: Who sent them.

        Returns:
            How many were accepted (a repeated message id counts and changes nothing), and the refused ones.
        """
        accepted, rejections = 0, []
        for index, message in enumerate(batch):
            admitted = self._admit(message, connector, index)
            if isinstance(admitted, Rejection):
                rejections.append(admitted)
                self._record_rejection(message, admitted, connector.id)
            else:
                self._process(admitted, connector.id)
                accepted += 1
        return accepted, rejections

    def ingest(self, message: Any, claims: Mapping[str, Any], connector_id: str | None) -> Record:
        """Apply one message whose token has been verified.

        Args:
            message: For example ``{"type": "traits", "body": {"plan": "pro"}}``.
            claims: The token's claims, for example ``{"io.hull.asUser": {"email": "ann@acme.test"}}``.
            connector_id: Who sent it, or ``None`` for the platform itself.

        Returns:
            The final state; a message id that was applied within a day of domain time changes nothing and gives
            its record again.
        """
        try:
            check_size(message)
            parsed = parse_message(message, claims, self.settings)
        except MessageError as err:
            return self._record_unreadable(message, err.code, err.reason, connector_id)
        return self._process(parsed, connector_id)

    def _admit(self, message: Any, connector: ConnectorCredentials, index: int) -> ParsedMessage | Rejection:
        try:
            return admit(message, connector=connector, settings=self.settings, now=self.runtime.clock.time())
        except MessageError as err:
            return Rejection(index, message_id_of(message), err.code, err.reason)

    def _process(self, message: ParsedMessage, connector_id: str | None) -> Record:
        with self.lock:
            now = self.clock.time()
            repeated = self._journal.repeated(message.message_id, now)
            if repeated is not None:
                return repeated
            unit = self._unit(now, connector_id)
            try:
                outcome = apply_message(unit, message)
                settlement = self._settle(unit)
            except Exception as err:  # noqa: BLE001 - whatever it was, it ends in a recorded state
                self._rollback()
                logs.emit(_log, logging.ERROR, "incoming.failed", {"message_id": message.message_id}, exc_info=err)
                outcome, settlement = Outcome("failed", f"internal error: {type(err).__name__}: {err}"), Settlement()
                unit = self._unit(now, connector_id)
            record = self._record(message, outcome, unit, connector_id)
            self._commit(settlement)
            return record

    def _unit(self, now: float, connector_id: str | None = None) -> Unit:
        name = getattr(self.connectors.get(connector_id), "name", None) if connector_id is not None else None
        return Unit(
            store=self._store,
            schemas=self._schemas,
            settings=self.settings,
            ids=self.ids,
            now=now,
            source=Source(connector_id, name),
        )

    def _settle(self, unit: Unit, also: Iterable[ViewKey] = ()) -> Settlement:
        return settle(unit, self._views, self._book, also)

    def _rollback(self) -> None:
        self._store.rollback()
        for schema in self._schemas.values():
            schema.rollback()

    def _commit(self, settlement: Settlement) -> None:
        self._store.commit()
        for schema in self._schemas.values():
            schema.commit()
        self._book.count(settlement.transitions)
        for key, view in settlement.views.items():
            if view is None:
                self._views.pop(key, None)
            else:
                self._views[key] = view
        self.publish(settlement.changes)

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

    def _record_rejection(self, message: Any, rejection: Rejection, connector_id: str) -> None:
        with self.lock:
            if not self._journal.remembers(rejection.message_id):
                self._record_unreadable(message, rejection.code, rejection.reason, connector_id, remember=False)

    def _record_unreadable(
        self, message: Any, code: str, reason: str, connector_id: str | None, *, remember: bool = True
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
                reason=f"{code}: {reason}",
                connector_id=connector_id,
                at=now,
                idempotent=message_id is not None,
            )
            what = "event" if kind == "track" else "user"
            fields = {"connector_id": connector_id, "message_id": message_id, "code": code, "reason": reason}
            self._log_book.write(logging.ERROR, f"incoming.{what}.error", now, fields)
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

    def on_segment_change(self, listener: SegmentListener) -> None:
        """Have a listener told of every segment that is created, changed or removed, as :meth:`on_change`.

        Args:
            listener: Called with ``"update"`` or ``"delete"`` and the segment.
        """
        self._segment_listeners.append(listener)

    def publish(self, changes: list[EntityChange]) -> None:
        """Tell the listeners what one unit of work changed: entities that are gone, then accounts, then users."""
        for change in changes:
            for listener in list(self._listeners):
                listener(change)

    # Segments

    def create_segment(
        self,
        kind: EntityKind,
        name: str,
        predicate: Any = None,
        *,
        query: Any = None,
        id: str | None = None,  # noqa: A002
    ) -> dict[str, Any]:
        """Create a segment, or replace the one that has the id.

        Everybody is evaluated at once: who matches enters it, which counts and notifies like any other entry.

        Args:
            kind: ``"user"`` or ``"account"``.
            name: What connectors show.
            predicate: A tree, see ``hull_sdk.platform.predicate``.
            query: A query, see ``hull_sdk.platform.query``; one of both is needed.
            id: Its id; made up by default.

        Returns:
            The segment as the REST API shows it.

        Raises:
            InvalidArgumentError: The definition cannot be read; nothing is created.
        """
        with self.lock:
            now = self.clock.time()
            segment_id = self.ids.object_id() if id is None else id
            segment = self._book.build(kind, name, segment_id=segment_id, now=now, predicate=predicate, query=query)
            self._book.put(segment)
            self._settle_all(kind, now)
            self._tell_segment("update", segment)
            return self._full_wire(segment)

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

    def _settle_all(self, kind: EntityKind, now: float) -> int:
        unit = self._unit(now)
        try:
            settlement = self._settle(unit, [(kind, entity.id) for entity in self._store.table(kind)])
        except Exception:
            self._rollback()
            raise
        self._commit(settlement)
        return len(settlement.changes)

    def _tell_segment(self, action: str, segment: Segment) -> None:
        for listener in list(self._segment_listeners):
            listener(action, segment)

    def _full_wire(self, segment: Segment) -> dict[str, Any]:
        return segment.to_full_wire(self._store.table(segment.kind).count("segment_id", segment.id))

    # Reading and settings

    def view(self, kind: EntityKind, entity_id: str) -> View | None:
        """Return an entity as its notifications show it, or ``None`` when there is none."""
        with self.lock:
            return self._views.get((kind, entity_id))

    def find(self, kind: EntityKind, claims: Mapping[str, Any] | str) -> Entity | None:
        """Return the entity that claims lead to, changing nothing.

        Args:
            kind: ``"user"`` or ``"account"``.
            claims: For example ``{"email": "ann@acme.test"}``, or an id.

        Returns:
            The entity, or ``None``.

        Raises:
            InvalidArgumentError: The claims hold no usable identifier.
        """
        with self.lock:
            table = self._store.table(kind)
            resolution = resolve(table, read_claims(kind, claims, self.settings), create=False)
            return table.get(resolution.entity_id)

    def find_user(self, claims: Mapping[str, Any] | str) -> Entity | None:
        """Return the user that claims lead to, see :meth:`find`."""
        return self.find("user", claims)

    def find_account(self, claims: Mapping[str, Any] | str) -> Entity | None:
        """Return the account that claims lead to, see :meth:`find`."""
        return self.find("account", claims)

    def entities(self, kind: EntityKind) -> list[Entity]:
        """Return the entities of a kind, oldest first."""
        with self.lock:
            return list(self._store.table(kind))

    def events(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """Return events in the shape of the wire, in order of arrival.

        Args:
            user_id: Whose events; everybody's by default.
        """
        with self.lock:
            found = self._store.events if user_id is None else self._store.events.find("user_id", user_id)
            return [event.to_wire() for event in found]

    def tracked_events(self) -> int:
        """Return how many tracked events there are; those that the platform makes itself do not count."""
        with self.lock:
            return sum(event.tracked for event in self._store.events)

    def is_active(self, kind: str, entity_id: str) -> bool:
        """Tell whether an entity was marked active within the last ten minutes."""
        with self.lock:
            entity = self._store.table("user" if kind == "user" else "account").get(entity_id)
            return entity is not None and entity.active_until > self.clock.time()

    def preview(self, kind: EntityKind, claims: Mapping[str, Any] | str, *, create: bool = True) -> dict[str, Any]:
        """Return what claims would do, without doing it: whom they find or create, what merges, what attaches.

        Args:
            kind: ``"user"`` or ``"account"``.
            claims: For example ``{"external_id": "42", "email": "ann@acme.test"}``.
            create: ``False`` creates nobody.

        Raises:
            InvalidArgumentError: The claims hold no usable identifier.
        """
        with self.lock:
            read = read_claims(kind, claims, self.settings)
            return resolve(self._store.table(kind), read, create=create).to_wire()

    def declare_attribute(self, kind: EntityKind, name: str, type: str) -> None:  # noqa: A002
        """Fix the type of an attribute before its first value.

        Args:
            kind: ``"user"`` or ``"account"``.
            name: For example ``"plan"``.
            type: One of string, number, boolean, date, array, json.

        Raises:
            InvalidArgumentError: The type is unknown, or the attribute has another one.
        """
        with self.lock:
            self._schemas[kind].declare(name, type)

    def hide_attribute(self, kind: EntityKind, name: str, *, hidden: bool = True) -> None:
        """Leave an attribute out of reports, segments and notifications, or show it again.

        Args:
            kind: ``"user"`` or ``"account"``.
            name: For example ``"salary"``.
            hidden: ``False`` shows it again.
        """
        with self.lock:
            self._schemas[kind].hide(name, hidden=hidden)
            self._settle_all(kind, self.clock.time())

    def schema(self, kind: EntityKind) -> dict[str, dict[str, Any]]:
        """Return the known attributes of a kind: ``{name: {"type": "string", "hidden": False}}``."""
        with self.lock:
            return self._schemas[kind].to_wire()

    def update_settings(self, value: Mapping[str, Any]) -> OrganizationSettings:
        """Change some settings; the others stay.

        Args:
            value: See :func:`hull_sdk.platform.settings.load_settings`.

        Raises:
            InvalidArgumentError: A key is unknown or a value breaks a rule; nothing is changed.
        """
        if not isinstance(value, Mapping):
            raise InvalidArgumentError(f"the organization's settings are {value!r}; they must be a JSON object")
        with self.lock:
            self.settings = load_settings({**self.settings.to_wire(), **value})
            return self.settings

    def state(self) -> dict[str, Any]:
        """Return everything as plain data in an order that repeats, for comparing two runs."""
        with self.lock:
            return {
                "host": self.host,
                "settings": self.settings.to_wire(),
                **dump_store(self._store),
                "attributes": {kind: self._schemas[kind].to_wire() for kind in KINDS},
                "users_segments": self.users_segments(),
                "accounts_segments": self.accounts_segments(),
                "segment_transitions": self.segment_transitions,
                "records": [record.to_wire() for record in self._journal],
                "record_counts": self.record_counts,
                "log": [entry.to_wire() for entry in self._log_book.entries],
            }
