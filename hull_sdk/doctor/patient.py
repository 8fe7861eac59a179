"""The connector under examination: its manifest, its paths, and the ways to reach it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from hull_sdk.core import json
from hull_sdk.core.runtime import Runtime
from hull_sdk.doctor.letters import sample
from hull_sdk.doctor.organization import Organization
from hull_sdk.doctor.stranger import Stranger
from hull_sdk.doctor.visitor import Answer, Visitor
from hull_sdk.errors import HullError
from hull_sdk.platform import Connector
from hull_sdk.platform.notifications import Catalog, notification_body
from hull_sdk.wire.notifications import CHANNELS, DELETION_CHANNELS, ENTITY_CHANNELS
from hull_sdk.wire.signatures import sign_claims, signature_claims, signature_headers

__all__ = ["Letter", "Options", "Patient"]

#: Where notifications go when the manifest does not say.
_NOTIFICATIONS: Final = "/smart-notifier"
#: Keys of the manifest whose entries have a ``url``.
_LISTS: Final = ("subscriptions", "schedules", "statuses", "incoming", "json", "endpoints")
#: Names of settings that a connector cannot work without.
_KEY_WORDS: Final = ("key", "token", "secret", "password", "credential")
_JSON: Final = {"Content-Type": "application/json"}
_NO_SEGMENTS: Final = Catalog((), ())


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the owner says of the connector.

    Args:
        settings: Private settings of the installation over the manifest's defaults, for example
            ``{"large_from": 100}``.
        user: Attributes of the person who is sent, for example ``{"plan": "free"}``.
        account: Attributes of the company who is sent.
        limit_s: Longest time that a connector may take for an answer, in seconds; the platform waits so long.
        pause_s: How long something is waited for that may come late, in seconds.
        oversize_bytes: A body that no connector should read.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    user: Mapping[str, Any] = field(default_factory=dict)
    account: Mapping[str, Any] = field(default_factory=dict)
    limit_s: float = 30.0
    pause_s: float = 1.5
    oversize_bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A notification, ready to be signed.

    Args:
        id: Its id.
        body: Its bytes.
    """

    id: str
    body: bytes


