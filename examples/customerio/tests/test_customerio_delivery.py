"""What arrives at Customer.io over time: with a service that stumbles, users that come and go, and many events."""

from __future__ import annotations

import json
from collections import Counter

import pytest
from flask import Response, request

ALL = {"site_id": "site-1", "api_key": "key-1", "synchronized_segments": ["ALL"]}
SENDING = {**ALL, "synchronized_attributes": ["plan"], "events_filter": ["Ordered", "page"]}
USERS = 30


def person(harness, number):
    """Return a user to write to; messages to the same one keep their order."""
    return harness.client.as_user({"external_id": f"u-{number}", "email": f"u-{number}@acme.example"})


def save(harness, number, **traits):
    """Write attributes of a user."""
    person(harness, number).traits(traits)


def change(harness, **private):
    """Change private settings."""
    harness.organization.update_connector(harness.connector, {"private_settings": {**SENDING, **private}})


def whitelist_pro(harness):
    """Have the users with the plan "pro" sent, and no others."""
    leaf = {"property": {"key": "traits_plan"}, "operator": "equals", "options": {"value": ["pro"]}}
    segment = harness.organization.create_segment("user", "Pro", predicate={"type": "all", "predicates": [leaf]})
    change(harness, **{**harness.connector.private_settings, "synchronized_segments": [segment["id"]]})


@pytest.mark.parametrize("failure", [429, 500, 503, "reset", "timeout"])
def test_customerio_loses_nothing_and_gets_nothing_twice(installed, customerio, failure):
    """Whatever it answers, and if it does not, each person and event arrives; what came again changed nothing."""
    harness = installed(**SENDING)
    customerio.failures = [200, failure, 200, failure, failure, 200, failure]
    for number in range(USERS):
        save(harness, number, plan="pro")
        person(harness, number).track("Ordered", {"number": number}, {"event_id": f"e-{number}"})
    harness.run_until_idle()
    assert customerio.failures == []
    assert {name: each["plan"] for name, each in customerio.customers.items()} == {
        f"u-{number}": "pro" for number in range(USERS)
    }
    ordered = Counter((each["customer_id"], each["data"]["number"]) for each in customerio.events.values())
    assert ordered == Counter((f"u-{number}", number) for number in range(USERS))
    assert harness.organization.dead_letters(harness.connector.id) == []
    assert all(harness.user({"external_id": f"u-{n}"})["traits_customerio/id"] == f"u-{n}" for n in range(USERS))


def test_a_pause_that_customerio_asks_for_is_kept(installed, customerio):
    """After 429 no call of the workspace goes out before Customer.io said, and the user arrives then."""
    harness = installed(**SENDING)
    customerio.failures = [429]
    save(harness, 1, plan="pro")
    harness.run_until_idle()
    first, second = [each.at for each in harness.outgoing][:2]
    assert second - first >= 3
    assert set(customerio.customers) == {"u-1"}


def test_a_workspace_gets_no_more_calls_than_it_takes(installed, customerio):
    """In no second do more than 30 calls go out, however many users change at once."""
    harness = installed(**SENDING)
    for number in range(100):
        save(harness, number, plan="pro")
    harness.run_until_idle()
    times = [each.at for each in harness.outgoing]
    assert len(customerio.customers) == 100
    assert max(sum(1 for at in times if start <= at < start + 1) for start in times) <= 30


def test_what_is_written_back_sends_nobody_again(installed, customerio):
    """A change is sent once, an equal one not at all, and the connector's own attributes keep nothing going."""
    harness = installed(**SENDING)
    save(harness, 1, plan="pro")
    harness.run_until_idle()
    assert customerio.requests == 1
    report = harness.user({"external_id": "u-1"})
    harness.advance(minutes=1)
    save(harness, 1, plan="pro", unselected=1)
    harness.run_until_idle()
    assert customerio.requests == 1
    assert harness.user({"external_id": "u-1"})["traits_customerio/synced_at"] == report["traits_customerio/synced_at"]
    save(harness, 1, plan="free")
    harness.run_until_idle()
    assert customerio.requests == 2
    assert customerio.customers["u-1"]["plan"] == "free"


