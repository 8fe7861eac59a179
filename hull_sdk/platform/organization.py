"""An organization with everything around it: its connectors, what they are told, and when they are called.

Rules: sections "Manifest" and "Notifications" of ``docs/protocol.md``. What comes in is the matter of
:class:`~hull_sdk.platform.intake.Intake`, who is there that of :class:`~hull_sdk.platform.population.Population`; this
class adds the side that faces connectors.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any, Final

from hull_sdk.core.masking import MASK, mask
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.consequences import answers_to, trace_of
from hull_sdk.platform.dead_letters import DeadLetter
from hull_sdk.platform.delivery import Dispatcher
from hull_sdk.platform.extracts import Extracts
from hull_sdk.platform.import_jobs import ImportJob
from hull_sdk.platform.import_records import DataSet
from hull_sdk.platform.imports import Imports
from hull_sdk.platform.installation import Installation
from hull_sdk.platform.landlord import Landlord
from hull_sdk.platform.notifications import Catalog
from hull_sdk.platform.packing import pack, unpack
from hull_sdk.platform.schedules import Schedules
from hull_sdk.platform.segments import Segment
from hull_sdk.platform.store import KINDS
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.extracts import PATHS, TAGS

__all__ = ["Landlord", "Organization"]

#: How often segments with relative dates are decided anew, in seconds.
EVALUATION_S: Final = 6 * 3600.0


class Organization(Installation):
    """An organization on a platform; made by ``Platform.create_organization``.

    Its arguments are those of an :class:`~hull_sdk.platform.installation.Installation`.
    """

    def __init__(
        self,
        host: str,
        *,
        landlord: Landlord,
        admin_secret: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(host, landlord=landlord, admin_secret=admin_secret, settings=settings)
        self.dispatcher: Dispatcher = Dispatcher(
            self,
            runtime=landlord.runtime,
            carrier=landlord.carrier,
            next_sequence=landlord.next_sequence,
            history=landlord.history,
        )
        self.schedules: Schedules = Schedules(
            host,
            runtime=landlord.runtime,
            clock=self.clock,
            lock=self.lock,
            carrier=landlord.carrier,
            dialled_host=self.dialled_host,
            next_sequence=landlord.next_sequence,
            history=landlord.history,
        )
        self.extracts: Extracts = Extracts(
            self,
            runtime=landlord.runtime,
            carrier=landlord.carrier,
            file_url=self._url_of,
            file_key=lambda: landlord.file_key,
            next_sequence=landlord.next_sequence,
            history=landlord.history,
        )
        self.imports: Imports = Imports(self, runtime=landlord.runtime)
        self._catalog: tuple[list[list[Segment]], Catalog] | None = None
        self.on_change(self.dispatcher.entity_changed)
        self.on_segment_change(self._tell_segment_change)
        self._evaluator = landlord.runtime.tasks.worker(
            self._evaluate_segments, name=f"hull-segments-{host}", background=True
        )
        self._next_evaluation = self.clock.time() + EVALUATION_S

    def request_extract(
        self,
        connector: Connector,
        kind: str = "user",
        *,
        url: str,
        query: Any = None,
        format: str = "json",  # noqa: A002 - the name that the wire gives it
        fields: Iterable[str] = (),
        gzip: bool = False,
    ) -> dict[str, Any]:
        """Have a file of users or accounts written and brought to a connector, as ``POST /extract/user_reports`` does.

        Args:
            connector: Who is called.
            kind: ``"user"`` or ``"account"``.
            url: Where it is called, with credentials in the query; on its own host.
            query: Who is in the file; everybody when ``None``.
            format: ``"json"`` (an object a line) or ``"csv"``.
            fields: Report fields; all when empty.
            gzip: ``True`` compresses the file.

        Returns:
            ``{"id", "notification_id", "object_type"}``.

        Raises:
            InvalidArgumentError: An argument breaks a rule.
        """
        return self.extracts.request(
            connector,
            _kind(kind),
            url=url,
            query=query,
            file_format=format,
            fields=fields if isinstance(fields, str) else list(fields),
            compress=gzip,
        )

    def request_import(
        self, data_set: DataSet, body: Mapping[str, Any], connector: Connector | None = None
    ) -> ImportJob:
        """Have the records of a file applied, in slices between live messages, as ``POST /import/users`` does.

        Args:
            data_set: ``"users"``, ``"accounts"`` or ``"events"``.
            body: ``url`` and options, for example ``{"url": "https://files.acme.test/1.json.gz", "notify": True}``.
            connector: In whose name; ``None`` for the operator.

        Returns:
            The job; its state goes from ``"queued"`` and ``"running"`` to ``"completed"`` or ``"failed"``.

        Raises:
            InvalidArgumentError: The address or an option breaks a rule.
        """
        return self.imports.request(data_set, body, connector)

    def send_batch(
        self, connector: Connector, segment: Mapping[str, Any] | str | None = None, *, kind: str | None = None
    ) -> dict[str, Any]:
        """Send a segment to a connector, as the dashboard's button does for the tags ``batch``, ``batch-accounts``.

        Args:
            connector: Whom to.
            segment: A segment or its id; everybody when ``None``.
            kind: ``"user"`` or ``"account"``; the segment's when ``None``, else users.

        Returns:
            As :meth:`request_extract`.

        Raises:
            InvalidArgumentError: There is no such segment, or the connector's manifest lacks the tag.
        """
        segment_id = segment.get("id") if isinstance(segment, Mapping) else segment
        found = None if segment_id is None else self.segment(segment_id)
        if segment is not None and found is None:
            raise InvalidArgumentError(f"there is no segment {segment_id!r}")
        wanted = _kind(("user" if found is None else found.kind) if kind is None else kind)
        if found is not None and found.kind != wanted:
            raise InvalidArgumentError(f"the segment {found.name!r} holds {found.kind}s, not {wanted}s")
        if TAGS[wanted] not in ((connector.manifest or {}).get("tags") or []):
            raise InvalidArgumentError(
                f"the connector {connector.name!r} takes no batches of {wanted}s; add the tag {TAGS[wanted]!r} to its "
                "manifest"
            )
        credentials = {"ship": connector.id, "organization": self.dialled_host(), "secret": connector.secret}
        url = connector.url_of(PATHS[wanted], credentials if found is None else {**credentials, "segment_id": found.id})
        return self.extracts.request(connector, wanted, url=url, query=None if found is None else found.query.source)

    def uninstall(self, connector: Connector) -> None:
        """Remove a connector: nothing is delivered to it any more, and its credentials are void."""
        super().uninstall(connector)
        self.schedules.stop(connector.id)
        self.dispatcher.forget(connector)
        self.extracts.forget(connector.id)
        self.imports.forget(connector.id)

    def catalog(self) -> Catalog:
        """Return the segments as notifications carry them; the same object as long as none of them changes."""
        with self.lock:
            segments = [self._book.of(kind) for kind in KINDS]
            if self._catalog is None or self._catalog[0] != segments:
                users, accounts = (tuple(each.to_told_wire() for each in found) for found in segments)
                self._catalog = segments, Catalog(users, accounts)
            return self._catalog[1]

    def dead_letters(self, connector_id: str) -> list[DeadLetter]:
        """Return the dead letters of a connector, oldest first."""
        with self.lock:
            return self.dispatcher.dead_letters.of(connector_id)

    def redrive(self, connector_id: str, ids: Iterable[str] | None = None) -> int:
        """Send dead letters of a connector again.

        Args:
            connector_id: Whose.
            ids: Ids of dead letters; all when ``None``.

        Returns:
            How many messages were taken.
        """
        return self.dispatcher.redrive(self.connectors[connector_id], ids)

    def delete_entity(self, kind: EntityKind, entity_id: str) -> bool:
        """Delete a user or an account, and what could not be delivered about it."""
        with self.lock:
            deleted = super().delete_entity(kind, entity_id)
            self.dispatcher.dead_letters.drop_entity(entity_id)
            return deleted

    def full_trace(self, message_id: str) -> dict[str, Any] | None:
        """Return what became of a message and what it led to.

        Args:
            message_id: Its id.

        Returns:
            See the section "Traces" of ``docs/protocol.md``; ``None`` when it never came or is long ago.
        """
        with self.lock:
            record = self._journal.trace(message_id)
            if record is None:
                return None
            told = self.dispatcher.tellings.of(message_id)
            found = trace_of(
                record,
                changes=self._consequences.of(message_id),
                told=told,
                tries=self.dispatcher.deliveries,
                dead=self.dispatcher.dead_letters.all(),
                back=answers_to(self._journal, {each.notification_id for each in told}),
            )
        return {"organization": self.host, **found}

    def wake(self) -> None:
        """Look again at everything that waits for a time, after domain time was moved."""
        self.dispatcher.wake()
        self.extracts.wake()
        self.imports.wake()
        self.schedules.wake()
        self._evaluator.wake()

    def close(self) -> None:
        """Deliver and call nothing any more."""
        self.dispatcher.close()
        self.extracts.close()
        self.imports.close()
        self.schedules.close()
        self._evaluator.stop()
        self._manifests.close()

    def state(self) -> dict[str, Any]:
        """Return a dump of everything, in an order that repeats."""
        with self.lock:
            return {
                **super().state(),
                "connectors": [_masked(connector) for connector in self.connectors.values()],
                "dead_letters": [letter.to_wire() for letter in self.dispatcher.dead_letters.all()],
                "extract_runs": [run.to_dict() for run in self.extracts.runs],
                "imports": [job.to_wire() for job in self.imports.jobs],
                "schedule_runs": [run.to_dict() for run in self.schedules.runs],
            }

    def packed(self) -> dict[str, Any]:
        """Return everything that decides what connectors observe from now on as plain data, secrets included."""
        with self.lock:
            return {
                "host": self.host,
                "admin_secret": self.admin_secret,
                "population": super().packed(),
                "connectors": [_saved(each) for each in self.connectors.values()],
                "dispatcher": pack(self.dispatcher),
                "schedules": pack(self.schedules),
                "extracts": pack(self.extracts),
                "imports": pack(self.imports),
                "next_evaluation": self._next_evaluation,
                "clock": [self.clock.time(), self.clock.monotonic()],
            }

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Take in what was saved, and go on with it; the organization is new and empty.

        Args:
            plain: What :meth:`packed` returned.
        """
        time, monotonic = plain["clock"]
        shift_s = (self.clock.monotonic() - self.clock.time()) - (monotonic - time)
        with self.lock:
            super().restore(plain["population"])
            self._next_evaluation = plain["next_evaluation"]
        self.take_over(unpack(Connector, each) for each in plain["connectors"])
        self.dispatcher.restore(plain["dispatcher"], shift_s)
        for connector in list(self.connectors.values()):
            self.schedules.restore(connector, plain["schedules"].get(connector.id, ()))
        self.extracts.restore(plain["extracts"], shift_s)
        self.imports.restore(plain["imports"])
        self._evaluator.wake()

    def _url_of(self, path: str) -> str:
        scheme = "https" if self._landlord.address is None else "http"
        return f"{scheme}://{self.dialled_host()}{path}"

    def _tell_segment_change(self, action: str, segment: Segment) -> None:
        wire = segment.to_wire()
        self.dispatcher.object_changed(f"{wire['type']}:{action}", segment.id, wire)
        self._evaluator.wake()

    def _evaluate_segments(self) -> float | None:
        """Decide the segments that time alone can change; every six hours of domain time."""
        with self.lock:
            if not any(each.query.relative for kind in KINDS for each in self._book.of(kind)):
                return None
        wait = self._next_evaluation - self.clock.time()
        if wait > 0:
            return wait
        self._next_evaluation = self.clock.time() + EVALUATION_S
        self.reevaluate()
        return EVALUATION_S

    def _follow_manifest(self, connector: Connector) -> None:
        with self.lock:  # it may have been uninstalled while its manifest was read
            if self.connectors.get(connector.id) is connector:
                self.schedules.start(connector)
                self.dispatcher.manifest_changed(connector)

    def _tell_active(self, kind: EntityKind, entity_id: str) -> None:
        self.dispatcher.entity_activated(kind, entity_id)

    def _tell_connector(self, connector: Connector) -> None:
        self.dispatcher.object_changed("ship:update", connector.id, connector.to_wire(), only=connector)


def _kind(value: str) -> EntityKind:
    for kind in KINDS:
        if value == kind:
            return kind
    raise InvalidArgumentError(f"the kind is {value!r}; use one of {', '.join(KINDS)}")


def _saved(connector: Connector) -> dict[str, Any]:
    return {each.name: pack(getattr(connector, each.name)) for each in fields(connector) if each.name != "app"}


def _masked(connector: Connector) -> dict[str, Any]:
    """Return a connector for a dump: what its operator keeps private is left unsaid."""
    wire: dict[str, Any] = mask(connector.to_wire())
    if "private_settings" in wire:
        wire["private_settings"] = dict.fromkeys(wire["private_settings"], MASK)
    return wire
