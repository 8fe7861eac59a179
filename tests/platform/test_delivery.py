"""What the platform delivers, in which order, and what it makes of the answers."""

from __future__ import annotations

import itertools

import pytest
from delivery_kit import NEXT, FakeConnector, Sender

from hull_sdk.core import json
from hull_sdk.errors import HullError
from hull_sdk.platform import Platform
from hull_sdk.wire.signatures import load_public_key, verify_notification

ANN = {"email": "ann@acme.test"}


def flow(kind="next", size=10, pause=10, **more):
    """Return an answer."""
    return {"flow_control": {"type": kind, "size": size, "in": pause}, **more}


def failing(times, answer):
    """Answer `times` with something else, then with success."""
    left = iter([answer] * times)
    return lambda _notification: next(left, NEXT)


def test_a_change_is_delivered_with_everything_a_connector_needs(platform, organization, connector, fake, send):
    """A notification carries credentials, connector, segments and the message with its changes."""
    segment = organization.create_segment("user", "Pros", query={"term": {"traits_plan.raw": "pro"}})
    platform.run_until_idle()
    send.traits(ANN, {"plan": "pro"}, account={"domain": "acme.test"})
    platform.run_until_idle()
    notification = next(n for n in fake.notifications if n["channel"] == "user:update")
    assert notification["configuration"] == {
        "id": connector.id,
        "organization": "acme.hullapp.test",
        "secret": connector.secret,
    }
    assert notification["connector"]["manifest"] == fake.manifest
    assert notification["segments"] == notification["users_segments"]
    assert [s["id"] for s in notification["segments"]] == [segment["id"]]
    message = notification["messages"][0]
    assert len(message["message_id"]) == 40
    assert message["user"]["traits_plan"] == "pro"
    assert message["account"]["domain"] == "acme.test"
    assert message["changes"]["user"]["traits_plan"] == [None, "pro"]
    assert message["changes"]["account"]["domain"] == [None, "acme.test"]
    assert [s["name"] for s in message["changes"]["segments"]["entered"]] == ["Pros"]
    assert message["changes"]["is_new"] is True
    assert {e["event"] for e in message["events"]} >= {"User created", "Segments changed"}


def test_a_delivery_tells_what_was_sent_and_no_secret(platform, connector, fake, send):
    """A delivery has the messages of its notification and their ids; its text and plain forms hold no secret."""
    send.people(3)
    platform.run_until_idle()
    sent = [notification["messages"] for notification in fake.notifications]
    assert [each.messages for each in platform.deliveries] == sent
    assert [list(each.message_ids) for each in platform.deliveries] == [
        [m["message_id"] for m in each] for each in sent
    ]
    assert [each.to_dict()["messages"] for each in platform.deliveries] == sent
    shown = [text for each in platform.deliveries for text in (repr(each), json.dumps(each.to_dict()).decode())]
    assert not any(connector.secret in text for text in shown)


def test_every_try_is_signed_over_its_bytes(platform, connector, fake, send, call):
    """The signature names the notification, covers the body, and its key is served where the header says."""
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    headers = fake.headers[0]
    url = headers["HTTP_X_HULL_SMART_NOTIFIER_SIGNATURE_PUBLIC_KEY_URL"]
    assert url == f"https://acme.hullapp.test/api/v1/notification_keys/{platform.key_id}"
    _, pem = call("POST", url.removeprefix("https://acme.hullapp.test"))
    verify_notification(
        headers["HTTP_X_HULL_SMART_NOTIFIER_SIGNATURE"],
        load_public_key(pem.encode()),
        notification_id=fake.notifications[0]["notification_id"],
        body=fake.bodies[0],
        now=platform.runtime.clock.time(),
    )


def test_the_answer_decides_size_and_pause(platform, fake, send):
    """The first notification has one message; size and pause of an answer hold for the next one."""
    fake.answer = lambda _n: flow(size=3, pause=60_000)
    send.people(8)
    platform.run_until_idle()
    assert [len(n["messages"]) for n in fake.notifications] == [1, 3, 3, 1]
    times = [d.at for d in platform.deliveries]
    assert [round(b - a) for a, b in itertools.pairwise(times)] == [60, 60, 60]


