"""Leases: held as long as the work lasts, over soon after a crash, and written late when the store was away."""

from __future__ import annotations

import pytest

from hull_sdk.core.logs import fields_of
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError, NetworkError, TransientError
from hull_sdk.infra import Cache
from hull_sdk.infra.leases import LEASE_S, RENEW_S, Leases


def test_one_of_two_holds_a_key(kind):
    """A key that is held cannot be taken, and can when it was given back."""
    cache = kind.cache()
    one, two = Leases(kind.runtime), Leases(kind.runtime)
    lease = one.take(cache, "key", "one")
    assert two.take(cache, "key", "two") is None
    lease.end()
    assert two.take(cache, "key", "two") is not None


def test_a_lease_lasts_as_long_as_its_holder(kind):
    """A lease is renewed until it ends, however long that takes."""
    cache, leases = kind.cache(), Leases(kind.runtime)
    lease = leases.take(cache, "key", "one")
    kind.age(5 * LEASE_S)
    assert cache.get("key") == "one"
    lease.end("done", 1000)
    kind.age(2 * LEASE_S)
    assert (cache.get("key"), len(leases)) == ("done", 0)


def test_a_lease_ends_after_its_holder_died(kind):
    """When nobody renews a lease any more, it ends within the stated time and not before."""
    cache, dead = kind.cache(), Leases(kind.runtime)
    dead.take(cache, "key", "one")
    kind.age(7)
    dead.stop()
    kind.age(LEASE_S - RENEW_S - 1)
    assert Leases(kind.runtime).take(cache, "key", "two") is None
    kind.age(RENEW_S + 2)
    assert Leases(kind.runtime).take(cache, "key", "two") is not None


def test_what_is_believed_to_be_there_is_taken_over(kind):
    """A key with a value is taken only by who knows the value."""
    cache, leases = kind.cache(), Leases(kind.runtime)
    cache.set("key", {"state": "failed"}, 100)
    assert leases.take(cache, "key", "one", expected={"state": "other"}) is None
    assert leases.take(cache, "key", "one", expected={"state": "failed"}) is not None
    assert cache.get("key") == "one"


def test_a_lease_that_somebody_else_has_got_is_not_overwritten(kind, caplog):
    """Who lost its lease leaves the new holder alone, keeps nothing renewed, and says so as an error."""
    cache, leases = kind.cache(), Leases(kind.runtime)
    leases.take(cache, "renewed", "one")
    ended = leases.take(cache, "ended", "one")
    for key in ("renewed", "ended"):
        cache.set(key, "two", 1000)
    ended.end("done", 1000)
    kind.age(RENEW_S + 1)
    assert (cache.get("renewed"), cache.get("ended"), len(leases)) == ("two", "two", 0)
    lost = [fields_of(record)["lease"] for record in caplog.records if record.message == "lease.lost"]
    assert sorted(lost) == ["ended", "renewed"]


def test_a_lease_that_the_store_has_forgotten_is_taken_back(kind):
    """After a store was started anew, its leases are there again within the time of a renewal."""
    cache, leases = kind.cache(), Leases(kind.runtime)
    leases.take(cache, "key", "one")
    cache.delete("key")
    kind.age(RENEW_S + 1)
    assert cache.get("key") == "one"
    leases.take(cache, "other", "one").end()
    kind.age(LEASE_S)
    assert cache.get("other") is None


def test_a_lock_is_refused_when_the_wait_is_over():
    """A lock that another holds all the time is refused with how long was waited."""
    runtime = Runtime.virtual()
    cache, leases = Cache(runtime=runtime), Leases(runtime)
    with (
        leases.holding(cache, "refresh", wait_s=1),
        pytest.raises(TransientError, match="'refresh' was held by another for 1 s"),
        Leases(runtime).holding(cache, "refresh", wait_s=1),
    ):
        pytest.fail("two held it")


def test_a_lock_is_waited_for_and_given_back_after_an_error():
    """A lock goes to the next one as soon as the first gives it back, which it does on errors too."""
    runtime = Runtime.virtual()
    cache, leases = Cache(runtime=runtime), Leases(runtime)
    held = leases.take(cache, "refresh", "first")
    runtime.tasks.call_at(runtime.clock.monotonic() + 0.5, held.end)
    with pytest.raises(KeyError), leases.holding(cache, "refresh", wait_s=1):
        raise KeyError
    assert 0.5 <= runtime.clock.monotonic() < 0.7
    assert cache.get("refresh") is None


class Away(Cache):
    """A cache whose store can be away."""

    away = False

    def replace(self, *args, **kwargs):
        if self.away:
            raise NetworkError("the store is away")
        return super().replace(*args, **kwargs)


