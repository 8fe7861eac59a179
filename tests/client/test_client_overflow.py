"""A full queue that drops: what goes, what stays, and how it is told."""

from __future__ import annotations

import logging

import pytest
from client_sinks import HOST, ID

from hull_sdk.client import Outbox
from hull_sdk.core.logs import fields_of
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.errors import MessageDroppedError, QueueFullError

ANN = {"email": "ann@acme.test"}
BOTH = pytest.mark.parametrize("overflow", ["drop_oldest", "drop_newest"])


def send(client, *numbers, claims=ANN):
    """Send one traits message for each number; return the Futures."""
    user = client.as_user(claims)
    return [user.traits({"n": number}) for number in numbers]


def dropped(futures):
    """Return the places of the Futures that failed since their message was dropped."""
    return [n for n, future in enumerate(futures) if isinstance(future.exception(0), MessageDroppedError)]


def lines(caplog):
    """Return the fields of the lines about drops."""
    return [fields_of(record) for record in caplog.records if record.getMessage() == "firehose.dropped"]


@pytest.mark.parametrize(("overflow", "kept"), [("drop_oldest", [4, 5, 6]), ("drop_newest", [0, 1, 2])])
def test_the_policy_says_what_goes(make_client, sink, runtime, overflow, kept):
    """The oldest make room, or the newest are not taken; nobody waits and the order of the others is kept."""
    client = make_client(queue_size=3, overflow=overflow)
    futures = send(client, *range(7))
    assert runtime.clock.monotonic() == 0
    result = client.flush()
    assert (result.sent, result.failed, result.dropped, result.pending) == (3, 4, 4, 0)
    assert sink.values() == kept
    assert dropped(futures) == [n for n in range(7) if n not in kept]


@BOTH
def test_a_dropped_message_says_so(make_client, sink, overflow):
    """Its Future raises an error that names the message, the policy and the ways out, and flush has it too."""
    client = make_client(queue_size=1, overflow=overflow)
    futures = send(client, 1, 2)
    with pytest.raises(MessageDroppedError, match=rf"overflow='{overflow}'\): raise queue_size or workers") as caught:
        futures[0 if overflow == "drop_oldest" else 1].result()
    assert isinstance(caught.value, QueueFullError)
    result = client.flush()
    assert [error.extra for error in result.errors] == [caught.value.extra]
    assert (result.dropped, client.flush().dropped) == (1, 0)


@BOTH
def test_a_burst_is_one_line(make_client, sink, runtime, caplog, overflow):
    """However many are dropped in a burst, one warning names the count and the connector; the next burst has its own."""
    client = make_client(queue_size=2, overflow=overflow)
    for count in (100, 50):
        send(client, *range(count))
        runtime.tasks.sleep(30)
    who = {"overflow": overflow, "organization": HOST, "id": ID}
    assert lines(caplog) == [{"messages": 98, **who}, {"messages": 48, **who}]
    assert {r.levelno for r in caplog.records} == {logging.WARNING}


def test_a_burst_that_does_not_end_is_reported_meanwhile(make_client, sink, runtime, caplog):
    """A line comes every ten seconds as long as messages are dropped."""
    sink.script = [503] * 1000
    client = make_client(queue_size=1, overflow="drop_newest")
    for number in range(100):
        send(client, number)
        runtime.tasks.sleep(0.25)
    assert [fields["messages"] for fields in lines(caplog)] == [40, 40]
    client.close(0)


def test_closing_reports_what_was_dropped(make_client, sink, caplog):
    """A client that is closed writes the line of a burst that has just been."""
    client = make_client(queue_size=1, overflow="drop_newest")
    send(client, 1, 2, 3)
    assert client.close().dropped == 2
    assert [fields["messages"] for fields in lines(caplog)] == [2]


def test_what_is_under_way_is_never_dropped(make_client, sink, runtime):
    """A batch that is being repeated may have been applied; it stays, and newer messages go when nothing else waits."""
    client = make_client(queue_size=2, flush_at=2, overflow="drop_oldest")
    sink.script = ["lost"]
    futures = send(client, 1, 2)
    runtime.tasks.sleep(0)
    futures += send(client, 3)
    assert dropped(futures[2:]) == [0]
    assert client.flush(60).sent == 2
    assert [future.exception() for future in futures[:2]] == [None, None]
    assert sink.values() == [1, 2]


