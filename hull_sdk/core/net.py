"""The door to the network: the only place that opens sockets, and the guard over where they may lead.

:class:`HttpNetwork` speaks HTTP over pooled connections; :class:`WsgiNetwork` runs WSGI applications in the
caller's thread instead. Redirects are never followed, bodies are bounded, and responses are never decompressed.
"""

from __future__ import annotations

import io
import ipaddress
import os
import re
import socket
import ssl
import sys
import time
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import unquote_to_bytes, urlsplit

import urllib3
import urllib3.connection
import urllib3.connectionpool
from urllib3.util import connection as urllib3_connection

from hull_sdk.core.masking import mask_url
from hull_sdk.errors import InvalidArgumentError, NetworkError

__all__ = [
    "Exchange",
    "HostPatterns",
    "HttpNetwork",
    "Network",
    "Request",
    "Response",
    "WsgiNetwork",
    "host_of",
    "is_loopback",
    "is_public_address",
    "split_host",
]

#: Largest response body that is read, in bytes, unless the request says otherwise.
MAX_RESPONSE_BYTES: Final = 32 * 1024 * 1024

_HOST = re.compile(r"(?P<host>[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_])?|\[[0-9a-f:.]+\])\.?(?::(?P<port>\d{1,5}))?")
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})
_CHUNK_BYTES = 65_536

