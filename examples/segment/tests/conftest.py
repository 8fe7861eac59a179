"""The connector on a platform in memory, and a stand-in for Segment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Literal

import pytest
from flask import Flask, Response, request
from segment_connector.app import connect, create_app

from hull_sdk.errors import NetworkError
from hull_sdk.testing import Harness

HOST_SECRET = "a secret of the host for tests"
#: An operator's settings for both directions.
BOTH_WAYS = {"write_key": "wk-1", "synchronized_segments": ["ALL"]}


class Broken(BaseException):
    """Ends a connection; no ``Exception``, which Flask would turn into an answer."""


class FakeSegment:
    """Keeps what its batch endpoint takes: each call once, by its ``messageId``."""

    def __init__(self) -> None:
        self.calls: dict[str, dict[str, Any]] = {}
        #: What becomes of the next requests: a status, or how they end without one.
        self.failures: list[int | Literal["reset", "answer lost", "timeout"]] = []
        self.requests = 0
        self.received = 0
        self.api = Flask("stand_in_for_segment")
        self.api.add_url_rule("/v1/batch", view_func=self._batch, methods=["POST"])

    def _batch(self) -> Response:
        self.requests += 1
        failure = self.failures.pop(0) if self.failures else None
        if isinstance(failure, int):
            return Response("not now", failure, {"Retry-After": "3"} if failure == 429 else {})
        if failure == "reset":
            raise Broken("connection reset by peer")
        assert request.authorization is not None
        assert (request.authorization.username, request.authorization.password) == ("wk-1", "")
        for call in request.get_json()["batch"]:
            self.received += 1
            self.calls.setdefault(call["messageId"], call)
        if failure is not None:
            raise Broken("timed out" if failure == "timeout" else "the connection was closed without an answer")
        return Response('{"success": true}', 200, mimetype="application/json")

    def __call__(self, environ: Any, start_response: Any) -> Any:
        """Answer a request, or fail to, as the network tells it."""
        try:
            return self.api(environ, start_response)
        except Broken as broken:
            raise NetworkError(f"POST https://api.segment.io/v1/batch: {broken}", {"sent": True}) from None

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        """Return the calls of one type."""
        return [call for call in self.calls.values() if call["type"] == kind]


@pytest.fixture
def segment() -> FakeSegment:
    """Segment."""
    return FakeSegment()


@pytest.fixture
def installed(segment: FakeSegment) -> Iterator[Callable[..., Harness]]:
    """Install the connector with some settings; what is under way at that time is over."""
    open_ones: list[Harness] = []

    def install(
        private: dict[str, Any] | None = None, *, manifest: dict[str, Any] | None = None, **settings: Any
    ) -> Harness:
        app = create_app(connect(host_secret=HOST_SECRET))
        harness = Harness(app, manifest, private_settings=private, settings=settings)
        open_ones.append(harness)
        harness.service("api.segment.io", segment)
        harness.request("/credentials")
        harness.run_until_idle()
        return harness

    yield install
    for harness in open_ones:
        harness.close()


@pytest.fixture
def api_key() -> Callable[[Harness], str]:
    """Return what an operator copies to Segment."""
    return lambda harness: str(json.loads(harness.request("/credentials").body)["api_key"])
