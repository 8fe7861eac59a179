"""Futures: what the standard library does with them, although most of each is made when it is asked for."""

from __future__ import annotations

import concurrent.futures
import sys
import threading

import pytest

from hull_sdk.core.futures import Future, resolve
from hull_sdk.core.tasks import ThreadTasks

WAIT_S = 10


def futures(count: int) -> list[Future[int]]:
    """Return fresh Futures of real threads."""
    tasks = ThreadTasks()
    return [Future(tasks) for _ in range(count)]


@pytest.fixture
def _hasty():
    """Have threads take turns as often as the interpreter can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("_hasty")
def test_who_asks_while_the_outcome_comes_gets_it():
    """Of threads that wait, add callbacks and ask at the moment of the outcome, none misses it, and none gets it twice."""
    made = futures(300)
    results, called = [], []

    def ask() -> None:
        for future in made:
            future.add_done_callback(lambda done: called.append(done.result(0)))
            results.append(future.result(WAIT_S))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for number, future in enumerate(made):
        resolve(future, number)
    for thread in threads:
        thread.join(WAIT_S)
    assert sorted(results) == sorted(called) == sorted([*range(300)] * 4)


def test_the_lock_comes_after_what_it_guards():
    """Whoever finds the lock finds all the rest, so that nothing is made while it is held."""
    (future,) = futures(1)
    assert not future.running()
    made = [value for value in vars(future).values() if value is not True]
    assert [type(value) for value in made].index(threading.Condition) == len(made) - 1


def test_the_standard_library_waits_for_them():
    """``wait`` and ``as_completed`` tell those that are done from the others, whichever they saw first."""
    first, second, third = made = futures(3)
    resolve(first, 1)
    assert concurrent.futures.wait(made, 0) == ({first}, {second, third})
    resolve(second, 2)
    timer = threading.Timer(0.01, lambda: third.set_exception(ValueError("three")))
    timer.start()
    assert {*concurrent.futures.as_completed(made, WAIT_S)} == {*made}
    timer.join()
    assert (first.result(), second.result(), str(third.exception())) == (1, 2, "three")
    with pytest.raises(ValueError, match="three"):
        third.result()


def test_the_first_outcome_stays():
    """A second outcome is refused, before and after somebody looked at the first; cancelling comes too late."""
    first, second = futures(2)
    first.set_result(1)
    with pytest.raises(concurrent.futures.InvalidStateError):
        first.set_result(2)
    assert (first.cancel(), first.done(), first.result()) == (False, True, 1)
    second.set_exception(ValueError("one"))
    assert not second.running()
    with pytest.raises(concurrent.futures.InvalidStateError):
        second.set_result(2)
    assert str(second.exception()) == "one"


def test_a_cancelled_one_stays_cancelled():
    """Who cancelled it in time is told nothing of an outcome that comes later; callbacks run once."""
    (future,) = futures(1)
    called = []
    future.add_done_callback(called.append)
    assert future.cancel()
    resolve(future, 1)
    assert (future.cancelled(), future.done(), called) == (True, True, [future])
    with pytest.raises(concurrent.futures.CancelledError):
        future.result()


def test_one_that_nobody_asks_is_small():
    """Until something asks for more, a Future with its outcome keeps no lock and no lists."""
    (future,) = futures(1)
    resolve(future, 1)
    assert future.done()
    assert set(vars(future)) == {"_tasks", "_outcome"}
    name = "nothing_of_that_name"
    with pytest.raises(AttributeError, match=name):
        getattr(future, name)
    assert "finished" in repr(future)
