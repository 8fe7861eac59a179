"""The connector on a platform in memory, and a stand-in for Customer.io."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pytest
from customerio_connector.app import connect, create_app
from flask import Flask, Response, request

from hull_sdk.testing import Harness

HOST_SECRET = "a secret of the host for tests"
#: An operator's settings that send everybody.
SENDING = {"site_id": "site-1", "api_key": "key-1", "synchronized_segments": ["ALL"]}


class FakeCustomerio:
    """Keeps persons, and each event once, by its ``id``."""

    def __init__(self) -> None:
        self.customers: dict[str, dict[str, Any]] = {}
        self.events: dict[str, dict[str, Any]] = {}
        self.deleted: list[str] = []
        #: What the next requests are answered instead: a status, or why they are taken and not answered.
        self.failures: list[int | str] = []
        #: Lets time pass for who waits for an answer.
        self.sleep: Callable[[float], None] | None = None
        self.requests = 0
        self.received = 0
        self.api = Flask("stand_in_for_customerio")
        self.api.before_request(self._check)
        self.api.add_url_rule("/auth", view_func=lambda: {"meta": {}})
        self.api.add_url_rule(
            "/api/v1/customers/<path:customer_id>", view_func=self._customer, methods=["PUT", "DELETE"]
        )
        self.api.add_url_rule("/api/v1/customers/<path:customer_id>/events", view_func=self._event, methods=["POST"])
        self.api.add_url_rule("/api/v1/events", view_func=self._event, methods=["POST"])

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Answer a request, as a WSGI application; an empty answer is a connection that ends."""
        self.requests += 1
        failure = self.failures.pop(0) if self.failures else 200
        if isinstance(failure, str):
            list(self.api(environ, lambda *_: None))
            if failure == "timeout" and self.sleep is not None:
                self.sleep(8)
            return []
        answer = self.api
        if failure != 200:
            answer = Response("not now", failure, {"Retry-After": "3"} if failure == 429 else {})
        return answer(environ, start_response)

    def _check(self) -> Response | None:
        given = request.authorization
        right = given is not None and (given.username, given.password) == ("site-1", "key-1")
        return None if right else Response("unauthorized", 401)

    def _customer(self, customer_id: str) -> dict[str, Any]:
        if request.method == "DELETE":
            self.customers.pop(customer_id, None)
            self.deleted.append(customer_id)
            return {}
        sent = {**self.customers.get(customer_id, {}), **request.get_json()}
        self.customers[customer_id] = {name: value for name, value in sent.items() if value not in ("", None)}
        return {}

    def _event(self, customer_id: str | None = None) -> dict[str, Any]:
        event = request.get_json()
        self.received += 1
        self.events.setdefault(event["id"], {**event, "customer_id": customer_id})
        return {}


@pytest.fixture
def customerio() -> FakeCustomerio:
    """Customer.io."""
    return FakeCustomerio()


@pytest.fixture
def installed(customerio: FakeCustomerio) -> Iterator[Callable[..., Harness]]:
    """Install the connector with some settings; what is under way at that time is over."""
    open_ones: list[Harness] = []

    def install(**private: Any) -> Harness:
        harness = Harness(create_app(connect(host_secret=HOST_SECRET)), private_settings=private)
        open_ones.append(harness)
        harness.service("track.customer.io", customerio)
        customerio.sleep = harness.platform.runtime.tasks.sleep
        harness.run_until_idle()
        return harness

    yield install
    for harness in open_ones:
        harness.close()