class Patient:
    """The connector under examination.

    Args:
        url: Its address.
        organization: The organization that it allows.
        stranger: A host that it does not allow.
        runtime: Clock, ids, threads.
        options: What the owner said.

    Raises:
        HullError: It has no manifest that could be read.
    """

    def __init__(
        self, url: str, organization: Organization, stranger: Stranger, runtime: Runtime, options: Options
    ) -> None:
        self.organization: Organization = organization
        self.stranger: Stranger = stranger
        self.runtime: Runtime = runtime
        self.options: Options = options
        self.visitor: Visitor = Visitor(url, runtime)
        self.manifest: dict[str, Any] = self._read_manifest()
        #: Credentials whose settings are those of the owner.
        self.connector: Connector = self.install({})
        #: A channel on which a good notification is answered ``next``.
        self.channel = ""
        #: One whose handler writes to the organization, if there is any, and how much it writes for one message.
        self.writing_channel: str | None = None
        self.writes = 0

    def _read_manifest(self) -> dict[str, Any]:
        answer = self.visitor.ask("GET", "/manifest.json")
        value = answer.value
        if not answer.succeeded or not isinstance(value, dict):
            raise HullError(f"no manifest.json at {self.visitor.url}: {answer}; is the connector running there?")
        return value

    def install(self, settings: Mapping[str, Any]) -> Connector:
        """Create credentials that the connector has not seen.

        Args:
            settings: Private settings over the manifest's defaults and the owner's.
        """
        defaults = {entry["name"]: entry["default"] for entry in self.declared if "default" in entry}
        return self.organization.install(self.visitor.url, {**defaults, **self.options.settings, **settings})

    @property
    def declared(self) -> list[dict[str, Any]]:
        """The private settings that the manifest declares."""
        return [
            entry for entry in _entries(self.manifest.get("private_settings")) if isinstance(entry.get("name"), str)
        ]

    def junk(self) -> dict[str, str]:
        """Return values that nobody else knows for the settings that look like keys."""
        return {entry["name"]: f"doctor-{self.runtime.ids.secret()}" for entry in self._texts if _is_key(entry)}

    def made_up(self) -> dict[str, str]:
        """Return values for all texts that nobody has chosen yet: a key may count only beside another one."""
        free = [entry["name"] for entry in self._texts if not entry.keys() & {"default", "enum"}]
        return {**{name: "doctor" for name in free if name not in self.options.settings}, **self.junk()}

    @property
    def _texts(self) -> list[dict[str, Any]]:
        return [entry for entry in self.declared if entry.get("type") == "string"]

    @property
    def notifications(self) -> str:
        """The path of notifications."""
        found = _paths(_entries(self.manifest.get("subscriptions")))
        return found[0] if found else _NOTIFICATIONS

    @property
    def status(self) -> str | None:
        """The path of the status, if there is one."""
        found = _paths([*_entries([self.manifest.get("status")]), *_entries(self.manifest.get("statuses"))])
        return found[0] if found else None

    @property
    def paths(self) -> list[str]:
        """All paths that the manifest names."""
        entries = [entry for name in _LISTS for entry in _entries(self.manifest.get(name))]
        entries += [{"url": self.manifest.get("admin")}, {"url": self.status}]
        return list(dict.fromkeys(_paths(entries)))

    def query(self, connector: Connector | None = None, **changes: str) -> str:
        """Return credentials as the platform writes them into a query.

        Args:
            connector: Whose; the usual ones when ``None``.
            **changes: Other values.
        """
        return urlencode(self.credentials(connector, **changes))

    def credentials(self, connector: Connector | None = None, **changes: str) -> dict[str, str]:
        """Return what :meth:`query` writes, as a token holds it."""
        whose = self.connector if connector is None else connector
        usual = {"ship": whose.id, "id": whose.id, "organization": self.organization.host, "secret": whose.secret}
        return {**usual, **changes}

    def call(
        self, path: str, query: str, *, method: str = "POST", body: bytes = b"{}", timeout_s: float = 10.0
    ) -> Answer:
        """Call an endpoint as the platform does.

        Args:
            path: For example ``"/status"``.
            query: What :meth:`query` returned, or another.
            method: For example ``"GET"``.
            body: JSON.
            timeout_s: Longest wait in seconds.
        """
        target = f"{path}{'&' if '?' in path else '?'}{query}"
        return self.visitor.ask(
            method, target, headers=_JSON, body=None if method == "GET" else body, timeout_s=timeout_s
        )

    def letter(
        self,
        channel: str | None = None,
        *,
        messages: list[Any] | None = None,
        connector: Connector | None = None,
        organization: str | None = None,
    ) -> Letter:
        """Write a notification with an id of its own.

        Args:
            channel: A channel that is answered ``next`` when ``None``.
            messages: A good one when ``None``.
            connector: Whose; the usual one when ``None``.
            organization: Of its configuration; the one that is allowed when ``None``.
        """
        whose = self.connector if connector is None else connector
        channel = self.channel if channel is None else channel
        notification_id = self.runtime.ids.uuid()
        if messages is None:
            message = sample(channel, self.options.user, self.options.account)
            messages = [{"message_id": self.runtime.ids.uuid(), **message}]
        host = self.organization.host if organization is None else organization
        body = notification_body(
            notification_id=notification_id,
            parent_id=None,
            configuration={"id": whose.id, "organization": host, "secret": whose.secret},
            connector={**whose.to_wire(with_secret=True), "manifest": self.manifest},
            channel=channel,
            messages=map(json.dumps, messages),
            catalog=_NO_SEGMENTS,
        )
        return Letter(id=notification_id, body=body)

    def claims(self, letter: Letter, **changes: Any) -> dict[str, Any]:
        """Return what a good signature of a notification says, but for some changes; ``None`` leaves a claim out."""
        claims = {**signature_claims(letter.id, letter.body, self.runtime.clock.time()), **changes}
        return {name: value for name, value in claims.items() if value is not None}

    def deliver(
        self,
        letter: Letter,
        *,
        signature: str | None = None,
        key: RSAPrivateKey | None = None,
        key_url: str | None = None,
        timeout_s: float = 10.0,
    ) -> Answer:
        """Deliver a notification.

        Args:
            letter: What.
            signature: A good one when ``None``.
            key: Signs it; the organization's when ``None``.
            key_url: Where its public half is said to be; where it is when ``None``.
            timeout_s: Longest wait in seconds.
        """
        made = sign_claims(self.organization.key if key is None else key, self.claims(letter))
        return self.post(letter.body, made if signature is None else signature, key_url, timeout_s=timeout_s)

    def post(
        self,
        body: bytes | Iterable[bytes],
        signature: str,
        key_url: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 10.0,
    ) -> Answer:
        """Post bytes as a notification.

        Args:
            body: The bytes, or pieces of them.
            signature: What stands in the header.
            key_url: Likewise; the organization's when ``None``.
            headers: Further headers.
            timeout_s: Longest wait in seconds.
        """
        signed = signature_headers(signature, self.organization.key_url() if key_url is None else key_url)
        return self.visitor.ask(
            "POST",
            self.notifications,
            headers={**_JSON, **signed, **(headers or {})},
            body=body,
            timeout_s=timeout_s,
            is_notification=True,
        )

    def believed(self, answer: Answer, writes_before: int | None = None) -> bool:
        """Tell whether a notification was taken for a good one.

        Args:
            answer: What it was answered.
            writes_before: How much had been written before it was delivered.
        """
        wrote = writes_before is not None and self.organization.effects(self.connector) > writes_before
        return wrote or (answer.succeeded and answer.flow != "retry")

    def meet(self) -> None:
        """Find out which channels are answered ``next``, and which handler writes.

        Raises:
            HullError: No good notification is believed, so that nothing can be said of bad ones.
        """
        refusals: list[Answer] = []
        for channel in CHANNELS:  # those of users and accounts come first
            if channel in DELETION_CHANNELS:
                continue  # nobody is deleted for an examination
            if self.channel and channel not in ENTITY_CHANNELS:
                return
            before = self.organization.effects(self.connector)
            answer = self.deliver(self.letter(channel), timeout_s=self.options.limit_s)
            if answer.flow != "next":
                refusals.append(answer)
                continue
            self.channel = self.channel or channel
            self._count_writes(channel, before)
            if self.writing_channel is not None:
                self.channel = channel
                return
        if not self.channel:
            raise HullError(self._not_let_in(refusals[0]))

    def _count_writes(self, channel: str, before: int) -> None:
        if self.organization.wait_for(lambda: self.organization.effects(self.connector) > before, self.options.pause_s):
            self.writing_channel = channel
            self.writes = self.organization.effects(self.connector) - before

    def _not_let_in(self, answer: Answer) -> str:
        said = answer.body[:300].decode(errors="replace").strip()
        return (
            f"the connector does not take good notifications of {self.organization.host}: {answer} {said!r}; start it "
            f"with HULL_ALLOWED_ORGANIZATIONS={self.organization.host}, or allow that host in the way of its language, "
            "and look at its log"
        )


def _entries(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, list) else []


def _is_key(entry: Mapping[str, Any]) -> bool:
    name = entry["name"].lower()
    return entry.get("format") == "password" or any(word in name for word in _KEY_WORDS)


def _paths(entries: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return where entries of the manifest lead; what is no address leads nowhere."""
    found = (_path(entry.get("url")) for entry in entries)
    return [path for path in found if path is not None]


def _path(url: Any) -> str | None:
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return None
    if parts is None:
        return None
    path = f"/{parts.path.lstrip('/')}"
    return f"{path}?{parts.query}" if parts.query else path
