"""Rate limits over every kind of cache: turns in their order, never too many, and a pause for all."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError, NetworkError, RateLimitError
from hull_sdk.infra import Cache, RedisCache

WAIT_S = 20.0


def refusal(limit) -> float | None:
    """Return in how many seconds the next turn comes, None when it was taken at once."""
    try:
        limit.acquire()
    except RateLimitError as err:
        return err.retry_after
    return None


def test_so_many_calls_are_let_through_at_once_and_the_next_one_later(kind):
    """The first calls go at once; the next one is told when its turn comes, and then it goes."""
    limit = kind.cache().rate_limit("crm", calls=3, per_s=10, wait_s=0)
    assert [refusal(limit) for _ in range(3)] == [None] * 3
    assert refusal(limit) == pytest.approx(10, abs=0.5)
    kind.age(9)
    assert refusal(limit) == pytest.approx(1, abs=0.5)
    kind.age(1)
    assert [refusal(limit) for _ in range(3)] == [None] * 3
    assert refusal(limit) == pytest.approx(10, abs=0.5)


def test_a_refused_call_takes_no_turn(kind):
    """Whoever is refused, however often, does not push the others back."""
    limit = kind.cache().rate_limit("crm", calls=1, per_s=5, wait_s=0)
    limit.acquire()
    assert [refusal(limit) for _ in range(20)] == pytest.approx([5] * 20, abs=0.5)
    kind.age(5)
    assert refusal(limit) is None


def test_all_who_share_a_store_share_its_turns(kind):
    """A limit of a name in a scope is one, whoever opened it; another name, and another scope, has turns of its own."""
    cache = kind.cache()
    again = kind.cache() if cache.shared else cache
    options = {"calls": 1, "per_s": 60, "wait_s": 0}
    cache.scoped("a").rate_limit("crm", **options).acquire()
    assert refusal(again.scoped("a").rate_limit("crm", **options)) is not None
    assert refusal(again.scoped("a").rate_limit("mail", **options)) is None
    assert refusal(again.scoped("b").rate_limit("crm", **options)) is None


def test_a_value_of_the_same_name_is_in_nobodys_way(kind):
    """A limit and a value may have one name."""
    cache = kind.cache()
    limit = cache.rate_limit("crm", calls=1, per_s=60, wait_s=0)
    limit.acquire()
    cache.set("crm", "value")
    assert refusal(limit) is not None
    assert cache.get("crm") == "value"
    cache.delete("crm")
    assert refusal(limit) is not None


def test_a_pause_holds_for_all(kind):
    """After a pause that the other service asked for nobody's turn comes before its end; a shorter one changes nothing."""
    limit = kind.cache().rate_limit("crm", calls=5, per_s=1, wait_s=0)
    limit.acquire()
    limit.hold(30)
    limit.hold(2)
    limit.hold(0)
    assert refusal(limit) == pytest.approx(30, abs=0.5)
    kind.age(29)
    assert refusal(limit) == pytest.approx(1, abs=0.5)
    kind.age(1)
    assert [refusal(limit) for _ in range(5)] == [None] * 5
    assert refusal(limit) is not None


def test_a_limit_may_change(kind):
    """A new version of a connector with another limit counts the calls of the old one."""
    cache = kind.cache()
    for _ in range(2):
        cache.rate_limit("crm", calls=2, per_s=60, wait_s=0).acquire()
    wider = cache.rate_limit("crm", calls=3, per_s=60, wait_s=0)
    assert [refusal(wider) is None for _ in range(2)] == [True, False]
    assert refusal(cache.rate_limit("crm", calls=1, per_s=60, wait_s=0)) == pytest.approx(60, abs=0.5)


def test_threads_wait_for_their_turns(kind):
    """Of 60 calls of eight threads, 20 in 0.2 s, all are let through, in the time that these take and not sooner."""
    limit = kind.threaded().rate_limit("crm", calls=20, per_s=0.2, wait_s=WAIT_S)
    began = time.monotonic()
    done = []

    def work() -> None:
        while len(done) < 60:
            limit.acquire()
            done.append(time.monotonic() - began)

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert sorted(done)[40] >= 0.39
    assert len(done) >= 60


@given(
    calls=st.integers(1, 5),
    per_us=st.integers(1, 50),
    steps=st.lists(st.tuples(st.integers(0, 60), st.integers(0, 120)), max_size=60),
)
def test_never_too_many_and_never_later_than_needed(calls, per_us, steps):
    """However calls come, each has the first moment at which no stretch of the limit's time holds too many turns."""
    runtime = Runtime.virtual()
    cache = Cache(runtime=runtime)
    began = runtime.clock.monotonic()
    given_turns: list[int] = []
    for pause, most in steps:
        runtime.tasks.sleep(pause / 1e6)
        limit = cache.rate_limit("crm", calls=calls, per_s=per_us / 1e6, wait_s=most / 1e6)
        before = runtime.clock.monotonic()
        turn = max([round((before - began) * 1e6), *given_turns[-1:]])
        while sum(turn - per_us < other for other in given_turns) >= calls:
            turn += 1
        refused = refusal(limit)
        assert (refused is None) == (turn - round((before - began) * 1e6) <= most)
        if refused is None:
            given_turns.append(turn)
            assert round((runtime.clock.monotonic() - began) * 1e6) == turn


@pytest.mark.parametrize(
    "wrong",
    [
        {"calls": 0},
        {"calls": 1.5},
        {"calls": True},
        {"calls": 10_001},
        {"per_s": 0},
        {"per_s": float("nan")},
        {"per_s": 86_401},
        {"wait_s": -1},
        {"wait_s": float("inf")},
    ],
)
def test_numbers_out_of_range_are_refused(wrong):
    """A limit that cannot be kept is refused with the value and the range."""
    (name, value) = next(iter(wrong.items()))
    with pytest.raises(InvalidArgumentError, match=rf"{name} is {value!r}; it must be"):
        Cache().rate_limit("crm", **{"calls": 1, "per_s": 1, **wrong})


def test_the_error_says_whose_turn_comes_when():
    """Who is refused learns the limit, when the next turn comes, and how long it would have waited."""
    limit = Cache(runtime=Runtime.virtual()).rate_limit("crm", calls=1, per_s=60)
    limit.acquire()
    with pytest.raises(RateLimitError, match=r"'crm' takes 1 calls in 60 s; .* comes in 60 s, .* wait_s=5$") as caught:
        limit.acquire()
    assert caught.value.extra == {"limit": "crm", "calls": 1, "per_s": 60}


def test_without_the_store_no_turn_is_given_out():
    """When nobody knows how many calls there were, none is let through, and a later try is asked for."""
    limit = RedisCache("redis://127.0.0.1:1", runtime=Runtime.virtual()).rate_limit("crm", calls=1, per_s=1)
    with pytest.raises(NetworkError, match="cannot be used now"):
        limit.acquire()
