"""From Hull to Segment: scenarios that state everything, and a service that is not always there."""

from __future__ import annotations

import gc
import json
import logging
import random
import weakref
from pathlib import Path

import pytest
from flask import request
from segment_connector.segment_api import MAX_BATCH_BYTES, batches, encoded

MANIFEST = Path(__file__).parents[1] / "segment_connector" / "manifest.json"
AT = "2026-05-01T10:00:00Z"
PRO = {"id": "5a7962e2793d3e942a03b201", "name": "Pro"}
BIG = {"id": "5a7962e2793d3e942a03b202", "name": "Big"}
USER = {
    "id": "5a7962e2793d3e942a03b29d",
    "external_id": "u-1",
    "email": "ann@acme.example",
    "anonymous_ids": ["crm:7", "a-1"],
    "traits_plan": "pro",
    "traits_crm/stage": "lead",
    "traits_gone": None,
}
ACCOUNT = {"id": "5a7962e2793d3e942a03b29e", "external_id": "g-1", "domain": "acme.example", "crm/size": 7}
ORDER = {
    "event_id": "e-1",
    "event": "Order Completed",
    "created_at": AT,
    "event_source": "shop",
    "anonymous_id": "a-2",
    "properties": {"total": 5},
    "context": {
        "ip": "203.0.113.9",
        "useragent": "Mozilla/5.0",
        "os": {"name": "Linux"},
        "page": {"url": "https://acme.example/cart", "path": "/cart"},
        "referrer": {"url": "https://search.example/"},
        "location": {"latitude": 48.2, "longitude": 16.3},
    },
}
PAGE = {**ORDER, "event_id": "e-2", "event": "page", "properties": {"name": "Pricing"}}
SCREEN = {**ORDER, "event_id": "e-3", "event": "screen", "properties": {"name": "Home"}, "context": {}}
LOOP = {**ORDER, "event_id": "e-4", "event_source": "segment"}
NEWS = {"is_new": True}
ALL = {"write_key": "wk-1", "synchronized_segments": ["ALL"]}
ATTRIBUTES = {
    "synchronized_properties": ["plan", "traits_crm/stage", "traits_gone", "missing", "account.domain"],
    "synchronized_account_properties": ["domain", "account.crm/size"],
}
GROUPS = {"handle_accounts": True}

#: Private settings, settings, and the message.
CASES = {
    "only-segments": (ALL, {}, {"user": USER, "segments": [PRO, BIG], "changes": NEWS}),
    "attributes": (
        {**ALL, **ATTRIBUTES},
        {},
        {"user": USER, "account": ACCOUNT, "changes": {"user": {"traits_gone": ["x", None]}}},
    ),
    "group": (
        {**ALL, **ATTRIBUTES},
        GROUPS,
        {"user": USER, "account": ACCOUNT, "account_segments": [BIG], "changes": {"account": {"id": [None, "g"]}}},
    ),
    "group-off": ({**ALL, **ATTRIBUTES}, {}, {"user": USER, "account": ACCOUNT, "changes": NEWS}),
    "account-not-chosen": (
        {**ALL, "synchronized_account_segments": [PRO["id"]]},
        GROUPS,
        {"user": USER, "account": ACCOUNT, "account_segments": [BIG], "changes": NEWS},
    ),
    "account-of-somebody-not-chosen": (
        {**ALL, "synchronized_segments": [PRO["id"]]},
        GROUPS,
        {"user": USER, "account": ACCOUNT, "segments": [BIG], "account_segments": [BIG], "changes": NEWS},
    ),
    "events": (ALL, {}, {"user": USER, "events": [ORDER, PAGE, SCREEN]}),
    "listed-events": ({**ALL, "send_events": ["page"]}, {}, {"user": USER, "events": [ORDER, PAGE]}),
    "no-forwarding": (ALL, {}, {"user": USER, "events": [LOOP]}),
    "forwarding": ({**ALL, "forward_events": True}, {}, {"user": USER, "events": [LOOP]}),
    "nothing-new": (ALL, {}, {"user": USER, "changes": {"user": {"traits_plan": ["free", "pro"]}}}),
    "chosen": ({**ALL, "synchronized_segments": [PRO["id"]]}, {}, {"user": USER, "segments": [PRO], "changes": NEWS}),
    "not-chosen": (
        {**ALL, "synchronized_segments": [PRO["id"]]},
        {},
        {"user": USER, "segments": [BIG], "events": [ORDER], "changes": NEWS},
    ),
    "nobody-chosen": ({"write_key": "wk-1"}, {}, {"user": USER, "changes": NEWS}),
    "no-write-key": ({"synchronized_segments": ["ALL"]}, {}, {"user": USER, "events": [ORDER], "changes": NEWS}),
    "anonymous": (ALL, {}, {"user": {"id": USER["id"], "anonymous_ids": ["crm:7", "a-1"]}, "changes": NEWS}),
    "nobody": (ALL, {}, {"user": {"id": USER["id"], "anonymous_ids": ["crm:7"]}, "changes": NEWS}),
    "ids-of-hull": (
        ALL,
        {**GROUPS, "public_id_field": "id", "public_account_id_field": "id"},
        {"user": USER, "account": ACCOUNT, "changes": {**NEWS, "account": {"id": [None, "g"]}}},
    ),
    "too-large": (ALL, {}, {"user": USER, "events": [{**ORDER, "properties": {"text": "x" * 400}}, PAGE]}),
}


