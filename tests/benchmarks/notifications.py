"""The notifications that the benchmarks of connectors share: signed as the platform signs, sent and counted.

A notification holds 100 messages about users, some 226 KB. Each has an id and a signature of its own, made before the
clock runs. Whoever receives them keeps a *tally*: a file named by its process, with the number of messages that its
handler was given.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any, Final, Self

from method import Turn, percentile, processor_s

from hull_sdk.core import json
from hull_sdk.core.ids import SystemIds
from hull_sdk.wire.signatures import generate_key, public_pem, sign_notification, signature_headers

__all__ = ["MESSAGES", "Fleet", "Platform", "Tally", "fast", "stdlib_json"]

HERE: Final = Path(__file__).parent
#: Messages in a notification.
MESSAGES: Final = 100
#: Variable of the environment of who shall do without orjson.
WITHOUT_ORJSON: Final = "BENCHMARK_WITHOUT_ORJSON"
#: Where a tally is kept.
TALLIES: Final = "BENCHMARK_TALLIES"
_PATIENCE_S: Final = 60.0


class Platform:
    """Signs notifications and sends them; serves its public key."""

    def __init__(self) -> None:
        self._key = generate_key()
        self._ids = SystemIds()
        pem = public_pem(self._key).encode()
        self._keys = _KeyServer(pem)
        self._begin, self._end = _body()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._keys.close()

    @property
    def size_bytes(self) -> int:
        """Size of a notification's body."""
        return len(self._body_of(self._ids.uuid()))

    def sign(self, count: int) -> list[tuple[str, str]]:
        """Return ids and signatures for so many notifications."""
        ids = [self._ids.uuid() for _ in range(count)]
        return [(each, sign_notification(self._key, each, self._body_of(each), time.time())) for each in ids]

    def send(self, port: int, signed: list[tuple[str, str]], connections: int) -> list[float]:
        """Send notifications, one after the other on each connection; return how long each was answered, in seconds.

        Raises:
            SystemExit: One was not answered with ``next``.
        """
        shares = [signed[number::connections] for number in range(connections)]
        with ThreadPoolExecutor(connections) as pool:
            return list(itertools.chain(*pool.map(lambda share: list(self._send(port, share)), shares)))

    def is_verified(self, port: int, *, digest: bool) -> bool:
        """Tell whether somebody refuses a notification with the signature of another one.

        Args:
            port: Where it is sent.
            digest: ``True`` sends one that was changed after it was signed; the Node generation would take that.
        """
        (one_id, signature), (other_id, _) = self.sign(2)
        body = self._body_of(one_id).replace(b"enterprise", b"community!", 1) if digest else self._body_of(other_id)
        with _Connection(port) as connection:
            status, _ = connection.exchange(self._request(port, body, signature))
        return status >= 400

    def _send(self, port: int, signed: list[tuple[str, str]]) -> Iterator[float]:
        with _Connection(port) as connection:
            for notification_id, signature in signed:
                request = self._request(port, self._body_of(notification_id), signature)
                began = time.perf_counter()
                status, answer = connection.exchange(request)
                taken = time.perf_counter() - began
                if status != 200 or b'"next"' not in answer:
                    raise SystemExit(f"a notification was answered {status} {answer[:500]!r}; no figures")
                yield taken

    def _body_of(self, notification_id: str) -> bytes:
        return b"".join((self._begin, notification_id.encode(), self._end))

    def _request(self, port: int, body: bytes, signature: str) -> bytes:
        headers = {
            "Host": f"127.0.0.1:{port}",
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **signature_headers(signature, self._keys.url),
        }
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        return f"POST /notify HTTP/1.1\r\n{lines}\r\n".encode() + body


class Tally:
    """How many messages the handlers of a process were given, in a file that others read."""

    def __init__(self) -> None:
        self._folder = os.environ[TALLIES]
        self._lock = threading.Lock()
        self._count = 0
        self._file: int | None = None

    def add(self, count: int) -> None:
        """Count messages."""
        with self._lock:
            if self._file is None:
                self._file = os.open(f"{self._folder}/{os.getpid()}", os.O_CREAT | os.O_WRONLY)
            self._count += count
            os.pwrite(self._file, b"%020d" % self._count, 0)


