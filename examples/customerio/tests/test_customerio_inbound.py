"""From Customer.io to Hull: scenarios that state everything, who is let in, and when a webhook is answered."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from urllib.parse import parse_qsl, urlsplit

import pytest
from customerio_connector.activity import Skip, activity_of
from hypothesis import given, settings
from hypothesis import strategies as st

KEY = "hush"
AT = 1777629600
DATA = {
    "customer_id": "u-1",
    "identifiers": {"id": "u-1", "email": "ann@acme.example", "cio_id": "d9c106000001"},
    "recipient": "Ann Lee <Ann@acme.example>",
    "subject": "Hello",
    "campaign_id": 23,
    "action_id": 96,
    "content_id": 38,
    "delivery_id": "RPILAgUBcRhIBqSfeiIwdIYJKxTY",
}
EVENT = {"event_id": "01E4C4CT6YDC7Y5M7FE1GWWPQJ", "object_type": "email", "timestamp": AT, "data": DATA}
OLD = {
    "event_type": "email_delivered",
    "event_id": "97f95f0c0c2f2d2b5d9c",
    "timestamp": AT,
    "data": {
        "email_address": "ann@acme.example",
        "email_id": "NzI1MTUy",
        "customer_id": "u-1",
        "campaign_id": "33",
        "campaign_name": "Welcome",
        "template_id": "80",
        "subject": "Hello",
        "tags": ["a"],
        "variables": {"customer": {"name": "Ann"}},
    },
}
CUSTOMER = {"customer_id": "u-1", "email_address": "ann@acme.example"}
WEBHOOKS = {
    "opened": {**EVENT, "metric": "opened"},
    "clicked": {**EVENT, "metric": "clicked", "data": {**DATA, "href": "https://acme.example/?a=1", "link_id": 1}},
    "unsubscribed": {**EVENT, "object_type": "customer", "metric": "unsubscribed", "data": CUSTOMER},
    "only-an-address": {**EVENT, "metric": "sent", "data": {"recipient": "ann@acme.example"}},
    "only-identifiers": {**EVENT, "metric": "sent", "data": {"identifiers": DATA["identifiers"]}},
    "old": OLD,
    "old-customer": {**OLD, "event_type": "customer_unsubscribed", "data": CUSTOMER},
    "unknown": {**EVENT, "object_type": "push", "metric": "sent"},
    "old-unknown": {**OLD, "event_type": "sms_sent"},
    "no-data": {"event_id": "e-1", "object_type": "email", "metric": "sent", "timestamp": AT},
    "nobody": {**EVENT, "metric": "sent", "data": {"recipient": "nobody", "customer_id": None}},
    "empty": {},
    "no-time": {"object_type": "email", "metric": "sent", "data": DATA, "timestamp": "soon"},
}


def signed(body, key=KEY, at=str(AT)):
    """Return the headers with which Customer.io signs a webhook."""
    mac = hmac.new(key.encode(), b"v0:" + at.encode() + b":" + body, hashlib.sha256)
    return {"X-CIO-Timestamp": at, "X-CIO-Signature": mac.hexdigest()}


@pytest.fixture
def receiver(installed):
    """Install the connector; return how Customer.io calls the address that an operator copied."""

    def install(**private):
        harness = installed(**private)
        address = urlsplit(json.loads(harness.request("/credentials").body)["webhook_url"])

        def call(body, **headers):
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            query = dict(parse_qsl(address.query))
            return harness.request(address.path, body=raw, query=query, headers=headers, credentials=False)

        harness.call = call
        return harness

    return install


@pytest.mark.parametrize("name", WEBHOOKS)
def test_webhook(receiver, hull_scenario, name):
    """Each webhook with all that it does: what is written to Hull, logged, counted and answered."""
    harness = receiver()
    with hull_scenario(harness, settle=False):
        harness.call(WEBHOOKS[name])


@pytest.mark.parametrize("name", ["opened", "old"])
def test_an_event_is_in_hull_once_however_often_it_comes(receiver, name):
    """It keeps its id and its time, is told as Customer.io's, and a repetition changes nothing."""
    harness = receiver()
    for _ in range(3):
        assert harness.call(WEBHOOKS[name]).status == 200
        harness.run_until_idle()
    found = [each for each in harness.events({"external_id": "u-1"}) if each["event_source"] == "customerio"]
    assert [(each["event_id"], each["created_at"]) for each in found] == [
        (WEBHOOKS[name]["event_id"], "2026-05-01T10:00:00Z")
    ]


@pytest.mark.parametrize(
    ("mapping", "customer_id", "claims"),
    [
        ("external_id", "u-1", {"external_id": "u-1", "email": "ann@acme.example"}),
        ("external_id", 7, {"external_id": "7", "email": "ann@acme.example"}),
        ("external_id", None, {"email": "ann@acme.example"}),
        ("id", "5a7962e2793d3e942a03b29d", {"id": "5a7962e2793d3e942a03b29d", "email": "ann@acme.example"}),
        ("id", "u-1", {"email": "ann@acme.example"}),
        ("crm/id", "u-1", {"email": "ann@acme.example"}),
    ],
)
def test_the_customer_id_is_read_as_it_was_sent(mapping, customer_id, claims):
    """It names somebody in Hull if the settings send an identifier of Hull under it; else the address alone does."""
    webhook = {**OLD, "data": {"email_address": "ann@acme.example", "customer_id": customer_id}}
    assert activity_of(webhook, mapping, b"").claims == claims


