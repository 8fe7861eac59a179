"""Threads that are used again."""

from __future__ import annotations

import gc
import threading
import weakref
from queue import SimpleQueue

import pytest

from hull_sdk.core import crew as crew_module
from hull_sdk.core.crew import Crew

WAIT_S = 5.0


class Work:
    """Notes in which thread it ran, and under which name."""

    def __init__(self, told):
        self._told = told

    def __call__(self):
        self._told.put((threading.get_ident(), threading.current_thread().name))


@pytest.fixture
def told():
    """What was run tells here."""
    return SimpleQueue()


def settled(crew):
    """Wait until a thread of the crew waits, for what was run last may not have come back yet."""
    waited = threading.Event()
    for _ in range(1000):
        if crew._idle:
            return
        waited.wait(0.005)
    pytest.fail("no thread came back")


def test_a_thread_that_is_done_runs_the_next_function_under_its_name(told):
    """One after the other needs one thread, which is called by what it does."""
    crew = Crew()
    crew.run(Work(told), "hull-first")
    first = told.get(timeout=WAIT_S)
    settled(crew)
    crew.run(Work(told), "hull-second")
    second = told.get(timeout=WAIT_S)
    assert (first[1], second[1]) == ("hull-first", "hull-second")
    assert first[0] == second[0]


def test_what_runs_at_the_same_time_has_threads_of_its_own():
    """A function never waits for another one to end."""
    crew, together = Crew(), threading.Barrier(4, timeout=WAIT_S)
    for _ in range(3):
        crew.run(together.wait, "hull-task")
    assert together.wait() >= 0


def test_a_thread_that_waits_keeps_nothing_of_what_it_ran(told):
    """A function and what it holds is freed when it has returned, though its thread lives on."""
    crew, work = Crew(), Work(told)
    seen = weakref.ref(work)
    crew.run(work, "hull-task")
    del work
    told.get(timeout=WAIT_S)
    settled(crew)
    gc.collect()
    assert seen() is None


def test_threads_with_nothing_to_do_end(told, monkeypatch):
    """After a while a thread that was not needed again is gone, and the next function gets a new one."""
    monkeypatch.setattr(crew_module, "IDLE_S", 0.01)
    crew = Crew()
    for _ in range(3):
        crew.run(Work(told), "hull-task")
        ident, _ = told.get(timeout=WAIT_S)
        for thread in threading.enumerate():
            if thread.ident == ident:
                thread.join(WAIT_S)
        assert crew._idle == []


def test_a_child_process_begins_without_the_threads_of_its_parent(told):
    """After a fork nothing is given to a thread that does not exist there."""
    crew = Crew()
    crew.run(Work(told), "hull-task")
    told.get(timeout=WAIT_S)
    settled(crew)
    crew.after_fork()
    crew.run(Work(told), "hull-task")
    assert told.get(timeout=WAIT_S)[1] == "hull-task"
