"""Persons and events as Customer.io takes them, and the rules that hold whatever they hold."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
from customerio_connector.customers import (
    CUSTOMER_ATTRIBUTES,
    anonymous_id,
    customer_id,
    customer_of,
    parts,
    unix_seconds,
)
from customerio_connector.decision import Refused, decide, newest
from customerio_connector.events import event_of, ulid
from hypothesis import example, given, settings
from hypothesis import strategies as st

USER = {"id": "5a7962e2793d3e942a03b29d", "external_id": "u-1", "email": "ann@acme.example"}
SETTINGS = {
    "site_id": "site-1",
    "api_key": "key-1",
    "region": "us",
    "webhook_signing_key": None,
    "synchronized_segments": ["ALL"],
    "enable_user_deletion": False,
    "user_id_mapping": "external_id",
    "synchronized_attributes": [],
    "events_filter": ["Ordered"],
    "anonymous_events": False,
    "max_attribute_name_length": 150,
    "max_attribute_value_length": 1000,
    "max_identifier_value_length": 150,
}
EVENT = {"event_id": "e-1", "event": "Ordered", "created_at": "2026-05-01T10:00:00Z", "properties": {}}
JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.text(), st.lists, max_leaves=5)


def message(user=USER, **parts):
    """Return a message about a user."""
    return {"message_id": "m-1", "user": user, "segments": [], "segment_ids": [], "events": [], **parts}


def sent(names, traits, **settings):
    """Return the person that a user with some attributes is when some are selected."""
    return customer_of(message({**USER, **traits}), {**SETTINGS, "synchronized_attributes": names, **settings}, "u-1")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("2026-05-01T10:00:00Z", 1777629600),
        ("2026-05-01T12:00:00.900+02:00", 1777629600),
        ("2026-05-01", 1777593600),
        (1777629600, 1777629600),
        (1777629600000, 1777629600),
        ("1777629600", 1777629600),
        ("soon", None),
        (True, None),
        ({"at": 1}, None),
    ],
)
def test_dates_are_unix_seconds(value, seconds):
    """A date in any form that Hull knows is a whole number of seconds; what is none stays none."""
    assert unix_seconds(value) == seconds


@settings(deadline=None)  # a busy machine takes longer now and then
@given(
    st.datetimes(min_value=datetime(1980, 1, 1), max_value=datetime(2200, 1, 1)),  # noqa: DTZ001 - the zone is drawn
    st.integers(-12, 14),
)
def test_a_date_is_the_same_moment_in_each_zone(naive, hours):
    """What a date says does not change on its way, wherever its clock stands."""
    moment = naive.replace(tzinfo=timezone(timedelta(hours=hours)))
    assert unix_seconds(moment.isoformat()) == int(moment.astimezone(UTC).timestamp())


def test_only_names_of_dates_are_dates():
    """A number stays what it is, unless its name ends like a date's."""
    person = sent(
        ["seats", "seen_at", "end_date"], {"traits_seats": 7, "traits_seen_at": 7, "traits_end_date": "never"}
    )
    assert person.attributes == {
        "email": USER["email"],
        "hull_segments": [],
        "seats": 7,
        "seen_at": 7,
        "end_date": "never",
    }


NOT_SELECTED = {"anonymous_id", "created_at", "email", "hull_segments", "id"}


@settings(deadline=None)  # a busy machine takes longer now and then
@example({"created_at": None, "anonymous_id": "a", "email": "", "hull_segments": 1}, 10, 10)
@given(st.dictionaries(st.text(max_size=40), JSON, max_size=8), st.integers(1, 60), st.integers(2, 60))
def test_no_attribute_breaks_a_limit(traits, name_bytes, value_bytes):
    """Each selected attribute is sent within the limits, cleared, or refused with a reason, and none is lost."""
    names = [name for name in traits if "." not in name]
    limits = {"max_attribute_name_length": name_bytes, "max_attribute_value_length": value_bytes}
    person = sent(names, {f"traits_{name}": traits[name] for name in names}, **limits)
    for name, value in person.attributes.items():
        text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
        assert len(name.encode()) <= name_bytes
        assert len(text.encode()) <= value_bytes
    told = [*person.attributes, *person.cleared, *(name for name, _ in person.refused)]
    assert len(told) == len(set(told))
    # Some names are never those of a selected attribute: what they stand for is sent by itself, or not at all.
    assert {name.removeprefix("traits_").replace("/", "-") for name in names} <= {*told, *NOT_SELECTED, ""}


def test_a_selection_changes_nothing_that_every_person_has():
    """Selecting the address or the list of segments, or nothing at all, makes no second one of it."""
    names = ["email", "traits_email", "hull_segments", "", "traits_"]
    assert sent(names, {"traits_email": "other@acme.example"}) == sent([], {})


@pytest.mark.parametrize("count", [0, 1, 298, 299, 1000])
def test_many_attributes_go_in_several_requests(count):
    """Each part has no more than Customer.io takes, together they are all of them, and the address is in the first."""
    names = [f"n{number}" for number in range(count)]
    person = sent(names, {f"traits_{name}": 1 for name in names})
    cut = list(parts(person, is_known=False))
    assert [len(each) for each in cut[:-1]] == [CUSTOMER_ATTRIBUTES] * (len(cut) - 1)
    assert 0 < len(cut[-1]) <= CUSTOMER_ATTRIBUTES
    assert {name: value for each in cut for name, value in each.items()} == person.attributes
    assert "email" in cut[0]


