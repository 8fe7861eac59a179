"""An organization with everything around it: its connectors, what they are told, and when they are called.

Rules: sections "Manifest" and "Notifications" of ``docs/protocol.md``. What comes in is the matter of
:class:`~hull_sdk.platform.intake.Intake`, who is there that of :class:`~hull_sdk.platform.population.Population`; this
class adds the side that faces connectors.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Protocol

from hull_sdk.core.clock import Clock
from hull_sdk.core.ids import Ids
from hull_sdk.core.net import WsgiNetwork
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.carrier import Carrier
from hull_sdk.platform.connectors import (
    Connector,
    address,
    checked_id,
    checked_name,
    checked_secret,
    checked_settings,
)
from hull_sdk.platform.dead_letters import DeadLetter
from hull_sdk.platform.delivery import Dispatcher
from hull_sdk.platform.extracts import Extracts
from hull_sdk.platform.manifests import Manifests
from hull_sdk.platform.notifications import Catalog
from hull_sdk.platform.population import Population
from hull_sdk.platform.schedules import Schedules
from hull_sdk.platform.segments import Segment
from hull_sdk.platform.store import KINDS
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.extracts import PATHS, TAGS
from hull_sdk.wire.manifest import CONNECTOR_STATUSES

__all__ = ["Landlord", "Organization"]

#: How often segments with relative dates are decided anew, in seconds.
EVALUATION_S: Final = 6 * 3600.0

Where = str | Callable[..., Iterable[bytes]] | None


class Landlord(Protocol):
    """What an organization needs of the platform that it lives on."""

    runtime: Runtime
    carrier: Carrier
    address: str | None
    installing: Lock
    history: int | None

    @property
    def file_key(self) -> bytes:
        """The key that signs the addresses of files."""
        raise NotImplementedError

    def next_sequence(self) -> int:
        """Return the next number of the platform's records."""
        raise NotImplementedError

    def find_connector(self, connector_id: str) -> tuple[Organization, Connector] | None:
        """Return a connector of any organization."""
        raise NotImplementedError


