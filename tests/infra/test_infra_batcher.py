"""The batcher: when it hands over, in which order, and that nothing is lost."""

from __future__ import annotations

import itertools
import threading
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core.logs import fields_of
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError, QueueFullError, RateLimitError, TransientError
from hull_sdk.infra import Batcher

WAIT_S = 10


def collector(**options):
    """Return a batcher on a virtual clock and the list of batches that it hands over."""
    batches: list[list[object]] = []
    return Batcher(batches.append, runtime=Runtime.virtual(), **options), batches


@pytest.mark.shows("infra.Batcher", "infra.Batcher.addMessage", "infra.Batcher.setCallback")
def test_a_full_batch_goes_at_once():
    """As soon as enough items are there they go, without waiting for their age."""
    batcher, batches = collector(max_size=3)
    for item in range(7):
        batcher.add(item)
    batcher.runtime.tasks.sleep(0)
    assert batches == [[0, 1, 2], [3, 4, 5]]
    assert len(batcher) == 1


def test_items_go_when_the_oldest_reaches_its_age():
    """The age of the oldest item counts; a steady trickle does not put the batch off."""
    batcher, batches = collector(max_age_ms=1000)
    for item in range(5):
        batcher.add(item)
        batcher.runtime.tasks.sleep(0.3)
    assert batches == [[0, 1, 2, 3]]
    batcher.runtime.tasks.sleep(1)
    assert batches == [[0, 1, 2, 3], [4]]


def test_enough_bytes_go_at_once_and_stay_below_the_limit():
    """A batch goes when its bytes are reached, and never holds more of them than allowed."""
    batcher, batches = collector(max_bytes=100)
    for item in range(4):
        batcher.add(item, size_bytes=40)
    batcher.runtime.tasks.sleep(0)
    assert batches == [[0, 1]]


def test_an_item_over_the_limit_of_bytes_goes_alone():
    """An item that is larger than a whole batch is handed over by itself instead of being refused."""
    batcher, batches = collector(max_bytes=100)
    batcher.add("small", 10)
    batcher.add("huge", 500)
    batcher.add("tiny", 1)
    batcher.stop()
    assert batches == [["small"], ["huge"], ["tiny"]]


@pytest.mark.shows("infra.Batcher.flush")
def test_flush_hands_over_what_is_there_now():
    """Flushing does not wait for more items, and says how many are left."""
    batcher, batches = collector()
    assert batcher.flush() == 0
    batcher.add(1)
    batcher.add(2)
    assert batcher.flush() == 0
    assert batches == [[1, 2]]


def test_a_failing_flush_keeps_its_items_in_order_and_backs_off(caplog):
    """Items of a failed flush are tried again after growing pauses, before anything behind them."""
    runtime, tries, batches = Runtime.virtual(), [], []

    def flaky(items) -> None:
        tries.append(runtime.clock.monotonic())
        if len(tries) <= 3:
            raise RuntimeError("token=hunter2")
        batches.append(items)

    batcher = Batcher(flaky, max_size=2, retry=RetryPolicy(base_s=1), runtime=runtime)
    for item in range(4):
        batcher.add(item)
    runtime.tasks.sleep(60)
    assert batches == [[0, 1], [2, 3]]
    pauses = [later - earlier for earlier, later in itertools.pairwise(tries)]
    assert 0.5 <= pauses[0] <= 1 <= pauses[1] <= 2 <= pauses[2] <= 4
    warnings = [record for record in caplog.records if record.message == "batcher.flush.failed"]
    assert [fields_of(record)["attempt"] for record in warnings] == [1, 2, 3]


def test_a_batch_that_failed_is_tried_again_as_it_was():
    """What has come meanwhile is a batch of its own, so that a flush may tell by its items whether it did them before."""
    batches = []

    def flush(items):
        batches.append(items)
        if len(batches) < 3:
            raise RuntimeError("no")

    batcher = Batcher(flush, runtime=Runtime.virtual(), max_age_ms=100)
    for item in range(2):
        batcher.add(item)
    batcher.runtime.tasks.sleep(0.1)
    assert batches == [[0, 1]]
    batcher.add(2)
    batcher.runtime.tasks.sleep(60)
    assert batches == [[0, 1], [0, 1], [0, 1], [2]]


def test_the_pause_that_an_error_asks_for_is_kept():
    """An error with retry_after is tried again no sooner."""
    runtime, tries = Runtime.virtual(), []

    def limited(_items) -> None:
        tries.append(runtime.clock.monotonic())
        if len(tries) == 1:
            raise RateLimitError("slow down", retry_after=20)

    batcher = Batcher(limited, max_size=1, runtime=runtime)
    batcher.add(1)
    runtime.tasks.sleep(60)
    assert 20 <= tries[1] - tries[0] <= 22


def test_items_that_arrive_during_the_pause_do_not_shorten_it():
    """New items do not make a failing flush run before its pause is over."""
    runtime, tries = Runtime.virtual(), []

    def limited(_items) -> None:
        tries.append(runtime.clock.monotonic())
        raise RateLimitError("slow down", retry_after=20)

    batcher = Batcher(limited, max_size=1, runtime=runtime)
    for _ in range(10):
        batcher.add(1)
        runtime.tasks.sleep(1)
    assert len(tries) == 1


