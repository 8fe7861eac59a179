"""Who is in an organization: reading and changing users, accounts, events and attributes.

Rules: sections "Identity" and "Attributes" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Literal

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.identities import changed_identities
from hull_sdk.platform.identity import read_claims, resolve
from hull_sdk.platform.log_queries import find_lines, read_log_query
from hull_sdk.platform.logs import LogEntry
from hull_sdk.platform.packing import pack, restore_state, unpack
from hull_sdk.platform.previews import preview_of
from hull_sdk.platform.reports import View
from hull_sdk.platform.search import search_events, search_reports
from hull_sdk.platform.segmentation import Segmentation
from hull_sdk.platform.settings import OrganizationSettings, load_settings
from hull_sdk.platform.state import dump_store
from hull_sdk.platform.store import KINDS, Entity, StoredEvent
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.tokens import AS_CLAIMS, CLAIM_SUBJECT_TYPE

__all__ = ["Population"]

Searchable = Literal["user_reports", "account_reports", "events"]


class Population(Segmentation):
    """Users, accounts, events and segments of one customer; nothing of it is visible in another.

    It is made as an :class:`~hull_sdk.platform.intake.Intake`.
    """

    def view(self, kind: EntityKind, entity_id: str) -> View | None:
        """Return an entity as its notifications show it, or ``None`` when there is none."""
        with self.lock:
            return self._views.get((kind, entity_id))

    def views(self, kind: EntityKind) -> list[View]:
        """Return everybody of a kind as notifications show them, oldest first."""
        with self.lock:
            found = (self._views.get((kind, entity.id)) for entity in self._store.table(kind))
            return [view for view in found if view is not None]

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

    def stored_events(self) -> list[StoredEvent]:
        """Return all events as they are stored, in order of arrival."""
        with self.lock:
            return list(self._store.events)

    def packed(self) -> dict[str, Any]:
        """Return everything that came in as plain data."""
        return {
            "settings": self.settings.to_wire(),
            "store": pack(self._store),
            "schemas": pack(self._schemas),
            "segments": pack(self._book),
            "deletions": pack(self._deletions),
            "journal": pack(self._journal),
            "log": pack(self._log_book.entries),
            "views": pack(self._views),
        }

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Take in what was saved; the organization is new and empty.

        Args:
            plain: What :meth:`packed` returned.
        """
        self.settings = load_settings(plain["settings"])
        self._store.restore(plain["store"])
        for kind in KINDS:
            restore_state(self._schemas[kind], plain["schemas"][kind])
        restore_state(self._book, plain["segments"])
        self._deletions.restore(plain["deletions"])
        restore_state(self._journal, plain["journal"])
        self._log_book.fill(unpack(list[LogEntry], plain["log"]))
        self._views = unpack(dict[tuple[str, str], View], plain["views"])

    def query_log(self, parameters: Mapping[str, str], connector_id: str | None = None) -> tuple[list[LogEntry], int]:
        """Find lines of the log.

        Args:
            parameters: See :func:`hull_sdk.platform.log_queries.read_log_query`.
            connector_id: Lines of this connector only; of all when ``None``.

        Returns:
            The newest lines first, as many as asked for, and how many there are.

        Raises:
            InvalidArgumentError: A parameter is unknown or breaks a rule.
        """
        query = read_log_query(parameters)
        with self.lock:
            entries = self._log_book.entries
            tables = (self._store.table(kind) for kind in KINDS)
            entity = next((row for table in tables if (row := table.get(query.entity)) is not None), None)
        if connector_id is not None:
            entries = [entry for entry in entries if entry.fields.get("connector_id") == connector_id]
        found = find_lines(entries, query, entity)
        return found[: query.limit], len(found)

    def search(self, what: Searchable, body: Mapping[str, Any]) -> dict[str, Any]:
        """Search reports or events.

        Args:
            what: ``"user_reports"``, ``"account_reports"`` or ``"events"``.
            body: See :func:`hull_sdk.platform.search.search_reports`.

        Returns:
            ``{"pagination": {"total", "page", "pages", "per_page"}, "data": [...], "aggregations": {...}}``.

        Raises:
            InvalidArgumentError: The search breaks a rule.
        """
        if what == "events":
            return search_events(self, body)
        return search_reports(self, "user" if what == "user_reports" else "account", body)

    def tracked_events(self) -> int:
        """Return how many tracked events there are; those that the platform makes itself do not count."""
        with self.lock:
            return sum(event.tracked for event in self._store.events)

    def user_report(self, claims: Mapping[str, Any] | str) -> dict[str, Any] | None:
        """Return the report of the user that claims lead to, or ``None``.

        Args:
            claims: For example ``{"email": "ann@acme.test"}``, or an id.
        """
        return self._report("user", claims)

    def account_report(self, claims: Mapping[str, Any] | str) -> dict[str, Any] | None:
        """Return the report of the account that claims lead to, or ``None``.

        Args:
            claims: For example ``{"domain": "acme.test"}``, or an id.
        """
        return self._report("account", claims)

    def is_active(self, kind: EntityKind, entity_id: str) -> bool:
        """Tell whether an entity was marked active within the last ten minutes."""
        with self.lock:
            entity = self._store.table(kind).get(entity_id)
            return entity is not None and entity.active_until > self.clock.time()

    def write_traits(
        self, kind: EntityKind, entity_id: str, traits: Mapping[str, Any], connector_id: str | None
    ) -> None:
        """Write attributes of an entity, as a message of the firehose would.

        Args:
            kind: ``"user"`` or ``"account"``.
            entity_id: Whose.
            traits: Values or operations by name.
            connector_id: Who writes; ``None`` for the operator.

        Raises:
            InvalidArgumentError: The attributes cannot be written.
        """
        claims = {AS_CLAIMS[kind]: {"id": entity_id}, CLAIM_SUBJECT_TYPE: kind}
        record = self.ingest({"type": "traits", "body": dict(traits)}, claims, connector_id)
        if record.state == "failed":
            raise InvalidArgumentError(str(record.reason))

    def set_identities(self, user_id: str, body: Any) -> bool:
        """Set a user's identities at other services, and whether there is a password; it notifies like any write.

        Args:
            user_id: Whose.
            body: See :func:`hull_sdk.platform.identities.changed_identities`.

        Returns:
            ``False`` when there is no such user.

        Raises:
            InvalidArgumentError: The body breaks a rule; nothing is changed.
        """
        with self.lock:
            user = self._store.users.get(user_id)
            if user is None:
                return False
            unit = self._unit(self.clock.time())
            with self._all_or_nothing():
                self._store.users.put(replace(user, identities=changed_identities(user.identities, body)))
                settlement = self._settle(unit)
            self._commit(settlement)
            return True

    def delete_entity(self, kind: EntityKind, entity_id: str) -> bool:
        """Delete a user with its events, or an account, whose users stay without one.

        Its identifiers are free again. What connectors were still to be told of it is dropped; they are told of the
        deletion instead. A message about it that was written before and arrives afterwards is ignored.

        Args:
            kind: ``"user"`` or ``"account"``.
            entity_id: Its id.

        Returns:
            ``False`` when there is no such entity.
        """
        with self.lock:
            entity = self._store.table(kind).get(entity_id)
            if entity is None:
                return False
            unit = self._unit(self.clock.time())
            with self._all_or_nothing():
                self._remove(entity)
                unit.deleted.add(entity_id)
                settlement = self._settle(unit)
            self._deletions.add(entity, at=self.runtime.clock.time(), sequence=self._store.next_sequence())
            self._commit(settlement)
            return True

    def was_deleted(self, kind: EntityKind, entity_id: str) -> bool:
        """Tell whether somebody with this id was deleted within the last thirty days."""
        with self.lock:
            return self._deletions.names(kind, entity_id)

    def _remove(self, entity: Entity) -> None:
        if entity.kind == "user":
            for event in self._store.events.find("user_id", entity.id):
                self._store.events.remove(event.id)
        else:
            for user in self._store.users.find("account_id", entity.id):
                self._store.users.put(replace(user, account_id=None))
        self._store.table(entity.kind).remove(entity.id)

    def preview(self, kind: EntityKind, claims: Mapping[str, Any] | str, *, create: bool = True) -> dict[str, Any]:
        """Return what claims would do and why, without doing it: whom they find or create, what merges, what attaches.

        Args:
            kind: ``"user"`` or ``"account"``.
            claims: For example ``{"external_id": "42", "email": "ann@acme.test"}``.
            create: ``False`` creates nobody.

        Returns:
            ``kind``, ``outcome``, ``id``, ``merges``, ``attaches``, ``reason``, ``notes``, ``matches``, ``why`` and
            ``warnings`` (of devices that several people use); see the section "Identity" of ``docs/protocol.md``.

        Raises:
            InvalidArgumentError: The claims hold no usable identifier.
        """
        with self.lock:
            return preview_of(self._store.table(kind), read_claims(kind, claims, self.settings), create=create)

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
        with self.lock, self._all_or_nothing():
            self._schemas[kind].hide(name, hidden=hidden)
            self._settle_all(kind, self.clock.time())

    def track_attribute(self, name: str, *, tracked: bool = True) -> None:
        """Have the platform make the event ``Attributes changed`` of changes of a user attribute, or no more.

        Args:
            name: For example ``"plan"``.
            tracked: ``False`` makes none any more.
        """
        with self.lock:
            self._schemas["user"].track(name, tracked=tracked)

    def schema(self, kind: EntityKind) -> dict[str, dict[str, Any]]:
        """Return the known attributes of a kind: ``{name: {"type": "string", "hidden": False, "tracked": False}}``."""
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
            self.settings: OrganizationSettings = load_settings({**self.settings.to_wire(), **value})
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

    def _report(self, kind: EntityKind, claims: Mapping[str, Any] | str) -> dict[str, Any] | None:
        with self.lock:
            entity = self.find(kind, claims)
            view = None if entity is None else self.view(kind, entity.id)
            return None if view is None else view.report
