"""Customer.io's own library for Python and the connector, side by side."""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

import pytest
from flask import Flask, request
from werkzeug.serving import make_server

PERSONS = 40
EVENTS = ["Ordered", "Café visité", "page"]
SETTINGS = {
    "site_id": "site-1",
    "api_key": "key-1",
    "synchronized_segments": ["s-1"],
    "enable_user_deletion": True,
    "anonymous_events": True,
    "events_filter": EVENTS,
    "synchronized_attributes": ["plan", "seats", "tags", "address", "last_seen_at", "crm/stage"],
}
Call = tuple[str, str, str | None, str | None, Any]


class Recorder:
    """A server that keeps what it is asked: method, path, authentication, type and content."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        app = Flask("recorder")
        app.add_url_rule("/<path:path>", view_func=self._record, methods=["PUT", "POST", "DELETE"])
        self.server = make_server("127.0.0.1", 0, app, threaded=False)

    def _record(self, path: str) -> dict[str, Any]:  # noqa: ARG002 - the raw one keeps its escapes
        raw = request.environ["RAW_URI"]
        headers = request.headers
        self.calls.append(
            (request.method, raw, headers["Authorization"], headers["Content-Type"], request.get_json(force=True))
        )
        return {}


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    """A recording server on a free port."""
    found = Recorder()
    thread = Thread(target=found.server.serve_forever)
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture
def library(recorder: Recorder) -> Iterator[Any]:
    """The library, sending to the recorder."""
    customerio = pytest.importorskip("customerio", reason="needs the package customerio")
    client = customerio.CustomerIO("site-1", "key-1")
    assert client.base_url == "https://track.customer.io/api/v1"
    client.base_url = f"http://127.0.0.1:{recorder.server.server_port}/api/v1"
    yield client
    client.close()


def iso(moment: datetime) -> str:
    """Write a time as Hull does."""
    return moment.isoformat().replace("+00:00", "Z")


def at_random(source: random.Random) -> datetime:
    """Return a time."""
    return datetime.fromtimestamp(source.randrange(10**9, 2 * 10**9), UTC)


def person_at_random(source: random.Random, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a user of Hull, and what a developer would hand the library for the same person."""
    created, seen = at_random(source), at_random(source)
    told = {
        "plan": source.choice(["pro", "größer", ""]),
        "seats": source.choice([0, 3, 2.5]),
        "tags": source.choice([["a", "b"], []]),
        "address": {"city": "Wien", "zip": [1010]},
    }
    user = {
        "id": f"5a7962e2793d3e942a{number:06}",
        "external_id": source.choice(["u-{}", "a/b {}", "ü@{}", "50%{}?#"]).format(number),
        "email": f"u{number}@acme.example",
        "created_at": iso(created),
        "traits_last_seen_at": iso(seen),
        "traits_crm/stage": "lead",
        **{f"traits_{name}": value for name, value in told.items()},
    }
    attributes = {
        "email": user["email"],
        "created_at": created,
        "hull_segments": ["Pro"],
        "anonymous_id": user["id"],
        **told,
        "last_seen_at": seen,
        "crm-stage": "lead",
    }
    return user, attributes


def event_at_random(source: random.Random, number: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return an event of Hull, and what a developer would hand the library for the same one."""
    happened, name = at_random(source), source.choice(EVENTS)
    event_id = "".join(source.choice("0123456789ABCDEFGHJKMNPQRSTVWXYZ") for _ in range(25))
    properties = {"total": number / 4, "items": [{"sku": "ß"}], "note": None}
    event = {"event": name, "event_id": f"0{event_id}", "created_at": iso(happened), "properties": properties}
    if name == "page":
        event["properties"] = {**properties, "url": f"https://acme.example/{number}?a=ü"}
    return event, {"name": name, "data": event["properties"], "id": event["event_id"], "timestamp": happened}


def with_library(library: Any, person: Any, event: dict[str, Any]) -> None:
    """Send an event of a customer, a page view as such."""
    if event["name"] == "page":
        library.pageview(person, event["data"]["url"], **event["data"])
    else:
        library.track(person, **event)


def calls_of(harness: Any) -> list[Call]:
    """Return what the connector sent, as the recorder would have it."""
    found = []
    for each in harness.outgoing:
        sent, parts = each.request, urlsplit(each.request.url)
        assert parts.hostname == "track.customer.io"
        headers = {name.lower(): value for name, value in sent.headers.items()}
        json = Flask("json").json.loads(sent.body)
        found.append((sent.method, parts.path, headers["authorization"], headers["content-type"], json))
    return found


def without_what_the_library_cannot_say(calls: list[Call]) -> list[Call]:
    """Leave out id and time of page views: the library has no arguments for them."""
    found = []
    for method, path, authorization, kind, body in calls:
        if body.get("type") == "page":
            body = {name: value for name, value in body.items() if name not in ("id", "timestamp")}  # noqa: PLW2901
        found.append((method, path, authorization, kind, body))
    return found


def test_library_and_connector_make_the_same_requests(installed, recorder, library):
    """For the same persons and events method, address, credentials, type and content are equal, call by call."""
    harness = installed(**SETTINGS)
    harness.platform.pause()  # it knows nothing of the segments of these notifications
    source = random.Random(1)  # noqa: S311 - repeatable on purpose
    segment = {"id": "s-1", "name": "Pro"}
    for number in range(PERSONS):
        (user, attributes), (event, told) = person_at_random(source, number), event_at_random(source, number)
        kind = number % 4
        if kind == 0:  # a new person, with an event
            harness.notify(
                "user:update", [{"user": user, "segments": [segment], "segment_ids": ["s-1"], "events": [event]}]
            )
            library.identify(user["external_id"], **attributes)
            with_library(library, user["external_id"], told)
        elif kind == 1:  # a known one that has lost an attribute
            known = {**user, "traits_plan": None, "traits_customerio/created_at": "2026-05-01T10:00:00Z"}
            harness.notify("user:update", [{"user": known, "segments": [segment], "segment_ids": ["s-1"]}])
            library.identify(user["external_id"], **{**attributes, "plan": ""})
        elif kind == 2:  # one that leaves
            known = {**user, "traits_customerio/id": user["external_id"], "traits_customerio/created_at": "2026-05-01"}
            harness.notify("user:update", [{"user": known}])
            library.delete(user["external_id"])
        else:  # somebody unknown
            unknown = {"id": user["id"], "anonymous_ids": [f"a-{number}"]}
            harness.notify(
                "user:update", [{"user": unknown, "segments": [segment], "segment_ids": ["s-1"], "events": [event]}]
            )
            if event["event"] != "page":
                library.track_anonymous(f"a-{number}", **told)
            else:  # the library has no anonymous page views
                recorder.calls.append(calls_of(harness)[-1])
    ours = without_what_the_library_cannot_say(calls_of(harness))
    theirs = without_what_the_library_cannot_say(recorder.calls)
    assert ours == theirs
    assert {method for method, *_ in ours} == {"PUT", "POST", "DELETE"}
    assert len(ours) == PERSONS + PERSONS // 4