WsgiApp = Callable[..., Iterable[bytes]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One outgoing HTTP request.

    Args:
        method: For example ``"POST"``.
        url: Absolute http or https URL.
        headers: Header names and values.
        body: Bytes to send, or ``None``.
        timeout_s: Seconds to connect, and seconds in which the whole answer has to arrive.
        max_bytes: Largest answer that is accepted.
        public_only: ``True`` refuses addresses that are not public (loopback, private, link-local).
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_s: float = 10.0
    max_bytes: int = MAX_RESPONSE_BYTES
    public_only: bool = False


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a :class:`Request`.

    Args:
        status: For example ``200``.
        headers: Names in lower case; the values of one that came several times are joined by ``", "``, those
            of ``set-cookie`` by line feeds, since they hold commas.
        body: As it arrived, not decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what came of it, as :class:`WsgiNetwork` records it."""

    request: Request
    response: Response | None
    at: float


class Network(ABC):
    """Sends requests."""

    @abstractmethod
    def send(self, request: Request) -> Response:
        """Send one request and read the whole answer.

        Args:
            request: What to send.

        Returns:
            The answer, whatever its status.

        Raises:
            NetworkError: Nothing or not all came back: refused, unreachable, too slow, too large, or
                the address is not allowed. Its ``extra["sent"]`` is ``False`` when no connection was made,
                so that the other side cannot have seen the request.
        """

    def close(self) -> None:  # noqa: B027 - nothing to close by default
        """Close idle connections."""


def split_host(text: str) -> tuple[str, int | None] | None:
    """Read ``host`` or ``host:port``.

    Args:
        text: For example ``"acme.hullapp.io"``, ``"localhost:3000"`` or ``"[::1]:80"``.

    Returns:
        Host in lower case without a trailing dot, and the port or ``None``; ``None`` when the text is
        anything else, such as a URL.
    """
    match = _HOST.fullmatch(text.strip().lower())
    if match is None:
        return None
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 0 < port < 65_536:
        return None
    return match["host"], port


def host_of(url: str) -> str:
    """Return host and, when it is written, port of a URL, for example ``"localhost:3000"``; ``""`` if none."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        return ""
    name = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return name if port is None else f"{name}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine by name or number."""
    parsed = split_host(host)
    if parsed is None:
        return False
    name = parsed[0].strip("[]")
    if name in _LOOPBACK_NAMES:
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def is_public_address(address: str) -> bool:
    """Tell whether an IP address is reachable by everybody: not private, loopback, link-local or reserved."""
    try:
        parsed = ipaddress.ip_address(address.split("%", maxsplit=1)[0])
    except ValueError:
        return False
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped is not None:
        parsed = parsed.ipv4_mapped
    return parsed.is_global and not parsed.is_multicast


class HostPatterns:
    """A list of allowed hosts: the trust root.

    Args:
        patterns: Hosts (``"acme.hullapp.io"``, ``"localhost:3000"``) or suffixes (``"*.hullapp.io"``, which
            does not match ``hullapp.io`` itself). An entry without a port matches any port.

    Raises:
        InvalidArgumentError: An entry is neither of the two.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        self.patterns = tuple(pattern.strip().lower() for pattern in patterns)
        self._exact: set[tuple[str, int | None]] = set()
        self._suffixes: set[tuple[str, int | None]] = set()
        for pattern in self.patterns:
            parsed = split_host(pattern.removeprefix("*."))
            if parsed is None:
                raise InvalidArgumentError(
                    f"{pattern!r} is no host pattern; write a host such as 'acme.hullapp.io' or 'localhost:3000', "
                    "or a suffix such as '*.hullapp.io'"
                )
            (self._suffixes if pattern.startswith("*.") else self._exact).add(parsed)

    def __repr__(self) -> str:
        return f"HostPatterns({list(self.patterns)!r})"

    def allows(self, host: str) -> bool:
        """Tell whether a host, with or without a port, is on the list.

        Args:
            host: For example ``"acme.hullapp.io"``; anything that is not a plain host is refused.
        """
        parsed = split_host(host)
        if parsed is None:
            return False
        name, port = parsed
        if (name, None) in self._exact or (name, port) in self._exact:
            return True
        labels = name.split(".")
        return any(
            (suffix, None) in self._suffixes or (suffix, port) in self._suffixes
            for suffix in (".".join(labels[cut:]) for cut in range(1, len(labels)))
        )


class _PublicHTTPConnection(urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect_public(self)


class _PublicHTTPSConnection(urllib3.connection.HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect_public(self)


def _connect_public(connection: urllib3.connection.HTTPConnection) -> socket.socket:
    # The name is looked up once and the address that was checked is the one connected to, so a name
    # that changes its answer in between gains nothing.
    found = socket.getaddrinfo(connection.host.strip("[]"), connection.port, type=socket.SOCK_STREAM)
    addresses = [str(entry[4][0]) for entry in found]
    if not addresses or not all(is_public_address(address) for address in addresses):
        raise OSError(f"{connection.host} is not a public address")
    timeout: Any = connection.timeout
    return urllib3_connection.create_connection((addresses[0], connection.port), timeout)


class _PublicHTTPPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls: Any = _PublicHTTPConnection


class _PublicHTTPSPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls: Any = _PublicHTTPSConnection


class HttpNetwork(Network):
    """HTTP over pooled keep-alive connections; proxies are taken from the environment.

    Args:
        connections_per_host: Idle connections kept for one host.
    """

    def __init__(self, connections_per_host: int = 32) -> None:
        self._connections_per_host = connections_per_host
        self._pid = -1
        self._managers: dict[str, urllib3.PoolManager] = {}

    def send(self, request: Request) -> Response:
        """Send one request over a pooled connection."""
        deadline = time.monotonic() + request.timeout_s
        try:
            answer = self._manager(request).urlopen(
                request.method,
                request.url,
                body=request.body,
                headers=dict(request.headers),
                timeout=urllib3.Timeout(total=request.timeout_s),
                retries=False,
                redirect=False,
                preload_content=False,
                decode_content=False,
            )
            body = _read(answer, request, deadline)
        except (urllib3.exceptions.HTTPError, OSError, ValueError) as err:
            raise NetworkError(
                f"{request.method} {mask_url(request.url)}: {_reason(err)}", {"sent": not _never_connected(err)}
            ) from err
        return Response(answer.status, _joined(answer.headers.items()), body)

    def close(self) -> None:
        """Close idle connections."""
        for manager in self._managers.values():
            manager.clear()

    def _manager(self, request: Request) -> urllib3.PoolManager:
        # Connections of a parent process must never be used by its child.
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._managers = {}
        parts = urlsplit(request.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("not an absolute http or https URL")
        proxy = "" if request.public_only else _proxy_for(parts.scheme, parts.hostname)
        key = "public" if request.public_only else proxy
        manager = self._managers.get(key)
        if manager is None:
            options: dict[str, Any] = {
                "num_pools": 64,
                "maxsize": self._connections_per_host,
                "ssl_context": ssl.create_default_context(),
            }
            manager = urllib3.ProxyManager(proxy, **options) if proxy else urllib3.PoolManager(**options)
            if request.public_only:
                manager.pool_classes_by_scheme = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}
            manager = self._managers.setdefault(key, manager)
        return manager


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        separator = "\n" if key == "set-cookie" else ", "
        joined[key] = f"{joined[key]}{separator}{value}" if key in joined else value
    return joined


def _proxy_for(scheme: str, host: str) -> str:
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return ""
    return urllib.request.getproxies().get(scheme, "")


def _read(answer: urllib3.BaseHTTPResponse, request: Request, deadline: float) -> bytes:
    chunks = []
    size = 0
    try:
        while chunk := answer.read(_CHUNK_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > request.max_bytes:
                raise OSError(f"the answer is larger than {request.max_bytes} bytes")
            if time.monotonic() > deadline:
                raise OSError(f"the answer was not complete within {request.timeout_s:g} s")
    except BaseException:
        answer.close()
        raise
    answer.release_conn()
    return b"".join(chunks)


def _never_connected(err: Exception) -> bool:
    return isinstance(err, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _reason(err: Exception) -> str:
    reason = getattr(err, "reason", None) or err
    refused = isinstance(reason, urllib3.exceptions.NewConnectionError)  # urllib3 counts it among the timeouts
    if isinstance(reason, urllib3.exceptions.TimeoutError) and not refused:
        return "timed out"
    cause = reason.__cause__ or reason.__context__
    return str(cause if isinstance(cause, OSError) else reason) or type(reason).__name__


class WsgiNetwork(Network):
    """Runs WSGI applications in the caller's thread, by host; nothing leaves the process.

    Args:
        now: Tells the time of the record, in Unix seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._apps: dict[str, WsgiApp] = {}
        #: Everything that was sent, in order.
        self.exchanges: list[Exchange] = []

    def mount(self, host: str, app: WsgiApp) -> None:
        """Answer requests to a host with an application.

        Args:
            host: For example ``"acme.hullapp.test"``, with a port when the URLs carry one.
            app: Any WSGI application.
        """
        self._apps[host.lower()] = app

    def send(self, request: Request) -> Response:
        """Call the application that is mounted for the request's host."""
        host = host_of(request.url)
        app = self._apps.get(host)
        if app is None:
            self.exchanges.append(Exchange(request, None, self._now()))
            raise NetworkError(
                f"{request.method} {mask_url(request.url)}: nothing is mounted at {host!r}; "
                f"known hosts: {sorted(self._apps)}",
                {"sent": False},
            )
        try:
            response = call_wsgi(app, request)
        except BaseException:
            self.exchanges.append(Exchange(request, None, self._now()))
            raise
        self.exchanges.append(Exchange(request, response, self._now()))
        return response


def call_wsgi(app: WsgiApp, request: Request) -> Response:
    """Run one request through a WSGI application.

    Args:
        app: The application.
        request: The request; its URL gives host, path and query.

    Returns:
        The application's answer.

    Raises:
        NetworkError: The application dropped the connection instead of answering.
    """
    state: dict[str, Any] = {}
    chunks: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        state["status"] = int(status.split(" ", 1)[0])
        state["headers"] = _joined(headers)
        return chunks.append

    result = app(_environ(request), start_response)
    try:
        chunks.extend(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    if "status" not in state:
        raise NetworkError(f"{request.method} {mask_url(request.url)}: the connection was closed without an answer")
    body = b"" if request.method == "HEAD" else b"".join(chunks)
    announced = state["headers"].get("content-length", "")
    if announced.isdigit() and int(announced) > len(body) and request.method != "HEAD":
        raise NetworkError(f"{request.method} {mask_url(request.url)}: the connection was closed within the answer")
    return Response(state["status"], state["headers"], body)


def _environ(request: Request) -> dict[str, Any]:
    parts = urlsplit(request.url)
    body = request.body or b""
    environ: dict[str, Any] = {
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(parts.path or "/").decode("latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "localhost",
        "SERVER_PORT": str(parts.port or (443 if parts.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "HTTP_HOST": parts.netloc,
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in request.headers.items():
        key = name.upper().replace("-", "_")
        environ[key if key in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{key}"] = value
    return environ
