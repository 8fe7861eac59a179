"""The door to the network: the only place that opens sockets, and the guard over where they may lead.

:class:`HttpNetwork` speaks HTTP over pooled connections; :class:`WsgiNetwork` runs WSGI applications in the
caller's thread instead. Redirects are never followed, bodies are bounded, and responses are never decompressed.
"""

from __future__ import annotations

# Sockets load this when they are first given a name; a child forked in that moment could resolve nothing any more.
import encodings.idna  # noqa: F401 - loaded for its effect
import functools
import itertools
import logging
import os
import re
import socket
import ssl
import time
import urllib.request
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3
import urllib3.connection
import urllib3.connectionpool
from urllib3.util import Url, parse_url
from urllib3.util import connection as urllib3_connection

from hull_sdk.core.exchange import (
    CHUNK_BYTES,
    MAX_RESPONSE_BYTES,
    Network,
    Request,
    Response,
    Stream,
    check_size,
    joined,
)
from hull_sdk.core.hosts import (
    AMBIGUOUS,
    HostPatterns,
    host_of,
    is_link_local,
    is_loopback,
    is_public_address,
    split_host,
)
from hull_sdk.core.masking import mask_text, mask_url
from hull_sdk.core.wsgi import Exchange, WsgiNetwork, call_wsgi
from hull_sdk.errors import NetworkError

__all__ = [
    "MAX_RESPONSE_BYTES",
    "Exchange",
    "HostPatterns",
    "HttpNetwork",
    "Network",
    "Request",
    "Response",
    "Stream",
    "WsgiNetwork",
    "call_wsgi",
    "host_of",
    "is_loopback",
    "is_public_address",
    "split_host",
]

_LINK_LOCAL = "is a link-local address, where machines keep credentials; nothing is ever sent there"
_LINE_BREAK = re.compile(r"[\r\n\x00]")

#: Where the library below writes each request's path with its query, at the debug level.
_library_log = logging.getLogger(urllib3.connectionpool.__name__)


class _HTTPConnection(urllib3.connection.HTTPConnection):
    def _new_conn(self) -> socket.socket:
        return _not_link_local(self, super()._new_conn())


class _HTTPSConnection(urllib3.connection.HTTPSConnection):
    def _new_conn(self) -> socket.socket:
        return _not_link_local(self, super()._new_conn())


def _not_link_local(connection: urllib3.connection.HTTPConnection, opened: socket.socket) -> socket.socket:
    # Whoever chose the name, nothing of ours is served there; what is asked for there are a machine's own credentials.
    if is_link_local(str(opened.getpeername()[0])):
        opened.close()
        raise urllib3.exceptions.NewConnectionError(connection, f"{connection.host} {_LINK_LOCAL}")
    return opened


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


class _HTTPPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls: Any = _HTTPConnection


class _HTTPSPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls: Any = _HTTPSConnection


class _PublicHTTPPool(urllib3.connectionpool.HTTPConnectionPool):
    ConnectionCls: Any = _PublicHTTPConnection


class _PublicHTTPSPool(urllib3.connectionpool.HTTPSConnectionPool):
    ConnectionCls: Any = _PublicHTTPSConnection


_POOLS: Any = {"http": _HTTPPool, "https": _HTTPSPool}
_PUBLIC_POOLS: Any = {"http": _PublicHTTPPool, "https": _PublicHTTPSPool}


