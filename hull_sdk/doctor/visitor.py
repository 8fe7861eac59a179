"""Requests to the connector, as anybody on the network could make them.

Unlike the package's other requests these may be malformed, larger than is allowed and answered before they were read,
so they are written to a connection of their own. Nothing is followed, and what comes back is bounded in size and time.
"""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

from hull_sdk.core import json
from hull_sdk.core.exchange import CHUNK_BYTES, joined
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock

__all__ = ["Answer", "Visitor"]

#: Largest part of an answer that is read, in bytes.
MAX_ANSWER_BYTES: Final = 1024 * 1024
#: Answers that are kept to be searched for secrets.
MAX_KEPT: Final = 2000


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Args:
        request: What was asked, for people: ``"POST /smart-notifier"``.
        status: ``None`` when nothing came.
        headers: Names in lower case; what came several times is joined.
        body: Its beginning.
        elapsed_s: How long it took, in seconds.
        error: Why nothing came, in words.
        is_notification: Whether it answers a notification.
    """

    request: str
    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    elapsed_s: float = 0.0
    error: str | None = None
    is_notification: bool = False

    @property
    def value(self) -> Any:
        """The decoded JSON, or ``None``."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def flow(self) -> str | None:
        """The type of the flow control in it, ``"next"`` or ``"retry"``, if there is one."""
        value = self.value
        control = value.get("flow_control") if isinstance(value, Mapping) else None
        kind = control.get("type") if isinstance(control, Mapping) else None
        return kind if isinstance(kind, str) else None

    @property
    def succeeded(self) -> bool:
        """``True`` for a status from 200 to 299."""
        return self.status is not None and 200 <= self.status < 300

    def __str__(self) -> str:
        what = f"status {self.status}" if self.error is None else self.error
        flow = "" if self.flow is None else f" and {self.flow!r}"
        return f"{self.request}: {what}{flow} after {self.elapsed_s:.1f} s"


class Visitor:
    """Makes requests to one connector.

    Args:
        url: Its address.
        runtime: Its clock is read.
    """

    def __init__(self, url: str, runtime: Runtime) -> None:
        parts = urlsplit(url)
        self.url: str = url.rstrip("/")
        self._secure = parts.scheme == "https"
        self._host = parts.netloc
        self._base = parts.path.rstrip("/")
        self._runtime = runtime
        self._lock = Lock()
        self._answers: list[Answer] = []

    @property
    def answers(self) -> list[Answer]:
        """The answers so far, in the order of their coming."""
        with self._lock:
            return list(self._answers)

    def ask(
        self,
        method: str,
        target: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | Iterable[bytes] | None = None,
        timeout_s: float = 10.0,
        is_notification: bool = False,
    ) -> Answer:
        """Make one request.

        Args:
            method: For example ``"POST"``.
            target: Path and query as they are sent, for example ``"/status?ship=5a79"``.
            headers: Beside ``Host``; ``Transfer-Encoding: chunked`` sends the body in chunks.
            body: Bytes, or several pieces of them.
            timeout_s: Longest wait in seconds.
            is_notification: Kept with the answer.

        Returns:
            The answer; it never raises for what happens on the way.
        """
        started = self._runtime.clock.monotonic()
        name = f"{method} {target.partition('?')[0]}"
        status, found, data, error = None, {}, b"", None
        connection = self._connection(timeout_s)
        try:
            response = self._exchange(connection, method, self._base + target, headers or {}, body)
            status, found = response.status, joined(response.getheaders())
            data = self._read(response, started + timeout_s)
        except (OSError, http.client.HTTPException, ValueError) as err:
            error = None if status is not None else f"no answer ({str(err) or type(err).__name__})"
        finally:
            connection.close()
        elapsed_s = self._runtime.clock.monotonic() - started
        answer = Answer(name, status, found, data, elapsed_s, error, is_notification)
        with self._lock:
            self._answers = [*self._answers[-MAX_KEPT:], answer]
        return answer

    def _connection(self, timeout_s: float) -> http.client.HTTPConnection:
        kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
        return kind(self._host, timeout=timeout_s)

    @staticmethod
    def _exchange(
        connection: http.client.HTTPConnection,
        method: str,
        target: str,
        headers: Mapping[str, str],
        body: bytes | Iterable[bytes] | None,
    ) -> http.client.HTTPResponse:
        chunked = "Transfer-Encoding" in headers
        # It may answer before it has read everything.
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.request(method, target, body=body, headers=dict(headers), encode_chunked=chunked)
        return connection.getresponse()

    def _read(self, response: http.client.HTTPResponse, until: float) -> bytes:
        pieces: list[bytes] = []
        while len(pieces) * CHUNK_BYTES < MAX_ANSWER_BYTES and self._runtime.clock.monotonic() < until:
            piece = response.read1(CHUNK_BYTES)
            if not piece:
                break
            pieces.append(piece)
        return b"".join(pieces)
