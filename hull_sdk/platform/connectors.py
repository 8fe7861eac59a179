"""Connectors as the platform keeps them: credentials, address, manifest, settings and status.

Rules: sections "Manifest" and "REST" of ``docs/protocol.md``. A connector is called at the address that its operator
configured and nowhere else: paths in a manifest cannot lead to another host.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode, urlsplit

from hull_sdk.core.clock import iso_seconds
from hull_sdk.core.ids import is_object_id
from hull_sdk.core.masking import mask_url
from hull_sdk.core.net import host_of, split_host
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.manifest import (
    SETTING_KEYS,
    Schedule,
    SettingsKey,
    Subscription,
    check_settings,
    is_smart,
    load_manifest,
    schedules,
    setting_defaults,
)
from hull_sdk.wire.manifest import subscriptions as subscriptions_of

__all__ = [
    "Connector",
    "address",
    "check_manifest",
    "checked_domains",
    "checked_id",
    "checked_name",
    "checked_secret",
    "checked_settings",
    "path_on",
    "renewed",
]


def _unheard() -> dict[str, Any]:
    return {"status": "ok", "messages": []}


@dataclass(eq=False, kw_only=True)
class Connector:
    """One installed connector.

    Args:
        id: 24 hexadecimal characters.
        secret: What it signs with; never part of a ``repr``.
        name: For people and logs, for example ``"Lead scoring"``.
        url: Address without a trailing slash, for example ``"http://127.0.0.1:8082"``; ``None`` for a
            connector that only writes.
        app: A WSGI application that answers at ``url`` instead of the network, or ``None``.
        manifest: Its checked manifest; ``None`` until it could be read.
        settings: Values over the manifest's defaults.
        private_settings: Likewise, for the part that browsers never see.
        type: ``"ship"``, or ``"platform"`` for a website or an app that nobody calls.
        domains: The hosts of a platform.
        created_at: Unix seconds.
        updated_at: Unix seconds.
    """

    id: str
    secret: str = field(repr=False)
    name: str
    url: str | None = None
    app: Callable[..., Iterable[bytes]] | None = field(default=None, repr=False)
    manifest: dict[str, Any] | None = field(default=None, repr=False)
    settings: dict[str, Any] = field(default_factory=dict, repr=False)
    private_settings: dict[str, Any] = field(default_factory=dict, repr=False)
    status: dict[str, Any] = field(default_factory=_unheard, repr=False)
    type: str = "ship"
    domains: tuple[str, ...] = ()
    created_at: float = 0.0
    updated_at: float = 0.0

    def __post_init__(self) -> None:
        self._known: tuple[dict[str, Any] | None, list[Subscription]] = (None, [])

    @property
    def ready(self) -> bool:
        """``True`` once the manifest is known."""
        return self.manifest is not None

    def settings_in_force(self) -> dict[str, Any]:
        """Return the settings with the manifest's defaults filled in."""
        return {**setting_defaults(self.manifest or {}, "settings"), **self.settings}

    def private_settings_in_force(self) -> dict[str, Any]:
        """Return the private settings with the manifest's defaults filled in."""
        return {**setting_defaults(self.manifest or {}, "private_settings"), **self.private_settings}

    def check_settings(self) -> None:
        """Hold the settings against the manifest, if it is known.

        Raises:
            InvalidArgumentError: One is not what the manifest declares.
        """
        for key in SETTING_KEYS:
            check_settings({} if self.manifest is None else self.manifest, key, getattr(self, key))

    def subscription(self, channel: str) -> Subscription | None:
        """Return where notifications of a channel go.

        Args:
            channel: For example ``"user:update"``.

        Returns:
            The first subscription that wants the channel; ``None`` when nobody does, or when the connector has no
            address.
        """
        if self.url is None or self.manifest is None:
            return None
        return next((each for each in self._subscriptions(self.manifest) if each.wants(channel)), None)

    def _subscriptions(self, manifest: dict[str, Any]) -> list[Subscription]:
        """Return the subscriptions of the manifest, which is replaced and never changed: read once for each."""
        known_of, known = self._known
        if known_of is not manifest:
            known = subscriptions_of(manifest)
            self._known = manifest, known
        return known

    @property
    def legacy(self) -> bool:
        """``True`` when it is told one message at a time, as before smart delivery: its manifest has no tag for it."""
        return self.manifest is not None and not is_smart(self.manifest)

    def may_want(self, channel: str) -> bool:
        """Tell whether news of a channel must be kept: it is subscribed to, or that is not known yet."""
        if self.url is None:
            return False
        return self.manifest is None or self.subscription(channel) is not None

    def schedules(self) -> list[Schedule]:
        """Return the manifest's schedules; none while the connector has no address or manifest."""
        if self.url is None or self.manifest is None:
            return []
        in_force = {"private_settings": self.private_settings_in_force(), "settings": self.settings_in_force()}
        return schedules(self.manifest, in_force)

    def credentials(self, organization_host: str) -> dict[str, str]:
        """Return what the platform's calls have in their query, by which the connector knows itself and the platform.

        Args:
            organization_host: The host that the connector dials.
        """
        return {"ship": self.id, "id": self.id, "organization": organization_host, "secret": self.secret}

    def url_of(self, path: str, query: Mapping[str, str] | None = None) -> str:
        """Return the absolute URL of a path on this connector.

        Args:
            path: A path of the manifest, for example ``"/status"``.
            query: Parameters to append.

        Raises:
            InvalidArgumentError: The connector has no address, or the path leads to another host.
        """
        if self.url is None:
            raise InvalidArgumentError(f"the connector {self.name!r} has no url; install it with one to call {path!r}")
        url = path_on(self.url, path)
        if not query:
            return url
        return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"

    def to_wire(self, *, with_secret: bool = False) -> dict[str, Any]:
        """Return the connector as the wire shows it.

        Args:
            with_secret: ``True`` only in notifications and in the answer that creates a connector.
        """
        wire = self._platform_wire() if self.type == "platform" else self._connector_wire()
        return {**wire, "secret": self.secret} if with_secret else wire

    def _platform_wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "allowed_domains": list(self.domains),
            "settings": dict(self.settings),
            "created_at": iso_seconds(self.created_at),
            "updated_at": iso_seconds(self.updated_at),
        }

    def _connector_wire(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "name": self.name,
            "type": self.type,
            "source_url": self.url or "",
            "manifest_url": "" if self.url is None else f"{self.url}/manifest.json",
            "manifest": self.manifest or {},
            "settings": self.settings_in_force(),
            "private_settings": self.private_settings_in_force(),
            "status": dict(self.status),
            "created_at": iso_seconds(self.created_at),
            "updated_at": iso_seconds(self.updated_at),
        }


