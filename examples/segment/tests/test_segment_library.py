"""Segment's own library for Python, through a relay that forwards each message as Segment does."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import random
from collections import Counter
from datetime import UTC, datetime
from threading import Thread
from typing import Any, Self

import pytest
from flask import Flask, request
from werkzeug.serving import make_server

CALLS = 1000
SECRET = "hush"
ALL_ON = {"handle_pages": True, "handle_screens": True, "handle_accounts": True}


class Relay:
    """Takes what the library sends over HTTP, and brings each message on: one request each, in their order."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        app = Flask("relay")
        app.add_url_rule("/v1/batch", view_func=self._take, methods=["POST"])
        self._server = make_server("127.0.0.1", 0, app, threaded=False)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _take(self) -> dict[str, bool]:
        body = request.get_json(force=True)
        for message in body["batch"]:
            # What Segment adds on its way.
            received = datetime.now(UTC).isoformat()
            times = {"receivedAt": received, "sentAt": body["sentAt"], "originalTimestamp": message["timestamp"]}
            self.messages.append({**message, **times, "version": 2, "channel": "server"})
        return {"success": True}

    def bring_all(self, harness: Any, key: str) -> None:
        """Bring the messages to the connector: signed, and again what is not answered with success."""
        key_header = "Basic " + base64.b64encode(f"{key}:".encode()).decode()
        for message in self.messages:
            body = json.dumps(message).encode()
            signature = hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
            headers = {"Authorization": key_header, "X-Signature": signature, "Content-Type": "application/json"}
            for _ in range(5):
                if harness.request("/segment", body=body, headers=headers, credentials=False).status == 200:
                    break
                harness.advance(minutes=1)
            else:
                pytest.fail("a message was refused five times")


class Model:
    """What Hull has to hold after the calls, reckoned apart from the connector."""

    def __init__(self) -> None:
        self.users: dict[str, dict[str, Any]] = {}
        self.accounts: dict[str, dict[str, Any]] = {}
        self.links: dict[str, str] = {}
        self.events: Counter[str] = Counter()

    def event(self, user: str, name: str, properties: dict[str, Any]) -> None:
        """Count an event."""
        self.users.setdefault(user, {})
        self.events[json.dumps([user, name, properties], sort_keys=True)] += 1


def call_at_random(client: Any, model: Model, number: int, source: random.Random) -> None:
    """Make one call with the library, and note what it means."""
    user, group = f"u-{source.randrange(60)}", f"g-{source.randrange(12)}"
    kind = source.choice(["identify", "group", "track", "track", "page", "screen", "alias"])
    if kind == "identify":
        traits = {source.choice(["plan", "city", "seats"]): source.choice(["a", "b", "c"]), "last": number}
        client.identify(user, traits)
        model.users.setdefault(user, {}).update(traits)
    elif kind == "group":
        traits = {"industry": source.choice(["x", "y"]), "last": number}
        client.group(user, group, traits)
        model.users.setdefault(user, {})
        model.accounts.setdefault(group, {}).update(traits)
        model.links[user] = group
    elif kind == "track":
        properties = {"number": number, "total": source.randrange(100) / 4}
        client.track(user, f"Event {number % 7}", properties)
        model.event(user, f"Event {number % 7}", properties)
    elif kind == "alias":
        client.alias(f"old-{number}", user)
    else:
        getattr(client, kind)(user, None, f"Title {number % 5}", {"number": number})
        model.event(user, kind, {"number": number, "name": f"Title {number % 5}"})


def test_a_thousand_calls_of_the_library_agree_exactly(installed, api_key):
    """Users, accounts, links and events are those of the calls and no others, also when the platform stumbles."""
    library = pytest.importorskip("segment.analytics", reason="needs segment-analytics-python")
    harness = installed({"shared_secret": SECRET}, **ALL_ON)
    model, source, failed = Model(), random.Random(1), []  # noqa: S311 - repeatable on purpose
    with Relay() as relay:
        client = library.Client(write_key="wk-1", host=relay.url, on_error=lambda *args: failed.append(args))
        for number in range(CALLS):
            call_at_random(client, model, number, source)
        client.flush()
        client.join()
    assert (len(relay.messages), failed) == (CALLS, [])
    harness.platform.faults.add("error", target="firehose", status=503, times=3)
    harness.platform.faults.add("drop_after", target="firehose", times=3)
    relay.bring_all(harness, api_key(harness))
    harness.run_until_idle()
    state = harness.platform.state()
    assert_entities(model, state)
    assert_events(harness, model, relay.messages)


def assert_entities(model, state):
    """Users and accounts are those of the model, with its attributes and links and no others."""
    (organization,) = state["organizations"].values()
    assert attributes_of(organization["users"]) == model.users
    assert attributes_of(organization["accounts"]) == model.accounts
    names = {account["id"]: account["external_id"] for account in organization["accounts"]}
    links = {user["external_id"]: names[user["account_id"]] for user in organization["users"] if user["account_id"]}
    assert links == model.links


def attributes_of(entities):
    """Return what was written to each, by its external id; the platform adds when it saw it first."""
    return {
        each["external_id"]: {name: value for name, value in each["attributes"].items() if name != "created_at"}
        for each in entities
    }


def assert_events(harness, model, messages):
    """Every event of the model is there as often as it was called, under its own id, and nothing else from Segment."""
    found: Counter[str] = Counter()
    ids = []
    for user in model.users:
        for event in harness.events({"external_id": user}):
            if event["event_source"] == "segment":
                found[json.dumps([user, event["event"], event["properties"]], sort_keys=True)] += 1
                ids.append(event["event_id"])
    assert found == model.events
    assert sorted(ids) == sorted(each["messageId"] for each in messages if each["type"] in ("track", "page", "screen"))