@pytest.mark.parametrize("deletion", [True, False])
def test_a_user_comes_and_goes(installed, customerio, deletion):
    """Who leaves the whitelisted segments is deleted if that is wanted, and sent again when it comes back."""
    harness = installed(**SENDING, enable_user_deletion=deletion)
    whitelist_pro(harness)
    for plan, is_there in [("free", False), ("pro", True), ("free", not deletion), ("pro", True)]:
        save(harness, 1, plan=plan)
        harness.run_until_idle()
        assert ("u-1" in customerio.customers) is is_there
    assert customerio.deleted == (["u-1"] if deletion else [])
    report = harness.user({"external_id": "u-1"})
    assert report["traits_customerio/created_at"] is not None
    assert report.get("traits_customerio/deleted_at") is None


@pytest.mark.parametrize("deletion", [True, False])
def test_who_is_deleted_from_hull_is_deleted_if_that_is_wanted(installed, customerio, deletion):
    """A user that does not exist any more is in no segment either, and nothing brings it back to Hull."""
    harness = installed(**SENDING, enable_user_deletion=deletion)
    save(harness, 1, plan="pro")
    save(harness, 2, plan="pro")
    harness.run_until_idle()
    harness.organization.delete_entity("user", harness.user({"external_id": "u-1"})["id"])
    harness.run_until_idle()
    assert set(customerio.customers) == ({"u-2"} if deletion else {"u-1", "u-2"})
    assert harness.user({"external_id": "u-1"}) is None


def test_who_leaves_right_after_coming_is_deleted_all_the_same(installed, customerio):
    """Leaving before the connector has written back that it sent the user loses no deletion."""
    harness = installed(**SENDING, enable_user_deletion=True)
    whitelist_pro(harness)
    save(harness, 1, plan="pro")
    take = customerio.api.view_functions["_customer"]

    def leave_meanwhile(customer_id):
        if request.method == "PUT":
            user_id = harness.user({"external_id": "u-1"})["id"]
            harness.organization.write_traits("user", user_id, {"plan": "free"}, None)
        return take(customer_id)

    customerio.api.view_functions["_customer"] = leave_meanwhile
    harness.run_until_idle()
    assert (customerio.customers, customerio.deleted) == ({}, ["u-1"])


def test_more_events_than_fit_into_a_notification_arrive(installed, customerio, monkeypatch):
    """A user with many events is sent in several tries, of which each goes on where the last one ended."""
    monkeypatch.setattr("customerio_connector.customerio_api.ANSWER_S", 19.0)  # a second is left of each notification
    harness = installed(**SENDING)
    save(harness, 1, plan="pro")
    for number in range(200):
        person(harness, 1).track("Ordered", {"n": number}, {"event_id": f"e-{number}"})
    harness.run_until_idle()
    tries = [each for each in harness.deliveries if len(each.messages[0]["events"]) > 150]
    assert [each.answer["responses"][0]["status"] for each in tries] == ["retry", "retry", "retry", "ok"]
    assert sorted(each["data"]["n"] for each in customerio.events.values()) == list(range(200))
    assert customerio.received == 200


def test_one_event_that_customerio_refuses_costs_no_other(installed, customerio):
    """The others arrive, and the user's message is kept aside with the reason."""
    harness = installed(**SENDING)
    take = customerio.api.view_functions["_event"]

    def refuse_one(customer_id=None):
        return Response("bad", 400) if request.get_json()["data"].get("n") == 2 else take(customer_id)

    customerio.api.view_functions["_event"] = refuse_one
    events = [{"event_id": f"e-{n}", "event": "Ordered", "properties": {"n": n}} for n in range(4)]
    user = {"id": "5a7962e2793d3e942a03b29d", "external_id": "u-1", "email": "ann@acme.example"}
    answer = harness.notify("user:update", [{"user": user, "events": events}])
    (result,) = json.loads(answer.body)["responses"]
    assert result["status"] == "error"
    assert "answered 400: bad" in result["reason"]
    assert sorted(each["data"]["n"] for each in customerio.events.values()) == [0, 1, 3]


def test_an_operator_can_send_a_segment_by_hand(installed, customerio):
    """A batch sends everybody again, though nothing has changed, and nobody who is not whitelisted."""
    harness = installed(**SENDING)
    whitelist_pro(harness)
    for number, plan in enumerate(["pro", "pro", "free"]):
        save(harness, number, plan=plan)
    harness.run_until_idle()
    customerio.customers.clear()
    harness.organization.send_batch(harness.connector)
    harness.run_until_idle()
    assert set(customerio.customers) == {"u-0", "u-1"}
    change(harness, synchronized_segments=[])
    harness.advance(minutes=5)  # until the connector reads its settings again
    customerio.customers.clear()
    harness.organization.send_batch(harness.connector)
    harness.run_until_idle()
    assert customerio.customers == {}
