"""Legacy notifications end to end: a connector without the tag for smart delivery is told one message at a time."""

from __future__ import annotations

import json

import pytest
from flask import Flask

from hull_sdk import Connector
from hull_sdk.core.logs import fields_of
from hull_sdk.core.net import Request
from hull_sdk.handlers import notif_handler, smart_notifier_handler
from hull_sdk.testing import Harness
from hull_sdk.wire.sns import load_certificate, verify_message

MANIFEST = {"name": "Old", "subscriptions": [{"url": "/notifier"}]}


class Old:
    """A connector of the time before smart delivery, which keeps what it is told."""

    def __init__(self):
        self.told = []
        app = Flask("old")
        channels = ("user:update", "account:update", "segment:update", "segment:delete", "ship:update")
        handlers = {channel: self.keep(channel) for channel in channels}
        app.register_blueprint(notif_handler(handlers), url_prefix="/notifier")
        self.app = Connector(host_secret="a secret of the host for tests", manifest=MANIFEST).setup_app(app)

    def keep(self, channel):
        def keep(ctx, messages):
            self.told.append((channel, messages, ctx.ship["name"]))
            if channel == "user:update":
                for message in messages:
                    ctx.client.as_user(message["user"]).traits({"seen": message["user"].get("traits_plan")})

        return keep

    def named(self, channel):
        return [payload for name, payload, _ in self.told if name == channel]


@pytest.fixture
def old():
    """The connector."""
    return Old()


@pytest.fixture
def harness(old):
    """The connector on a platform."""
    with Harness(old.app) as harness:
        yield harness


def settle(harness):
    """Let deliveries and the connector's own batches come to rest."""
    harness.advance(minutes=1)


def test_a_legacy_connector_is_told_and_answers(old, harness):
    """Users come in lists and everything else alone, under the names of its handlers, with credentials that hold."""
    harness.client.as_user({"external_id": "1"}).traits({"plan": "pro"})
    harness.client.as_account({"domain": "acme.test"}).traits({"size": 5})
    harness.organization.create_segment("user", "Pros", query={"term": {"traits_plan.raw": "pro"}}, id="pros")
    settle(harness)
    harness.organization.delete_segment("pros")
    settle(harness)
    assert harness.user({"external_id": "1"})["traits_seen"] == "pro"
    messages = [message for batch in old.named("user:update") for message in batch]
    assert messages[0]["changes"]["user"]["traits_plan"] == [None, "pro"]
    assert [payload["account"]["domain"] for payload in old.named("account:update")] == ["acme.test"]
    assert [payload["name"] for payload in old.named("segment:update")] == ["Pros"]
    assert [payload["name"] for payload in old.named("segment:delete")] == ["Pros"]
    assert {name for _, _, name in old.told} == {"Old"}
    assert {delivery.outcome for delivery in harness.deliveries} == {"next"}


def test_a_legacy_notification_that_is_not_taken_comes_again(harness):
    """With backoff and under its id, whatever else the answer says; nothing of it is lost, and nothing comes twice."""
    harness.platform.faults.add("error", target="delivery", times=3)
    harness.client.as_user({"external_id": "1"}).traits({"plan": "pro"})
    harness.advance(hours=1)
    tries = [each for each in harness.deliveries if each.messages[0].get("user", {}).get("traits_plan") == "pro"]
    assert [each.outcome for each in tries[:4]] == ["failed", "failed", "failed", "next"]
    assert len({each.notification_id for each in tries[:4]}) == 1
    assert [each.at for each in tries[:4]] == sorted({each.at for each in tries[:4]})


def test_an_envelope_is_signed_with_a_certificate_that_the_platform_serves(harness, monkeypatch):
    """Anybody can check it; a key that was rotated keeps its certificate."""
    sent = []
    push = harness.platform.carrier._deliver
    monkeypatch.setattr(
        harness.platform.carrier, "_deliver", lambda c, request: (sent.append(request), push(c, request))[1]
    )
    for plan in ("free", "pro"):
        harness.client.as_user({"external_id": "1"}).traits({"plan": plan})
        settle(harness)
        harness.platform.rotate_signing_key()
    urls = set()
    for request in sent:
        envelope = json.loads(request.body)
        urls.add(envelope["SigningCertURL"])
        pem = harness.platform.runtime.net.send(Request(method="GET", url=envelope["SigningCertURL"])).body
        verify_message(envelope, load_certificate(pem), harness.platform.runtime.clock.time())
        assert request.headers["X-Amz-Sns-Topic-Arn"].rpartition("-")[2] == harness.connector.id
    assert len(urls) == 2


def test_a_connector_that_loses_its_tag_is_told_the_rest_one_by_one():
    """What was frozen for many users at once comes in single envelopes, each of them once."""
    old = Old()
    smart = {**MANIFEST, "tags": ["smart-notifier"], "subscriptions": [{"url": "/elsewhere"}]}
    with Harness(old.app, manifest=smart) as harness:
        for number in range(4):
            harness.client.as_user({"external_id": str(number)}).traits({"n": number})
        harness.client.flush()
        for each in harness.organization.dispatcher._boxes.of(harness.connector):
            for lane in each.lanes.values():
                lane.size = 10
        harness.advance(seconds=1)
        assert {len(each.messages) for each in harness.deliveries if each.channel == "user:update"} >= {4}
        harness.connector.manifest = MANIFEST
        harness.advance(hours=1)
        first = [m for batch in old.named("user:update") for m in batch if m["changes"]["is_new"]]
        assert sorted(m["user"]["external_id"] for m in first) == ["0", "1", "2", "3"]


def test_a_smart_handler_refuses_what_a_manifest_without_the_tag_has_it_told(caplog):
    """The warning at the start says so; nothing reaches the handler, and the platform shows what became of it."""
    told, app = [], Flask("untagged")
    handler = smart_notifier_handler({"user:update": lambda _ctx, messages: told.extend(messages)})
    app.register_blueprint(handler, url_prefix="/notifier")
    connector = Connector(host_secret="a secret of the host for tests", manifest=MANIFEST)
    with Harness(connector.setup_app(app)) as harness:
        harness.client.as_user({"external_id": "1"}).traits({"plan": "pro"})
        settle(harness)
        assert {delivery.status for delivery in harness.deliveries} == {400}
    (warned,) = [fields_of(each) for each in caplog.records if each.getMessage() == "connector.manifest.untagged"]
    assert "in the legacy form, which that handler refuses" in warned["reason"]
    assert told == []