def renewed(connector: Connector, at: float) -> Connector:
    """Return a connector as if installed now: who it is and how it is set stays, what it said of itself does not.

    Args:
        connector: Stays as it is.
        at: Unix seconds.
    """
    return replace(connector, status=_unheard(), created_at=at, updated_at=at)


def address(url: str) -> str:
    """Check a connector's address and return it without a trailing slash.

    Args:
        url: For example ``"http://127.0.0.1:8082/"``.

    Raises:
        InvalidArgumentError: It is no absolute http or https URL, or has a query, a fragment or a user name.
    """
    if not isinstance(url, str) or not host_of(url) or urlsplit(url).query or urlsplit(url).fragment:
        raise InvalidArgumentError(
            f"the connector url {mask_url(str(url))!r} is no address; write an absolute http or https URL without "
            "query and user name, such as 'http://127.0.0.1:8082'"
        )
    return url.rstrip("/")


def path_on(base: str, path: str) -> str:
    """Join a manifest's path to a connector's address.

    Args:
        base: The address that the operator configured.
        path: For example ``"/smart-notifier"``; an absolute URL must lead to the same scheme and host.

    Returns:
        An absolute URL on the connector's host.

    Raises:
        InvalidArgumentError: The path leads to another host.
    """
    if "://" in path.partition("?")[0]:
        wanted, known = urlsplit(path), urlsplit(base)
        if (wanted.scheme, host_of(path)) != (known.scheme, host_of(base)):
            raise InvalidArgumentError(
                f"the manifest's url {path!r} leads away from the connector; write a path on {base}, such as '/status'"
            )
        return path
    return f"{base}/{path.lstrip('/')}"


def check_manifest(value: Any, url: str | None) -> dict[str, Any]:
    """Check a manifest, and that its paths lead to the connector.

    Args:
        value: The decoded ``manifest.json``.
        url: The connector's address, if it has one.

    Returns:
        The manifest, unknown keys included.

    Raises:
        InvalidArgumentError: A rule is broken; the message names it.
    """
    manifest = load_manifest(value)
    paths = [s.url for s in subscriptions_of(manifest)] + [s.url for s in schedules(manifest)]
    for path in paths if url is not None else []:
        path_on(url, path)  # type: ignore[arg-type]  # the loop is empty when there is no url
    return manifest


def checked_id(value: Any) -> str:
    """Return a connector id that somebody chose.

    Raises:
        InvalidArgumentError: It is not what clients take for a connector's id.
    """
    if not isinstance(value, str) or not is_object_id(value):
        raise InvalidArgumentError(
            f"the connector id {value!r} is invalid; use 24 hexadecimal characters, or leave it out for a fresh one"
        )
    return value


def checked_secret(value: Any) -> str:
    """Return a secret that somebody chose.

    Raises:
        InvalidArgumentError: It is empty, no text, or no header could carry it.
    """
    if not isinstance(value, str) or not value:
        raise InvalidArgumentError("the connector's secret must be text of at least one character")
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise InvalidArgumentError(
            f"the connector's secret ({len(value)} characters) holds blanks at its ends, line feeds or characters that "
            "a header cannot carry; choose printable ASCII"
        )
    return value


def checked_name(value: Any) -> str:
    """Return the name of a connector.

    Raises:
        InvalidArgumentError: It is empty or no text.
    """
    if not isinstance(value, str) or not value:
        raise InvalidArgumentError(f"the connector's name is {value!r:.100}; it must be text")
    return value


def checked_domains(value: Any) -> tuple[str, ...]:
    """Return the hosts of a platform.

    Raises:
        InvalidArgumentError: They are no list of hosts such as ``"shop.acme.test"`` or ``"*.acme.test"``.
    """
    hosts = None if isinstance(value, str | bytes | Mapping) or not isinstance(value, Iterable) else list(value)
    if hosts is None or not all(isinstance(each, str) and split_host(each.removeprefix("*.")) for each in hosts):
        raise InvalidArgumentError(
            f"the domains are {value!r:.200}; they must be a list of hosts without a scheme, such as "
            "['shop.acme.test', '*.acme.test']"
        )
    return tuple(dict.fromkeys(each.strip().lower() for each in hosts))


def checked_settings(name: SettingsKey, value: Any, manifest: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Return settings that somebody wrote; ``None`` gives none.

    Args:
        name: Which ones.
        value: Names and values.
        manifest: The connector's manifest, if it is known.

    Raises:
        InvalidArgumentError: They are no object, or not what the manifest declares.
    """
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(f"{name} is {type(value).__name__}; it must be a JSON object of names and values")
    check_settings({} if manifest is None else manifest, name, value)
    return dict(value)