def test_stop_hands_over_everything_and_takes_nothing_more():
    """Stopping flushes what is held; later items are refused with an error, not dropped."""
    batcher, batches = collector()
    batcher.add(1)
    assert batcher.stop() == 0
    assert batches == [[1]]
    with pytest.raises(TransientError, match="stopped"):
        batcher.add(2)


def test_stop_gives_up_after_its_timeout_and_says_what_is_left(caplog):
    """A flush that keeps failing does not hold up the stop; the number left is returned and logged."""

    def failing(_items) -> None:
        raise RuntimeError("down")

    batcher = Batcher(failing, runtime=Runtime.virtual())
    batcher.add(1)
    batcher.add(2)
    began = batcher.runtime.clock.monotonic()
    assert batcher.stop(timeout_s=5) == 2
    assert batcher.runtime.clock.monotonic() - began == 5
    assert "batcher.stopped.unfinished" in caplog.messages


def test_without_new_threads_the_caller_hands_over(monkeypatch):
    """While the interpreter ends no thread begins; a flush then runs in the calling thread, its retries included."""
    batches = []

    def flush(items):
        if not batches:
            batches.append("failed")
            raise TransientError("down", retry_after=0.01)
        batches.append((items, threading.current_thread()))

    def refuse(_thread):
        raise RuntimeError("can't create new thread at interpreter shutdown")

    batcher = Batcher(flush, max_size=2, runtime=Runtime.system())
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for item in range(3):
            with suppress(RuntimeError):
                batcher.add(item)
        assert batcher.stop(5) == 0
    me = threading.current_thread()
    assert batches == ["failed", ([0, 1], me), ([2], me)]


def test_a_batcher_that_was_never_used_stops_at_once():
    """Stopping without items returns zero and starts nothing."""
    assert Batcher(print).stop(timeout_s=0) == 0


def test_the_memory_is_bounded():
    """Over max_pending an item is refused with an error, so a flush that hangs cannot fill the memory."""
    batcher, _ = collector(max_pending=2)
    batcher.add(1)
    batcher.add(2)
    with pytest.raises(QueueFullError, match="2 items wait"):
        batcher.add(3)


@pytest.mark.parametrize("option", ["max_size", "max_bytes", "max_age_ms", "max_pending"])
def test_limits_must_be_positive(option):
    """A limit of zero is refused when the batcher is made, by name."""
    with pytest.raises(InvalidArgumentError, match=f"{option} is 0"):
        Batcher(print, **{option: 0})


def test_threads_and_one_flush_at_a_time():
    """On real threads every item arrives once, each thread's own in order, and flushes never overlap."""
    batches: list[list[tuple[int, int]]] = []
    running, overlaps = threading.Lock(), []

    def flush(items) -> None:
        if not running.acquire(blocking=False):
            overlaps.append(items)
            return
        batches.append(items)
        running.release()

    batcher = Batcher(flush, max_size=7, max_age_ms=1)

    def produce(producer: int) -> None:
        for number in range(200):
            batcher.add((producer, number))

    threads = [threading.Thread(target=produce, args=(producer,)) for producer in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert batcher.stop(WAIT_S) == 0
    assert overlaps == []
    items = [item for batch in batches for item in batch]
    assert all(len(batch) <= 7 for batch in batches)
    assert [[number for who, number in items if who == producer] for producer in range(4)] == [list(range(200))] * 4


actions = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 60)),
        st.tuples(st.just("sleep"), st.integers(0, 3000)),
        st.tuples(st.just("flush"), st.just(0)),
    ),
    max_size=40,
)


@given(actions, st.integers(1, 5), st.integers(1, 100), st.sets(st.integers(0, 30), max_size=8))
def test_every_item_is_handed_over_exactly_once_in_order_within_the_limits(steps, max_size, max_bytes, failing):
    """Whatever comes when, and whichever flushes fail, each item arrives once, in order, within the limits."""
    runtime, batches, calls = Runtime.virtual(), [], []

    def flush(items) -> None:
        calls.append(items)
        if len(calls) in failing:
            raise TransientError("down")
        batches.append(items)

    batcher = Batcher(
        flush,
        max_size=max_size,
        max_bytes=max_bytes,
        max_age_ms=1000,
        retry=RetryPolicy(base_s=0.1, cap_s=1),
        runtime=runtime,
    )
    added = []
    for action, number in steps:
        if action == "add":
            added.append((len(added), number))
            batcher.add(added[-1], size_bytes=number)
        elif action == "sleep":
            runtime.tasks.sleep(number / 1000)
        else:
            assert batcher.flush(60) == 0
    assert batcher.stop(60) == 0
    assert [item for batch in batches for item in batch] == added
    assert all(0 < len(batch) <= max_size for batch in batches)
    assert all(len(batch) == 1 or sum(size for _, size in batch) <= max_bytes for batch in batches)
