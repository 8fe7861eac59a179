"""What the delivery promises mean for a connector: retries, lost answers, subsets and duplicates."""

from __future__ import annotations

from hull_sdk.errors import TransientError
from hull_sdk.handlers import for_each

ANN = {"email": "ann@acme.example"}


def people(harness, count):
    """Send the names of some people."""
    for index in range(count):
        harness.client.as_user({"external_id": str(index)}).traits({"name": f"Person {index}"})


def test_a_retry_answer_brings_the_same_bytes_again(harness, recorder):
    """After a TransientError the same notification id and the same messages come again."""
    failures = [TransientError("the CRM is down"), None]

    def handle(_ctx, _messages):
        error = failures.pop(0) if failures else None
        if error:
            raise error

    recorder.handle = handle
    harness.client.as_user(ANN).traits({"first_name": "Ann"})
    harness.run_until_idle()
    first, second = harness.deliveries[:2]
    assert (first.status, first.outcome) == (400, "retry")
    assert first.notification_id == second.notification_id
    assert recorder.calls[0] == recorder.calls[1]
    assert second.outcome == "next"


def test_a_lost_answer_runs_the_handler_once(harness, recorder):
    """When the answer is lost on the way, the next delivery is answered from the store."""
    harness.platform.faults.add("drop_after", target="delivery", times=1)
    harness.client.as_user(ANN).traits({"first_name": "Ann"})
    harness.run_until_idle()
    assert len(recorder.calls) == 1
    assert [d.outcome for d in harness.deliveries] == ["failed", "next"]
    assert len({d.notification_id for d in harness.deliveries}) == 1


def test_a_duplicate_delivery_runs_the_handler_once(harness, recorder):
    """A notification that is delivered twice is handled once."""
    harness.platform.faults.add("duplicate", target="delivery", times=1)
    harness.client.as_user(ANN).traits({"first_name": "Ann"})
    harness.run_until_idle()
    assert len(recorder.calls) == 1


def test_only_what_asks_for_a_retry_comes_again(harness, recorder):
    """Of a batch with results per message, retried ones come again under a new id and errors become dead letters."""
    people(harness, 6)
    asked = {"retried": False}

    def handle(ctx, messages):
        ctx.smart_notifier_response.set_flow_control(type="next", size=10, in_ms=10)
        if len(messages) < 5 or asked["retried"]:
            return None
        asked["retried"] = True
        statuses = ["ok", "retry", "error", "retry", "ok"]
        return [
            {"message_id": m["message_id"], "status": s, "reason": "because"}
            for m, s in zip(messages, statuses, strict=True)
        ]

    recorder.handle = handle
    harness.run_until_idle()
    sizes = [len(messages) for _, messages in recorder.calls]
    assert sizes == [1, 5, 2]
    batch, subset = recorder.calls[1][1], recorder.calls[2][1]
    assert [m["user"]["external_id"] for m in subset] == [
        batch[1]["user"]["external_id"],
        batch[3]["user"]["external_id"],
    ]
    parent = harness.deliveries[1]
    assert harness.deliveries[2].parent_notification_id == parent.notification_id
    assert len(harness.organization.dead_letters(harness.connector.id)) == 1


def test_a_message_becomes_a_dead_letter_after_a_day(harness, recorder):
    """A connector that fails for a day loses the message to the dead letters, from which it can be sent again."""

    def fail(_ctx, _messages):
        raise TransientError("the CRM is down for days", retry_after=3600)

    recorder.handle = fail
    harness.client.as_user(ANN).traits({"first_name": "Ann"})
    harness.run_until_idle()
    assert len(harness.organization.dead_letters(harness.connector.id)) == 1
    recorder.handle = lambda _ctx, _messages: None
    harness.organization.redrive(harness.connector.id)
    harness.run_until_idle()
    assert harness.organization.dead_letters(harness.connector.id) == []
    assert harness.deliveries[-1].outcome == "next"


