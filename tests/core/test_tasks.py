"""Background work: the same steps on threads and on a virtual clock."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import itertools
import os
import threading

import pytest

from hull_sdk.core import tasks as tasks_module
from hull_sdk.core.tasks import (
    ThreadTasks,
    current_thread_id,
    resolve,
)
from hull_sdk.core.virtual_tasks import VirtualTasks

WAIT_S = 10
label = contextvars.ContextVar("label", default="none")


@pytest.fixture(params=[ThreadTasks, VirtualTasks])
def tasks(request):
    """Return each kind of tasks in turn."""
    return request.param()


def raising(error: BaseException):
    """Return a function that raises."""

    def run(*_args):
        raise error

    return run


def test_spawned_work_gives_its_result(tasks):
    """A spawned function runs with its arguments, and its Future gives the result."""
    assert tasks.spawn(lambda a, b: a + b, 1, 2).result(WAIT_S) == 3


def test_spawned_work_gives_its_error(tasks):
    """What a spawned function raises is raised by its Future, exits included."""
    error = ValueError("odd")
    assert tasks.spawn(raising(error)).exception(WAIT_S) is error
    with pytest.raises(SystemExit):
        tasks.spawn(raising(SystemExit(3))).result(WAIT_S)


def test_spawned_work_sees_the_callers_context_and_keeps_its_own_changes(tasks):
    """Context variables are copied at the call; later changes on either side stay there."""

    def read_and_change() -> str:
        seen = label.get()
        label.set("inner")
        return seen

    token = label.set("outer")
    future = tasks.spawn(read_and_change)
    label.set("later")
    assert future.result(WAIT_S) == "outer"
    assert label.get() == "later"
    label.reset(token)


def test_work_that_ends_in_time_gives_its_outcome(tasks):
    """A function that ends in time gives its result or whatever it raised, and sees the caller's context variables."""
    token = label.set("outer")
    assert tasks.run_within(WAIT_S, lambda a, b: (a + b, label.get()), 1, 2) == ((3, "outer"), None)
    label.reset(token)
    error = SystemExit(3)
    assert tasks.run_within(WAIT_S, raising(error)) == (None, error)


def test_a_result_that_does_not_come_times_out(tasks):
    """Waiting ends with the timeout: wait says so, result and exception raise TimeoutError."""
    future = tasks.future()
    assert tasks.wait(future, 0.01) is False
    with pytest.raises(TimeoutError):
        future.result(0.01)
    with pytest.raises(TimeoutError):
        future.exception(0.01)
    future.set_result(5)
    assert tasks.wait(future, 0) is True
    assert future.result(0) == 5


def test_a_cancelled_piece_of_work_disturbs_nobody(tasks):
    """Cancelling the Future of work that still runs loses its result and nothing else."""
    gate = tasks.future()
    future = tasks.spawn(lambda: tasks.wait(gate, WAIT_S))
    assert future.cancel()
    resolve(gate, None)
    assert tasks.spawn(lambda: 1).result(WAIT_S) == 1
    with pytest.raises(concurrent.futures.CancelledError):
        future.result(WAIT_S)


def test_only_the_first_outcome_counts(tasks):
    """Resolving a Future that has an outcome changes nothing."""
    future = tasks.future()
    resolve(future, 1)
    resolve(future, 2)
    resolve(future, None, ValueError("late"))
    assert future.result(WAIT_S) == 1


def test_a_worker_runs_when_woken_and_again_after_its_pause(tasks):
    """A step runs once it is woken, and again after the seconds it returned, until it returns None."""
    runs, done = [], tasks.future()

    def step():
        runs.append(tasks.clock.monotonic())
        if len(runs) == 3:
            done.set_result(None)
            return None
        return 0.01

    worker = tasks.worker(step, name="hull-test")
    worker.wake()
    done.result(WAIT_S)
    worker.stop()
    assert len(runs) == 3
    assert all(later - earlier >= 0.009 for earlier, later in itertools.pairwise(runs))


def test_a_worker_that_was_not_woken_does_not_run(tasks):
    """Preparing a worker runs nothing, and a stopped one stays silent when woken."""
    runs = []
    worker = tasks.worker(lambda: runs.append(1), name="hull-test")
    tasks.sleep(0.02)
    worker.stop()
    worker.wake()
    tasks.sleep(0.02)
    assert runs == []


def test_a_failed_step_is_logged_without_its_secrets_and_tried_again(tasks, caplog, monkeypatch):
    """An exception in a step is logged by the worker's name, and the step runs again."""
    monkeypatch.setattr(tasks_module, "FAILED_STEP_PAUSE_S", 0.01)
    runs, done = [], tasks.future()

    def step():
        runs.append(1)
        if len(runs) == 1:
            raise ValueError("refused: token=hunter2")
        done.set_result(None)

    worker = tasks.worker(step, name="hull-test")
    worker.wake()
    done.result(WAIT_S)
    worker.stop()
    assert [(record.message, record.hull) for record in caplog.records] == [("task.failed", {"task": "hull-test"})]
    assert "ValueError" in caplog.text
    assert "hunter2" not in caplog.text


def test_a_step_may_wake_its_own_worker(tasks):
    """A wake from inside the step has it run once more, also when it returned None."""
    runs, done = [], tasks.future()

    def step():
        runs.append(1)
        if len(runs) < 3:
            worker.wake()
            worker.wake()
        else:
            done.set_result(None)

    worker = tasks.worker(step, name="hull-test")
    worker.wake()
    done.result(WAIT_S)
    tasks.sleep(0.02)
    worker.stop()
    assert len(runs) == 3


