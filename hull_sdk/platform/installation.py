"""The connectors of an organization: installing, changing and removing them.

Rules: sections "Manifest" and "REST" of ``docs/protocol.md``. What they are told, and when they are called, is the
matter of :class:`~hull_sdk.platform.organization.Organization`, which fills in the two hooks.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from hull_sdk.core.logs import emit
from hull_sdk.core.net import WsgiNetwork
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.connectors import (
    Connector,
    address,
    checked_domains,
    checked_id,
    checked_name,
    checked_secret,
    checked_settings,
)
from hull_sdk.platform.event_contexts import Locator
from hull_sdk.platform.landlord import Landlord
from hull_sdk.platform.manifests import Manifests
from hull_sdk.platform.population import Population
from hull_sdk.wire.manifest import CONNECTOR_STATUSES, SETTING_KEYS

__all__ = ["Installation"]

_log = logging.getLogger(__name__)

Where = str | Callable[..., Iterable[bytes]] | None


class Installation(Population):
    """Users, accounts, events and segments of one customer, with the connectors that read and write them.

    Args:
        host: For example ``"acme.hullapp.test"``.
        landlord: The platform, whose time and ids it shares.
        admin_secret: Secret of the operator; a fresh one when ``None``.
        settings: See :func:`hull_sdk.platform.settings.load_settings`.
    """

    def __init__(
        self,
        host: str,
        *,
        landlord: Landlord,
        admin_secret: str | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(
            host, runtime=landlord.runtime, clock=landlord.clock, admin_secret=admin_secret, settings=settings
        )
        self.locator: Locator | None = landlord.locator
        self._landlord = landlord
        self._manifests = Manifests(
            landlord.runtime, landlord.carrier, self.lock, is_installed=self._has, follow=self._take_up
        )

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
            InvalidArgumentError: The address, the id, the manifest or a setting breaks a rule.
        """
        ids = self.runtime.ids
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
        connector.check_settings()
        self._register(connector, keep_name=name is not None)
        return connector

    def create_platform(
        self,
        name: str,
        *,
        domains: Iterable[str] = (),
        id: str | None = None,  # noqa: A002 - the name that the wire gives it
        secret: str | None = None,
    ) -> Connector:
        """Create a platform: a website or an app, with credentials of its own, that nobody calls.

        Its tokens are those of the company's own users: a backend signs them with the platform's secret.

        Args:
            name: For example ``"Shop"``.
            domains: Hosts of the site, for example ``["shop.acme.test", "*.acme.test"]``.
            id: 24 hexadecimal characters, unique on the server; a fresh one when ``None``.
            secret: A fresh one when ``None``.

        Returns:
            The platform; its ``type`` is ``"platform"``.

        Raises:
            InvalidArgumentError: An argument breaks a rule.
        """
        ids, now = self.runtime.ids, self.clock.time()
        platform = Connector(
            id=ids.object_id() if id is None else checked_id(id),
            secret=ids.secret() if secret is None else checked_secret(secret),
            name=checked_name(name),
            type="platform",
            domains=checked_domains(domains),
            manifest={},
            created_at=now,
            updated_at=now,
        )
        self._register(platform, keep_name=True)
        return platform

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
        self._take_up(connector)
        if before != (connector.settings_in_force(), connector.private_settings_in_force()):
            self._tell_connector(connector)

    def update_connector(self, connector: Connector, changes: Mapping[str, Any]) -> None:
        """Change a connector's name or settings; a change of settings is told as ``ship:update``.

        Args:
            connector: Whose.
            changes: ``name``, ``settings``, ``private_settings``; each replaces the old value whole. Other keys
                are ignored.

        Raises:
            InvalidArgumentError: A value is not what the manifest declares; nothing is changed then.
        """
        wanted = {
            key: checked_settings(key, changes[key], connector.manifest) for key in SETTING_KEYS if key in changes
        }
        name = checked_name(changes.get("name", connector.name))
        with self.lock:
            changed = any(getattr(connector, key) != value for key, value in wanted.items())
            if not changed and name == connector.name:
                return
            schedules = connector.schedules()
            for key, value in wanted.items():
                setattr(connector, key, value)
            connector.name = name
            connector.updated_at = self.clock.time()
        if schedules != connector.schedules():
            self._follow_manifest(connector)
        if changed:
            self._tell_connector(connector)

    def take_over(self, connectors: Iterable[Connector]) -> None:
        """Take in connectors of before, without calling them; those without a manifest are asked for it.

        Args:
            connectors: As they are; their settings were checked at their time.

        Raises:
            InvalidArgumentError: An id is taken on this server.
        """
        for connector in connectors:
            self._register(connector, keep_name=True)

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
        """Remove a connector: its credentials are void."""
        with self.lock:
            self.connectors.pop(connector.id, None)
        self._manifests.stop(connector.id)

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

    def _place(self, where: Where, connector_id: str) -> tuple[str | None, Any]:
        if where is None or isinstance(where, str):
            return (None if where is None else address(where)), None
        if not callable(where):
            raise InvalidArgumentError(f"{where!r} is no connector; pass its URL or a WSGI application")
        host = f"{connector_id.lower()}.connector.test"
        net = self.runtime.net
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

    def _take_up(self, connector: Connector) -> None:
        try:
            connector.check_settings()
        except InvalidArgumentError as err:  # they were there before the manifest was
            emit(_log, logging.WARNING, "settings.invalid", {"connector_id": connector.id, "reason": err.message})
        self._follow_manifest(connector)

    @abstractmethod
    def _follow_manifest(self, connector: Connector) -> None:
        """Take up what a connector's manifest asks for."""

    @abstractmethod
    def _tell_connector(self, connector: Connector) -> None:
        """Tell a connector that its settings have changed."""
