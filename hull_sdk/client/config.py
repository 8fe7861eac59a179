"""What a client needs to know: who it is, where it sends, and how patiently.

Rules: section "Hosts and paths" of ``docs/protocol.md``. Nothing here opens a connection; the environment is
read by :meth:`ClientConfig.from_env` alone.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any, Final, Literal, TypeVar
from urllib.parse import urlsplit

from hull_sdk.client.capture import FirehoseEvent, LogLine
from hull_sdk.core.checks import is_number, is_whole
from hull_sdk.core.forks import lazy
from hull_sdk.core.hosts import host_of, is_loopback, split_host
from hull_sdk.core.ids import is_object_id
from hull_sdk.core.masking import mask
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.firehose import FIREHOSE_PATH, MAX_MESSAGE_BYTES

__all__ = [
    "ClientConfig",
    "Configuration",
    "OverflowPolicy",
    "SendingOptions",
    "checked_organization",
    "config_of",
    "for_request",
]

T = TypeVar("T")

_ADDRESS = re.compile(r"\[.*\]|[\d.]+")
_PROTOCOLS: Final = ("http", "https")
_MAX_WORKERS: Final = 64
#: What becomes of a message when the queue is full.
OverflowPolicy = Literal["raise", "drop_oldest", "drop_newest"]
_OVERFLOW_POLICIES: Final = ("raise", "drop_oldest", "drop_newest")
_ENV_PREFIX: Final = "HULL_"
_ID_LENGTH: Final = 24


@dataclass(frozen=True, kw_only=True)
class SendingOptions:
    """How messages are gathered, sent and repeated.

    Args:
        flush_at: A worker sends when so many messages wait for it.
        flush_after_ms: ... or when the oldest has waited so long, in milliseconds.
        workers: Requests in flight at most; few messages share one. Messages with equal claims keep their order
            whatever the number; 1 keeps the order of all calls.
        timeout_s: Time for one request, in seconds.
        retry: Pauses between tries, and the time after which a batch is given up.
        queue_size: Messages that may wait, in all.
        queue_bytes: Bytes of JSON that may wait, in all.
        overflow: What a full queue means. ``"raise"``: the call waits ``block_s`` and then raises. ``"drop_oldest"``:
            what waited longest makes room. ``"drop_newest"``: the message is not taken. What is dropped fails its
            Future and is counted and logged.
        block_s: How long a call waits while the queue is full before it raises, in seconds.
        exit_timeout_s: How long the end of the process waits for what is queued, in seconds.

    Raises:
        InvalidArgumentError: A number is out of its range.
    """

    flush_at: int = 50
    flush_after_ms: float = 1000
    workers: int = 4
    timeout_s: float = 10.0
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    queue_size: int = 10_000
    queue_bytes: int = 50_000_000
    overflow: OverflowPolicy = "raise"
    block_s: float = 10.0
    exit_timeout_s: float = 5.0

    def __post_init__(self) -> None:
        _check_integer("flush_at", self.flush_at, 1)
        _check_integer("workers", self.workers, 1, _MAX_WORKERS)
        _check_integer("queue_size", self.queue_size, 1)
        _check_integer("queue_bytes", self.queue_bytes, MAX_MESSAGE_BYTES)
        for name in ("flush_after_ms", "block_s", "exit_timeout_s"):
            _check_number(name, getattr(self, name), may_be_zero=True)
        _check_number("timeout_s", self.timeout_s, may_be_zero=False)
        if self.overflow not in _OVERFLOW_POLICIES:
            raise InvalidArgumentError(f"overflow is {self.overflow!r}; pass one of {', '.join(_OVERFLOW_POLICIES)}")
        if not isinstance(self.retry, RetryPolicy):
            raise InvalidArgumentError(f"retry is {self.retry!r}; pass a RetryPolicy(base_s=, cap_s=, total_s=)")


class Configuration(dict[str, Any]):
    """What :meth:`hull_sdk.client.Client.configuration` returns: a plain dict that shows no secret by accident."""

    def __repr__(self) -> str:
        return repr(mask(dict(self)))


@cache
def _default_sending() -> SendingOptions:
    return SendingOptions()


@dataclass(frozen=True, kw_only=True)
class ClientConfig:
    """A connector's identity and addresses.

    Args:
        id: Connector id, 24 hexadecimal characters.
        secret: The connector's secret; in no ``repr``, log or error.
        organization: Plain host, for example ``"acme.hullapp.io"`` or ``"localhost:3000"``.
        protocol: ``"http"`` or ``"https"``; ``None`` means http for this machine and https for all others.
        prefix: What stands before every path of the API.
        domain: Whose ``firehose.`` host messages are sent to, for example ``"hullapp.io"``; ``None`` means what
            follows the first label of the organization.
        firehose_url: Where messages are sent; ``None`` means the ``firehose.`` host of the domain.
        api_url: Base of the API with its prefix, for example ``"http://localhost:3000/api/v1"``; ``None`` means
            the organization's host.
        request_id: Sent along for tracing.
        connector_name: Stands in logs.
        logs: Takes the lines of ``client.logger`` instead of ``logging``, for tests.
        firehose_events: Takes the messages instead of the firehose, for tests.
        sending: How messages are sent.

    Raises:
        InvalidArgumentError: A value is missing or breaks its rule.
    """

    id: str
    secret: str = field(repr=False)
    organization: str
    protocol: str | None = None
    prefix: str = "/api/v1"
    domain: str | None = None
    firehose_url: str | None = None
    api_url: str | None = None
    request_id: str | None = None
    connector_name: str | None = None
    logs: list[LogLine] | None = field(default=None, repr=False, compare=False)
    firehose_events: list[FirehoseEvent] | None = field(default=None, repr=False, compare=False)
    sending: SendingOptions = field(default_factory=_default_sending)

    def __post_init__(self) -> None:
        host = checked_organization(self.organization, connector_id=self.id, secret=self.secret)
        object.__setattr__(self, "organization", host)
        if self.protocol is not None and self.protocol not in _PROTOCOLS:
            raise InvalidArgumentError(f"protocol is {self.protocol!r}; pass 'http', 'https' or None")
        _check_line("prefix", self.prefix, "/api/v1")
        if self.domain is not None:
            object.__setattr__(self, "domain", _checked_domain(self.domain))
        for name in ("firehose_url", "api_url"):
            _check_url(name, getattr(self, name))
        for name in ("logs", "firehose_events"):
            _check_list(name, getattr(self, name))
        for name in ("request_id", "connector_name"):
            if getattr(self, name) is not None:
                _check_line(name, getattr(self, name), "r-1")

    @lazy
    def scheme(self) -> str:
        """The protocol in use, ``"http"`` or ``"https"``."""
        if self.protocol is not None:
            return self.protocol
        return "http" if is_loopback(self.organization) else "https"

    @lazy
    def namespace(self) -> str:
        """The first label of the organization, for example ``"acme"``."""
        return self.organization.partition(".")[0]

    @lazy
    def base_domain(self) -> str:
        """The domain in use, for example ``"hullapp.io"``; empty when the organization is a single label."""
        return self.organization.partition(".")[2] if self.domain is None else self.domain

    @lazy
    def api_base(self) -> str:
        """The URL before every path of the API, without a slash at its end."""
        if self.api_url is not None:
            return self.api_url.rstrip("/")
        return f"{self.scheme}://{self.organization}/{self.prefix.strip('/')}".rstrip("/")

    @lazy
    def firehose(self) -> str:
        """The URL that takes batches of messages."""
        if self.firehose_url is not None:
            return self.firehose_url
        if self.domain is not None:
            protocol = ("http" if is_loopback(self.domain) else "https") if self.protocol is None else self.protocol
            return f"{protocol}://firehose.{self.domain}/"
        host = (split_host(self.organization) or ("", None))[0]
        # A domain without a dot is a public suffix: its "firehose" host would belong to somebody else.
        if is_loopback(self.organization) or _ADDRESS.fullmatch(host) or "." not in self.base_domain:
            return f"{self.api_base}{FIREHOSE_PATH}"
        return f"{self.scheme}://firehose.{self.base_domain}/"

    @lazy
    def sender_key(self) -> tuple[str, str, str, str]:
        """What two clients must have in common to share a sender."""
        return self.firehose, self.organization, self.id, self.secret

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> ClientConfig:
        """Read a configuration from environment variables.

        Args:
            environ: Variables by name, ``os.environ`` by default: ``HULL_ID``, ``HULL_SECRET`` and
                ``HULL_ORGANIZATION``; optional are ``HULL_PROTOCOL``, ``HULL_PREFIX``, ``HULL_DOMAIN``,
                ``HULL_FIREHOSE_URL``, ``HULL_API_URL`` and ``HULL_CONNECTOR_NAME``.

        Raises:
            InvalidArgumentError: A variable is missing or breaks its rule.
        """
        variables = os.environ if environ is None else environ
        required = {name: variables.get(_ENV_PREFIX + name.upper(), "") for name in ("id", "secret", "organization")}
        for name, value in required.items():
            if not value:
                raise InvalidArgumentError(f"the environment variable {_ENV_PREFIX}{name.upper()} is not set")
        optional = {
            name: variables[_ENV_PREFIX + name.upper()]
            for name in ("protocol", "prefix", "domain", "firehose_url", "api_url", "connector_name")
            if variables.get(_ENV_PREFIX + name.upper())
        }
        return cls(**required, **optional)  # type: ignore[arg-type]  # all of these fields are text


_SENDING: Final = frozenset(each.name for each in fields(SendingOptions))


def config_of(
    *,
    capture_logs: Any = False,
    logs: list[LogLine] | None = None,
    capture_firehose_events: Any = False,
    firehose_events: list[FirehoseEvent] | None = None,
    **options: Any,
) -> ClientConfig:
    """Return the configuration that options of ``Client`` describe; lists for what is captured are its own.

    Raises:
        InvalidArgumentError: An option is missing or breaks its rule.
    """
    return ClientConfig(
        logs=_list_for("capture_logs", capture_logs, logs),
        firehose_events=_list_for("capture_firehose_events", capture_firehose_events, firehose_events),
        sending=SendingOptions(**{name: options.pop(name) for name in _SENDING & options.keys()}),
        **options,
    )


def for_request(config: ClientConfig, request_id: str | None) -> ClientConfig:
    """Return a configuration with another request's id; all else in it was checked before.

    Raises:
        InvalidArgumentError: The id breaks its rule.
    """
    if request_id == config.request_id:
        return config
    if request_id is not None:
        _check_line("request_id", request_id, "r-1")
    copy = object.__new__(ClientConfig)
    copy.__dict__.update(config.__dict__, request_id=request_id)
    return copy


def checked_organization(organization: Any, *, connector_id: Any, secret: Any) -> str:
    """Check whose client it is, and return the organization as the client reads it.

    Args:
        organization: Plain host, for example ``"Acme.hullapp.io"``.
        connector_id: The connector's id.
        secret: The connector's secret.

    Raises:
        InvalidArgumentError: One of them breaks its rule.
    """
    _check_id(connector_id)
    _check_secret(secret)
    return _checked_host("organization", organization, "'acme.hullapp.io' or 'localhost:3000'")


def _check_id(value: Any) -> None:
    if isinstance(value, Mapping):
        raise InvalidArgumentError("id is a mapping; pass options by name: Client(**options)")
    if not isinstance(value, str) or not is_object_id(value):
        # What is longer than an id may be the secret in the wrong place.
        found = (
            f"a text of {len(value)} characters" if isinstance(value, str) and len(value) > _ID_LENGTH else repr(value)
        )
        raise InvalidArgumentError(
            f"id is {found}; pass the connector's id, {_ID_LENGTH} hexadecimal characters such as "
            "'5a7962e2793d3e942a03b29a'"
        )


def _check_secret(value: Any) -> None:
    # The value itself is never shown, not even a wrong one.
    if not isinstance(value, str) or not value:
        found = "empty" if value == "" else f"of type {type(value).__name__}"
        raise InvalidArgumentError(f"secret is {found}; pass the connector's secret as text")
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        raise InvalidArgumentError(
            f"secret ({len(value)} characters) holds blanks at its ends, line feeds or characters that a header "
            "cannot carry; copy it again"
        )


def _checked_host(name: str, value: Any, example: str) -> str:
    parsed = split_host(value) if isinstance(value, str) else None
    if parsed is None:
        raise InvalidArgumentError(
            f"{name} is {value!r}; pass a plain host such as {example}, without https:// and without a path"
        )
    host, port = parsed
    return host if port is None else f"{host}:{port}"


def _checked_domain(value: Any) -> str:
    domain = _checked_host("domain", value, "'hullapp.io'")
    if _ADDRESS.fullmatch(domain.partition(":")[0] if "[" not in domain else domain.partition("]")[0] + "]"):
        raise InvalidArgumentError(
            f"domain is {value!r}; an address has no host 'firehose.', pass firehose_url instead"
        )
    return domain


def _check_url(name: str, value: Any) -> None:
    if value is None:
        return
    if not isinstance(value, str) or not host_of(value) or not value.isprintable() or " " in value:
        raise InvalidArgumentError(f"{name} is {value!r}; pass an absolute http or https URL without a user name")
    if urlsplit(value).fragment:
        raise InvalidArgumentError(f"{name} is {value!r}; leave out what follows the #")


def _list_for(name: str, capture: Any, given: list[T] | None) -> list[T] | None:
    """Return the list that captured things go to, if they are captured."""
    if not isinstance(capture, bool):
        raise InvalidArgumentError(f"{name} is {capture!r}; pass True or False")
    return [] if capture and given is None else given


def _check_list(name: str, value: Any) -> None:
    if value is not None and not isinstance(value, list):
        raise InvalidArgumentError(f"{name} is of type {type(value).__name__}; pass a list, which is appended to")


def _check_line(name: str, value: Any, example: str) -> None:
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidArgumentError(f"{name} is {value!r}; pass one line of text such as {example!r}")


def _check_integer(name: str, value: Any, least: int, most: int | None = None) -> None:
    if not is_whole(value, least, math.inf if most is None else most):
        limits = f"from {least}" + ("" if most is None else f" to {most}")
        raise InvalidArgumentError(f"{name} is {value!r}; pass a whole number {limits}")


def _check_number(name: str, value: Any, *, may_be_zero: bool) -> None:
    if not is_number(value, 0) or (value == 0 and not may_be_zero):
        raise InvalidArgumentError(f"{name} is {value!r}; pass a number {'from' if may_be_zero else 'above'} 0")
