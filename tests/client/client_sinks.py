"""Firehoses for tests: they apply each message id once, as the platform does, and fail as they are told to."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ID = "5a7962e2793d3e942a03b29a"
SECRET = "0123456789abcdef0123456789abcdef"
HOST = "acme.hullapp.test"
FIREHOSE_HOST = "firehose.hullapp.test"


def claims_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return the claims of a message's token, unverified."""
    part = message["headers"]["Hull-Access-Token"].split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


class Sink:
    """A WSGI firehose.

    ``script`` holds answers for the next requests: a status, ``"drop"`` (connection lost before the messages are
    taken), ``"lost"`` (after they are taken), a dict (the body of a 200 that takes all but what it lists under
    ``rejected``), or a function that returns one of these. An empty script takes everything.
    """

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.batches: list[list[dict[str, Any]]] = []
        self.accepted: list[dict[str, Any]] = []
        self.repeated = 0
        self.headers: dict[str, str] = {}
        self.answer_headers: list[tuple[str, str]] = []
        self.largest_batch = 10**9
        self._seen: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        headers = {k[5:].replace("_", "-").lower(): v for k, v in environ.items() if k.startswith("HTTP_")}
        status, answer = self.receive(json.loads(body), headers)
        if status is None:
            return []
        start_response(f"{status} X", [("Content-Type", "application/json"), *self.answer_headers])
        return [answer]

    def receive(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int | None, bytes]:
        """Take one batch; the status is ``None`` when the connection is to be dropped."""
        with self._lock:
            self.headers = headers
            batch = body["batch"]
            self.batches.append(batch)
            order = self.script.pop(0) if self.script else 200
            if callable(order):
                order = order()
            if len(batch) > self.largest_batch:
                order = 413
            if order == "drop" or (isinstance(order, int) and order != 200):
                return (None, b"") if order == "drop" else (order, b'{"message": "as told"}')
            if isinstance(order, dict):
                refused = {entry["index"] for entry in order.get("rejected", ())}
                self._take(message for index, message in enumerate(batch) if index not in refused)
                return 200, json.dumps(order).encode()
            self._take(batch)
            return (None, b"") if order == "lost" else (200, json.dumps({"accepted": len(batch)}).encode())

    def _take(self, batch: Iterable[dict[str, Any]]) -> None:
        for message in batch:
            if message["message_id"] in self._seen:
                self.repeated += 1
                continue
            self._seen.add(message["message_id"])
            self.accepted.append(message)

    def values(self, name: str = "n") -> list[Any]:
        """Return one attribute of all accepted ``traits`` messages, in order of arrival."""
        return [message["body"].get(name) for message in self.accepted]


class HangingSink(Sink):
    """A firehose that takes requests and does not answer until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()
        self.arrived = threading.Event()

    def receive(self, body: dict[str, Any], headers: dict[str, str]) -> tuple[int | None, bytes]:
        self.arrived.set()
        self.released.wait(60)
        return super().receive(body, headers)


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64
    sink: Sink

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that end in the middle are what is tested."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, answer = self.server.sink.receive(body, headers)
        if status is None:
            self.close_connection = True
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        for name, value in self.server.sink.answer_headers:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@contextlib.contextmanager
def served(sink: Sink) -> Iterator[str]:
    """Serve a sink on a free loopback port; yields the host with its port."""
    server = _Server(("127.0.0.1", 0), _Handler)
    server.sink = sink
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        if isinstance(sink, HangingSink):
            sink.released.set()
        server.shutdown()
        server.server_close()
        thread.join()


def until(condition: Callable[[], bool], timeout_s: float = 10.0) -> bool:
    """Wait for something that another thread or process does."""
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