class Fleet:
    """A server with its worker processes, and their tallies.

    Args:
        name: How tables call it.
        command: Serves on the socket ``fd://`` that stands for ``{fd}`` in it.
        environment: Variables of the environment, beside those of this process.
        quiet: ``True`` throws away what it says.
    """

    def __init__(self, name: str, command: list[str], environment: Mapping[str, str], *, quiet: bool = False) -> None:
        self.name = name
        self._folder = tempfile.TemporaryDirectory(prefix="tally-")
        listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port: int = listener.getsockname()[1]
        self._process = subprocess.Popen(
            [part.format(fd=listener.fileno()) for part in command],
            cwd=HERE,
            pass_fds=[listener.fileno()],
            env={**os.environ, **environment, TALLIES: self._folder.name},
            stderr=subprocess.DEVNULL if quiet else None,
        )
        listener.close()  # what connects meanwhile waits in the backlog of the one that was handed over

    @classmethod
    def gunicorn(cls, name: str, app: str, *options: str, quiet: bool = False, **environment: str) -> Self:
        """Start gunicorn as `hull new` does: threads, and its hook for workers.

        Args:
            name: How tables call it.
            app: For example ``"notify_process:ours()"``.
            *options: Of gunicorn.
            quiet: ``True`` throws its log away, which is written all the same.
            **environment: Variables of the environment.
        """
        start = [sys.executable, str(HERE / "gunicorn_process.py"), "--bind", "fd://{fd}", "--log-level", "warning"]
        return cls(name, [*start, *options, app], environment, quiet=quiet)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(_PATIENCE_S)
        self._folder.cleanup()

    def messages(self) -> int:
        """Return how many messages the handlers were given."""
        return sum(int(path.read_text(encoding="utf-8")) for path in self._tallies())

    def processor_s(self) -> float:
        """Return the processor time of the workers, in seconds."""
        return sum(processor_s(int(path.name)) for path in self._tallies())

    def peak_mb(self) -> float:
        """Return the most memory that a worker has had, in megabytes."""
        return max((_peak_mb(int(path.name)) for path in self._tallies()), default=0.0)

    def take_turn(self, platform: Platform, notifications: int, connections: int) -> Turn:
        """Have it handle notifications; the units of the turn are those that the handler was given whole."""
        signed = platform.sign(notifications)
        before, cpu_s, began = self.messages(), self.processor_s(), time.perf_counter()
        taken = platform.send(self.port, signed, connections)
        wall_s, cpu_s = time.perf_counter() - began, self.processor_s() - cpu_s
        handled, rest = divmod(self.messages() - before, MESSAGES)
        if rest:
            raise SystemExit(f"{self.name} was given {rest} messages too many or too few; no figures")
        p50, p99 = (percentile(taken, each) * 1000 for each in (50, 99))
        figures = {"p50_ms": p50, "p99_ms": p99, "peak_mb": self.peak_mb()}
        return Turn(count=handled, wall_s=wall_s, cpu_s=max(cpu_s, 0.01), figures=figures)

    def _tallies(self) -> list[Path]:
        return list(Path(self._folder.name).iterdir())


def fast() -> dict[str, str]:
    """Return the environment of a contender with orjson."""
    return {}


def stdlib_json() -> dict[str, str]:
    """Return the environment of a contender without orjson."""
    return {WITHOUT_ORJSON: "1"}


