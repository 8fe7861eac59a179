"""Conditions of subscriptions: whom and what a connector wants to be told of."""

from __future__ import annotations

import pytest
from delivery_kit import FakeConnector, Sender

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.manifest import load_manifest, subscriptions

ANN, BOB = {"external_id": "ann"}, {"external_id": "bob"}
PROS = {"term": {"traits_plan.raw": "pro"}}


@pytest.fixture
def install(organization):
    """Return a function that installs a connector with a subscription, and returns it with a sender."""
    organization.create_segment("user", "Pros", query=PROS, id="pros")

    def install(channel="user:update", conditions=None, **settings):
        channels = [channel if isinstance(channel, dict) else {"channel": channel}]
        entry = {"url": "/notify", "channels": channels}
        if conditions is not None:
            entry["conditions"] = conditions
        fake = FakeConnector({"tags": ["smart-notifier"], "subscriptions": [entry]})
        connector = organization.install(fake, private_settings=settings)
        return fake, connector, Sender(organization, connector)

    return install


SEGMENTS = {"segments": {"user:update": ["private_settings.synchronized_segments"]}}


def names(fake):
    """Return whom a connector was told of, in order."""
    return [message["user"]["external_id"] for message in fake.messages()]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, ["ann", "bob"]),
        ({"synchronized_segments": None}, ["ann", "bob"]),
        ({"synchronized_segments": []}, []),
        ({"synchronized_segments": ["pros"]}, ["ann"]),
        ({"synchronized_segments": ["others"]}, []),
        ({"synchronized_segments": ["ALL"]}, ["ann", "bob"]),
        ({"synchronized_segments": ["all_segments"]}, ["ann", "bob"]),
    ],
)
def test_only_members_of_the_chosen_segments_are_told_of(platform, install, settings, told):
    """A setting that is not set means everybody, an empty one nobody, and two names stand for everybody."""
    fake, _, send = install(conditions=SEGMENTS, **settings)
    send.traits(ANN, {"plan": "pro"})
    send.traits(BOB, {"plan": "free"})
    platform.run_until_idle()
    assert names(fake) == told


def test_who_leaves_a_chosen_segment_is_told_of_once(platform, install):
    """The connector learns that a member has left, and hears no more until they enter again."""
    fake, _, send = install(conditions=SEGMENTS, synchronized_segments=["pros"])
    for plan in ("pro", "free", "team", "pro"):
        send.traits(ANN, {"plan": plan})
        platform.run_until_idle()
    changes = [message["changes"] for message in fake.messages()]
    assert [each["segments"].keys() for each in changes] == [{"entered"}, {"left"}, {"entered"}]
    assert changes[-1]["user"]["traits_plan"] == ["team", "pro"]


def test_a_changed_setting_counts_from_the_next_message_on(platform, organization, install):
    """What is chosen later is told of from then on."""
    fake, connector, send = install(conditions=SEGMENTS, synchronized_segments=[])
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    organization.update_connector(connector, {"private_settings": {"synchronized_segments": ["pros"]}})
    send.traits(ANN, {"n": 1})
    platform.run_until_idle()
    assert [message["changes"]["user"] for message in fake.messages()] == [{"traits_n": [None, 1]}]


@pytest.mark.parametrize(
    ("listed", "settings", "events"),
    [
        (["private_settings.events"], {}, ["User created", "Ordered", "Left"]),
        (["private_settings.events"], {"events": ["Ordered"]}, ["Ordered"]),
        (["private_settings.events"], {"events": ["Ordered", "User created"]}, ["User created", "Ordered"]),
        (["private_settings.events"], {"events": ["ALL"]}, []),
        (["private_settings.events", "Left"], {"events": ["Ordered"]}, ["Ordered", "Left"]),
        (["Left"], {}, ["Left"]),
    ],
)
def test_only_listed_events_are_told(platform, install, listed, settings, events):
    """The whitelist names settings, or events themselves; without a value of the setting all events are told."""
    fake, _, send = install({"channel": "user:update", "events-whitelist": listed}, **settings)
    send.track(ANN, "Ordered")
    send.track(ANN, "Left")
    platform.run_until_idle()
    (message,) = fake.messages()
    assert [event["event"] for event in message["events"]] == events


def test_an_event_that_is_not_wanted_alone_is_no_message(platform, install):
    """When nothing else happened the connector is not called."""
    fake, _, send = install({"channel": "user:update", "events-whitelist": ["Ordered"]})
    send.traits(ANN, {"n": 1})
    platform.run_until_idle()
    send.track(ANN, "Seen")  # the platform's "last seen" changes with the first one
    platform.run_until_idle()
    before = len(fake.bodies)
    send.track(ANN, "Left")
    platform.run_until_idle()
    assert len(fake.bodies) == before
    send.track(ANN, "Ordered")
    platform.run_until_idle()
    assert [event["event"] for event in fake.messages()[-1]["events"]] == ["Ordered"]


def test_accounts_are_chosen_by_their_own_segments(platform, organization, install):
    """The condition of another channel does not count."""
    organization.create_segment("account", "Large", query={"range": {"size": {"gt": 10}}}, id="large")
    conditions = {"segments": {"account:update": ["private_settings.segments"], "user:update": ["x"]}}
    fake, _, send = install("account:update", conditions, segments=["large"])
    send.account({"domain": "small.test"}, {"size": 1})
    send.account({"domain": "large.test"}, {"size": 100})
    platform.run_until_idle()
    assert [message["account"]["domain"] for message in fake.messages("account:update")] == ["large.test"]


def test_channels_can_be_limited_by_a_condition(platform, install):
    """Only what is both subscribed to and allowed is delivered."""
    fake, _, send = install("user:update", {"channels": {"only": ["account:update"]}})
    send.traits(ANN, {"n": 1})
    platform.run_until_idle()
    assert fake.bodies == []
    found = subscriptions({"subscriptions": [{"url": "/s", "conditions": {"channels": {"only": ["user:update"]}}}]})
    assert [each.channels for each in found] == [frozenset({"user:update"})]


@pytest.mark.parametrize(
    ("entry", "place"),
    [
        ({"conditions": {"segments": ["x"]}}, r"conditions\.segments is "),
        ({"conditions": {"segments": {"user:update": "x"}}}, r"conditions\.segments is "),
        ({"conditions": {"channels": {"only": "user:update"}}}, r"conditions\.channels is "),
        ({"channels": [{"channel": "user:update", "events-whitelist": "Ordered"}]}, r'"events-whitelist"\] is '),
    ],
)
def test_malformed_conditions_are_refused(entry, place):
    """The error names the place, and what to write."""
    with pytest.raises(InvalidArgumentError, match=place):
        load_manifest({"subscriptions": [{"url": "/s", **entry}]})