def test_an_end_is_written_once_the_store_is_back(caplog):
    """What could not be written at the end is written soon after the store came back."""
    runtime = Runtime.virtual()
    cache, leases = Away(runtime=runtime), Leases(runtime)
    lease = leases.take(cache, "key", "one")
    cache.away = True
    lease.end("done", 1000)
    runtime.tasks.sleep(10)
    assert cache.get("key") == "one"
    cache.away = False
    runtime.tasks.sleep(2)
    assert (cache.get("key"), len(leases)) == ("done", 0)
    assert "lease.delayed" in caplog.messages


def test_an_end_is_written_although_the_lease_has_run_out():
    """A store that was away longer than a lease lasts still gets the end, when nobody has taken the key."""
    runtime = Runtime.virtual()
    cache, leases = Away(runtime=runtime), Leases(runtime)
    lease = leases.take(cache, "key", "one")
    cache.away = True
    lease.end("done", 1000)
    runtime.tasks.sleep(2 * LEASE_S)
    cache.away = False
    runtime.tasks.sleep(2)
    assert cache.get("key") == "done"


def test_a_store_that_is_away_costs_no_lease_for_a_while():
    """A store that is away for less than the lease loses none."""
    runtime = Runtime.virtual()
    cache, leases = Away(runtime=runtime), Leases(runtime)
    leases.take(cache, "key", "one")
    runtime.tasks.sleep(RENEW_S - 0.5)
    cache.away = True
    runtime.tasks.sleep(LEASE_S - RENEW_S - 1)
    cache.away = False
    runtime.tasks.sleep(LEASE_S)
    assert cache.get("key") == "one"


class Hanging(Cache):
    """A cache whose store takes what it is told without an answer, and says so of everything for a while."""

    hanging = False

    def add(self, *args, **kwargs):
        taken = super().add(*args, **kwargs)
        if self.hanging:
            raise NetworkError("the store did not answer in time")
        return taken

    def replace(self, *args, **kwargs):
        if self.hanging:
            raise NetworkError("the store did not answer in time")
        return super().replace(*args, **kwargs)


def test_a_lease_that_a_hanging_store_takes_late_is_given_back():
    """What a hanging store took without saying so is free soon after it answers, not when the lease has run out."""
    runtime = Runtime.virtual()
    cache, leases = Hanging(runtime=runtime), Leases(runtime)
    cache.hanging = True
    with pytest.raises(NetworkError):
        leases.take(cache, "key", "one")
    runtime.tasks.sleep(3)
    assert cache.get("key") == "one"
    cache.hanging = False
    runtime.tasks.sleep(2)
    assert (cache.get("key"), len(leases)) == (None, 0)
    assert leases.take(cache, "key", "two") is not None


def test_a_lease_of_another_is_not_given_back():
    """Who was not answered gives back only what is its own."""
    runtime = Runtime.virtual()
    cache, leases = Hanging(runtime=runtime), Leases(runtime)
    leases.take(cache, "key", "one")
    cache.hanging = True
    with pytest.raises(NetworkError):
        Leases(runtime).take(cache, "key", "two")
    cache.hanging = False
    runtime.tasks.sleep(RENEW_S + 1)
    assert (cache.get("key"), len(leases)) == ("one", 1)


def test_a_child_process_renews_nothing_of_its_parent():
    """After a fork the child holds no lease and can take its own."""
    runtime = Runtime.virtual()
    cache, leases = Cache(runtime=runtime), Leases(runtime)
    leases.take(cache, "key", "parent")
    leases.after_fork()
    assert len(leases) == 0
    leases.take(cache, "other", "child")
    assert len(leases) == 1


def test_an_end_that_cannot_be_stored_is_refused(valkey):
    """A value that no process could read is refused at the end of a lease, and the lease can still end."""
    from hull_sdk.infra import RedisCache

    runtime = Runtime.virtual()
    cache, leases = RedisCache(valkey.url, runtime=runtime), Leases(runtime)
    lease = leases.take(cache, "key", "one")
    with pytest.raises(InvalidArgumentError, match="cannot be shared"):
        lease.end(object())
    lease.end()
    assert cache.get("key") is None
    cache.close()


def test_one_lease_after_the_other_wakes_the_renewing_once(monkeypatch):
    """Where leases come one after the other and end at once, nothing is woken for each of them; later it sleeps."""
    runtime = Runtime.virtual()
    cache, leases = Cache(runtime=runtime), Leases(runtime)
    woken, wake = [], leases._wake
    monkeypatch.setattr(leases, "_wake", lambda: (woken.append(runtime.clock.monotonic()), wake()))
    for number in range(20):
        leases.take(cache, f"key {number}", number).end()
        runtime.tasks.sleep(1.0)
    assert len(woken) == 1
    runtime.tasks.sleep(3 * RENEW_S)
    leases.take(cache, "late", "late").end()
    assert len(woken) == 2