def test_changes_made_meanwhile_come_as_one_message(platform, fake, send):
    """While a notification is retried, later changes wait and come together, against what was told last."""
    fake.answer = failing(2, flow("retry", pause=1000))
    send.traits(ANN, {"plan": "free"})
    platform.advance(seconds=0.5)
    send.traits(ANN, {"plan": "pro"})
    send.traits(ANN, {"plan": "team"})
    platform.run_until_idle()
    assert len(fake.bodies) == 4
    assert len({fake.bodies[0], fake.bodies[1], fake.bodies[2]}) == 1
    assert fake.messages()[-1]["changes"]["user"] == {"traits_plan": ["free", "team"]}
    assert fake.messages()[-1]["changes"]["is_new"] is False


def test_a_change_that_was_taken_back_is_not_told(platform, fake, send):
    """An attribute that is back at the value that was told last makes no message."""
    fake.answer = lambda _n: flow(pause=5000)
    send.traits(ANN, {"plan": "free"})
    platform.advance(seconds=1)
    send.traits(ANN, {"plan": "pro"})
    send.traits(ANN, {"plan": "free"})
    platform.run_until_idle()
    assert len(fake.bodies) == 1
    assert platform.pending == 0


@pytest.mark.parametrize(
    "answer",
    [(500, b"unhandled-error"), (200, b"ok"), (200, {"flow_control": {"type": "next"}}), (404, {}), (200, [1])],
    ids=["500", "text", "no pause", "404", "list"],
)
def test_an_answer_without_flow_control_is_a_failure_of_the_transport(platform, fake, send, answer):
    """Whatever its status, such an answer has the same bytes sent again, with pauses that grow."""
    fake.answer = failing(6, answer)
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    assert len(set(fake.bodies)) == 1
    assert [d.outcome for d in platform.deliveries] == ["failed"] * 6 + ["next"]
    assert [d.attempt for d in platform.deliveries] == list(range(1, 8))
    times = [d.at for d in platform.deliveries]
    pauses = [b - a for a, b in itertools.pairwise(times)]
    assert pauses[0] <= 1.01
    assert 15 <= pauses[5] <= 32.1


@pytest.mark.parametrize("status", [200, 400, 500, 503])
def test_flow_control_is_obeyed_whatever_the_status(platform, fake, send, status):
    """A retry is a retry and a next is a next under any status."""
    answers = iter([(status, flow("retry", pause=7000)), (status, flow())])
    fake.answer = lambda _n: next(answers)
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    assert [d.outcome for d in platform.deliveries] == ["retry", "next"]
    assert platform.deliveries[1].at - platform.deliveries[0].at == pytest.approx(7, abs=0.01)


def test_a_crashing_connector_is_a_lost_answer(platform, fake, send):
    """An exception out of a WSGI application is recorded and the notification comes again."""
    crashes = iter([True])

    def answer(_notification):
        if next(crashes, False):
            raise ZeroDivisionError("a bug")
        return NEXT

    fake.answer = answer
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    assert [d.outcome for d in platform.deliveries] == ["failed", "next"]
    assert "ZeroDivisionError" in platform.deliveries[0].error


def test_results_per_message_split_a_notification(platform, organization, connector, fake, send):
    """Of a batch, retried messages come again under a new id that names its parent, and errors become dead letters."""
    first = iter([flow(size=5)])

    def answer(notification):
        messages = notification["messages"]
        if len(messages) != 5:
            return next(first, NEXT)
        statuses = ["ok", "retry", "error", "skip", "retry"]
        entries = [
            {"message_id": m["message_id"], "status": s, "reason": "so"}
            for m, s in zip(messages, statuses, strict=True)
        ]
        return flow(responses=entries)

    fake.answer = answer
    send.people(6)
    platform.run_until_idle()
    batch, subset = fake.notifications[1], fake.notifications[2]
    assert subset["parent_notification_id"] == batch["notification_id"]
    assert subset["notification_id"] != batch["notification_id"]
    assert subset["messages"] == [batch["messages"][1], batch["messages"][4]]
    assert [d.outcome for d in platform.deliveries] == ["next", "partial", "next"]
    (letter,) = organization.dead_letters(connector.id)
    assert letter.message == batch["messages"][2]
    assert letter.reason == "so"


