"""The bundled server: waitress, with a stop that finishes what it has begun."""

from __future__ import annotations

import logging
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Final

from flask import Flask

from hull_sdk.core.logs import emit
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.middleware.shutdown import Shutdown
from hull_sdk.wire.notifications import MAX_BODY_BYTES

__all__ = ["DEFAULT_PORT", "port_of", "serve"]

DEFAULT_PORT: Final = 8082

_THREADS: Final = 8
_MAX_PORT: Final = 65_535
_POLL_S: Final = 1.0
_DRAIN_POLL_S: Final = 0.05
#: How long idle threads of the server are waited for, in seconds.
_THREADS_END_S: Final = 5.0

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)
#: So many signals say: do not wait.
_IMPATIENT: Final = 2

_log = logging.getLogger(__name__)


def port_of(value: int | str | None) -> int:
    """Read a port.

    Args:
        value: The option ``port`` or the variable ``PORT``; ``None`` or ``""`` for 8082, 0 for any free one.

    Raises:
        InvalidArgumentError: It is no port.
    """
    if value is None or value == "":
        return DEFAULT_PORT
    text = str(value).strip()
    if isinstance(value, bool) or not (text.isascii() and text.isdigit()) or int(text) > _MAX_PORT:
        raise InvalidArgumentError(f"port is {value!r}; it must be a whole number from 0 to {_MAX_PORT}")
    return int(text)


def serve(app: Flask, *, host: str, port: int, shutdown: Shutdown) -> int | None:
    """Serve an application until SIGTERM or an interrupt; requests that have begun are finished.

    Args:
        app: The application.
        host: Address to listen on.
        port: Port, 0 for any free one.
        shutdown: Begins with the first signal and says how long requests may still take; a second signal ends that.

    Returns:
        The signal that ended it.
    """
    import waitress.server  # noqa: PLC0415 - under another server it is never needed

    server: Any = waitress.server.create_server(
        app, host=host, port=port, threads=_THREADS, max_request_body_size=_max_body_bytes(app)
    )
    address = {"host": host, "port": int(server.effective_port)}
    emit(_log, logging.INFO, "connector.server.listen", address)
    with _signals(server.pull_trigger) as received:
        try:
            while not received:
                _poll(server, _POLL_S)
        finally:
            shutdown.begin()
            emit(_log, logging.INFO, "connector.server.stopping", {**address, "timeout_s": shutdown.left_s("senders")})
            _drain(server, shutdown, received)
            server.task_dispatcher.shutdown(timeout=min(_THREADS_END_S, shutdown.left_s("requests")))
            server.close()
    emit(_log, logging.INFO, "connector.server.stopped", address)
    return received[0] if received else None


def _max_body_bytes(app: Flask) -> int:
    limit = app.config["MAX_CONTENT_LENGTH"]
    return MAX_BODY_BYTES if limit is None else int(limit)


def _poll(server: Any, timeout_s: float) -> None:
    server.asyncore.loop(timeout=timeout_s, map=server._map, count=1)  # noqa: SLF001 - as the server's own run() does


def _drain(server: Any, shutdown: Shutdown, received: list[int]) -> None:
    server.accepting = False
    server.del_channel()
    server.socket.close()
    while _busy(server) and shutdown.left_s("requests") > 0.0 and len(received) < _IMPATIENT:
        _poll(server, _DRAIN_POLL_S)


def _busy(server: Any) -> bool:
    channels = list(server.active_channels.values())
    return any(channel.requests or channel.request or channel.total_outbufs_len for channel in channels)


@contextmanager
def _signals(wake: Callable[[], None]) -> Iterator[list[int]]:
    """Collect SIGTERM and interrupts in a list while the server runs; afterwards they take their usual course."""
    received: list[int] = []

    def note(number: int, _frame: Any) -> None:
        received.append(number)
        wake()

    before: dict[signal.Signals, Any] = {}
    try:
        for number in _STOPPING:
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, note)
    except ValueError:  # not the main thread: signals are somebody else's business
        yield received
        return
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
