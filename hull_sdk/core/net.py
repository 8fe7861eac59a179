"""The door to the network: the only place that opens sockets, and the guard over where they may lead.

:class:`HttpNetwork` speaks HTTP over pooled connections; :class:`WsgiNetwork` runs WSGI applications in the
caller's thread instead. Redirects are never followed, bodies are bounded, and responses are never decompressed.
"""

from __future__ import annotations

import io
import logging
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
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import urllib3
import urllib3.connection
import urllib3.connectionpool
from urllib3.util import connection as urllib3_connection

from hull_sdk.core.hosts import AMBIGUOUS, HostPatterns, host_of, is_loopback, is_public_address, split_host
from hull_sdk.core.masking import mask_text, mask_url
from hull_sdk.errors import NetworkError

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

_LINE_BREAK = re.compile(r"[\r\n\x00]")
_CHUNK_BYTES = 65_536

#: Where the library below writes each request's path with its query, at the debug level.
_library_log = logging.getLogger(urllib3.connectionpool.__name__)

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

    def __repr__(self) -> str:
        return f"Request({self.method} {mask_url(self.url)}, {len(self.body or b'')} bytes)"


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

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


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


class _PublicHTTPConnection(urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _connect_public(self)


class _PublicHTTPSConnection(urllib3.connection.HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _connect_public(self)


def _connect_public(connection: urllib3.connection.HTTPConnection) -> socket.socket:
    # The name is looked up once and the address that was checked is the one connected to, so a name
    # that changes its answer in between gains nothing.
    error: Exception = OSError("it has no address")
    try:
        found = socket.getaddrinfo(connection.host.strip("[]"), connection.port, type=socket.SOCK_STREAM)
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not all(is_public_address(address) for address in addresses):
            raise OSError(f"{connection.host} is not a public address")
    except OSError as err:
        raise urllib3.exceptions.NewConnectionError(connection, str(err)) from err
    timeout: Any = connection.timeout
    for address in addresses:
        try:
            return urllib3_connection.create_connection((address, connection.port), timeout)
        except OSError as err:
            error = err
    raise urllib3.exceptions.NewConnectionError(connection, str(error)) from error


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
        _library_log.addFilter(_mask_addresses)

    def send(self, request: Request) -> Response:
        """Send one request over a pooled connection."""
        deadline = time.monotonic() + request.timeout_s
        _check(request)
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
        proxy = "" if request.public_only else _proxy_for(parts.scheme, parts.hostname or "")
        key = "public" if request.public_only else proxy
        manager = self._managers.get(key)
        if manager is None:
            options: dict[str, Any] = {
                "num_pools": 64,
                "maxsize": self._connections_per_host,
                "ssl_context": ssl.create_default_context(),
            }
            manager = _proxied(proxy, options) if proxy else urllib3.PoolManager(**options)
            if request.public_only:
                manager.pool_classes_by_scheme = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}
            manager = self._managers.setdefault(key, manager)
        return manager


def _mask_addresses(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(mask_url(arg) if isinstance(arg, str) and "?" in arg else arg for arg in record.args)
    return True


def _joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    joined: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        separator = "\n" if key == "set-cookie" else ", "
        joined[key] = f"{joined[key]}{separator}{value}" if key in joined else value
    return joined


def _check(request: Request) -> None:
    problem = _url_problem(request.url)
    for name, value in request.headers.items():
        if _LINE_BREAK.search(name) or _LINE_BREAK.search(value):
            problem = f"the header {name!r} holds a line break"
    if problem is not None:
        raise NetworkError(f"{request.method} {mask_url(request.url)}: {problem}", {"sent": False})


def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        return str(err)
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or AMBIGUOUS.search(url):
        return "not an absolute http or https URL"
    return None


def _proxied(proxy: str, options: dict[str, Any]) -> urllib3.PoolManager:
    parts = urlsplit(proxy)
    headers = None
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers = urllib3.make_headers(proxy_basic_auth=user)
    return urllib3.ProxyManager(proxy, proxy_headers=headers, **options)


def _proxy_for(scheme: str, host: str) -> str:
    if is_loopback(host) or urllib.request.proxy_bypass(host):
        return ""
    return urllib.request.getproxies().get(scheme, "")


def _read(answer: urllib3.BaseHTTPResponse, request: Request, deadline: float) -> bytes:
    chunks = []
    size = 0
    try:
        # One system call per read: a body that drips in is measured against the deadline, not against a chunk.
        while chunk := answer.read1(_CHUNK_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            if size > request.max_bytes:
                raise OSError(f"the answer is larger than {request.max_bytes} bytes")
            left = deadline - time.monotonic()
            if left <= 0:
                raise OSError(f"the answer was not complete within {request.timeout_s:g} s")
            sock = getattr(answer.connection, "sock", None)
            if sock is not None:
                sock.settimeout(left)
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
    return mask_text(str(cause if isinstance(cause, OSError) else reason)) or type(reason).__name__


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