def test_a_message_that_is_always_retried_does_not_stop_the_others(platform, fake, send):
    """Parts and news take turns, so one poisoned message does not hold up its lane."""

    def answer(notification):
        poisoned = [m for m in notification["messages"] if m["user"]["external_id"] == "0"]
        entries = [{"message_id": m["message_id"], "status": "retry"} for m in poisoned]
        return flow(size=1, pause=1000, responses=entries)

    fake.answer = answer
    send.people(5)
    platform.advance(seconds=30)
    told = [m["user"]["external_id"] for m in fake.messages()]
    assert {"1", "2", "3", "4"} <= set(told[:10])


def test_a_notification_that_is_too_large_is_split(platform, fake, send):
    """After a 413 each message comes alone, under a new id that names the parent."""

    def answer(notification):
        if len(notification["messages"]) > 1:
            return 413, {"flow_control": {"type": "retry", "size": 1, "in": 1000}}
        return flow(size=1 if len(fake.bodies) > 1 else 3)

    fake.answer = answer
    send.people(4)
    platform.run_until_idle()
    large = fake.notifications[1]
    assert [len(n["messages"]) for n in fake.notifications] == [1, 3, 1, 1, 1]
    assert {n.get("parent_notification_id") for n in fake.notifications[2:]} == {large["notification_id"]}
    assert [n["messages"][0] for n in fake.notifications[2:]] == large["messages"]


def test_a_message_dies_a_day_after_its_first_delivery(platform, organization, connector, fake, send):
    """Whatever the answers, after 24 hours a message is a dead letter; it can be sent again."""
    fake.answer = lambda _n: flow("retry", pause=3_600_000)
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    assert len(fake.bodies) == 24
    (letter,) = organization.dead_letters(connector.id)
    assert "24 hours" in letter.reason
    assert platform.pending == 0

    fake.answer = lambda _n: NEXT
    assert organization.redrive(connector.id) == 1
    platform.run_until_idle()
    again = fake.notifications[-1]
    assert again["parent_notification_id"] == letter.notification_id
    assert again["messages"] == [letter.message]
    assert organization.dead_letters(connector.id) == []


def test_a_long_pause_does_not_outlive_the_message(platform, organization, connector, fake, send):
    """A retry in a week still ends in a dead letter after a day."""
    fake.answer = lambda _n: flow("retry", pause=7 * 86_400_000)
    send.traits(ANN, {"plan": "pro"})
    platform.advance(hours=24, seconds=1)
    assert len(organization.dead_letters(connector.id)) == 1


def test_redriving_an_unknown_dead_letter_changes_nothing(platform, organization, connector):
    """An id that is no dead letter is refused with its value."""
    with pytest.raises(HullError, match="'nope' is no dead letter"):
        organization.redrive(connector.id, ["nope"])


def test_a_connector_may_call_the_platform_from_its_handler(platform, fake, send, call, credentials):
    """No lock is held while a notification is under way: reads and writes from the handler are served."""
    seen = []

    def answer(_notification):
        seen.append(call("GET", "/api/v1/app", **credentials)[0])
        send.traits({"email": "bob@acme.test"}, {"plan": "free"})
        return NEXT

    fake.answer = answer
    send.traits(ANN, {"plan": "pro"})
    platform.run_until_idle()
    assert seen == [200, 200]
    assert [m["user"]["email"] for m in fake.messages()] == ["ann@acme.test", "bob@acme.test"]


def test_events_of_a_merged_user_reach_the_survivor(platform, fake, send):
    """What an absorbed user still had to tell is told about the one it was merged into."""
    fake.answer = lambda _n: flow(pause=60_000)
    send.traits({"external_id": "first"}, {"a": 1})
    platform.advance(seconds=1)
    send.track({"anonymous_id": "visitor"}, "Visited")
    send.traits({"external_id": "42", "anonymous_id": "visitor"}, {"a": 1})
    send.traits({"external_id": "43"}, {"a": 1})
    send.traits({"external_id": "43", "email": "x@acme.test"}, {"b": 1})
    send.track({"email": "y@acme.test"}, "Looked")
    send.traits({"email": "y@acme.test", "external_id": "43"}, {"c": 1})
    platform.run_until_idle()
    by_id = {m["user"]["external_id"]: m for m in fake.messages()}
    assert {"Visited"} <= {e["event"] for e in by_id["42"]["events"]}
    for message in by_id.values():
        assert {e["user_id"] for e in message["events"]} <= {message["user"]["id"]}
    survivor = by_id["43"]
    assert {"User merged", "Looked"} <= {e["event"] for e in survivor["events"]}