def test_a_step_may_stop_its_own_worker(tasks):
    """A step that stops its worker is not called again, whatever it returns."""
    runs, done = [], tasks.future()

    def step():
        runs.append(1)
        worker.stop()
        done.set_result(None)
        return 0.0

    worker = tasks.worker(step, name="hull-test")
    worker.wake()
    done.result(WAIT_S)
    tasks.sleep(0.02)
    assert runs == [1]


def test_real_work_runs_beside_the_caller():
    """On threads work goes on while the caller does something else, under its own name."""
    tasks = ThreadTasks()
    started, go = threading.Event(), threading.Event()

    def work():
        started.set()
        go.wait(WAIT_S)
        return threading.current_thread().name, current_thread_id()

    future = tasks.spawn(work, name="hull-test")
    assert started.wait(WAIT_S)
    assert not future.done()
    go.set()
    name, number = future.result(WAIT_S)
    assert name == "hull-test"
    assert number != current_thread_id()


def test_work_that_is_late_goes_on():
    """A function that does not end in time has no outcome, and is not stopped."""
    tasks = ThreadTasks()
    gate, ended = tasks.future(), tasks.future()
    assert tasks.run_within(0.01, lambda: resolve(ended, tasks.wait(gate, WAIT_S))) is None
    resolve(gate, None)
    assert ended.result(WAIT_S) is True


def test_wakes_during_a_run_are_kept_as_one():
    """Many wakes while a step runs give one more run."""
    tasks = ThreadTasks()
    entered, go, runs = threading.Event(), threading.Event(), []

    def step():
        runs.append(1)
        entered.set()
        go.wait(WAIT_S)

    worker = tasks.worker(step, name="hull-test")
    worker.wake()
    assert entered.wait(WAIT_S)
    for _ in range(20):
        worker.wake()
    go.set()
    tasks.sleep(0.05)
    worker.stop()
    assert len(runs) == 2


def test_a_wake_ends_a_pause():
    """A step that asked for a long pause runs at once when it is woken."""
    tasks = ThreadTasks()
    runs = threading.Semaphore(0)

    def step():
        runs.release()
        return 3600

    worker = tasks.worker(step, name="hull-test")
    for _ in range(3):
        worker.wake()
        assert runs.acquire(timeout=WAIT_S)
    worker.stop()


def test_an_idle_thread_ends_and_the_next_wake_starts_another(monkeypatch):
    """A worker with nothing to do gives its thread back and works again when woken."""
    monkeypatch.setattr(tasks_module, "IDLE_THREAD_S", 0.01)
    tasks = ThreadTasks()
    ran, threads = threading.Semaphore(0), []

    def step():
        threads.append(threading.current_thread())
        ran.release()

    worker = tasks.worker(step, name="hull-test")
    worker.wake()
    assert ran.acquire(timeout=WAIT_S)
    threads[0].join(WAIT_S)
    assert not threads[0].is_alive()
    worker.wake()
    assert ran.acquire(timeout=WAIT_S)
    worker.stop()
    assert threads[1] is not threads[0]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_worker_outlives_a_step_that_exits():
    """A step that ends its thread does not silence the worker for ever."""
    tasks = ThreadTasks()
    threads, ran = [], threading.Semaphore(0)

    def step():
        threads.append(threading.current_thread())
        ran.release()
        if len(threads) == 1:
            raise SystemExit

    worker = tasks.worker(step, name="hull-test")
    worker.wake()
    assert ran.acquire(timeout=WAIT_S)
    threads[0].join(WAIT_S)
    worker.wake()
    assert ran.acquire(timeout=WAIT_S)
    worker.stop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_worker_works_in_the_child_after_a_fork():
    """A worker that ran in the parent starts a thread of its own in the child."""
    tasks = ThreadTasks()
    ran = threading.Event()
    worker = tasks.worker(ran.set, name="hull-test")
    worker.wake()
    assert ran.wait(WAIT_S)
    tasks.sleep(0.05)
    pid = os.fork()
    if pid == 0:
        ran.clear()
        worker.wake()
        os._exit(0 if ran.wait(WAIT_S) else 1)
    worker.stop()
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


# -- event loops


def test_a_coroutine_awaits_work_and_its_loop_goes_on():
    """While a coroutine awaits work of another thread, the others of its event loop run."""
    tasks, released = ThreadTasks(), threading.Event()

    async def release():
        released.set()

    async def both():
        future = tasks.spawn(released.wait, WAIT_S)
        return (await asyncio.gather(_awaited(future), release()))[0]

    assert asyncio.run(both()) is True


async def _awaited(future):
    return await future


def test_a_coroutine_that_gives_up_leaves_the_work_alone():
    """The Future that a cancelled coroutine awaited still gets its result, also after the event loop has ended."""
    future = ThreadTasks().future()

    async def impatient():
        await asyncio.wait_for(_awaited(future), 0.001)

    with pytest.raises(TimeoutError):
        asyncio.run(impatient())
    future.set_result("sent")
    assert future.result(0) == "sent"


def test_a_second_event_loop_runs_apart(tasks):
    """Within an event loop another one runs in a thread of its own, with the context of the caller."""

    async def inner():
        return await tasks.spawn(label.get), threading.get_ident()

    async def outer():
        label.set("outer")
        return tasks.apart(asyncio.run, inner())

    seen, thread = asyncio.run(outer())
    assert seen == "outer"
    assert thread != threading.get_ident()
