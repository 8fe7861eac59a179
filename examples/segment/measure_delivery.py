"""Compares what the library ``segment-analytics-python`` and the batches of this connector promise.

``python -m pip install segment-analytics-python && python measure_delivery.py`` in this folder; the README quotes it.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Callable
from threading import Lock, Thread
from types import SimpleNamespace
from typing import Any

import segment.analytics as library  # type: ignore[import-untyped]  # it has no types
from flask import Flask, request
from segment_connector.segment_api import SegmentApi, batches, encoded
from werkzeug.serving import WSGIRequestHandler, make_server

CALLS = 1000
#: What a call over the internet takes.
LATENCY_S = 0.05


class Service:
    """Counts what arrives; a batch with a call that it refuses is answered 400."""

    def __init__(self) -> None:
        self.received: set[str] = set()
        self.requests = 0
        self._lock = Lock()
        app = Flask("service")
        app.add_url_rule("/v1/batch", view_func=self._take, methods=["POST"])
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=_Quiet)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        Thread(target=self._server.serve_forever, daemon=True).start()

    def _take(self) -> tuple[str, int]:
        time.sleep(LATENCY_S)
        batch = request.get_json(force=True)["batch"]
        with self._lock:
            self.requests += 1
            if any(call["event"] == "refused" for call in batch):
                return "no", 400
            self.received.update(call["messageId"] for call in batch)
        return "{}", 200


class _Quiet(WSGIRequestHandler):
    def log(self, *_args: Any) -> None:
        """Say nothing."""


def call(number: int) -> dict[str, Any]:
    """Return one call."""
    return {"type": "track", "userId": "u", "messageId": f"m-{number}", "event": "Ordered", "properties": {"n": number}}


def with_library(url: str, *, sync_mode: bool) -> Any:
    """Make all calls with the library; return its client."""
    client = library.Client("wk", host=url, sync_mode=sync_mode)
    for number in range(CALLS):
        client.track("u", "Ordered", {"n": number}, message_id=f"m-{number}")
    return client


def with_batches(url: str) -> None:
    """Send all calls as the connector does."""
    os.environ["SEGMENT_API_URL"] = f"{url}/v1"
    api = SegmentApi(SimpleNamespace(runtime=None, metric=None), "wk")  # type: ignore[arg-type]  # all that it uses
    for batch in batches((str(number), encoded(call(number))) for number in range(CALLS)):
        api.send([text for _, text in batch])


def measured(name: str, send: Callable[[str], Any]) -> None:
    """Say how long the calls took, and what the service had when they returned."""
    service = Service()
    began = time.perf_counter()
    send(service.url)
    took, there, requests = time.perf_counter() - began, len(service.received), service.requests
    sys.stdout.write(f"{name}: {took:.2f} s, {there} of {CALLS} there when it returns, {requests} requests\n")


def killed() -> None:
    """Kill a process that has made all calls and believes in them."""
    service = Service()
    child = os.fork()
    if child == 0:
        with_library(service.url, sync_mode=False)
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    time.sleep(1)
    sys.stdout.write(f"library, killed after its calls returned: {len(service.received)} of {CALLS} arrive\n")


def refused() -> None:
    """Send a call that the service refuses among 999 good ones."""
    service = Service()
    client = library.Client("wk", host=service.url)
    for number in range(CALLS):
        name = "refused" if number == CALLS // 2 else "Ordered"
        client.track("u", name, {"n": number}, message_id=f"m-{number}")
    client.shutdown()
    sys.stdout.write(f"library, one call refused: {len(service.received)} of {CALLS} arrive\n")


if __name__ == "__main__":
    killed()
    measured("library", lambda url: with_library(url, sync_mode=False))
    measured("library, then flush()", lambda url: with_library(url, sync_mode=False).flush())
    measured("library, sync_mode", lambda url: with_library(url, sync_mode=True))
    measured("batches over HTTP", with_batches)
    refused()
