"""From Segment to Hull: scenarios that state everything, and who is let in."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time

import pytest
from segment_connector.inbound_mapping import normalized, writes

AT = "2026-05-01T10:00:00.000Z"
CONTEXT = {
    "ip": "203.0.113.9",
    "userAgent": "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.0 Safari/605.1.15",
    "locale": "de-DE",
    "library": {"name": "analytics.js", "version": "4.0.0"},
    "campaign": {"name": "spring", "source": "mail"},
    "page": {
        "url": "https://acme.example/pricing?a=1",
        "referrer": "https://search.example/",
        "path": "/pricing",
        "search": "?a=1",
        "title": "Prices",
    },
    "groupId": "g-1",
    "experiment": {"variant": "B"},
    "source": "elsewhere",
    "type": "made up",
    "location": {"latitude": 48.2, "longitude": 16.3},
}
COMMON = {"userId": "u-1", "anonymousId": "a-1", "messageId": "ajs-1", "timestamp": AT, "context": CONTEXT}
CALLS = {
    "identify": {
        **COMMON,
        "type": "identify",
        "traits": {
            "email": "Ann@Acme.example",
            "firstName": "Ann",
            "lastName": "Lee",
            "createdAt": "2020-01-01T00:00:00Z",
            "plan": "pro",
            "id": "u-1",
            "nothing": None,
            "address": {"city": "Vienna"},
        },
    },
    "group": {**COMMON, "type": "group", "groupId": "g-1", "traits": {"name": "Acme", "domain": "acme.example"}},
    "track": {
        **COMMON,
        "type": "track",
        "event": "Order Completed",
        "properties": {"total": 5, "items": [{"sku": "A"}]},
    },
    "page": {**COMMON, "type": "page", "name": "Pricing", "properties": {"url": "https://acme.example/pricing"}},
    "screen": {**COMMON, "type": "screen", "name": "Home", "properties": {}},
    "alias": {"type": "alias", "userId": "u-1", "previousId": "a-1", "messageId": "ajs-1"},
    "anonymous": {"type": "track", "anonymousId": "a-9", "event": "Seen", "messageId": "ajs-2", "sentAt": AT},
    "anonymous-page": {
        "type": "page",
        "anonymousId": "a-9",
        "name": "Pricing",
        "messageId": "ajs-3",
        "context": CONTEXT,
    },
    "nobody": {"type": "identify", "traits": {"email": "ann@acme.example"}},
    "no-traits": {"type": "identify", "userId": "u-1", "traits": {"id": "u-1"}},
    "no-time": {**COMMON, "type": "track", "event": "x", "timestamp": "today", "receivedAt": {}, "sentAt": AT},
    "no-group": {**COMMON, "type": "group", "traits": {"name": "Acme"}},
    "numeric": {"type": "identify", "userId": 42, "traits": {"plan": "pro"}},
    "own-id": {
        "type": "identify",
        "userId": "5a7962e2793d3e942a03b29d",
        "integrations": {"Hull": {"id": True}},
        "traits": {"plan": "pro"},
    },
    "not-for-hull": {**COMMON, "type": "track", "event": "x", "integrations": {"Hull": False}},
    "only-others": {**COMMON, "type": "track", "event": "x", "integrations": {"All": False, "Mail": True}},
    "unknown": {**COMMON, "type": "explode"},
    "no-event": {**COMMON, "type": "track"},
    "active": {"type": "identify", "userId": "u-1", "traits": {"plan": "pro"}, "context": {"active": True}},
    "operation": {"type": "identify", "userId": "u-1", "traits": {"visits": {"operation": "inc", "value": 9}}},
    "blank-name": {"type": "identify", "userId": "u-1", "traits": {"": 1}},
    "empty-group": {"type": "group", "userId": "u-1", "groupId": "g-1"},
    "snake": {
        "type": "track",
        "event": "Order Completed",
        "user_id": "u-1",
        "anonymous_id": "a-1",
        "message_id": "ajs-1",
        "received_at": AT,
        "context": {"user_agent": CONTEXT["userAgent"], "ip": "203.0.113.9"},
    },
}
ALL_ON = {"handle_pages": True, "handle_screens": True, "handle_accounts": True}


def basic(key):
    """Return the header in which Segment sends a key."""
    return {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}


@pytest.fixture
def receiver(installed, api_key):
    """Install the connector with everything on; return how Segment calls it."""
    harness = installed(**ALL_ON)
    key = api_key(harness)

    def call(body, **headers):
        return harness.request("/segment", body=body, headers={**basic(key), **headers}, credentials=False)

    harness.call = call
    return harness


@pytest.mark.parametrize("name", CALLS)
def test_call(receiver, hull_scenario, name):
    """Each call with all that it does: what is written to Hull, logged, counted and answered."""
    with hull_scenario(receiver, settle=False):
        receiver.call(CALLS[name])


@pytest.mark.parametrize("name", ["group", "page", "screen"])
def test_call_is_left_out_by_default(installed, api_key, hull_scenario, name):
    """Groups, pages and screens are taken only when the settings say so, and acknowledged all the same."""
    harness = installed()
    headers = basic(api_key(harness))
    with hull_scenario(harness):
        harness.request("/segment", body=CALLS[name], headers=headers, credentials=False)


def test_both_spellings_write_the_same(receiver):
    """A snake case payload keeps what stands in its context."""
    receiver.call({**CALLS["snake"], "timestamp": AT})
    receiver.run_until_idle()
    (event,) = [each for each in receiver.events({"external_id": "u-1"}) if each["event"] == "Order Completed"]
    assert event["context"]["browser"]["name"] == "Safari"
    assert event["event_id"] == "ajs-1"


def test_what_hull_has_a_place_for_stands_on_the_event(receiver):
    """The page with its title and its search, the referrer, campaign and location."""
    receiver.call({**CALLS["track"], "context": {**CONTEXT, "page": {"title": "Prices", "search": "?a=1"}}})
    receiver.call({**CALLS["track"], "messageId": "ajs-9", "context": {"referrer": {"url": "https://ad.example/x"}}})
    receiver.run_until_idle()
    found = {each["event_id"]: each["context"] for each in receiver.events({"external_id": "u-1"})}
    assert found["ajs-1"]["page"] == {"title": "Prices", "search": "?a=1"}
    assert found["ajs-1"]["campaign"] == CONTEXT["campaign"]
    assert found["ajs-1"]["location"]["latitude"] == 48.2
    assert found["ajs-9"]["referrer"]["host"] == "ad.example"


def test_a_call_that_comes_again_is_one_event(receiver):
    """Segment repeats what was not answered in time; the event's id is the call's."""
    for _ in range(3):
        receiver.call(CALLS["track"])
    receiver.run_until_idle()
    assert [each["event"] for each in receiver.events({"external_id": "u-1"})].count("Order Completed") == 1


def test_an_identify_call_without_traits_says_who_somebody_is(receiver):
    """It creates the user, and what an anonymous visitor did before is the user's from then on."""
    receiver.call({**CALLS["anonymous-page"], "messageId": "p-1"})
    receiver.call({"type": "identify", "userId": "u-1", "anonymousId": "a-9"})
    receiver.run_until_idle()
    assert [each["event"] for each in receiver.events({"external_id": "u-1"})].count("page") == 1


