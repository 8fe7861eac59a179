"""The connector on a platform in memory, and a stand-in for Segment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from flask import Flask, Response, request
from segment_connector.app import connect, create_app

from hull_sdk.testing import Harness

HOST_SECRET = "a secret of the host for tests"
#: An operator's settings for both directions.
BOTH_WAYS = {"write_key": "wk-1", "synchronized_segments": ["ALL"]}


class FakeSegment:
    """Keeps what its batch endpoint takes: each call once, by its ``messageId``."""

    def __init__(self) -> None:
        self.calls: dict[str, dict[str, Any]] = {}
        #: What the next requests are answered instead: a status, or ``None`` for "taken, but the answer is lost".
        self.failures: list[int | None] = []
        self.requests = 0
        self.received = 0
        self.api = Flask("stand_in_for_segment")
        self.api.add_url_rule("/v1/batch", view_func=self._batch, methods=["POST"])

    def _batch(self) -> Response:
        self.requests += 1
        failure = self.failures.pop(0) if self.failures else 200
        if failure is not None and failure != 200:
            return Response("not now", failure, {"Retry-After": "3"} if failure == 429 else {})
        assert request.authorization is not None
        assert (request.authorization.username, request.authorization.password) == ("wk-1", "")
        for call in request.get_json()["batch"]:
            self.received += 1
            self.calls.setdefault(call["messageId"], call)
        if failure is None:
            raise ConnectionResetError
        return Response('{"success": true}', 200, mimetype="application/json")

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

    def install(private: dict[str, Any] | None = None, **settings: Any) -> Harness:
        harness = Harness(create_app(connect(host_secret=HOST_SECRET)), private_settings=private, settings=settings)
        open_ones.append(harness)
        harness.service("api.segment.io", segment.api)
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
