"""What a message led to, and that every message has one final state."""

from __future__ import annotations

from collections import Counter

from delivery_kit import NEXT
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hull_sdk.core.clock import VirtualClock
from hull_sdk.platform import Platform

ANN = {"email": "ann@acme.test"}


def send_one(send, message):
    """Send a message and return the id."""
    send.organization.receive([message], send.connector)
    return message["message_id"]


def test_a_message_is_followed_to_what_came_back(platform, organization, send, fake):
    """Changes, segments, notification, answer, and what the connector wrote while it handled it."""
    segment = organization.create_segment("user", "Pro", query={"term": {"traits_plan": "pro"}})
    fake.answer = lambda n: {
        **NEXT,
        "responses": [{"message_id": m["message_id"], "status": "ok"} for m in n["messages"]],
    }
    cause = send_one(send, send.message("traits", {"plan": "pro"}, user=ANN))
    platform.run_until_idle()
    told = fake.notifications[-1]
    reply = {
        **send.message("traits", {"score": 1}, user=ANN),
        "requestId": f"smart-notifier:1:{told['notification_id']}",
    }
    back = send_one(send, reply)
    found = organization.full_trace(cause)
    (change,) = found["changes"]
    assert (found["state"], change["is_new"], change["fields"]["traits_plan"]) == ("applied", True, [None, "pro"])
    assert change["segments"] == {"entered": [segment["id"]], "left": []}
    assert "User created" in change["events"]
    (notified,) = found["notifications"]
    assert notified["message_id"] == fake.messages()[0]["message_id"]
    assert [(t["attempt"], t["status"], t["outcome"], t["response"]["status"]) for t in notified["tries"]] == [
        (1, 200, "next", "ok")
    ]
    assert notified["came_back"] == [{"message_id": back, "type": "traits", "state": "applied"}]


def test_messages_that_are_told_together_have_the_notification_in_common(platform, organization, send, fake):
    """What waits while a connector is busy is told at once, and each message's trace says so."""
    fake.answer = lambda _n: (503, "busy")
    causes = [send_one(send, send.message("traits", {"n": n}, user=ANN)) for n in range(3)]
    told = [organization.full_trace(cause)["notifications"] for cause in causes]
    assert told == [[], [], []]
    fake.answer = lambda _n: NEXT
    platform.run_until_idle()
    told = [organization.full_trace(cause)["notifications"] for cause in causes]
    assert told[0] == told[1] == told[2]
    assert len(fake.messages()) == 1


def test_a_merge_takes_the_trace_along(platform, organization, send, fake):
    """What was not told of a user who is merged away is told of the one who stays."""
    cause = send_one(send, send.message("track", {"event": "Seen", "properties": {}}, user={"anonymous_id": "a1"}))
    merge = send_one(send, send.message("traits", {}, user={"external_id": "1", "anonymous_id": "a1"}))
    platform.run_until_idle()
    told = [organization.full_trace(each)["notifications"] for each in (cause, merge)]
    assert told[0] == told[1] != []


def test_a_dead_letter_stands_in_the_trace(platform, organization, send, fake):
    """The trace of a message that could not be told ends with the reason."""
    fake.answer = lambda n: {
        "flow_control": {"type": "next", "in": 0},
        "responses": [{"message_id": m["message_id"], "status": "error", "reason": "bad"} for m in n["messages"]],
    }
    cause = send_one(send, send.message("traits", {"n": 1}, user=ANN))
    platform.run_until_idle()
    (told,) = organization.full_trace(cause)["notifications"]
    assert told["dead_letter"]["reason"] == "bad"


MESSAGES = st.lists(
    st.tuples(
        st.integers(0, 5),
        st.sampled_from(["traits", "track", "alias", "unalias", "dance"]),
        st.sampled_from([{"email": "ann@acme.test"}, {"external_id": "1"}, {"anonymous_id": "a"}, {"id": "gone"}, {}]),
        st.booleans(),
    ),
    max_size=20,
)


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(MESSAGES)
def test_every_message_ends_in_one_state_and_the_counts_add_up(signing_key, drawn):
    """However messages are mixed, each is applied, merged, ignored, failed, or a repetition, and nothing is left over."""
    from delivery_kit import Sender

    platform = Platform(clock=VirtualClock(), seed=0, signing_key=signing_key)
    organization = platform.create_organization("acme.hullapp.test")
    send = Sender(organization, organization.install(None, manifest={}))
    accepted = rejected = 0
    for number, kind, user, create in drawn:
        body = {"traits": {"n": number}, "track": {"event": "Seen"}}.get(kind, {"anonymous_id": f"x{number}"})
        message = {**send.message(kind, body, user=user or None, create=create), "message_id": f"m{number}"}
        taken, refused = organization.receive([message], send.connector)
        accepted, rejected = accepted + taken, rejected + len(refused)
    records, counts = organization.records, organization.record_counts
    assert accepted + rejected == len(drawn)
    assert dict(Counter(record.state for record in records)) == {k: n for k, n in counts.items() if n}
    assert sum(counts.values()) + sum(record.repeats for record in records) == len(drawn)
    ids = {f"m{number}" for number, *_ in drawn}
    assert all(organization.full_trace(each)["state"] in counts for each in ids)
    final = Counter(record.message_id for record in records if record.state != "failed")
    assert all(count == 1 for count in final.values())
    platform.close()


def test_over_http_each_message_has_one_state_and_the_counts_add_up(platform, organization, call, send, credentials):
    """What the firehose accepted and refused is all there, trace by trace and in the counts of a dump."""
    platform.test_controls = True
    kinds = [("traits", {"n": 1}), ("track", {"event": "Seen"}), ("unalias", {"anonymous_id": "x"}), ("traits", [1])]
    users = [{"external_id": "1"}, {"anonymous_id": "a"}, {"external_id": "1", "anonymous_id": "a"}, {"id": "gone"}]
    messages = [send.message(kind, body, user=user) for user in users for kind, body in kinds]
    answer = call("POST", "/api/v1/firehose", {"batch": messages}, **credentials)[1]
    refused = {each["message_id"] for each in answer["rejected"]}
    states = Counter()
    for message in messages:
        status, trace = call("GET", f"/_platform/trace/{message['message_id']}")
        assert (status == 200) or message["message_id"] in refused
        states.update([trace["state"]] if status == 200 else [])
    dump = call("POST", "/_platform/snapshot")[1]["organizations"]["acme.hullapp.test"]
    assert dict(states) == {name: count for name, count in dump["record_counts"].items() if count}
    assert {"applied", "merged", "failed"} <= set(states)
    assert sum(states.values()) + len(refused - {r["message_id"] for r in dump["records"]}) == len(messages)
