"""The outbox: what one request sent, and whether it arrived."""

from __future__ import annotations

import gc
import threading
import time

import pytest
from client_sinks import FIREHOSE_HOST, HOST, ID, SECRET, Sink, served, until

from hull_sdk.client import Client, Outbox, SenderPool
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import CredentialsError, RejectedError

ANN = {"email": "ann@acme.test"}


@pytest.fixture
def outbox(runtime):
    """An empty outbox."""
    return Outbox(runtime)


@pytest.fixture
def pool(runtime):
    """Senders to share."""
    return SenderPool(runtime)


@pytest.fixture
def outbox_client(runtime, sink, pool, outbox):
    """A client that shares its sender and fills the outbox."""
    return Client(id=ID, secret=SECRET, organization=HOST, runtime=runtime, senders=pool, outbox=outbox)


def test_settling_sends_at_once(outbox_client, outbox, sink, runtime):
    """It does not wait for flush_after_ms, and counts scoped copies too."""
    outbox_client.as_user(ANN).traits({"n": 1})
    outbox_client.as_user(ANN).account({"domain": "acme.test"}).traits({"n": 2})
    settlement = outbox.settle(5)
    assert (settlement.accepted, settlement.rejected, settlement.failed, settlement.pending) == (2, [], [], 0)
    assert runtime.clock.monotonic() == 0
    assert outbox.settle(5).accepted == 0


def test_only_its_own_messages_count(outbox_client, outbox, sink, runtime, pool):
    """Another client on the same sender is not counted."""
    other = Client(id=ID, secret=SECRET, organization=HOST, runtime=runtime, senders=pool)
    other.as_user(ANN).traits({"n": 1})
    outbox_client.as_user(ANN).traits({"n": 2})
    assert outbox.settle(5).accepted == 1
    assert len(pool) == 1


def test_a_refused_token_is_no_fault_of_the_message(outbox_client, outbox, sink):
    """When a clock or a secret is wrong, a message counts as failed, so that what it was sent for comes again."""
    sink.script = [{"rejected": [{"index": 0, "message_id": None, "code": "BAD_TOKEN", "reason": "check the clocks"}]}]
    outbox_client.as_user(ANN).traits({"n": 1})
    settlement = outbox.settle(5)
    assert (settlement.accepted, settlement.rejected) == (0, [])
    assert "check the clocks" in str(settlement.failed[0])


def test_rejected_and_failed_messages_are_told_apart(outbox_client, outbox, sink):
    """A message refused for good is listed under rejected, a refused batch under failed."""
    sink.script = [{"rejected": [{"index": 0, "message_id": None, "code": "NO_IDENTIFIER", "reason": "r"}]}]
    outbox_client.as_user(ANN).traits({"n": 1})
    outbox_client.as_user(ANN).traits({"n": 2})
    first = outbox.settle(5)
    assert (first.accepted, [e.code for e in first.rejected], first.failed) == (1, ["NO_IDENTIFIER"], [])
    assert isinstance(first.rejected[0], RejectedError)
    sink.script = [401]
    outbox_client.as_user(ANN).traits({"n": 3})
    second = outbox.settle(5)
    assert (second.accepted, second.rejected) == (0, [])
    assert [type(error) for error in second.failed] == [CredentialsError]


def test_what_is_late_is_pending_and_counted_later(outbox_client, outbox, sink, runtime):
    """Settling returns on time; the outcome is in the next settlement."""
    sink.script = [503]
    sink.answer_headers = [("Retry-After", "20")]
    outbox_client.as_user(ANN).traits({"n": 1})
    late = outbox.settle(3)
    assert (late.accepted, late.pending, runtime.clock.monotonic()) == (0, 1, 3)
    assert outbox.settle(60).accepted == 1


def test_settled_futures_are_let_go(outbox_client, outbox, sink):
    """A long-lived outbox keeps counts, not Futures."""
    for _ in range(3):
        for number in range(500):
            outbox_client.as_user(ANN).traits({"n": number})
        outbox_client.flush()
        assert len(outbox) == 0
    assert outbox.settle(0).accepted == 1500
    gc.collect()


def test_settling_nothing_returns_at_once(outbox, runtime):
    """An outbox that nothing went through is settled."""
    assert outbox.settle(60).pending == 0
    assert runtime.clock.monotonic() == 0


# -- sending in the calling thread