@pytest.mark.parametrize(
    "call",
    [
        {"type": "identify", "userId": "u-1", "traits": {"email": "a@" + "." * 32_000 + "@"}},
        {"type": "identify", "userId": "u-1", "traits": {"email": "a@" + "b." * 16_000 + "@"}},
        {"type": "identify", "userId": "u-1", "_" * 32_000: 1, "context": {"_" * 32_000: 1}},
    ],
)
def test_what_a_browser_writes_is_read_in_little_time(call):
    """A text as large as a call may be costs milliseconds, not the minutes of looking from each of its letters."""
    began = time.thread_time()
    writes(normalized(call), {})
    assert time.thread_time() - began < 1


def test_an_anonymous_visitor_who_says_who_he_is_keeps_his_visits(receiver):
    """Pages that somebody saw before he signed up, and those after it, are one user's events."""
    receiver.call({**CALLS["anonymous-page"], "messageId": "p-1"})
    receiver.call({**CALLS["identify"], "anonymousId": "a-9"})
    receiver.call({**CALLS["page"], "anonymousId": "a-9", "messageId": "p-2"})
    receiver.run_until_idle()
    assert [each["event"] for each in receiver.events({"external_id": "u-1"})].count("page") == 2
    assert receiver.user({"anonymous_id": "a-9"})["external_id"] == "u-1"


def test_the_user_filter_is_for_what_goes_out(installed, api_key):
    """Whoever is in none of its segments comes in all the same."""
    harness = installed({"write_key": "wk-1", "synchronized_segments": ["5a7962e2793d3e942a03b201"]})
    harness.request("/segment", body=CALLS["identify"], headers=basic(api_key(harness)), credentials=False)
    harness.run_until_idle()
    assert harness.user({"external_id": "u-1"})["traits_plan"] == "pro"


def test_the_account_of_the_last_group_call_wins(receiver):
    """Hull has one account for each user; a group call without a user writes the account alone."""
    for group in ("g-1", "g-2"):
        receiver.call({**CALLS["group"], "groupId": group, "traits": {"name": group}})
    receiver.call({"type": "group", "groupId": "g-3", "traits": {"name": "g-3"}})
    receiver.run_until_idle()
    told = [message for each in receiver.deliveries for message in each.messages]
    assert [message["account"]["external_id"] for message in told][-1] == "g-2"
    assert receiver.account({"external_id": "g-3"})["name"] == "g-3"


