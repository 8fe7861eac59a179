"""Which requests messages travel in: few share one, many use all workers, and who has to wait for whom."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from client_sinks import HOST, ID, SECRET, HangingSink, claims_of, served, until
from hypothesis import given, settings
from hypothesis import strategies as st

from hull_sdk.client.backlog import Message
from hull_sdk.client.config import ClientConfig, SendingOptions
from hull_sdk.client.delivery import Accepted, Refused, TooLarge, TryAgain
from hull_sdk.client.sender import Sender
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import ApiError, MessageDroppedError, NetworkError
from hull_sdk.wire.firehose import Rejection


def send(client, *people):
    """Send one numbered message about each person; return the Futures."""
    return [client.as_user({"external_id": str(person)}).traits({"n": person}) for person in people]


def person_of(message):
    """Return whom a message on the wire is about."""
    return int(claims_of(message)["io.hull.asUser"]["external_id"])


class CountingSink(HangingSink):
    """A firehose that counts the requests which it has not answered."""

    def __init__(self):
        super().__init__()
        self.under_way = self.most = 0
        self._count = threading.Lock()

    def receive(self, body, headers):
        with self._count:
            self.under_way += 1
            self.most = max(self.most, self.under_way)
        try:
            return super().receive(body, headers)
        finally:
            with self._count:
                self.under_way -= 1


def sender_threads():
    """Return the names of the threads that send now."""
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("hull-sender-")}


def test_few_messages_about_many_people_share_a_request(make_client, sink):
    """What a handler writes about ten people travels in one request, time after time."""
    client = make_client(workers=4)
    for _ in range(20):
        send(client, *range(10))
        assert client.flush().sent == 10
    assert [len(batch) for batch in sink.batches] == [10] * 20


def busy_client(real_client, sink, host):
    """Return a client whose four workers all wait for the answer to a request of five messages."""
    client = real_client(host, workers=4, flush_at=5)
    for worker in range(4):
        send(client, *range(5 * worker, 5 * worker + 5))
        assert until(lambda worker=worker: sink.under_way == worker + 1)
    return client


def test_a_quiet_client_has_one_connection(http_sink, real_client):
    """As long as each request is answered before the next one is due, one worker sends them all."""
    sink, host = http_sink
    client = real_client(host, workers=16)
    for _ in range(20):
        send(client, *range(10))
        assert client.flush(10).sent == 10
    assert len(sink.batches) == 20
    assert sender_threads() == {"hull-sender-0"}


def test_many_messages_use_all_workers_and_no_more(real_client):
    """While answers are awaited, further messages go over further connections, as many as there are workers."""
    sink = CountingSink()
    with served(sink) as host:
        client = busy_client(real_client, sink, host)
        send(client, *range(20, 60))
        sink.released.set()
        assert client.flush(20).sent == 60
        real_client.close()
    assert sink.most == 4
    assert sorted(sink.values()) == list(range(60))


def test_what_waits_for_all_workers_is_shared_out(real_client):
    """When all are awaiting answers, what comes meanwhile is divided among them, and not left to one."""
    sink = CountingSink()
    with served(sink) as host:
        client = busy_client(real_client, sink, host)
        send(client, *range(20, 60))
        waiting = [lane.waiting(lane.queued) for lane in client._connection._source._lanes]
        sink.released.set()
        client.flush(20)
        real_client.close()
    assert waiting == [15, 15, 15, 15]


def test_what_comes_after_a_request_began_does_not_wait_for_its_answer(real_client):
    """While the answer to one request is awaited, the next messages go over another connection."""
    sink = CountingSink()
    with served(sink) as host:
        client = real_client(host, flush_after_ms=20)
        for worker in range(3):
            send(client, 2 * worker, 2 * worker + 1)
            assert until(lambda worker=worker: sink.under_way == worker + 1)
        sink.released.set()
        assert client.flush(20).sent == 6
        real_client.close()


def test_large_messages_fill_a_request_before_their_number_does(make_client, sink, runtime):
    """A megabyte is enough for one worker, so that the next one takes what follows."""
    client = make_client(workers=4)
    for person in range(12):
        client.as_user({"external_id": str(person)}).traits({"n": person, "text": "x" * 400_000})
    runtime.tasks.sleep(0)
    assert [len(batch) for batch in sink.batches[:4]] == [2, 2, 2, 2]
    assert client.flush().sent == 12
    assert [batch[0]["body"]["n"] for batch in sink.batches[:4]] == [0, 3, 6, 9]


def test_nobody_waits_for_somebody_elses_repetitions(make_client, sink, runtime):
    """While a batch is repeated, only messages about those whom it is about wait for it."""
    client = make_client(workers=2, flush_at=1, queue_size=5000)
    sink.script = [lambda: 503 if 0 in map(person_of, sink.batches[-1]) else 200] * 2000
    sink.answer_headers = [("Retry-After", "100")]
    send(client, 0)
    runtime.tasks.sleep(0)
    for person in range(1, 1000):
        send(client, person, 0)
        runtime.tasks.sleep(0)
    assert sink.values() == list(range(1, 1000))
    sink.script, sink.answer_headers = [], []
    assert client.flush(200).sent == 1999
    assert sink.values()[999:] == [0] * 1000


def test_being_behind_a_request_under_way_is_better_than_behind_a_repetition(real_client):
    """When all workers are occupied, messages wait for one whose request may yet succeed."""
    sink = CountingSink()
    with served(sink) as host:
        client = real_client(host, workers=2, flush_at=1, retry=RetryPolicy(base_s=60, cap_s=60))
        repeating, _ = client._connection._source._lanes
        sink.script = [503]
        sink.released.set()
        send(client, 0)
        assert until(lambda: repeating.error is not None)
        sink.released.clear()
        send(client, 1)
        assert until(lambda: sink.under_way == 1)
        send(client, *range(2, 40))
        sink.released.set()
        assert until(lambda: sink.values() == list(range(1, 40)))
        repeating.cut_pause_short()
        assert client.flush(20).pending == 0
        real_client.close()
    assert sink.values()[-1] == 0


def test_when_all_repeat_they_share_what_comes(make_client, sink, runtime):
    """With the platform away no worker is left out and none gets everything; afterwards all is there."""
    client = make_client(workers=4, flush_at=1)
    sink.script = [503] * 4
    sink.answer_headers = [("Retry-After", "100")]
    for person in range(44):
        send(client, person)
        runtime.tasks.sleep(0)
    assert [lane.waiting(lane.queued) for lane in client._connection._source._lanes] == [11] * 4
    assert client.flush(200).sent == 44
    assert sorted(sink.values()) == list(range(44))


def test_a_dropped_message_leaves_those_after_it_behind_those_before_it(make_client, sink, runtime):
    """Who is in a batch under way stays behind it, also when a later message about them was dropped meanwhile."""
    client = make_client(workers=2, queue_size=2, flush_at=1, overflow="drop_oldest", retry=RetryPolicy(base_s=5))
    ann = client.as_user({"external_id": "ann"})
    sink.script = [503]
    ann.traits({"n": 1})
    runtime.tasks.sleep(0)
    dropped = ann.traits({"n": 2})
    ann.traits({"n": 3})
    runtime.tasks.sleep(0)
    assert isinstance(dropped.exception(0), MessageDroppedError)
    assert sink.values() == []
    client.flush(60)
    assert sink.values() == [1, 3]


def test_a_worker_without_a_thread_is_tried_with_the_next_message(http_sink, real_client, monkeypatch):
    """When no thread can be started, messages wait; as soon as one can, the next message has all of them sent."""
    sink, host = http_sink
    client = real_client(host, flush_after_ms=20)
    with monkeypatch.context() as patched:
        patched.setattr(threading.Thread, "start", _no_thread)
        first = send(client, 1, 2)
    assert not any(future.done() for future in first)
    send(client, 3)
    assert until(lambda: sink.values() == [1, 2, 3])


def _no_thread(_self):
    raise RuntimeError("can't start new thread")


KEYS = 6
ACTIONS = st.lists(
    st.one_of(
        st.tuples(st.just("put"), st.integers(0, KEYS - 1)),
        st.tuples(st.just("put"), st.integers(0, KEYS - 1)),
        st.tuples(st.just("step"), st.integers(0, 3)),
        st.tuples(st.just("hurry"), st.just(0)),
    ),
    max_size=80,
)
#: What comes of a request, how many of the actions happen before its answer, and whether it is applied before them.
ANSWERS = st.lists(
    st.tuples(
        st.sampled_from(["taken", "taken", "taken", "away", "lost", "split", "refused", "rejected"]),
        st.integers(0, 9),
        st.booleans(),
    ),
    max_size=40,
)


class World:
    """A sender whose requests overlap: while one is under way the next actions happen, further requests among them."""

    def __init__(self, actions, answers, options):
        self.actions, self.answers = iter(actions), iter(answers)
        runtime = Runtime.virtual(seed=1)
        self.clock: Any = runtime.clock
        sending = SendingOptions(retry=RetryPolicy(total_s=1e9), **options)
        self.sender = Sender(ClientConfig(id=ID, secret=SECRET, organization=HOST, sending=sending), runtime)
        self.sender._delivery.post = self.post
        self.new_future = runtime.tasks.future
        self.futures, self.applied = [], []

    def run(self, most=10**9):
        """Do the next actions."""
        for _, (action, value) in zip(range(most), self.actions, strict=False):
            if action == "put":
                number = len(self.futures)
                self.futures.append(self.new_future())
                data = b"%d %d" % (value, number)
                message = Message(data, self.futures[-1], str(number), self.clock.monotonic(), value)
                self.sender.put(message)
            elif action == "hurry":
                self.sender.hurry()
            else:
                self.clock.move_to(self.clock.monotonic() + 100)
                lanes = list(self.sender._lanes)
                lanes[value % len(lanes)].step()
            self.check()

    def check(self):
        """No key waits in two lanes."""
        for key in range(KEYS):
            lanes = {
                n
                for n, lane in enumerate(self.sender._lanes)
                if any(message.key == key for message in (*lane._batch, *lane._queue))
            }
            assert len(lanes) <= 1

    def post(self, messages, timeout_s):
        """Answer a request, as the firehose would."""
        assert timeout_s > 0
        kind, meanwhile, at_once = next(self.answers, ("taken", 0, True))
        takes = messages[1:] if kind == "rejected" else messages if kind in ("taken", "lost") else []
        if at_once:
            self.apply(takes)
        self.run(meanwhile)
        if not at_once:
            self.apply(takes)
        if kind in ("away", "lost"):
            return TryAgain(NetworkError("as told"))
        if kind == "refused":
            return Refused(ApiError("as told", status=400))
        return TooLarge() if kind == "split" else Accepted([Rejection(0, None, "X", "r")] if kind == "rejected" else [])

    def apply(self, messages):
        """Apply what was not applied before."""
        for message in messages:
            key, number = map(int, message.split())
            if (key, number) not in self.applied:
                self.applied.append((key, number))


@given(
    actions=ACTIONS,
    answers=ANSWERS,
    options=st.fixed_dictionaries(
        {
            "workers": st.integers(1, 4),
            "flush_at": st.sampled_from([1, 3, 50]),
            "queue_size": st.sampled_from([4, 1000]),
            "overflow": st.sampled_from(["drop_oldest", "drop_newest"]),
        }
    ),
)
@settings(max_examples=300)
def test_whatever_overlaps_each_keeps_their_order(actions, answers, options):
    """Requests that overlap, fail, are repeated or split apply each person's messages in their order, and once.

    Nobody is ever in two lanes, every message comes to an end, and nothing is remembered of those that have.
    """
    world = World(actions, answers, options)
    world.run()
    result = world.sender.close(1e9)
    assert result.pending == 0
    assert all(future.done() for future in world.futures)
    for key in range(KEYS):
        numbers = [number for of, number in world.applied if of == key]
        assert numbers == sorted(set(numbers))
    done = {n for n, future in enumerate(world.futures) if future.exception() is None}
    assert done <= {number for _, number in world.applied}
    backlog = world.sender._backlog
    assert (backlog.messages, backlog._bytes, backlog.lane_of, backlog.further) == (0, 0, {}, {})


@pytest.mark.parametrize("workers", [1, 2, 16])
def test_what_nobody_waits_for_is_forgotten(make_client, sink, workers):
    """After a flush no key is remembered, however many there were."""
    client = make_client(workers=workers)
    send(client, *range(3000), *range(1000))
    client.flush()
    backlog = client._connection._source._backlog
    assert (backlog.lane_of, backlog.further) == ({}, {})