def test_the_oldest_of_all_goes(make_client, sink, runtime):
    """Whoever it is about, what waited longest makes room."""
    client = make_client(queue_size=4, workers=8, overflow="drop_oldest")
    futures = []
    for n in range(6):
        futures += send(client, n, claims={"external_id": str(n)})
        runtime.clock.move_to(runtime.clock.monotonic() + 0.01)
    client.flush()
    assert dropped(futures) == [0, 1]


def test_a_large_message_takes_the_place_of_several(make_client, sink):
    """As many of the oldest go as the bytes of the new one need."""
    client = make_client(queue_bytes=500_000, overflow="drop_oldest")
    user = client.as_user(ANN)
    futures = [user.traits({"n": n, "text": "x" * 150_000}) for n in range(3)]
    futures.append(user.traits({"n": 3, "text": "x" * 300_000}))
    client.flush()
    assert dropped(futures) == [0, 1]
    assert sink.values() == [2, 3]


def test_flush_waits_for_what_was_queued_before_the_dropped(make_client, sink, runtime):
    """Messages dropped behind a batch under way do not make a flush believe that the batch has arrived."""
    client = make_client(queue_size=4, flush_at=2, workers=1, overflow="drop_oldest", retry=RetryPolicy(base_s=5))
    sink.script = [503]
    futures = send(client, 1, 2)
    runtime.tasks.sleep(0)
    futures += send(client, *range(3, 20))
    result = client.flush(0)
    assert (result.pending, result.dropped) == (4, 15)
    assert client.flush(60).sent == 4
    assert sink.values() == [1, 2, 18, 19]


def test_an_outbox_hears_of_drops(make_client, sink, runtime):
    """What was dropped counts as failed, so that whoever answers for it can ask for a repetition."""
    outbox = Outbox(runtime)
    send(make_client(queue_size=1, overflow="drop_newest", outbox=outbox), 1, 2, 3)
    settled = outbox.settle()
    assert (settled.accepted, [type(error) for error in settled.failed]) == (1, [MessageDroppedError] * 2)


def test_a_callback_may_send_again(make_client, sink):
    """What the callback of a message sends when that is dropped is taken, although the queue is full."""
    client = make_client(queue_size=2, overflow="drop_oldest")
    again = []
    for future in send(client, 1, 2):
        future.add_done_callback(lambda f: again.extend(send(client, 9) if f.exception() else []))
    send(client, 3)
    client.flush()
    assert len(again) == 1
    assert sink.values() == [2, 3, 9]


def test_what_is_raised_and_what_arrives_add_up_under_load(http_sink, real_client):
    """With ``raise`` each call that found no room says so itself, and the firehose has all the others, once."""
    sink, host = http_sink
    client = real_client(host, queue_size=50, block_s=0)
    taken, refused = [], []
    for n in range(50_000):
        try:
            taken += send(client, n)
        except QueueFullError:
            refused.append(n)
    result = client.flush(30)
    assert (result.sent, result.failed, result.dropped, result.pending) == (len(taken), 0, 0, 0)
    assert refused
    assert sorted([*refused, *(message["body"]["n"] for message in sink.accepted)]) == list(range(50_000))


@BOTH
def test_everything_is_counted_under_load(http_sink, real_client, overflow):
    """Of fifty thousand messages through a small queue, sent and dropped add up, and the firehose has the sent ones."""
    sink, host = http_sink
    client = real_client(host, queue_size=200, overflow=overflow)
    futures = [f for n in range(50_000) for f in send(client, n, claims={"external_id": str(n % 7)})]
    result = client.flush(30)
    assert (result.pending, result.sent + result.failed) == (0, 50_000)
    assert result.dropped == result.failed == len(dropped(futures)) > 0
    assert len(sink.accepted) == result.sent
    for person in range(7):
        mine = [m["body"]["n"] for m in sink.accepted if m["body"]["n"] % 7 == person]
        assert mine == sorted(mine)