def test_what_a_handler_sends_is_accepted_before_the_answer(harness, recorder):
    """When the firehose refuses everything, the notification is not answered with success."""
    recorder.handle = lambda ctx, messages: [ctx.client.as_user(m["user"]).traits({"n": 1}) for m in messages] and None
    harness.client.as_user(ANN).traits({"first_name": "Ann"}).result()
    harness.platform.faults.add("error", target="firehose", status=500, for_ms=60_000)
    harness.run_until_idle()
    outcomes = [d.outcome for d in harness.deliveries]
    assert outcomes[0] == "retry"
    assert outcomes[-1] == "next"
    assert harness.user(ANN)["traits_n"] == 1


def test_a_write_back_loop_is_named(harness, recorder):
    """A handler that changes an attribute each time is stopped with a message that names it."""
    import pytest

    from hull_sdk.errors import HullError

    counter = iter(range(10**9))
    recorder.handle = lambda ctx, messages: (
        [ctx.client.as_user(m["user"]).traits({"looping": next(counter)}) for m in messages] and None
    )
    harness.client.as_user(ANN).traits({"first_name": "Ann"})
    with pytest.raises(HullError, match="traits_looping"):
        harness.run_until_idle(max_deliveries=50)


def count_and_fail_once(failures, shared=None):
    """Return a handler that counts and tracks for each message, and raises once afterwards."""

    def handle_one(ctx, message):
        person = ctx.client.as_user(message["user"])
        person.traits({"seen": {"operation": "inc", "value": 1}})
        person.track("Seen", {"name": message["user"]["name"]})
        person.track("Seen", {"name": message["user"]["name"]})
        if shared is not None:
            ctx.client.as_account(shared).traits({"seen": {"operation": "inc", "value": 1}})
        error = failures.pop(0) if failures else None
        if error:
            raise error

    def handle(ctx, messages):
        ctx.smart_notifier_response.set_flow_control(type="next", size=10, in_ms=10)
        fresh = [message for message in messages if "name" in message["changes"].get("user", ())]
        return for_each(ctx, fresh, lambda message: handle_one(ctx, message))

    return handle


def seen_events(harness, claims):
    """Return the events that the handler tracked for a user."""
    return [event for event in harness.events(claims) if event["event"] == "Seen"]


def test_a_message_that_is_handled_again_changes_nothing_twice(harness, recorder):
    """What for_each sent before its function failed is applied once, although the function sends it again."""
    recorder.handle = count_and_fail_once([None, TransientError("the CRM is down"), RuntimeError("a bug")])
    people(harness, 4)
    harness.run_until_idle()
    for index in range(4):
        claims = {"external_id": str(index)}
        assert harness.user(claims)["traits_seen"] == 1
        assert len(seen_events(harness, claims)) == 2
    assert len([message for message in harness.firehose if message["type"] == "track"]) == 8


def test_the_same_write_for_two_messages_counts_twice(harness, recorder):
    """Two messages that write the same to one account are two changes, also when one of them comes again."""
    recorder.handle = count_and_fail_once([None, TransientError("the CRM is down")], shared={"domain": "acme.example"})
    people(harness, 4)
    harness.run_until_idle()
    assert harness.account({"domain": "acme.example"})["seen"] == 4


def test_two_passes_over_the_same_messages_are_two_works(harness, recorder):
    """A handler that goes over its messages twice and writes the same each time has written twice."""

    def count(ctx, message):
        ctx.client.as_user(message["user"]).traits({"seen": {"operation": "inc", "value": 1}})

    def handle(ctx, messages):
        fresh = [message for message in messages if "name" in message["changes"].get("user", ())]
        for_each(ctx, fresh, lambda message: count(ctx, message))
        return for_each(ctx, fresh, lambda message: count(ctx, message))

    recorder.handle = handle
    people(harness, 1)
    harness.run_until_idle()
    assert harness.user({"external_id": "0"})["traits_seen"] == 2