def test_a_message_to_somebody_else_says_nothing_about_him():
    """The event is the person's whom it is about, not the reader's of a notice."""
    data = {"recipient": "sales@acme.example", "identifiers": {"id": "u-1", "email": "ann@acme.example"}}
    claims = activity_of({**EVENT, "metric": "sent", "data": data}, "external_id", b"").claims
    assert claims == {"external_id": "u-1", "email": "ann@acme.example"}


@pytest.mark.parametrize("text", ["a" * 32_000, "a@" + "b" * 32_000, "a@b " * 8_000, "a@" + "." * 32_000])
def test_what_stands_for_an_address_is_read_in_little_time(text):
    """A long text that is none costs milliseconds; one that is searched from each of its letters takes minutes."""
    began = time.thread_time()
    with pytest.raises(Skip):
        activity_of({**EVENT, "metric": "sent", "data": {"recipient": text}}, "external_id", b"")
    assert time.thread_time() - began < 1


@pytest.mark.parametrize(
    "text", ["ann@acme.example", "Ann <ANN@acme.example>", "Ann: ann@acme.example.", "x y,ann@acme.example;"]
)
def test_an_address_is_found_in_a_text(text):
    """With a name, or among others."""
    webhook = {**EVENT, "metric": "sent", "data": {"recipient": text}}
    assert activity_of(webhook, "external_id", b"").claims == {"email": "ann@acme.example"}


def test_send_test_is_accepted(receiver):
    """Whatever JSON object the button sends, signed or not, is answered with success."""
    harness = receiver()
    for body in ({}, {"test": True}, {"event_type": "test"}, WEBHOOKS["opened"], OLD):
        assert (harness.call(body).status, harness.call(body, **signed(b"x")).status) == (200, 200)
    guarded = receiver(webhook_signing_key=KEY)
    assert guarded.call(b"{}", **signed(b"{}")).status == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        signed(b"{}"),
        signed(json.dumps(OLD).encode(), key="other"),
        {**signed(json.dumps(OLD).encode()), "X-CIO-Timestamp": str(AT + 1)},
        {**signed(json.dumps(OLD).encode()), "X-CIO-Signature": "ü"},
        {"X-CIO-Signature": signed(json.dumps(OLD).encode())["X-CIO-Signature"]},
    ],
)
def test_with_a_key_only_signed_webhooks_are_taken(receiver, headers):
    """One without a signature, or with one of another body, key or time, is refused; the right one is taken."""
    harness = receiver(webhook_signing_key=KEY)
    assert harness.call(OLD, **headers).status == 401
    assert harness.events({"external_id": "u-1"}) == []
    assert "ship.incoming.invalid_signature" in [metric.name for metric in harness.metrics]
    assert harness.call(OLD, **signed(json.dumps(OLD).encode())).status == 200


@pytest.mark.parametrize(("body", "status"), [(b"no JSON", 400), (b"[1]", 400), (b"x" * (512 * 1024 + 1), 413)])
def test_what_is_no_webhook_is_refused(receiver, body, status):
    """No repetition would help, so it is not asked for."""
    assert receiver().call(body).status == status


def test_without_its_token_the_address_opens_nothing(installed):
    """The answer says what to copy."""
    harness = installed()
    answer = harness.request("/webhook", body=OLD, credentials=False)
    assert (answer.status, b"copy the whole webhook address" in answer.body) == (401, True)
    assert harness.request("/webhook", body=OLD, query={"token": "forged"}, credentials=False).status == 401


@pytest.mark.parametrize("kind", ["error", "error_after", "drop_before", "drop_after"])
@pytest.mark.parametrize("target", ["firehose", "api"])
def test_a_webhook_is_never_lost_and_never_waits(receiver, kind, target):
    """Whatever becomes of Hull, the answer comes within a second; success only if Hull has the event by then."""
    harness = receiver()
    harness.advance(minutes=10)  # until nothing is known of the connector any more
    harness.platform.faults.add(kind, target=target, times=100)
    clock = harness.platform.runtime.clock
    began = clock.monotonic()
    answer = harness.call(OLD)
    assert clock.monotonic() - began <= 1
    assert answer.status == 503
    harness.platform.faults.clear()
    for _ in range(3):
        harness.advance(minutes=1)
        if harness.call(OLD).status == 200:
            break
    names = [each["event"] for each in harness.events({"external_id": "u-1"})]
    assert names.count("Email Delivered") == 1


def test_an_event_of_customerio_does_not_go_back(receiver, customerio):
    """Also when its name is in the list of events."""
    harness = receiver(
        site_id="site-1", api_key="key-1", synchronized_segments=["ALL"], events_filter=["Email Delivered"]
    )
    harness.call(OLD)
    harness.run_until_idle()
    assert set(customerio.customers) == {"u-1"}
    assert customerio.events == {}


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(["event_type", "object_type", "metric", "data", "event_id", "timestamp"])
DATA_NAMES = st.sampled_from(["customer_id", "recipient", "email_address", "identifiers", "delivery_id"])
KINDS = st.sampled_from(["email", "customer", "sent", "email_sent"])


@settings(deadline=None)  # a busy machine takes longer now and then
@given(st.dictionaries(NAMES, KINDS | JSON | st.dictionaries(DATA_NAMES, JSON | st.just("a@b.example"))))
def test_whatever_comes_is_an_event_or_skipped(webhook):
    """No webhook is an error: it names somebody and something that happened, or the reason why not."""
    body = json.dumps(webhook).encode()
    try:
        activity = activity_of(webhook, "external_id", body)
    except Skip as skipped:
        told = str(skipped)
    else:
        told = activity.context["event_id"]
        assert activity == activity_of(webhook, "external_id", body)
        assert activity.claims
    assert told