def test_user_ids_can_be_ignored(installed, api_key):
    """Then e-mail and anonymous id say who it is; somebody who has neither is left out."""
    harness = installed(ignore_segment_userId=True)
    headers = basic(api_key(harness))
    for body in (CALLS["identify"], {"type": "identify", "userId": "u-2", "traits": {"plan": "x"}}):
        assert harness.request("/segment", body=body, headers=headers, credentials=False).body == b"thanks"
    harness.run_until_idle()
    assert harness.user({"external_id": "u-1"}) is None
    assert harness.user({"email": "ann@acme.example"})["traits_plan"] == "pro"
    assert [log["event"] for log in harness.logs].count("incoming.user.skip") == 1


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({}, "The API key is missing"),
        ({"Authorization": "Basic !!!"}, "Invalid Basic Auth Header"),
        ({"Authorization": "Bearer abc"}, "Invalid Basic Auth Header"),
        (basic(""), "Invalid Basic Auth Header"),
        (basic("made-up"), "Invalid Token"),
    ],
)
def test_strangers_are_refused(receiver, headers, reason):
    """Without the API key, or with another one, nothing is written."""
    before = len(receiver.firehose)
    answer = receiver.request("/segment", body=CALLS["track"], headers=headers, credentials=False)
    assert answer.status == 401
    assert reason in answer.body.decode()
    assert len(receiver.firehose) == before


def test_credentials_of_the_platform_are_taken_too(receiver):
    """An address with credentials in its query works without the header."""
    assert receiver.request("/segment", body=CALLS["track"]).body == b"thanks"


@pytest.mark.parametrize("body", [b"{", b"", b"null", b"\xff", b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}"])
def test_what_is_no_json_is_refused(receiver, body):
    """The answer says what is wrong, also with what nests too deeply; Segment does not repeat it."""
    answer = receiver.call(body)
    assert (answer.status, b"JSON" in answer.body) == (400, True)


def test_a_list_is_no_call(receiver):
    """The answer names what was sent and what to send."""
    answer = receiver.call([CALLS["track"]])
    assert (answer.status, answer.body) == (400, b"the body is list; send one call of Segment, a JSON object")


def test_a_call_that_hull_cannot_take_is_refused(receiver):
    """What is too large for one message of Hull is answered 400, since no repetition would help."""
    answer = receiver.call({"type": "identify", "userId": "u-1", "traits": {"text": "x" * 500_000}})
    assert (answer.status, b"at most 500000" in answer.body) == (400, True)


def test_a_call_that_is_far_too_large_is_not_read(receiver):
    """Segment's own limit is a fraction of it."""
    assert receiver.call(b" " * 600_000).status == 413


def test_the_signature_counts_when_there_is_a_secret(installed, api_key):
    """With a shared secret only what was signed with it is taken, byte for byte; case of the digits does not matter."""
    harness = installed({"shared_secret": "hush"})
    headers = basic(api_key(harness))
    body = json.dumps(CALLS["track"]).encode()
    good = hmac.new(b"hush", body, hashlib.sha1).hexdigest()
    for signature, status in ((good, 200), (good.upper(), 200), ("", 401), (good[:-1], 401), ("é", 401)):
        given = {**headers, "X-Signature": signature}
        assert harness.request("/segment", body=body, headers=given, credentials=False).status == status, signature
    altered = body.replace(b"5", b"6")
    refused = harness.request("/segment", body=altered, headers={**headers, "X-Signature": good}, credentials=False)
    assert (refused.status, refused.body) == (401, b"Invalid Signature")


def test_nothing_is_answered_before_hull_has_it(receiver):
    """While Hull refuses to take it, Segment is told to come again."""
    receiver.platform.faults.add("error", target="firehose", status=503)
    assert receiver.call(CALLS["track"]).status == 503
    receiver.platform.faults.clear()
    receiver.advance(minutes=2)
    assert receiver.call(CALLS["track"]).body == b"thanks"
    receiver.run_until_idle()
    assert [each["event"] for each in receiver.events({"external_id": "u-1"})].count("Order Completed") == 1


def test_a_platform_that_is_away_costs_no_call(installed, api_key):
    """Segment repeats what is answered 503, and gives up what is answered 400."""
    harness = installed()
    headers = basic(api_key(harness))
    harness.advance(seconds=90)  # by then the connector is asked for again
    harness.platform.faults.add("error", target="api", status=503)
    answer = harness.request("/segment", body=CALLS["track"], headers=headers, credentials=False)
    assert answer.status == 503