def test_a_deleted_user_is_not_told_of(platform, organization, fake, send):
    """News of a user that was deleted meanwhile are dropped."""
    fake.answer = lambda _n: flow(pause=60_000)
    send.people(1)
    platform.advance(seconds=1)
    send.traits(ANN, {"plan": "pro"})
    organization.delete_entity("user", organization.find_user(ANN).id)
    platform.run_until_idle()
    assert len(fake.messages()) == 1
    assert platform.pending == 0


def test_settings_and_segments_are_told_on_their_own_channels(platform, organization, connector, fake):
    """A change of settings goes to its connector, a segment to all; an equal value is no change."""
    other = FakeConnector()
    organization.install(other)
    organization.update_connector(connector, {"private_settings": {"api": "x"}})
    platform.run_until_idle()
    organization.update_connector(connector, {"private_settings": {"api": "x"}})
    segment = organization.create_segment("account", "Big", query={})
    platform.run_until_idle()
    organization.delete_segment(segment["id"])
    platform.run_until_idle()
    assert [m["private_settings"] for m in fake.messages("ship:update")] == [{"api": "x"}]
    assert other.messages("ship:update") == []
    for each in (fake, other):
        assert [m["name"] for m in each.messages("accounts_segment:update")] == ["Big"]
        assert [m["id"] for m in each.messages("accounts_segment:delete")] == [segment["id"]]


def test_only_subscribed_channels_are_delivered(platform, organization):
    """A subscription with channels takes those alone; without the tag all come, in the legacy form."""
    picky = FakeConnector(
        {"tags": ["kraken"], "subscriptions": [{"url": "/notify", "channels": [{"channel": "account:update"}]}]}
    )
    legacy = FakeConnector({"subscriptions": [{"url": "/notify"}]})
    connector = organization.install(picky)
    organization.install(legacy)
    sender = Sender(organization, connector)
    sender.traits(ANN, {"plan": "pro"}, account={"domain": "acme.test"})
    platform.run_until_idle()
    assert {n["channel"] for n in picky.notifications} == {"account:update"}
    assert {n["Subject"] for n in legacy.notifications} == {"account_report:update", "user_report:update"}
    assert platform.pending == 0


def test_deliveries_wait_for_a_manifest_that_cannot_be_read_yet(platform, organization):
    """News are kept until the manifest answers, and those that nobody subscribed to are dropped then."""
    late = FakeConnector(
        {"tags": ["smart-notifier"], "subscriptions": [{"url": "/notify", "channels": ["user:update"]}]}
    )
    late.manifest_status = 503
    connector = organization.install(late)
    Sender(organization, connector).traits(ANN, {"plan": "pro"}, account={"domain": "acme.test"})
    platform.run_until_idle()
    assert late.bodies == []
    assert platform.pending == 2
    late.manifest_status = 200
    platform.advance(seconds=10)
    assert [n["channel"] for n in late.notifications] == ["user:update"]
    assert platform.pending == 0
    assert connector.ready


def test_a_write_back_loop_is_named(platform, organization, connector, fake, send):
    """A connector that changes a user each time it is told of it ends the run with names."""
    numbers = iter(range(10**6))

    def answer(_notification):
        send.traits(ANN, {"score": next(numbers)})
        return NEXT

    fake.answer = answer
    send.traits(ANN, {"plan": "pro"})
    user_id = organization.find_user(ANN).id
    with pytest.raises(HullError) as caught:
        platform.run_until_idle(max_deliveries=100)
    for name in ("Fake", connector.id, user_id, "traits_score"):
        assert name in caught.value.message