@pytest.mark.parametrize("name", CASES)
def test_message(installed, hull_scenario, monkeypatch, name):
    """Each message with all that it does: calls of Segment, log lines, metrics and the answer."""
    private, public, message = CASES[name]
    if name == "too-large":
        monkeypatch.setattr("segment_connector.outbound.MAX_CALL_BYTES", 900)
    harness = installed(private, **public)
    with hull_scenario(harness):
        harness.notify("user:update", [message])


FAILURES = [429, 500, 502, 503, 408, "reset", "answer lost", "timeout"]


@pytest.mark.parametrize("failures", [*([each] * 3 for each in FAILURES), FAILURES * 3], ids=str)
def test_segment_loses_nothing_and_gets_nothing_twice(installed, segment, failures):
    """Whatever it answers, if it answers at all, each call arrives; what came again has the same id."""
    harness = installed({**ALL, "synchronized_properties": ["plan"]})
    segment.failures = list(failures)
    random.Random(1).shuffle(segment.failures)  # noqa: S311 - repeatable on purpose
    for number in range(30):
        user = harness.client.as_user({"external_id": f"u-{number}"})
        user.traits({"plan": "pro"})
        user.track("Ordered", {"number": number}, {"event_id": f"e-{number}"})
    harness.run_until_idle()
    assert (segment.failures, segment.requests > len(failures)) == ([], True)
    assert {call["messageId"] for call in segment.of_type("track") if call["event"] == "Ordered"} == {
        f"e-{number}" for number in range(30)
    }
    sent = [
        (call["userId"], call["traits"]["plan"]) for call in segment.of_type("identify") if call["traits"].get("plan")
    ]
    assert sorted(set(sent)) == sorted({(f"u-{number}", "pro") for number in range(30)})
    assert len(sent) == len(set(sent))
    assert harness.organization.dead_letters(harness.connector.id) == []


def test_notifications_leave_nothing_in_memory(installed, segment, monkeypatch):
    """Once the ids of a day are forgotten, there are as many objects as after the day before."""
    calm = {**json.loads(MANIFEST.read_text()), "status": {"url": "/status"}}
    harness = installed(ALL, manifest=calm)
    monkeypatch.setattr(logging.getLogger("hull_sdk"), "propagate", False)  # pytest keeps every record
    counts = []
    for day in range(3):
        for number in range(100):
            user = {"id": f"{number:024x}", "external_id": f"u-{number}"}
            event = {**ORDER, "event_id": f"e-{day}-{number}"}
            harness.notify("user:update", [{"user": user, "events": [event], "changes": NEWS}])
        assert len(segment.calls) == 200
        harness.advance(hours=25)
        harness.notify("user:update", [])
        for records in (segment.calls, harness.exchanges, harness.logs, harness.metrics):
            records.clear()
        gc.collect()
        # Weak references, by which others may look on, keep nothing alive.
        counts.append(sum(not isinstance(each, weakref.ref) for each in gc.get_objects()))
    assert counts[2] - counts[1] < 50


def test_a_pause_that_segment_asks_for_is_kept(installed, segment):
    """After 429 the next notification comes when Segment said, and no sooner."""
    harness = installed(ALL)
    segment.failures = [429]
    harness.client.as_user({"external_id": "u-1"}).track("Ordered", {}, {"event_id": "e-1"})
    harness.advance(seconds=2)
    before = segment.requests
    assert before == 1
    harness.run_until_idle()
    first, second = [each.at for each in harness.outgoing][:2]
    assert second - first >= 3
    assert "e-1" in segment.calls


