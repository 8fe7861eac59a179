"""The cache: ages, leases, scopes, and one fetch for many waiters."""

from __future__ import annotations

import threading

import pytest

from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import HullError, InvalidArgumentError, TransientError
from hull_sdk.infra import Cache

WAIT_S = 10


def virtual_cache(**options) -> Cache:
    """Return a cache on a clock of its own."""
    return Cache(runtime=Runtime.virtual(), **options)


def test_a_value_is_returned_as_the_very_object_that_was_stored():
    """A value comes out as it went in, not as a copy."""
    cache, value = virtual_cache(), {"a": [1]}
    cache.set("key", value)
    assert cache.get("key") is value


def test_a_missing_key_gives_the_default():
    """A key without a value gives the default, None unless one is named."""
    cache = virtual_cache()
    assert cache.get("key") is None
    assert cache.get("key", 7) == 7


def test_a_value_ends_with_its_time():
    """A value is there until its time has passed on the runtime's clock, and not longer."""
    cache = virtual_cache(ttl_s=60)
    cache.set("default", 1)
    cache.set("short", 2, ttl_s=0.5)
    cache.set("long", 3, ttl_s=100)
    cache.runtime.tasks.sleep(0.4)
    assert [cache.get(key) for key in ("default", "short", "long")] == [1, 2, 3]
    cache.runtime.tasks.sleep(0.2)
    assert [cache.get(key) for key in ("default", "short", "long")] == [1, None, 3]
    cache.runtime.tasks.sleep(60)
    assert [cache.get(key) for key in ("default", "short", "long")] == [None, None, 3]


def test_the_least_recently_used_value_makes_room():
    """Over the limit the value that was not used for longest goes first."""
    cache = virtual_cache(max_items=2)
    cache.set("a", 1)
    cache.set("b", 2)
    cache.get("a")
    cache.set("c", 3)
    assert [cache.get(key) for key in "abc"] == [1, None, 3]


def test_a_deleted_value_is_gone_and_deleting_nothing_is_no_error():
    """Deleting forgets a value; deleting it again changes nothing."""
    cache = virtual_cache()
    cache.set("key", 1)
    cache.delete("key")
    cache.delete("key")
    assert cache.get("key") is None


def test_add_succeeds_once_until_the_value_ends():
    """Adding succeeds for the first caller only, and again once the value has ended or was deleted."""
    cache = virtual_cache()
    assert cache.add("lease", "a", 5)
    assert not cache.add("lease", "b", 5)
    assert cache.get("lease") == "a"
    cache.runtime.tasks.sleep(5.1)
    assert cache.add("lease", "c", 5)
    cache.delete("lease")
    assert cache.add("lease", "d")