def test_a_notification_that_is_never_done_is_named(platform, connector, fake, send):
    """A connector that refuses the same notification each time ends the run with its own words."""
    refusal = b'{"flow_control": {"type": "retry", "in": 1000}, "errors": [{"code": "E", "reason": "no key"}]}'
    fake.answer = lambda _notification: (500, refusal)
    send.traits(ANN, {"plan": "pro"})
    with pytest.raises(HullError) as caught:
        platform.run_until_idle(max_attempts=5)
    for part in ("Fake", connector.id, "user:update", "more than 5 times", "status 500", "E: no key"):
        assert part in caught.value.message
    assert len(platform.deliveries) == 6


def test_a_subscription_that_leads_nowhere_is_named(platform, connector, fake, send):
    """A connector that answers 404 ends the run with a hint at the address."""
    fake.answer = lambda _notification: (404, b"not found")
    send.traits(ANN, {"plan": "pro"})
    with pytest.raises(HullError, match="nothing answers at the subscription's url"):
        platform.run_until_idle(max_attempts=5)


def test_tries_of_an_earlier_run_do_not_count(platform, connector, fake, send):
    """A notification that was tried often while time was let pass may be tried as often again."""
    fake.answer = lambda _notification: (200, b'{"flow_control": {"type": "retry", "in": 1000}}')
    send.traits(ANN, {"plan": "pro"})
    platform.advance(seconds=60)
    assert len(platform.deliveries) > 50
    fake.answer = lambda _notification: NEXT
    platform.run_until_idle(max_attempts=1)
    assert platform.deliveries[-1].outcome == "next"


def test_the_same_seed_gives_the_same_run(signing_key):
    """State and deliveries of two runs with one seed are equal byte for byte."""

    def run():
        from hull_sdk.core.clock import VirtualClock

        platform = Platform(clock=VirtualClock(), seed=3, signing_key=signing_key)
        organization = platform.create_organization("acme.hullapp.test")
        fake = FakeConnector()
        sender = Sender(organization, organization.install(fake))
        fake.answer = failing(3, (500, b""))
        sender.people(10)
        platform.run_until_idle()
        trace = [delivery.to_dict() for delivery in platform.deliveries]
        return json.dumps_sorted({"state": platform.state(), "deliveries": trace})

    assert run() == run()


def test_a_removed_connector_hears_nothing_more(platform, organization, connector, fake, send):
    """Uninstalling drops what was pending."""
    send.people(3)
    organization.uninstall(connector)
    platform.run_until_idle()
    assert fake.bodies == []
    assert platform.pending == 0


def test_on_real_time_a_platform_comes_to_rest(signing_key):
    """The same deliveries happen on threads, and waiting until idle waits for them."""
    platform = Platform(signing_key=signing_key)
    organization = platform.create_organization("acme.hullapp.test")
    fake = FakeConnector()
    fake.answer = lambda _n: flow(pause=0)
    sender = Sender(organization, organization.install(fake))
    sender.people(20)
    platform.run_until_idle()
    assert len(fake.messages()) == 20
    platform.close()


def test_keys_are_rotated_without_a_word_to_connectors(platform, organization, call, send, fake):
    """What is sent from then on is signed with the new key at its own address; the old one is served as before."""
    send.traits({"external_id": "1"}, {"n": 1})
    platform.run_until_idle()
    old = platform.key_id
    new = platform.rotate_signing_key()
    fake.answer = lambda _n: NEXT if len(fake.bodies) > 2 else (503, "busy")
    send.traits({"external_id": "1"}, {"n": 2})
    platform.advance(minutes=1)
    used = [
        headers["HTTP_X_HULL_SMART_NOTIFIER_SIGNATURE_PUBLIC_KEY_URL"].rpartition("/")[2] for headers in fake.headers
    ]
    assert used == [old, new, new]
    for headers, body, key_id in zip(fake.headers, fake.bodies, used, strict=True):
        status, pem = call("GET", f"/api/v1/notification_keys/{key_id}")
        assert status == 200
        verify_notification(
            headers["HTTP_X_HULL_SMART_NOTIFIER_SIGNATURE"],
            load_public_key(pem.encode()),
            notification_id=json.loads(body)["notification_id"],
            body=body,
            now=platform.runtime.clock.time(),
        )
    assert call("GET", "/api/v1/notification_keys/unknown")[0] == 404
