"""Batch extracts end to end: asked for, written, fetched, and handed to the same functions as notifications."""

from __future__ import annotations

import pytest
from flask import Flask

from hull_sdk import Connector
from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.handlers import action_handler, smart_notifier_handler
from hull_sdk.testing import Harness

MANIFEST = {"name": "Sender", "tags": ["smart-notifier", "batch", "batch-accounts"], "subscriptions": []}
QUERY = {"term": {"traits_plan.raw": "pro"}}


class World:
    """A connector that keeps what it is handed."""

    def __init__(self) -> None:
        self.batches: list[tuple[list, dict | None, bool]] = []
        self.ask: dict = {}
        self.fail = lambda _messages: None
        app = Flask("sender")
        handler = smart_notifier_handler({"user:update": self.on, "account:update": self.on}, max_size=2)
        for path in ("/batch", "/batch-accounts"):
            app.register_blueprint(self.handler() if path == "/batch" else handler, url_prefix=path)
        app.register_blueprint(action_handler(self.request), url_prefix="/ask")
        self.app = Connector(host_secret="a secret of the host for tests", manifest=MANIFEST).setup_app(app)

    def handler(self):
        return smart_notifier_handler({"user:update": self.on}, max_size=2)

    def on(self, ctx, messages, batch):
        self.batches.append((messages, batch, ctx.is_batch))
        self.fail(messages)
        for message in messages:
            if "user" in message:
                ctx.client.as_user(message["user"]).traits({"seen": True})

    def request(self, ctx, _request):
        segment = next((s for s in ctx.segments if s["name"] == self.ask.get("segment")), None)
        ctx.helpers.request_extract(**{**self.ask, "segment": segment})

    def emails(self):
        return [message["user"]["email"] for messages, _, _ in self.batches for message in messages]


@pytest.fixture
def sender():
    """A connector with endpoints for batches and one that asks for an extract."""
    return World()


@pytest.fixture
def harness(sender):
    """The connector on a platform with five people, four of them in the segment Pro, and their accounts."""
    with Harness(sender.app, private_settings={"synchronized_segments": []}) as harness:
        harness.organization.create_segment("users_segment", "Pro", query=QUERY)
        for number in range(5):
            user = harness.client.as_user({"email": f"p{number}@acme.example"})
            user.traits({"plan": "pro" if number else "free", "name": 'Ünï "x",\n'})
            user.account({"domain": "acme.example"}).traits({"tier": 1})
            harness.run_until_idle()
        yield harness


@pytest.mark.parametrize("file_format", ["json", "csv"])
@pytest.mark.shows(
    "helpers.handleExtract", "helpers.requestExtract", "manifest tag: batch", "requestExtract option: segment"
)
def test_a_requested_extract_reaches_the_handler_in_parts(sender, harness, file_format):
    """What the segment holds arrives in parts of max_size, with query and body, and what is written is accepted."""
    sender.ask = {"segment": "Pro", "format": file_format, "additional_query": {"why": "test"}}
    assert harness.request("/ask").body == b"ok"
    harness.run_until_idle()
    assert sender.emails() == [f"p{n}@acme.example" for n in range(1, 5)]
    assert [len(messages) for messages, _, _ in sender.batches] == [2, 2]
    messages, batch, is_batch = sender.batches[0]
    message = messages[0]
    assert is_batch is True
    assert batch["query"]["source"] == "connector"
    assert batch["query"]["why"] == "test"
    assert batch["query"].keys() == {"source", "why", "segment_id"}
    assert (batch["body"]["format"], batch["body"]["object_type"]) == (file_format, "user_report")
    assert [segment["name"] for segment in message["segments"]] == ["Pro"]
    assert message["user"]["name"] == 'Ünï "x",\n'
    assert message["user"]["segment_ids"] == message["segment_ids"]
    assert "account" not in message["user"]
    assert message["account"]["domain"] == "acme.example"
    assert (message["events"], message["changes"]["is_new"], message["matches_filter"]) == ([], False, False)
    assert harness.user({"email": "p1@acme.example"})["traits_seen"] is True
    assert [(run.outcome, run.rows, run.status) for run in harness.platform.extract_runs] == [("done", 4, 200)]


def test_a_batch_from_the_dashboard_matches_whatever_the_filter(sender, harness):
    """A segment that is sent by hand carries no source, so every message matches the filter."""
    segment = harness.organization.users_segments()[0]
    harness.organization.send_batch(harness.connector, segment)
    harness.run_until_idle()
    assert len(sender.emails()) == 4
    assert all(message["matches_filter"] for messages, _, _ in sender.batches for message in messages)
    assert sender.batches[0][1]["query"]["segment_id"] == segment["id"]


@pytest.mark.shows("manifest tag: batch-accounts")
def test_accounts_are_sent_to_their_own_endpoint(sender, harness):
    """The tag batch-accounts sends accounts, whose messages have no user."""
    harness.organization.send_batch(harness.connector, kind="account")
    harness.run_until_idle()
    ((messages, batch, _),) = sender.batches
    assert batch["body"]["channel"] == "account:extract"
    assert [(m["account"]["domain"], m["account"]["tier"], "user" in m) for m in messages] == [
        ("acme.example", 1, False)
    ]


@pytest.mark.parametrize("error", [TransientError("busy"), ValueError("broken")])
def test_a_part_that_fails_is_tried_again_and_the_finished_ones_are_not(sender, harness, error):
    """The job begins again with the part that failed."""
    failures = [error]

    def fail(messages):
        if messages[0]["user"]["email"].startswith("p3") and failures:
            raise failures.pop()

    sender.fail = fail
    harness.organization.send_batch(harness.connector, harness.organization.users_segments()[0])
    harness.run_until_idle()
    assert sender.emails() == [f"p{n}@acme.example" for n in (1, 2, 3, 4, 3, 4)]
    ids = [[message["message_id"] for message in messages] for messages, _, _ in sender.batches]
    assert ids[1] == ids[2]
    assert [log for log in harness.logs if log["event"] == "connector.batch.error"] == []


@pytest.mark.shows_secrets("error", reason="an error of its own with a token in its text, of which no log may tell")
def test_a_batch_that_keeps_failing_is_given_up_and_logged(sender, harness):
    """After the last try the log says which batch was given up and why, and names no secret."""

    def fail(_messages):
        raise TransientError(f"no secret={harness.connector.secret}")

    sender.fail = fail
    harness.organization.send_batch(harness.connector)
    harness.run_until_idle()
    (log,) = [log for log in harness.logs if log["event"] == "connector.batch.error"]
    assert log["fields"]["object_type"] == "user_report"
    assert len(sender.batches) == 3
    assert all(harness.connector.secret not in str(each) for each in harness.logs)


def test_a_connector_without_the_tag_takes_no_batches(harness):
    """Only a manifest with the tag offers it, and only known segments can be sent."""
    plain = harness.organization.install("https://other.test", manifest={"name": "Plain"})
    with pytest.raises(InvalidArgumentError, match="tag 'batch'"):
        harness.organization.send_batch(plain)
    with pytest.raises(InvalidArgumentError, match="no segment"):
        harness.organization.send_batch(harness.connector, "5b0000000000000000000009")


def test_the_same_seed_gives_the_same_extracts():
    """Extracts are part of the run that repeats."""

    def run() -> bytes:
        with Harness(World().app, seed=3) as harness:
            harness.client.as_user({"email": "a@acme.example"}).traits({"plan": "pro"})
            harness.run_until_idle()
            harness.organization.send_batch(harness.connector)
            harness.run_until_idle()
            return harness.snapshot()

    assert run() == run()