class HttpNetwork(Network):
    """HTTP over pooled keep-alive connections; proxies are taken from the environment.

    Args:
        connections_per_host: Idle connections kept for one host.
    """

    def __init__(self, connections_per_host: int = 32) -> None:
        self._connections_per_host = connections_per_host
        self._pid = -1
        self._managers: dict[tuple[str, bool], urllib3.PoolManager] = {}
        _library_log.addFilter(_mask_addresses)

    def send(self, request: Request) -> Response:
        """Send one request over a pooled connection."""
        deadline = time.monotonic() + request.timeout_s
        _check(request)
        with _told(request):
            answer = self._open(request)
            body = _read(answer, request, deadline)
        return Response(answer.status, joined(answer.headers.items()), body)

    @contextmanager
    def stream(self, request: Request) -> Generator[Stream]:
        """Send one request over a pooled connection, which is closed when the body was not read to its end."""
        _check(request)
        with _told(request):
            answer = self._open(request)
        chunks = _chunks(answer, request)
        try:
            yield Stream(answer.status, joined(answer.headers.items()), chunks)
        finally:
            chunks.close()
            answer.close()

    def _open(self, request: Request) -> urllib3.BaseHTTPResponse:
        manager: Any = self._manager(request)
        target = request.url
        if type(manager) is urllib3.PoolManager:  # no proxy: what else the manager does is for redirects alone
            address = _address(target)
            manager = manager.connection_from_host(address.host, address.port, address.scheme)
            target = address.request_uri
        answer: urllib3.BaseHTTPResponse = manager.urlopen(
            request.method,
            target,
            body=request.body,
            headers=dict(request.headers),
            timeout=urllib3.Timeout(total=request.timeout_s),
            retries=False,
            redirect=False,
            preload_content=False,
            decode_content=False,
            assert_same_host=False,
        )
        return answer

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
        secure = parts.scheme == "https" or proxy.startswith("https:")
        key = ("public" if request.public_only else proxy, secure)
        manager = self._managers.get(key)
        if manager is None:
            options: dict[str, Any] = {"num_pools": 64, "maxsize": self._connections_per_host}
            if secure:
                # Reading the certificates takes a while, and locks that a child would inherit if it forked meanwhile.
                options["ssl_context"] = ssl.create_default_context()
            manager = _proxied(proxy, options) if proxy else urllib3.PoolManager(**options)
            manager.pool_classes_by_scheme = _PUBLIC_POOLS if request.public_only else _POOLS
            manager = self._managers.setdefault(key, manager)
        return manager


def _mask_addresses(record: logging.LogRecord) -> bool:
    if isinstance(record.args, tuple):
        record.args = tuple(mask_url(arg) if isinstance(arg, str) and "?" in arg else arg for arg in record.args)
    return True


def _check(request: Request) -> None:
    problem = _url_problem(request.url)
    if _LINE_BREAK.search("".join(itertools.chain.from_iterable(request.headers.items()))):
        broken = [name for name, value in request.headers.items() if _LINE_BREAK.search(name + value)]
        problem = f"the header {broken[0]!r} holds a line break"
    if problem is not None:
        raise NetworkError(f"{request.method} {mask_url(request.url)}: {problem}", {"sent": False})


@functools.lru_cache(maxsize=64)  # a client asks the same address again and again
def _address(url: str) -> Url:
    return parse_url(url)


@functools.lru_cache(maxsize=64)
def _url_problem(url: str) -> str | None:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as err:
        return str(err)
    if parts.scheme not in {"http", "https"} or not parts.hostname or port == 0 or AMBIGUOUS.search(url):
        return "not an absolute http or https URL"
    return f"the host {_LINK_LOCAL}" if is_link_local(parts.hostname) else None


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
        while chunk := answer.read1(CHUNK_BYTES):
            chunks.append(chunk)
            size += len(chunk)
            check_size(size, request)
            if answer.length_remaining == 0:
                break
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


@contextmanager
def _told(request: Request) -> Generator[None]:
    """Raise what the library and the system raise as ``NetworkError``, saying which request it was."""
    try:
        yield
    except (urllib3.exceptions.HTTPError, OSError, ValueError) as err:
        raise NetworkError(
            f"{request.method} {mask_url(request.url)}: {_reason(err)}", {"sent": not _never_connected(err)}
        ) from err


def _chunks(answer: urllib3.BaseHTTPResponse, request: Request) -> Generator[bytes]:
    size = 0
    while True:
        with _told(request):
            sock = getattr(answer.connection, "sock", None)
            if sock is not None:
                sock.settimeout(request.timeout_s)
            chunk = answer.read1(CHUNK_BYTES)
            size += len(chunk)
            check_size(size, request)
        if not chunk:
            answer.release_conn()
            return
        yield chunk


def _never_connected(err: Exception) -> bool:
    return isinstance(err, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError)


def _reason(err: Exception) -> str:
    found = getattr(err, "reason", None)
    reason = found if isinstance(found, Exception) else err  # those of the standard library have a text there
    refused = isinstance(reason, urllib3.exceptions.NewConnectionError)  # urllib3 counts it among the timeouts
    if isinstance(reason, urllib3.exceptions.TimeoutError) and not refused:
        return "timed out"
    cause = reason.__cause__ or reason.__context__
    return mask_text(str(cause if isinstance(cause, OSError) else reason)) or type(reason).__name__