def test_add_gives_a_lease_to_exactly_one_of_many_threads():
    """Of many threads that add the same key at once exactly one succeeds."""
    cache = Cache()
    start = threading.Barrier(16)
    won = []

    def contend() -> None:
        start.wait(WAIT_S)
        if cache.add("lease", "me", 60):
            won.append(True)

    threads = [threading.Thread(target=contend) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert won == [True]


def test_scopes_share_the_store_but_not_the_keys():
    """A scoped view sees its own keys only, views of one namespace see the same ones, and scopes nest."""
    cache = virtual_cache()
    one, again, two = cache.scoped("one"), cache.scoped("one"), cache.scoped("two")
    cache.set("key", 0)
    one.set("key", 1)
    two.scoped("deep").set("key", 2)
    assert (cache.get("key"), again.get("key"), two.get("key")) == (0, 1, None)
    assert cache.scoped("two").scoped("deep").get("key") == 2
    one.delete("key")
    assert (cache.get("key"), again.get("key")) == (0, None)


def test_names_that_run_together_are_still_different_keys():
    """Namespace and key never run together, whatever characters they hold."""
    cache = virtual_cache()
    cache.scoped("a/b").set("c", 1)
    assert cache.scoped("a").get("b/c") is None
    assert cache.get("a/b/c") is None


def test_scopes_count_towards_one_limit():
    """The limit holds over all scopes together."""
    cache = virtual_cache(max_items=2)
    for name in ("one", "two", "three"):
        cache.scoped(name).set("key", name)
    assert cache.scoped("one").get("key") is None
    assert cache.scoped("three").get("key") == "three"


def test_a_runtime_assigned_later_reaches_the_views_and_forgets_ages_of_another_clock():
    """Exchanging the runtime moves all views to its clock; values with ages on the old clock are forgotten."""
    cache = Cache(ttl_s=60)
    view = cache.scoped("one")
    view.set("key", 1)
    cache.runtime = Runtime.virtual()
    assert view.get("key") is None
    view.set("key", 2)
    view.runtime.tasks.sleep(61)
    assert view.get("key") is None


def test_wrap_fetches_once_and_keeps_the_value_for_its_time():
    """The first call fetches, later ones return the stored value until its time has passed."""
    cache, calls = virtual_cache(), []

    def fetch() -> int:
        calls.append(1)
        return len(calls)

    assert [cache.wrap("key", fetch, ttl_s=10) for _ in range(3)] == [1, 1, 1]
    cache.runtime.tasks.sleep(11)
    assert cache.wrap("key", fetch) == 2


def test_wrap_keeps_none_as_a_value():
    """A fetch that returns None is not repeated."""
    cache, calls = virtual_cache(), []
    for _ in range(3):
        assert cache.wrap("key", lambda: calls.append(1)) is None
    assert calls == [1]


def test_a_failed_fetch_raises_and_is_not_kept():
    """The error of a fetch reaches the caller, and the next call fetches again."""
    cache = virtual_cache()
    with pytest.raises(TransientError, match="down"):
        cache.wrap("key", raising(TransientError("down")))
    assert cache.wrap("key", lambda: 5) == 5


def raising(error: BaseException):
    """Return a function that raises."""

    def fetch():
        raise error

    return fetch


class Crowd:
    """Many threads that wrap one key while its fetch is held back."""

    def __init__(self, cache: Cache, count: int, outcome) -> None:
        self.cache = cache
        self.calls = 0
        self.entered = threading.Event()
        self.release = threading.Event()
        self.results: list[object] = []
        self.waiting = threading.Semaphore(0)
        self._outcome = outcome
        self._threads = [threading.Thread(target=self._call) for _ in range(count)]

    def run(self, meanwhile=lambda: None) -> list[object]:
        self._threads[0].start()
        assert self.entered.wait(WAIT_S)
        for thread in self._threads[1:]:
            thread.start()
        meanwhile()
        self.release.set()
        for thread in self._threads:
            thread.join(WAIT_S)
        return self.results

    def fetch(self):
        self.calls += 1
        self.entered.set()
        assert self.release.wait(WAIT_S)
        return self._outcome()

    def _call(self) -> None:
        try:
            self.results.append(self.cache.wrap("key", self.fetch))
        except BaseException as err:  # noqa: BLE001 - what the waiters get is the statement
            self.results.append(err)


def test_many_threads_share_one_fetch():
    """Threads that ask while a fetch is going on get its value without a fetch of their own."""
    value = object()
    crowd = Crowd(Cache(), 12, lambda: value)
    assert crowd.run() == [value] * 12
    assert crowd.calls == 1


def test_a_failing_fetch_raises_in_every_waiter_and_keeps_nothing():
    """The waiters of a failing fetch all get its error, and the next caller fetches again."""
    cache, error = Cache(), TransientError("down")
    crowd = Crowd(cache, 6, raising(error))
    crowd_results = crowd.run()
    assert len(crowd_results) == 6
    assert all(result is error for result in crowd_results)
    assert cache.wrap("key", lambda: 5) == 5


def test_the_waiters_of_an_interrupted_fetch_get_an_error_they_can_handle():
    """When the fetching thread is told to exit, the others get a TransientError instead of the exit."""
    crowd = Crowd(Cache(), 2, raising(SystemExit(1)))
    kinds = sorted(type(result).__name__ for result in crowd.run())
    assert kinds[0] == "SystemExit"
    assert kinds[1] in {"SystemExit", "TransientError"}  # the second thread may come after the first has ended


def test_other_keys_are_not_held_up_by_a_fetch():
    """While one key is being fetched the others can be read and written."""
    cache = Cache()
    seen = []
    crowd = Crowd(cache, 1, lambda: 1)
    crowd.run(lambda: seen.append((cache.wrap("other", lambda: 2), cache.add("third", 3), cache.get("key"))))
    assert seen == [(2, True, None)]


@pytest.mark.parametrize("how", ["set", "delete"])
def test_a_value_changed_during_a_fetch_is_not_overwritten_by_it(how):
    """What was set or deleted while a fetch was going on stays so; the fetch's older value is not stored."""
    cache = Cache()
    crowd = Crowd(cache, 1, lambda: "old")
    crowd.run(lambda: cache.set("key", "new") if how == "set" else cache.delete("key"))
    assert crowd.results == ["old"]
    assert cache.get("key") == ("new" if how == "set" else None)


@pytest.mark.parametrize("runtime", [Runtime.virtual, Runtime.system])
def test_a_fetch_may_wrap_its_own_key(runtime):
    """A nested call of the same key on the same thread fetches for itself instead of waiting for ever."""
    cache = Cache(runtime=runtime())
    assert cache.wrap("key", lambda: cache.wrap("key", lambda: 1) + 1) == 2
    assert cache.get("key") == 2


@pytest.mark.parametrize("runtime", [Runtime.virtual, Runtime.system])
def test_a_thread_started_inside_a_fetch_may_wrap_the_same_key(runtime):
    """A fetch that waits for a task which wraps the same key gets its answer."""
    cache = Cache(runtime=runtime())
    tasks = cache.runtime.tasks
    assert cache.wrap("key", lambda: tasks.spawn(lambda: cache.wrap("key", lambda: 1)).result(WAIT_S) + 1) == 2


@pytest.mark.parametrize(
    "make", [lambda: Cache(ttl_s=0), lambda: Cache(ttl_s=float("nan")), lambda: Cache(max_items=0)]
)
def test_limits_that_keep_nothing_are_refused(make):
    """Limits of zero or below, and no numbers, are refused when the cache is made."""
    with pytest.raises(InvalidArgumentError, match=r"is (0|nan)"):
        make()


@pytest.mark.parametrize("call", ["set", "add"])
def test_a_time_that_keeps_nothing_is_refused(call):
    """A value cannot be stored for no time; the message says how to forget one."""
    with pytest.raises(HullError, match=r"delete\(\)"):
        getattr(virtual_cache(), call)("key", 1, ttl_s=-1)


def test_the_repr_names_the_scope_and_no_values():
    """The text form of a cache names its scope and never shows what it holds."""
    cache = virtual_cache().scoped("one")
    cache.set("secret", "hunter2")
    assert repr(cache) == "Cache(ttl_s=60, scope='one')"