def test_one_call_that_segment_refuses_costs_no_other(installed, segment):
    """A batch answered 400 is cut until the one is found, which becomes a dead letter."""
    harness = installed(ALL)
    take = segment.api.view_functions["_batch"]
    bad = []

    def refuse_one():
        if "poison" in request.get_data(as_text=True):
            bad.append(1)
            return "no", 400
        return take()

    segment.api.view_functions["_batch"] = refuse_one
    events = [{**ORDER, "event_id": f"e-{n}", "event": "poison" if n == 3 else "Ordered"} for n in range(8)]
    answer = harness.notify(
        "user:update",
        [{"user": {**USER, "id": f"5a7962e2793d3e942a03b3{n:02}"}, "events": [e]} for n, e in enumerate(events)],
    )
    results = json.loads(answer.body)["responses"]
    assert [each["status"] for each in results] == ["ok"] * 3 + ["error"] + ["ok"] * 4
    assert set(segment.calls) == {f"e-{n}" for n in range(8) if n != 3}
    assert len(bad) == 4


def test_half_a_letter_costs_nobody(installed, segment):
    """A text with half a surrogate pair, which any sender may write, goes out as JSON has it, and so do all others."""
    harness = installed(ALL)
    harness.client.as_user({"external_id": "u-1"}).track("Ordered", {}, {"event_id": "e-1"})
    harness.client.as_user({"external_id": "u-2"}).track("Said \ud800", {"ü": "ü"}, {"event_id": "e-2"})
    harness.run_until_idle()
    assert {"e-1", "e-2"} <= set(segment.calls)
    assert (segment.calls["e-2"]["event"], segment.calls["e-2"]["properties"]) == ("Said \ud800", {"ü": "ü"})


def test_batches_are_no_larger_than_segment_takes():
    """Calls keep their order and stand in as few batches as they fit into."""
    calls = [(str(number), b"x" * 30_000) for number in range(40)]
    cut = list(batches(calls))
    assert [call for batch in cut for call in batch] == calls
    assert [len(batch) for batch in cut] == [15, 15, 10]
    assert all(sum(len(call) + 1 for _, call in batch) <= MAX_BATCH_BYTES for batch in cut)


@pytest.mark.parametrize(("more_bytes", "status"), [(0, "ok"), (1, "error")])
def test_a_call_of_32_kb_is_sent_and_a_larger_one_is_not(installed, segment, more_bytes, status):
    """The limit is that of the call as it travels; one byte more, and the user is kept aside with the reason."""
    harness = installed(ALL)

    def notify(text):
        event = {**ORDER, "event_id": f"e-{len(text):06}", "properties": {"text": text}}
        return json.loads(harness.notify("user:update", [{"user": USER, "events": [event]}]).body)["responses"][0]

    notify("")
    room = 32 * 1024 - len(encoded(segment.calls["e-000000"]))
    assert notify("x" * (room + more_bytes))["status"] == status
    assert [len(encoded(call)) for call in segment.calls.values()][1:] == ([32_768] if status == "ok" else [])


def test_a_notification_that_is_larger_than_a_batch_goes_in_several(installed, segment):
    """No request has more than the 500 KB that Segment takes, and each call is in one of them."""
    harness, sizes = installed(ALL), []
    take = segment.api.view_functions["_batch"]
    segment.api.view_functions["_batch"] = lambda: (sizes.append(len(request.get_data())), take())[1]
    text = "x" * 20_000
    harness.notify(
        "user:update",
        [
            {
                "user": {**USER, "id": f"5a7962e2793d3e942a03b3{n:02}"},
                "events": [{**ORDER, "event_id": f"e-{n}", "properties": {"text": text}}],
            }
            for n in range(60)
        ],
    )
    assert set(segment.calls) == {f"e-{n}" for n in range(60)}
    assert len(sizes) == 3
    assert 400_000 < sizes[0] <= 500 * 1000


def test_an_operator_can_send_a_segment_by_hand(installed, segment):
    """A batch brings everybody of it, whatever the filter says, and again if they were sent before."""
    harness = installed({"write_key": "wk-1"})
    for number in range(3):
        harness.client.as_user({"external_id": f"u-{number}"}).traits({"plan": "pro"})
    harness.run_until_idle()
    assert segment.calls == {}
    for times in (1, 2):
        harness.organization.send_batch(harness.connector)
        harness.run_until_idle()
        assert sorted(call["userId"] for call in segment.of_type("identify")) == sorted(["u-0", "u-1", "u-2"] * times)


def test_accounts_of_a_segment_sent_by_hand_have_their_segments(installed, segment):
    """The group calls of a batch say in which account segments the account is."""
    harness = installed({"write_key": "wk-1"}, **GROUPS)
    harness.organization.create_segment("account", "Big", query={"term": {"industry.raw": "steel"}})
    account = harness.client.as_user({"external_id": "u-1"}).account({"external_id": "g-1"})
    account.traits({"industry": "steel"})
    harness.run_until_idle()
    harness.organization.send_batch(harness.connector)
    harness.run_until_idle()
    (group,) = segment.of_type("group")
    assert (group["groupId"], group["traits"]) == ("g-1", {"hull_segments": ["Big"]})