class Organization(Population):
    """An organization on a platform; made by ``Platform.create_organization``.

    Args:
        host: For example ``"acme.hullapp.test"``.
        landlord: The platform.
        clock: Domain time.
        ids: Source of ids.
        admin_secret: Secret of the operator; a fresh one when ``None``.
        settings: See :func:`hull_sdk.platform.settings.load_settings`.
    """

    def __init__(
        self,
        host: str,
        *,
        landlord: Landlord,
        clock: Clock,
        ids: Ids,
        admin_secret: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            host, runtime=landlord.runtime, clock=clock, ids=ids, admin_secret=admin_secret, settings=settings
        )
        self._landlord = landlord
        self._manifests = Manifests(
            landlord.runtime, landlord.carrier, self.lock, is_installed=self._has, follow=self._follow_manifest
        )
        self.dispatcher = Dispatcher(
            self,
            runtime=landlord.runtime,
            carrier=landlord.carrier,
            next_sequence=landlord.next_sequence,
            history=landlord.history,
        )
        self.schedules = Schedules(
            host,
            runtime=landlord.runtime,
            clock=clock,
            lock=self.lock,
            carrier=landlord.carrier,
            dialled_host=self.dialled_host,
            next_sequence=landlord.next_sequence,
            history=landlord.history,
        )
        self.extracts = Extracts(
            self,
            runtime=landlord.runtime,
            carrier=landlord.carrier,
            file_url=self._url_of,
            file_key=lambda: landlord.file_key,
            next_sequence=landlord.next_sequence,
        )
        self.on_change(self.dispatcher.entity_changed)
        self.on_segment_change(self._tell_segment_change)
        self._evaluator = landlord.runtime.tasks.worker(
            self._evaluate_segments, name=f"hull-segments-{host}", background=True
        )
        self._next_evaluation = clock.time() + EVALUATION_S

    def dialled_host(self) -> str:
        """Return the host under which connectors reach this organization."""
        return self.host if self._landlord.address is None else self._landlord.address

    def install(
        self,
        where: Where,
        *,
        name: str | None = None,
        private_settings: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        manifest: Mapping[str, Any] | None = None,
        id: str | None = None,  # noqa: A002 - the name that the wire gives it
        secret: str | None = None,
        wait: bool = True,
    ) -> Connector:
        """Install a connector.

        Args:
            where: Its address, for example ``"http://127.0.0.1:8082"``, or a WSGI application; ``None`` for
                one that only writes.
            name: Its name; the manifest's when ``None``.
            private_settings: Values over the manifest's defaults.
            settings: Likewise.
            manifest: Its manifest; read from ``/manifest.json`` when ``None``. When that does not answer yet,
                it is tried again until it does, and deliveries wait.
            id: Its id, unique on the platform; a fresh one when ``None``.
            secret: Its secret; a fresh one when ``None``.
            wait: ``False`` returns without a first try to read the manifest.

        Returns:
            The connector, with ``id`` and ``secret``.

        Raises:
            InvalidArgumentError: The address, the id or the manifest breaks a rule.
        """
        ids = self._landlord.runtime.ids
        connector_id = ids.object_id() if id is None else checked_id(id)
        url, app = self._place(where, connector_id)
        now = self.clock.time()
        connector = Connector(
            id=connector_id,
            secret=ids.secret() if secret is None else checked_secret(secret),
            name="Connector" if name is None else checked_name(name),
            url=url,
            app=app,
            settings=checked_settings("settings", settings),
            private_settings=checked_settings("private_settings", private_settings),
            created_at=now,
            updated_at=now,
        )
        if manifest is not None:
            self._manifests.take(connector, manifest, keep_name=name is not None)
        elif url is not None and wait:
            self._manifests.try_once(connector, keep_name=name is not None)
        self._register(connector, keep_name=name is not None)
        return connector

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

    def update_manifest(self, connector: Connector) -> None:
        """Read a connector's manifest again.

        Args:
            connector: Whose.

        Raises:
            NetworkError: It did not answer with a manifest.
            InvalidArgumentError: The manifest breaks a rule; the old one stays in force.
        """
        before = (connector.settings_in_force(), connector.private_settings_in_force())
        self._manifests.take(connector, self._manifests.fetch(connector), keep_name=True)
        self._follow_manifest(connector)
        if before != (connector.settings_in_force(), connector.private_settings_in_force()):
            self._tell_connector(connector)

    def update_connector(self, connector: Connector, changes: Mapping[str, Any]) -> None:
        """Change a connector's name or settings; a change of settings is told as ``ship:update``.

        Args:
            connector: Whose.
            changes: ``name``, ``settings``, ``private_settings``; each replaces the old value whole. Other keys
                are ignored.

        Raises:
            InvalidArgumentError: A value has the wrong type; nothing is changed then.
        """
        wanted = {
            key: checked_settings(key, changes[key]) for key in ("settings", "private_settings") if key in changes
        }
        name = checked_name(changes.get("name", connector.name))
        with self.lock:
            changed = any(getattr(connector, key) != value for key, value in wanted.items())
            if not changed and name == connector.name:
                return
            for key, value in wanted.items():
                setattr(connector, key, value)
            connector.name = name
            connector.updated_at = self.clock.time()
        if changed:
            self._tell_connector(connector)

    def set_status(self, connector: Connector, value: Any) -> dict[str, Any]:
        """Store what a connector says of itself.

        Args:
            connector: Whose.
            value: ``{"status": "ok" | "warning" | "error" | "setupRequired", "messages": [...]}``.

        Returns:
            What was stored.

        Raises:
            InvalidArgumentError: The status is unknown, or the messages are no list of texts.
        """
        status = value.get("status") if isinstance(value, Mapping) else None
        messages = value.get("messages", []) if isinstance(value, Mapping) else None
        if status not in CONNECTOR_STATUSES:
            raise InvalidArgumentError(f"the status is {status!r}; use one of {', '.join(CONNECTOR_STATUSES)}")
        if not isinstance(messages, list) or not all(isinstance(each, str) for each in messages):
            raise InvalidArgumentError(f"the status messages are {messages!r}; they must be a list of texts")
        connector.status = {"status": status, "messages": list(messages)}
        return connector.status

    def uninstall(self, connector: Connector) -> None:
        """Remove a connector: nothing is delivered to it any more, and its credentials are void."""
        with self.lock:
            self.connectors.pop(connector.id, None)
        self._manifests.stop(connector.id)
        self.schedules.stop(connector.id)
        self.dispatcher.forget(connector)
        self.extracts.forget(connector.id)

    def catalog(self) -> Catalog:
        """Return the segments as notifications carry them."""
        with self.lock:
            users, accounts = (tuple(_told(each) for each in self._book.of(kind)) for kind in KINDS)
        return Catalog(users, accounts)

    def add_connector_logs(self, connector: Connector, entries: Iterable[Mapping[str, Any]]) -> None:
        """Keep log lines that a connector sends of itself, such as ``outgoing.user.success``.

        Args:
            connector: Who sends them.
            entries: With ``message``, ``level``, ``data``, ``context`` and ``timestamp``.
        """
        now = self.clock.time()
        with self.lock:
            for entry in entries:
                level = logging.getLevelNamesMapping().get(str(entry.get("level", "info")).upper(), logging.INFO)
                fields = {key: entry.get(key) for key in ("context", "data", "timestamp")}
                own = {"connector_id": connector.id, "connector_name": connector.name}
                self._log_book.write(level, str(entry.get("message", "")), now, {**fields, **own})

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

    def wake(self) -> None:
        """Look again at everything that waits for a time, after domain time was moved."""
        self.dispatcher.wake()
        self.extracts.wake()
        self.schedules.wake()
        self._evaluator.wake()

    def close(self) -> None:
        """Deliver and call nothing any more."""
        self.dispatcher.close()
        self.extracts.close()
        self.schedules.close()
        self._evaluator.stop()
        self._manifests.close()

    def state(self) -> dict[str, Any]:
        """Return a dump of everything, in an order that repeats."""
        with self.lock:
            return {
                **super().state(),
                "connectors": [connector.to_wire() for connector in self.connectors.values()],
                "dead_letters": [letter.to_wire() for letter in self.dispatcher.dead_letters.all()],
                "extract_runs": [run.to_dict() for run in self.extracts.runs],
                "schedule_runs": [run.to_dict() for run in self.schedules.runs],
            }

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

    def _place(self, where: Where, connector_id: str) -> tuple[str | None, Any]:
        if where is None or isinstance(where, str):
            return (None if where is None else address(where)), None
        if not callable(where):
            raise InvalidArgumentError(f"{where!r} is no connector; pass its URL or a WSGI application")
        host = f"{connector_id.lower()}.connector.test"
        net = self._landlord.runtime.net
        if isinstance(net, WsgiNetwork):
            net.mount(host, where)
        return f"https://{host}", where

    def _register(self, connector: Connector, *, keep_name: bool) -> None:
        with self._landlord.installing, self.lock:
            if self._landlord.find_connector(connector.id) is not None:
                raise InvalidArgumentError(
                    f"the connector id {connector.id!r} is taken; ids are unique on a server, choose another one"
                )
            self.connectors[connector.id] = connector
        self._follow_manifest(connector)
        if connector.url is not None and not connector.ready:
            self._manifests.await_answer(connector, keep_name=keep_name)

    def _has(self, connector_id: str) -> bool:
        return connector_id in self.connectors

    def _follow_manifest(self, connector: Connector) -> None:
        with self.lock:  # it may have been uninstalled while its manifest was read
            if self.connectors.get(connector.id) is connector:
                self.schedules.start(connector)
                self.dispatcher.manifest_changed(connector)

    def _tell_connector(self, connector: Connector) -> None:
        self.dispatcher.object_changed("ship:update", connector.id, connector.to_wire(), only=connector)


def _kind(value: str) -> EntityKind:
    for kind in KINDS:
        if value == kind:
            return kind
    raise InvalidArgumentError(f"the kind is {value!r}; use one of {', '.join(KINDS)}")


def _told(segment: Segment) -> dict[str, Any]:
    full = segment.to_full_wire(0)
    return {key: value for key, value in full.items() if key != "stats"}