def test_what_is_cleared_does_not_count_as_a_change_twice():
    """A person has the same fingerprint whether an attribute was never there or has just gone."""
    gone, never = sent(["plan"], {"traits_plan": None}), sent([], {})
    assert gone.fingerprint("s") == never.fingerprint("s")
    assert list(parts(gone, is_known=True)) == [{**never.attributes, "plan": ""}]
    assert list(parts(gone, is_known=False)) == [never.attributes]


def test_another_workspace_has_nobody_yet():
    """Who was sent to one workspace is sent again after the credentials of another one were entered."""
    assert sent([], {}).fingerprint("site-1") != sent([], {}).fingerprint("site-2")


def test_the_connectors_own_attributes_are_not_sent():
    """What is written back after sending cannot be selected, since that would never end."""
    person = sent(["customerio/synced_at"], {"traits_customerio/synced_at": "2026-05-01T10:00:00Z"})
    assert "customerio-synced_at" not in person.attributes
    assert "for ever" in person.refused[0][1]


@pytest.mark.parametrize(
    ("mapping", "user", "expected"),
    [
        ("external_id", USER, "u-1"),
        ("id", USER, USER["id"]),
        ("email", USER, USER["email"]),
        ("crm/number", {**USER, "traits_crm/number": 7}, "7"),
        ("traits_crm/number", {**USER, "traits_crm/number": 7}, "7"),
        ("external_id", {**USER, "external_id": None}, None),
        ("external_id", {**USER, "external_id": " "}, None),
        ("vip", {**USER, "traits_vip": True}, None),
        ("tags", {**USER, "traits_tags": ["a"]}, None),
    ],
)
def test_the_customer_id_is_the_chosen_attribute(mapping, user, expected):
    """Texts and numbers identify a person, nothing else does."""
    assert customer_id(user, {**SETTINGS, "user_id_mapping": mapping}) == expected


@pytest.mark.parametrize("identifier", [".", "..", "ä" * 76])
def test_an_id_that_no_address_can_hold_is_refused(identifier):
    """Such a user becomes a dead letter, with the reason."""
    with pytest.raises(Refused, match="the customer id"):
        decide(message({**USER, "external_id": identifier}), SETTINGS)


def test_the_latest_browser_names_somebody_unknown():
    """Ids of connectors do not count; without a browser Hull's id does."""
    assert anonymous_id({**USER, "anonymous_ids": ["a-1", "crm:2", "a-3", "crm:4"]}) == "a-3"
    assert anonymous_id({**USER, "anonymous_ids": ["crm:2"]}) == USER["id"]


@settings(deadline=None)  # a busy machine takes longer now and then
@given(st.text(), st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1)))  # noqa: DTZ001 - UTC below
def test_an_event_has_the_same_id_each_time(event_id, at):
    """Ids are well formed, depend on the event alone, and sort by its time."""
    moment = at.replace(tzinfo=UTC)
    first, again = ulid(event_id, moment.isoformat()), ulid(event_id, moment.isoformat())
    assert first == again == ulid(first)
    assert len(first) == 26
    assert first[0] in "01234567"
    assert ulid(event_id + "x", moment.isoformat()) != first
    assert ulid(event_id, (moment + timedelta(seconds=1)).isoformat()) > first


def test_an_event_without_a_time_has_an_id_all_the_same():
    """Customer.io then takes the time at which it arrives."""
    event = event_of({**EVENT, "created_at": None})
    assert "timestamp" not in event
    assert event["id"] == event_of({**EVENT, "created_at": None})["id"]


def test_a_user_counts_once_in_a_notification():
    """Of several messages about a user the last one counts, with the events of all, each once."""
    other = {**USER, "id": "5a7962e2793d3e942a03b29e"}
    second = {**EVENT, "event_id": "e-2"}
    found = newest(
        [
            message(events=[EVENT]),
            message(other),
            message({**USER, "email": "new@acme.example"}, events=[EVENT, second]),
        ]
    )
    assert [each["user"]["email"] for each in found.values()] == ["new@acme.example", USER["email"]]
    assert found[USER["id"]]["events"] == [EVENT, second]


def test_unchanged_users_are_sent_by_hand_only():
    """A batch sends whom nothing has happened to; it still sends nobody outside of the segments."""
    known = {
        "traits_customerio/created_at": "2026-05-01T10:00:00Z",
        "traits_customerio/hash": sent([], {}).fingerprint("site-1"),
    }
    assert decide(message({**USER, **known}), SETTINGS).skipped == "nothing has changed"
    assert decide(message({**USER, **known}), SETTINGS, is_batch=True).customer is not None
    outside = decide(message(), {**SETTINGS, "synchronized_segments": ["s-1"]}, is_batch=True)
    assert (outside.customer, outside.skipped) == (None, "the user is in none of the whitelisted segments")
