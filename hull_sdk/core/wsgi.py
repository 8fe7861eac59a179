"""The network within a process: requests run through WSGI applications in the caller's thread."""

from __future__ import annotations

import functools
import io
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

from hull_sdk.core.exchange import Network, Request, Response, check_size, joined
from hull_sdk.core.hosts import host_of
from hull_sdk.core.masking import mask_url
from hull_sdk.errors import NetworkError

__all__ = ["Exchange", "WsgiAnswer", "WsgiApp", "WsgiNetwork", "call_wsgi", "run_wsgi"]

WsgiApp = Callable[..., Iterable[bytes]]


@dataclass(frozen=True, slots=True)
class WsgiAnswer:
    """What an application answered.

    Args:
        status: For example ``"200 OK"``.
        headers: In the order of their coming.
        chunks: The body in pieces.
    """

    status: str
    headers: list[tuple[str, str]]
    chunks: list[bytes]


@dataclass(frozen=True, slots=True)
class Exchange:
    """A request and what came of it, as :class:`WsgiNetwork` records it."""

    request: Request
    response: Response | None
    at: float


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
        NetworkError: The application dropped the connection instead of answering, or its answer is too large.
    """
    answer = run_wsgi(app, _environ(request))
    if answer is None:
        raise NetworkError(f"{request.method} {mask_url(request.url)}: the connection was closed without an answer")
    # Joined with nothing, a single piece is copied: orjson leaves each text the page or two that it was written into,
    # and answers are recorded.
    body = b"" if request.method == "HEAD" else b"".join((*answer.chunks, b""))
    headers = joined(answer.headers)
    announced = headers.get("content-length", "")
    if announced.isdigit() and int(announced) > len(body) and request.method != "HEAD":
        raise NetworkError(f"{request.method} {mask_url(request.url)}: the connection was closed within the answer")
    check_size(len(body), request)
    return Response(int(answer.status.split(" ", 1)[0]), headers, body)


def run_wsgi(app: WsgiApp, environ: dict[str, Any]) -> WsgiAnswer | None:
    """Run an application to the end of its answer.

    Args:
        app: The application.
        environ: The request, as its server would describe it.

    Returns:
        The answer; ``None`` when it never began one.
    """
    begun: list[tuple[str, list[tuple[str, str]]]] = []
    chunks: list[bytes] = []

    def start_response(status: str, headers: list[tuple[str, str]], _exc_info: Any = None) -> Callable[[bytes], None]:
        begun.append((status, headers))
        return chunks.append

    result = app(environ, start_response)
    try:
        chunks.extend(result)
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()
    return WsgiAnswer(*begun[-1], chunks) if begun else None


@functools.lru_cache(maxsize=64)  # as in hosts
def _address(url: str) -> Mapping[str, str]:
    """Return what an environment says of the address that is called."""
    parts = urlsplit(url)
    return {
        "PATH_INFO": unquote_to_bytes(parts.path or "/").decode("latin-1"),
        "QUERY_STRING": parts.query,
        "SERVER_NAME": parts.hostname or "localhost",
        "SERVER_PORT": str(parts.port or (443 if parts.scheme == "https" else 80)),
        "HTTP_HOST": parts.netloc,
        "wsgi.url_scheme": parts.scheme,
    }


@functools.lru_cache(maxsize=256)  # requests have the same few headers
def _variable(header: str) -> str:
    """Return the name of a header in an environment."""
    name = header.upper().replace("-", "_")
    return name if name in {"CONTENT_TYPE", "CONTENT_LENGTH"} else f"HTTP_{name}"


def _environ(request: Request) -> dict[str, Any]:
    body = request.body or b""
    return {
        **_address(request.url),
        "REQUEST_METHOD": request.method,
        "SCRIPT_NAME": "",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "REMOTE_ADDR": "127.0.0.1",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.version": (1, 0),
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        **{_variable(name): value for name, value in request.headers.items()},
    }