def send_from_a_handler(client, count=3):
    """Send messages about different people; return the list that gets the thread of each one's callback."""
    threads = []
    for number in range(count):
        future = client.as_user({"external_id": str(number)}).traits({"n": number})
        future.add_done_callback(lambda _: threads.append(threading.current_thread()))
    return threads


@pytest.mark.parametrize("here", [True, False])
def test_settling_here_sends_in_the_calling_thread(http_sink, real_client, here):
    """One request with everything is made by the thread that waits for it anyway, if it says so."""
    sink, host = http_sink
    outbox = Outbox(Runtime.system())
    threads = send_from_a_handler(real_client(host, outbox=outbox))
    assert outbox.settle(20, here=here).accepted == 3
    assert until(lambda: len(threads) == 3)
    assert {thread is threading.current_thread() for thread in threads} == {here}
    assert [len(batch) for batch in sink.batches] == [3]


def test_a_request_under_way_leaves_the_calling_thread_its_own(real_client):
    """While another one's request is not answered, settling here sends what waits beside it in the calling thread."""
    first_arrived, released = threading.Event(), threading.Event()

    class FirstHangs(Sink):
        def receive(self, body, headers):
            if not first_arrived.is_set():
                first_arrived.set()
                released.wait(20)
            return super().receive(body, headers)

    runtime = Runtime.system()
    senders, outbox = SenderPool(runtime), Outbox(runtime)
    with served(FirstHangs()) as host:
        client = real_client(host, runtime=runtime, senders=senders, outbox=outbox)
        other = real_client(host, runtime=runtime, senders=senders)
        other.as_user(ANN).traits({"n": 1})
        senders.get(other._connection.config).hurry()
        assert first_arrived.wait(10)
        threads = send_from_a_handler(client, 1)
        assert outbox.settle(20, here=True).accepted == 1
        released.set()
        real_client.close()
        senders.close(10)
        runtime.net.close()
    assert threads == [threading.current_thread()]


def test_what_is_not_taken_here_is_repeated_in_the_background(http_sink, real_client):
    """A request that fails in the calling thread is repeated by the sender's own, and waited for."""
    sink, host = http_sink
    sink.script = [503, "lost", "drop"]
    outbox = Outbox(Runtime.system())
    threads = send_from_a_handler(real_client(host, outbox=outbox, retry=RetryPolicy(base_s=0.01)))
    assert outbox.settle(20, here=True).accepted == 3
    assert until(lambda: len(threads) == 3)
    assert threading.current_thread() not in threads
    assert (sink.values(), sink.repeated) == ([0, 1, 2], 3)


def test_more_than_a_request_takes_is_sent_all_the_same(outbox_client, outbox, sink):
    """What is left after the first request goes out in the background."""
    for number in range(1200):
        outbox_client.as_user(ANN).traits({"n": number})
    assert outbox.settle(20, here=True).accepted == 1200
    assert sink.values() == list(range(1200))


def test_what_went_to_several_connectors_arrives_too(outbox, pool, runtime, sink):
    """Messages of two connectors in one outbox go out in the background, all at once."""
    for number in range(2):
        connector = ID[:-1] + str(number)
        client = Client(id=connector, secret=SECRET, organization=HOST, runtime=runtime, senders=pool, outbox=outbox)
        client.as_user(ANN).traits({"n": number})
    assert outbox.settle(20, here=True).accepted == 2
    assert sorted(sink.values()) == [0, 1]


def test_without_time_for_a_request_none_begins_here(hanging_sink, real_client):
    """A wait that is shorter than a request may take stays on time with a server that hangs."""
    _, host = hanging_sink
    outbox = Outbox(Runtime.system())
    send_from_a_handler(real_client(host, outbox=outbox, timeout_s=20))
    started = time.monotonic()
    assert outbox.settle(0.3, here=True).pending == 3
    assert time.monotonic() - started < 5


def test_an_interrupt_while_sending_here_loses_nothing(outbox_client, outbox, sink, runtime):
    """What a request held that was interrupted goes out in the background."""

    def interrupted(_environ, _start_response):
        runtime.net.mount(FIREHOSE_HOST, sink)
        raise KeyboardInterrupt

    runtime.net.mount(FIREHOSE_HOST, interrupted)
    outbox_client.as_user(ANN).traits({"n": 1})
    with pytest.raises(KeyboardInterrupt):
        outbox.settle(20, here=True)
    runtime.tasks.sleep(0)
    assert sink.values() == [1]
