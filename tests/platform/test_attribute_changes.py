"""The event about changes of attributes that are tracked."""

from __future__ import annotations

import pytest

ANN = {"external_id": "1"}
PATH = "/api/v1/settings/user_traits/plan"


@pytest.fixture
def tracked(send, call, credentials):
    """A user with a tracked attribute and one that is not tracked."""
    send.traits(ANN, {"plan": "free", "seats": 1})
    answer = call("PUT", PATH, {"track_changes": True}, **credentials)
    assert answer == (200, {"name": "plan", "visible": True, "track_changes": True})


def changes(organization):
    """Return the events about attributes."""
    return [event for event in organization.events() if event["event"] == "Attributes changed"]


def test_a_change_of_a_tracked_attribute_is_an_event(tracked, platform, organization, send):
    """It holds old and new value, names its sender, and counts the days since the sign-up."""
    send.traits(ANN, {"plan": "pro", "seats": 2})
    send.traits(ANN, {"plan": "pro", "seats": 3})
    platform.advance(hours=49)
    send.traits(ANN, {"plan": None})
    first, second = changes(organization)
    assert first["properties"] == {"from/plan": "free", "to/plan": "pro"}
    assert second["properties"] == {"from/plan": "pro", "to/plan": None}
    assert (first["event_type"], first["event_source"]) == ("attributes_changed", None)
    assert first["app_id"] == send.connector.id
    assert [event["context"] for event in (first, second)] == [{"days_since_signup": 0}, {"days_since_signup": 2}]


def test_it_is_searched_and_segmented_and_told_to_nobody(
    tracked, platform, organization, send, fake, call, credentials
):
    """A segment of those whose plan changed is entered; the notification has the change and not this event."""
    predicate = {"event": "Attributes changed", "operator": "performed", "properties": []}
    segment = organization.create_segment("user", "Changed", predicate={"type": "all", "predicates": [predicate]})
    platform.run_until_idle()
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    told = fake.messages()[-1]
    assert told["changes"]["user"]["traits_plan"] == ["free", "pro"]
    assert [event["event"] for event in told["events"]] == ["Segments changed"]
    assert told["user"]["segment_ids"] == [segment["id"]]
    query = {"query": {"term": {"event": "Attributes changed"}}}
    assert call("POST", "/api/v1/search/events", query, **credentials)[1]["pagination"]["total"] == 1
    listed = call("GET", "/api/v1/search/event/bootstrap", **credentials)[1]
    assert [entry["emitted"] for entry in listed if entry["name"] == "Attributes changed"] == [True]


def test_a_merge_changes_attributes_too(tracked, organization, send):
    """What the recipient gains is a change of it, and of nobody who is new or gone."""
    send.traits({"external_id": "2"}, {"seats": 1})
    send.traits({"anonymous_id": "v"}, {"plan": "pro"})
    send.traits({"external_id": "2", "anonymous_id": "v"}, {})
    (event,) = changes(organization)
    assert event["properties"] == {"from/plan": None, "to/plan": "pro"}
    assert event["user_id"] == organization.find_user({"external_id": "2"}).id


def test_hidden_attributes_and_those_no_longer_tracked_make_none(tracked, organization, send, call, credentials):
    """Hiding is stronger than tracking, and tracking can be ended."""
    call("PUT", PATH, {"visible": False}, **credentials)
    send.traits(ANN, {"plan": "a"})
    assert call("PUT", PATH, {"visible": True, "track_changes": False}, **credentials)[0] == 200
    send.traits(ANN, {"plan": "b"})
    assert changes(organization) == []
    entry = next(e for e in call("GET", "/api/v1/users/schema", **credentials)[1] if e["key"] == "traits_plan")
    assert (entry["visible"], entry["track_changes"]) == (True, False)


def test_a_hidden_attribute_is_told_to_nobody(platform, send, fake, call, credentials):
    """Neither in a user's own message nor in the account of its users, and its changes make no message."""
    send.traits(ANN, {"salary": 1, "plan": "free"}, account={"domain": "acme.test"})
    send.account({"domain": "acme.test"}, {"revenue": 1, "plan": "team"})
    for path in ("user_traits/salary", "account_traits/revenue"):
        assert call("PUT", f"/api/v1/settings/{path}", {"visible": False}, **credentials)[0] == 200
    platform.run_until_idle()
    told = len(fake.notifications)
    send.traits(ANN, {"salary": 2})
    send.account({"domain": "acme.test"}, {"revenue": 2})
    platform.run_until_idle()
    assert len(fake.notifications) == told
    last, account = fake.messages()[-1], fake.messages("account:update")[-1]["account"]
    assert (last["user"]["traits_plan"], last["account"]["plan"], account["plan"]) == ("free", "team", "team")
    assert not {"traits_salary", "revenue"} & {*last["user"], *last["account"], *account}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("user_traits/plan", {}, 400),
        ("user_traits/plan", {"track_changes": "yes"}, 400),
        ("user_traits/plan", {"track_changes": True, "colour": "red"}, 400),
        ("user_traits/created_at", {"track_changes": True}, 400),
        ("account_traits/plan", {"track_changes": True}, 400),
        ("account_traits/plan", {"track_changes": False}, 200),
        ("user_traits/unknown", {"track_changes": True}, 404),
    ],
)
def test_only_own_attributes_of_users_are_tracked(tracked, call, send, credentials, path, body, status):
    """Accounts have no events, and what all reports have is not tracked; the answer names the rule."""
    send.account({"domain": "acme.test"}, {"plan": "team"})
    assert call("PUT", f"/api/v1/settings/{path}", body, **credentials)[0] == status