class _Connection:
    """A connection on which requests follow one another; nothing that a load generator has no use for."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def exchange(self, request: bytes) -> tuple[int, bytes]:
        """Send a request; return status and body of the answer."""
        self._socket.sendall(request)
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._some()
        head, _, body = data.partition(b"\r\n\r\n")
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        while len(body) < int(length.partition(b":")[2]):
            body += self._some()
        return int(head.split(b" ", 2)[1]), body

    def _some(self) -> bytes:
        data = self._socket.recv(65_536)
        if not data:
            raise SystemExit("the server closed the connection instead of answering; no figures")
        return data


class _KeyServer:
    """Answers every request with the public key."""

    def __init__(self, pem: bytes) -> None:
        class Visit(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(200)
                self.send_header("Content-Length", str(len(pem)))
                self.end_headers()
                self.wfile.write(pem)

            do_GET = do_POST  # noqa: N815 - the name that the library asks for

            def log_message(self, *_: Any, **_options: Any) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Visit)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/public_key/1"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _peak_mb(pid: int) -> float:
    with contextlib.suppress(FileNotFoundError):
        for line in Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def _body() -> tuple[bytes, bytes]:
    """Return what stands before and behind the id in a notification's body."""
    connector = {"id": "5a7966bb8f3ea30000000001", "name": "Counter", "type": "ship", "settings": {}}
    segments = [_segment(number) for number in range(5)]
    notification = {
        "configuration": {"id": connector["id"], "organization": "acme.hullapp.io", "secret": "a secret"},
        "connector": {**connector, "private_settings": {"synchronized_segments": [segments[0]["id"]]}},
        "channel": "user:update",
        "segments": segments,
        "users_segments": segments,
        "accounts_segments": segments[:1],
        "messages": [_message(number, segments) for number in range(MESSAGES)],
        "notification_id": "?",
    }
    begin, _, end = json.dumps(notification).rpartition(b'"?"')
    return begin + b'"', b'"' + end


def _segment(number: int) -> dict[str, Any]:
    at = "2024-01-05T10:00:01Z"
    segment_id = f"5a7966bb8f3ea3000000010{number}"
    return {"id": segment_id, "name": f"Segment {number}", "type": "users_segment", "created_at": at, "updated_at": at}


def _message(number: int, segments: list[dict[str, Any]]) -> dict[str, Any]:
    at, user_id = "2024-01-05T10:00:01Z", f"5a7966bb8f3ea31{number:09d}"
    user = {
        "id": user_id,
        "external_id": f"user-{number}",
        "email": f"ann.{number}@acme-{number}.example",
        "domain": f"acme-{number}.example",
        "anonymous_ids": [f"anonymous-{number}"],
        "name": f"Änn Example {number}",
        "created_at": at,
        "last_seen_at": at,
        "segment_ids": [segments[0]["id"], segments[1]["id"]],
        "is_approved": False,
        "accepts_marketing": True,
        "address_country": "France",
        "address_city": "Paris",
        "sessions_count": number % 30,
        "traits_plan": "enterprise",
        "traits_visits": 17 + number,
        "traits_score": 0.25 * number,
        "traits_salesforce/lead_status": "open",
        "traits_salesforce/owner_email": "owner@acme.example",
        "traits_hubspot/lifecycle_stage": "customer",
        "traits_interests": ["sailing", "cooking", "chess"],
        "traits_last_order_at": at,
        "traits_notes": "Asked for a call about the new contract next week. " * 7,
    }
    account = {
        "id": f"5a7966bb8f3ea32{number:09d}",
        "external_id": f"account-{number}",
        "domain": f"acme-{number}.example",
        "name": f"Acme {number}",
        "employees": 120 + number,
        "clearbit/industry": "Software",
        "created_at": at,
    }
    event = {
        "event_id": f"{number:032x}",
        "event": "Product viewed",
        "created_at": at,
        "event_source": "website",
        "event_type": "track",
        "user_id": user_id,
        "properties": {"sku": f"A-{number}", "price": 19.9, "currency": "EUR", "category": "books"},
        "context": {"ip": "192.0.2.7", "page": {"url": "https://acme.example/books", "referrer": None}},
    }
    return {
        "message_id": f"{number:040x}",
        "user": user,
        "account": account,
        "segments": segments[:2],
        "segment_ids": [each["id"] for each in segments[:2]],
        "account_segments": [],
        "account_segment_ids": [],
        "events": [event],
        "changes": {"is_new": False, "user": {"traits_visits": [16 + number, 17 + number]}, "account": {}},
    }
