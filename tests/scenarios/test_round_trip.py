"""The main job, end to end, in one process: client, platform, connector, and back."""

from __future__ import annotations

import pytest

from hull_sdk.testing import Harness

ANN = {"email": "ann@acme.example"}


@pytest.mark.shows("README: incoming-data-flow", "README: outgoing-data-flow", "channel: user:update")
def test_an_event_travels_to_the_handler_and_its_answer_back(harness, recorder):
    """A tracked event reaches the handler with a complete context, and what the handler writes is applied."""
    harness.organization.create_segment(
        "users_segment",
        "Buyers",
        predicate={
            "type": "all",
            "predicates": [{"event": "Ordered", "operator": "performed", "count": {"gte": 1}}],
        },
    )
    seen = {}

    def score(ctx, messages):
        seen["context"] = (
            ctx.connector["id"],
            [s["name"] for s in ctx.segments],
            ctx.config["organization"],
            ctx.request_id.split(":")[0],
        )
        for message in messages:
            ctx.client.as_user(message["user"]).traits({"score": 40})

    recorder.handle = score
    ann = harness.client.as_user(ANN)
    ann.traits({"first_name": "Ann", "signed_up_at": 1704448800})
    ann.track("Ordered", {"sku": "A1"})
    harness.run_until_idle()

    assert seen["context"] == (harness.connector.id, ["Buyers"], harness.organization.host, "smart-notifier")
    first = recorder.messages()[0]
    assert first["user"]["traits_signed_up_at"] == "2024-01-05T10:00:00Z"
    assert "Ordered" in [event["event"] for event in first["events"]]
    assert [segment["name"] for segment in first["segments"]] == ["Buyers"]
    assert first["changes"]["is_new"] is True
    report = harness.user(ANN)
    assert report["first_name"] == "Ann"
    assert report["traits_score"] == 40


def test_the_context_of_an_event_is_the_third_argument(harness, recorder):
    """What a connector passes beside name and properties is told with the event, arranged and filled in."""
    context = {
        "source": "shop",
        "type": "order",
        "created_at": "2024-01-05T10:00:00Z",
        "ip": "203.0.113.9",
        "referer": None,
        "url": "https://acme.example/p?utm_source=mail",
        "campaign": {"medium": "email"},
    }
    harness.client.as_user(ANN).track("Ordered", {"sku": "A1"}, context)
    harness.run_until_idle()
    (event,) = [event for event in recorder.messages()[0]["events"] if event["event"] == "Ordered"]
    assert (event["event_source"], event["event_type"], event["properties"]) == ("shop", "order", {"sku": "A1"})
    assert event["context"]["campaign"] == {"source": "mail", "medium": "email"}
    assert (event["context"]["page"]["path"], event["context"]["ip"]) == ("/p", "203.0.113.9")
    assert "referrer" not in event["context"]


@pytest.mark.shows("channel: account:update")
def test_account_changes_reach_users_and_accounts(harness, recorder):
    """A changed account notifies its own channel and every user that is linked to it."""
    for name in ("ann", "bob"):
        harness.client.as_user({"email": f"{name}@acme.example"}).account({"domain": "acme.example"}).traits(
            {"plan": "free"}
        )
    harness.run_until_idle()
    recorder.calls.clear()
    harness.client.as_account({"domain": "acme.example"}).traits({"plan": "pro"})
    harness.run_until_idle()
    assert [m["changes"]["account"]["plan"] for m in recorder.messages("account:update")] == [["free", "pro"]]
    users = recorder.messages("user:update")
    assert sorted(m["user"]["email"] for m in users) == ["ann@acme.example", "bob@acme.example"]
    assert all(m["changes"]["account"]["plan"] == ["free", "pro"] for m in users)


def test_writing_an_equal_value_is_no_change(harness, recorder):
    """A handler that writes the same value again is not called again."""
    recorder.handle = lambda ctx, messages: (
        [ctx.client.as_user(m["user"]).traits({"greeting": "Hello"}) for m in messages] and None
    )
    harness.client.as_user(ANN).traits({"first_name": "Ann"})
    harness.run_until_idle()
    assert len(recorder.messages()) == 2
    assert recorder.messages()[1]["changes"]["user"] == {"traits_greeting": [None, "Hello"]}


def test_two_organizations_never_meet(recorder):
    """The same claims in two organizations of one platform are two users, and each connector sees its own."""
    with Harness(recorder.app()) as harness:
        other = harness.platform.create_organization("other.hullapp.test")
        other.create_segment("users_segment", "Theirs", query={})
        harness.client.as_user(ANN).traits({"first_name": "Ann"})
        harness.run_until_idle()
        assert other.user_report(ANN) is None
        assert [m["segments"] for m in recorder.messages()] == [[]]


@pytest.mark.shows("README: schedules")
def test_ninety_days_with_an_hourly_schedule_repeat_byte_for_byte(recorder):
    """Ninety virtual days call an hourly schedule 2,160 times, and the same seed gives the same bytes."""

    def run() -> bytes:
        recorder.syncs = 0
        with Harness(recorder.app(), seed=7) as harness:
            harness.client.as_user(ANN).traits({"first_name": "Ann"})
            harness.run_until_idle()
            harness.advance(days=90)
            assert recorder.syncs == 90 * 24
            return harness.snapshot()

    assert run() == run()


@pytest.mark.shows("Client.alias", "Client.unalias", "Client.account")
def test_accounts_are_aliased_and_found_through_their_users(harness):
    """An account takes over an anonymous one and gives the id back; a user's link leads to it without naming it."""
    acme = {"domain": "acme.example"}
    account = harness.client.as_account(acme)
    account.traits({"plan": "pro"})
    harness.client.as_account({"anonymous_id": "visitor-1"}).traits({"visits": 3})
    account.alias({"anonymous_id": "visitor-1"})
    harness.client.as_user(ANN).account(acme).traits({"employees": 12})
    harness.run_until_idle()
    harness.client.as_user(ANN).account().traits({"tier": "gold"})
    harness.run_until_idle()
    report = harness.account(acme)
    assert [report[name] for name in ("plan", "visits", "employees", "tier")] == ["pro", 3, 12, "gold"]
    assert report["anonymous_ids"] == ["visitor-1"]
    account.unalias({"anonymous_id": "visitor-1"})
    harness.run_until_idle()
    assert harness.account(acme)["anonymous_ids"] == []
