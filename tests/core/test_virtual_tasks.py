"""Background work on a virtual clock: in the caller's thread, in an order that repeats, without waiting."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import threading

import pytest

from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.tasks import Future
from hull_sdk.core.virtual_tasks import VirtualTasks

WAIT_S = 10


@pytest.fixture
def virtual():
    """Return tasks on a virtual clock."""
    return VirtualTasks()


def test_virtual_work_runs_when_somebody_waits(virtual):
    """Nothing happens until the caller waits, and then everything that is due."""
    seen = []
    virtual.spawn(seen.append, 1)
    virtual.spawn(seen.append, 2)
    assert seen == []
    virtual.sleep(0)
    assert seen == [1, 2]


def test_waiting_moves_the_clock_only_as_far_as_needed(virtual):
    """Waiting for a result stops the clock where the result came, not at the timeout."""
    future = virtual.future()
    virtual.call_at(5.0, lambda: future.set_result("done"))
    virtual.call_at(7.0, lambda: pytest.fail("too far"))
    assert future.result(60) == "done"
    assert virtual.clock.monotonic() == 5.0


def test_a_wait_that_times_out_moves_the_clock_by_its_timeout(virtual):
    """A wait in vain takes exactly its timeout, and does what falls due meanwhile."""
    seen = []
    virtual.call_at(1.0, lambda: seen.append(virtual.clock.monotonic()))
    assert virtual.wait(virtual.future(), 3.0) is False
    assert (seen, virtual.clock.monotonic()) == ([1.0], 3.0)


def test_a_wait_without_end_and_without_work_is_an_error(virtual):
    """Waiting for ever for what nothing produces raises instead of hanging."""
    with pytest.raises(RuntimeError, match="nothing on the virtual clock produces"):
        virtual.wait(virtual.future())


def test_a_wait_without_end_gives_up_on_schedules(virtual):
    """Work that recurs for ever does not keep such a wait alive for ever."""
    worker = virtual.worker(lambda: 3600, name="hull-test", background=True)
    worker.wake()
    with pytest.raises(RuntimeError, match="nothing on the virtual clock produces"):
        virtual.wait(virtual.future())


def test_waits_nest(virtual):
    """Work may wait for other work, which may wait again; the clock goes on underneath."""
    seen = []

    def inner() -> str:
        virtual.sleep(2)
        seen.append(("inner", virtual.clock.monotonic()))
        return "inner"

    def outer() -> str:
        virtual.sleep(1)
        result = virtual.spawn(inner).result(WAIT_S)
        seen.append(("outer", virtual.clock.monotonic()))
        return result

    virtual.call_at(1.5, lambda: seen.append(("other", virtual.clock.monotonic())))
    assert virtual.spawn(outer).result(WAIT_S) == "inner"
    assert seen == [("other", 1.5), ("inner", 3.0), ("outer", 3.0)]


def test_a_worker_that_waits_is_not_entered_twice(virtual):
    """While a step waits inside, its worker is not run a second time; a wake then counts afterwards."""
    depth, deepest, runs = [0], [0], []

    def step():
        depth[0] += 1
        deepest[0] = max(deepest[0], depth[0])
        runs.append(1)
        if len(runs) == 1:
            worker.wake()
        virtual.sleep(5)
        depth[0] -= 1

    worker = virtual.worker(step, name="hull-test")
    worker.wake()
    virtual.sleep(60)
    assert (deepest[0], len(runs)) == (1, 2)


def test_work_of_the_same_moment_runs_in_the_order_asked_for(virtual):
    """Things that fall due together run in the order in which they were asked for; earlier ones run first."""
    seen = []
    for name, when in (("b", 2.0), ("a", 1.0), ("c", 2.0), ("d", 2.0)):
        virtual.call_at(when, lambda name=name: seen.append(name))
    virtual.sleep(3)
    assert seen == ["a", "b", "c", "d"]


def test_a_cancelled_call_does_not_happen(virtual):
    """Cancelling forgets a call, and cancelling twice is no error."""
    timer = virtual.call_at(1.0, lambda: pytest.fail("cancelled"))
    virtual.cancel(timer)
    virtual.cancel(timer)
    virtual.sleep(2)
    assert virtual.idle


def test_running_until_idle_leaves_schedules_alone(virtual):
    """Until idle means: nothing is left but work that recurs for ever; the clock stays with the last real work."""
    ticks, seen = [], []

    def tick():
        ticks.append(virtual.clock.monotonic())
        return 60

    schedule = virtual.worker(tick, name="hull-schedule", background=True)
    schedule.wake()
    virtual.call_at(100.0, lambda: seen.append(1))
    assert not virtual.idle
    virtual.run_until_idle()
    assert virtual.idle
    assert (ticks, seen, virtual.clock.monotonic()) == ([0.0, 60.0], [1], 100.0)
    virtual.sleep(100)
    assert ticks == [0.0, 60.0, 120.0, 180.0]


def test_running_until_idle_can_be_stopped(virtual):
    """The question after every piece of work ends the run early."""
    seen = []
    for number in range(5):
        virtual.spawn(seen.append, number)
    virtual.run_until_idle(lambda: len(seen) == 2)
    assert seen == [0, 1]


def test_the_patience_of_a_pause_ends_with_a_wake(virtual):
    """A wake has a sleeping step run now, and its old appointment is forgotten."""
    runs = []

    def step():
        runs.append(virtual.clock.monotonic())
        return 100 if len(runs) == 1 else None

    worker = virtual.worker(step, name="hull-test")
    worker.wake()
    virtual.sleep(10)
    worker.wake()
    virtual.sleep(1000)
    assert runs == [0.0, 10.0]


def test_a_virtual_clock_refuses_other_threads(virtual):
    """Waiting on a virtual clock from another thread is refused with the way out."""
    errors = []

    def run() -> None:
        try:
            virtual.sleep(1)
        except RuntimeError as err:
            errors.append(str(err))

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(WAIT_S)
    assert "ctx.submit" in errors[0]


def trace(seed: int) -> list[tuple[str, float]]:
    """Run a small tangle of workers and return what happened when."""
    tasks = VirtualTasks(VirtualClock())
    seen: list[tuple[str, float]] = []

    def make(name: str, pause: float):
        def step():
            seen.append((name, tasks.clock.monotonic()))
            if name == "a":
                other.wake()
            if name == "b":
                tasks.sleep(0.3)
            return pause

        return step

    other = tasks.worker(make("c", 5.0), name="c")
    for name, pause in (("a", 0.7), ("b", 1.1)):
        tasks.worker(make(name, pause + seed), name=name).wake()
    tasks.sleep(20)
    return seen


def test_the_same_calls_give_the_same_run():
    """A tangle of workers that wake each other and wait gives the same trace every time."""
    assert trace(0) == trace(0)
    assert trace(0) != trace(1)


def test_a_future_is_an_ordinary_future_too(virtual):
    """Callbacks, done and cancelled work as in the standard library."""
    future: Future[int] = virtual.future()
    seen = []
    future.add_done_callback(lambda done: seen.append(done.result()))
    future.set_result(3)
    assert (seen, future.done(), future.cancelled()) == ([3], True, False)


def test_failed_steps_on_the_virtual_clock_pause(virtual, caplog):
    """A step that fails for ever is tried once a second, not in a loop."""
    caplog.set_level(logging.CRITICAL)
    runs = []

    def step():
        runs.append(virtual.clock.monotonic())
        raise ValueError("odd")

    worker = virtual.worker(step, name="hull-test")
    worker.wake()
    virtual.sleep(3)
    worker.stop()
    assert runs == [0.0, 1.0, 2.0, 3.0]


# -- event loops


def later(tasks, result="done"):
    """Return a Future that gets its result after five seconds."""
    future = tasks.future()
    tasks.call_at(tasks.clock.monotonic() + 5.0, lambda: future.set_result(result))
    return future


@pytest.mark.parametrize("wrapped", [lambda future: future, asyncio.wrap_future], ids=["await", "wrap_future"])
def test_coroutines_await_what_the_clock_produces(virtual, wrapped):
    """In an event loop awaiting moves the clock, for several coroutines at once too."""

    async def wait(result):
        return await wrapped(later(virtual, result))

    async def both():
        return await asyncio.gather(wait(1), wait(2))

    assert asyncio.run(both()) == [1, 2]
    assert virtual.clock.monotonic() == 5.0


@pytest.mark.parametrize("wrapped", [lambda future: future, asyncio.wrap_future], ids=["await", "wrap_future"])
def test_awaiting_what_nothing_produces_is_an_error(virtual, wrapped):
    """A coroutine that would wait for ever is told so."""

    async def wait():
        return await wrapped(virtual.future())

    with pytest.raises(RuntimeError, match="nothing on the virtual clock produces"):
        asyncio.run(wait())


def test_an_awaited_error_is_raised(virtual):
    """The error of the work is raised where it is awaited, and a result that is there is returned at once."""

    async def wait(future):
        return await future

    with pytest.raises(ValueError, match="invalid literal"):
        asyncio.run(wait(virtual.spawn(int, "x")))
    done = virtual.future()
    done.set_result(7)
    assert asyncio.run(wait(done)) == 7


def test_who_only_wants_to_know_moves_no_clock(virtual):
    """A function that is called when the work is done does not make the work happen, also in an event loop."""
    seen = []

    async def listen():
        later(virtual).when_done(lambda future: seen.append(future.result()))
        await asyncio.sleep(0)

    asyncio.run(listen())
    assert (seen, virtual.clock.monotonic()) == ([], 0.0)
    virtual.sleep(5)
    assert seen == ["done"]


def test_a_thread_borrows_the_clock_while_its_owner_waits(virtual):
    """What runs apart, in a thread of its own, waits on the clock, sees the context, and gives the clock back."""
    variable = contextvars.ContextVar("variable", default="")
    variable.set("seen")

    def wait():
        return later(virtual).result(), variable.get(), threading.get_ident()

    result, value, thread = virtual.apart(wait)
    assert (result, value) == ("done", "seen")
    assert thread != threading.get_ident()
    with pytest.raises(ValueError, match="invalid literal"):
        virtual.apart(int, "x")
    assert later(virtual).result() == "done"
