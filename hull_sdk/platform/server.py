"""Serving a platform, or any WSGI application beside it, over HTTP with waitress."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, Final

from waitress import wasyncore
from waitress.server import create_server
from waitress.task import ThreadedTaskDispatcher

from hull_sdk.core.net import is_loopback
from hull_sdk.core.tasks import Future, Lock, Tasks
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.platform import Platform

__all__ = ["RunningServer", "serve", "serve_app"]

_THREADS: Final = 16
#: Longest wait for the server to end, in seconds.
_CLOSE_S: Final = 5.0
#: Longest sleep of its loop, which whatever happens ends, in seconds.
_POLL_S: Final = 1.0
#: Longest wait for those of its threads that still answer, in seconds.
_THREADS_END_S: Final = 1.0
#: Waitress reads up to this many bytes; the API itself answers 413 far below.
_MAX_BODY_BYTES: Final = 64 * 1024 * 1024
#: Addresses that listen everywhere and cannot be dialled.
_WILDCARDS: Final = frozenset({"0.0.0.0", "::", "*", ""})  # noqa: S104 - compared with, not listened on


class RunningServer:
    """An application that answers over HTTP until :meth:`close` is called.

    Args:
        server: The listening waitress server.
        channels: Its open sockets, by number.
        tasks: Runs it.
        address: ``host:port`` under which it is dialled.
    """

    def __init__(self, server: Any, channels: dict[int, Any], tasks: Tasks, address: str) -> None:
        self.address = address
        #: For example ``"http://127.0.0.1:3000"``.
        self.url: str = f"http://{address}"
        self._server = server
        self._channels = channels
        self._tasks = tasks
        self._lock = Lock()
        self._closing = False
        self._ended: Future[None] = self._tasks.spawn(self._run, name="hull-platform-server")

    def close(self) -> None:
        """Stop listening and end open connections; requests under way are cut off. More calls change nothing."""
        with self._lock:
            closing, self._closing = self._closing, True
        if not closing:
            with suppress(OSError):  # it has ended by itself
                self._server.pull_trigger()
        self._tasks.wait(self._ended, _CLOSE_S)

    def _run(self) -> None:
        server = self._server
        try:
            while not self._closing:
                server.asyncore.loop(timeout=_POLL_S, map=self._channels, count=1)
        finally:
            server.del_channel()
            server.socket.close()
            for channel in list(server.active_channels.values()):
                channel.close()
            # A thread that has just answered still wakes the loop, by a file whose number another may get once closed.
            server.task_dispatcher.shutdown(timeout=_THREADS_END_S)
            server.close()


def serve(platform: Platform, host: str = "127.0.0.1", port: int = 0, *, address: str | None = None) -> RunningServer:
    """Serve a platform over HTTP.

    Args:
        platform: What to serve; it must run on real time.
        host: Where to listen, one name or number.
        port: Port, 0 for a free one.
        address: ``host:port`` that connectors dial, when it is another one than where the server listens.

    Returns:
        The running server, with ``url`` and ``close()``; ``platform.address`` is set.

    Raises:
        InvalidArgumentError: The platform runs on a virtual clock, or the address cannot be listened on.
    """
    if platform.runtime.tasks.virtual:
        raise InvalidArgumentError(
            "a platform on a virtual clock cannot be served over HTTP; make it with Platform(), or call its wsgi_app"
        )
    platform.load_app()  # here rather than within the first request
    server = serve_app(platform.wsgi_app, platform.runtime.tasks, host, port, address=address)
    platform.address = server.address
    return server


def serve_app(
    app: Callable[..., Iterable[bytes]],
    tasks: Tasks,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    address: str | None = None,
) -> RunningServer:
    """Serve a WSGI application in the background.

    Args:
        app: The application.
        tasks: Threads to run it on.
        host: Where to listen, one name or number.
        port: Port, 0 for a free one.
        address: ``host:port`` under which it is dialled, when that is another one.

    Returns:
        The running server, with ``url`` and ``close()``.

    Raises:
        InvalidArgumentError: The address cannot be listened on.
    """
    logging.getLogger("waitress").setLevel(logging.ERROR)
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    channels: dict[int, Any] = {}
    workers = ThreadedTaskDispatcher()
    workers.set_thread_count(_THREADS)
    try:
        server: Any = create_server(
            app,
            map=channels,
            _dispatcher=workers,
            host=_one_address(host),
            port=port,
            ident="hull",
            max_request_body_size=_MAX_BODY_BYTES,
            clear_untrusted_proxy_headers=True,
        )
    except (OSError, ValueError) as err:
        workers.shutdown()
        wasyncore.close_all(channels)
        raise InvalidArgumentError(f"cannot listen on {host}:{port}: {err}; choose another host or port") from err
    return RunningServer(
        server, channels, tasks, f"{_dialled(host)}:{server.effective_port}" if address is None else address
    )


def _one_address(host: str) -> str:
    """Return a host that names one address, since a name with two would listen on two free ports."""
    return "127.0.0.1" if host == "localhost" else host


def _dialled(host: str) -> str:
    if host in _WILDCARDS:
        return "127.0.0.1"
    if ":" in host:
        return f"[{host}]"
    return "127.0.0.1" if is_loopback(host) and host == "localhost" else host
