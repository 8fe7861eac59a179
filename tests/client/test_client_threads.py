"""The sender with real threads and sockets: many callers, slow and hanging servers."""

from __future__ import annotations

import threading
import time

import pytest
from client_sinks import until

from hull_sdk.core.retry import RetryPolicy
from hull_sdk.errors import QueueFullError

ANN = {"email": "ann@acme.test"}
#: What a flush may take beyond its timeout: less than the requests that hang.
GRACE_S = 5.0
HANGING_S = 20.0


def test_many_threads_share_a_client(http_sink, real_client):
    """Eight threads send a thousand messages each: all arrive once, in order for each thread's claims."""
    sink, host = http_sink
    client = real_client(host, queue_size=500)

    def work(thread):
        user = client.as_user({"external_id": str(thread)})
        for number in range(250):
            user.traits({"thread": thread, "n": number})

    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert client.flush(30).pending == 0
    assert len(sink.accepted) == 2000
    for thread in range(8):
        assert [m["body"]["n"] for m in sink.accepted if m["body"]["thread"] == thread] == list(range(250))


def test_messages_leave_without_a_flush(http_sink, real_client):
    """The background sends after flush_after_ms."""
    sink, host = http_sink
    client = real_client(host, flush_after_ms=20)
    client.as_user(ANN).traits({"n": 1})
    assert until(lambda: sink.values() == [1])


def test_flush_waits_for_callbacks(http_sink, real_client):
    """When flush returns, every Future is done and its callbacks have run."""
    _, host = http_sink
    client = real_client(host)
    called = []
    futures = [client.as_user({"external_id": str(n)}).traits({"n": n}) for n in range(50)]
    for future in futures:
        future.add_done_callback(called.append)
    client.flush(10)
    assert len(called) == 50


@pytest.mark.parametrize("timeout_s", [0.0, 0.3])
def test_flush_returns_on_time_with_a_hanging_server(hanging_sink, real_client, timeout_s):
    """It never waits longer than it was told, and says what is pending."""
    _, host = hanging_sink
    client = real_client(host, timeout_s=HANGING_S)
    client.as_user(ANN).traits({"n": 1})
    started = time.monotonic()
    result = client.flush(timeout_s)
    assert time.monotonic() - started < timeout_s + GRACE_S
    assert (result.sent, result.pending) == (0, 1)


def test_flushes_of_many_threads_all_return(hanging_sink, real_client):
    """Several flushes at once, with a server that hangs, each return on time."""
    _, host = hanging_sink
    client = real_client(host, timeout_s=HANGING_S)
    client.as_user(ANN).traits({"n": 1})
    took = []

    def flush():
        started = time.monotonic()
        client.flush(0.3)
        took.append(time.monotonic() - started)

    threads = [threading.Thread(target=flush) for _ in range(5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert max(took) < 0.3 + GRACE_S


def test_a_callback_can_send_and_flush(http_sink, real_client):
    """Within a callback, in the sender's own thread, neither sending nor flushing blocks, even when the queue is full."""
    sink, host = http_sink
    client = real_client(host, workers=1, queue_size=2)
    results = []

    def again(_):
        for number in range(5):
            client.as_user(ANN).traits({"n": 10 + number})
        started = time.monotonic()
        results.append((client.flush(5), time.monotonic() - started))

    client.as_user(ANN).traits({"n": 1}).add_done_callback(again)
    assert client.flush(5).pending == 0
    assert until(lambda: len(results) == 1)
    assert results[0][0].pending == 0
    assert results[0][1] < 2
    assert sink.values() == [1, 10, 11, 12, 13, 14]


def test_a_flush_in_a_callback_returns_on_time(hanging_sink, real_client):
    """Even when the server hangs from then on."""
    sink, host = hanging_sink
    sink.released.set()
    client = real_client(host, workers=1, timeout_s=HANGING_S)
    took = []

    def again(_):
        sink.released.clear()
        client.as_user(ANN).traits({"n": 2})
        started = time.monotonic()
        client.flush(0.3)
        took.append(time.monotonic() - started)

    client.as_user(ANN).traits({"n": 1}).add_done_callback(again)
    client.flush(0.01)
    assert until(lambda: took)
    assert took[0] < 0.3 + GRACE_S


def test_a_full_queue_raises_on_time(hanging_sink, real_client):
    """The caller is kept no longer than block_s; what was queued is still there."""
    _, host = hanging_sink
    client = real_client(host, queue_size=3, block_s=0.2, timeout_s=1)
    user = client.as_user(ANN)
    for number in range(3):
        user.traits({"n": number})
    started = time.monotonic()
    with pytest.raises(QueueFullError):
        user.traits({"n": 3})
    assert 0.2 <= time.monotonic() - started < 1
    assert client.flush(0).pending == 3


def test_blocked_callers_go_on_when_there_is_room(hanging_sink, real_client):
    """Callers that wait on a full queue continue as soon as a batch is accepted."""
    sink, host = hanging_sink
    client = real_client(host, queue_size=2, workers=1)
    done = []

    def work(thread):
        for number in range(5):
            client.as_user(ANN).traits({"n": number, "thread": thread})
        done.append(thread)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    assert sink.arrived.wait(10)
    assert done == []
    sink.released.set()
    for thread in threads:
        thread.join()
    assert client.flush(10).pending == 0
    assert len(sink.accepted) == 20


def test_an_idle_client_keeps_no_thread(http_sink, real_client, monkeypatch):
    """Threads end when there is nothing to do for a while, and come back."""
    monkeypatch.setattr("hull_sdk.core.tasks.IDLE_THREAD_S", 0.02)
    sink, host = http_sink
    client = real_client(host)
    ours = lambda: [t for t in threading.enumerate() if t.name.startswith("hull-sender")]  # noqa: E731
    for number in range(3):
        client.as_user(ANN).traits({"n": number})
        client.flush(5)
        assert until(lambda: not ours())
    assert sink.values() == [0, 1, 2]


def test_closing_ends_the_threads(http_sink, real_client):
    """After close() no thread of the sender is left."""
    _, host = http_sink
    client = real_client(host)
    for number in range(20):
        client.as_user({"external_id": str(number)}).traits({"n": number})
    assert client.close(10).sent == 20
    assert until(lambda: not [t for t in threading.enumerate() if t.name.startswith("hull-sender")])


def test_a_server_that_cannot_be_reached_is_given_up_on(real_client):
    """A refused connection is repeated for total_s, then the Future fails."""
    client = real_client("127.0.0.1:1", retry=RetryPolicy(base_s=0.01, cap_s=0.02, total_s=0.05))
    future = client.as_user(ANN).traits({"n": 1})
    assert client.flush(10).failed == 1
    assert "127.0.0.1:1" in str(future.exception())


def test_a_lost_answer_is_repeated_with_the_same_ids(http_sink, real_client):
    """The connection breaks after the messages were taken: they arrive again and count once."""
    sink, host = http_sink
    sink.script = ["lost", "drop", 500]
    client = real_client(host, retry=RetryPolicy(base_s=0.01))
    for number in range(3):
        client.as_user(ANN).traits({"n": number})
    assert client.flush(10).sent == 3
    assert sink.values() == [0, 1, 2]
    assert sink.repeated == 3
