"""Retries: which statuses, and how long to wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.ids import SeededIds
from hull_sdk.core.retry import RetryPolicy, is_retryable, parse_retry_after

CLOCK = VirtualClock()  # stands at 2024-01-01T00:00:00Z


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 504, 599])
def test_statuses_that_a_later_try_may_mend(status):
    """Timeouts, rate limits and everything from 500 are worth another try."""
    assert is_retryable(status)


@pytest.mark.parametrize("status", [200, 204, 301, 400, 401, 402, 403, 404, 409, 413, 422])
def test_statuses_that_no_try_mends(status):
    """Success, redirects and the client's own faults are not tried again."""
    assert not is_retryable(status)


@pytest.mark.parametrize(
    ("header", "pause"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("86400", 86_400.0),
        ("9" * 500, 999_999_999_999.0),
        ("Mon, 01 Jan 2024 00:02:00 GMT", 120.0),
        ("Sun, 31 Dec 2023 00:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("\u0665", None),
        ("soon", None),
        ("", None),
        (None, None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(header, pause):
    """Seconds and HTTP dates are read, a date in the past is no pause, and anything else counts as absent."""
    assert parse_retry_after(header, CLOCK) == pause


@given(st.text(max_size=40))
def test_reading_retry_after_never_raises(header):
    """Whatever a server sends, the pause is absent or not negative."""
    pause = parse_retry_after(header, CLOCK)
    assert pause is None or pause >= 0


class Fixed(SeededIds):
    """Ids whose random number is always the same."""

    def __init__(self, number: float) -> None:
        super().__init__()
        self.number = number

    def random(self) -> float:
        return self.number


def test_pauses_double_up_to_the_cap():
    """Without jitter the pause doubles from the base until it reaches the cap."""
    policy, ids = RetryPolicy(base_s=1, cap_s=10), Fixed(1.0)
    assert [policy.delay(attempt, ids) for attempt in range(1, 7)] == [1, 2, 4, 8, 10, 10]
    assert policy.delay(10_000, ids) == 10


@given(st.integers(1, 10_000), st.integers())
def test_jitter_stays_between_half_and_all_of_the_step(attempt, seed):
    """Every pause lies between half and all of its step, and never over the cap."""
    policy = RetryPolicy(base_s=0.5, cap_s=60)
    step = min(60, 0.5 * 2 ** min(attempt - 1, 30))
    assert step / 2 <= policy.delay(attempt, SeededIds(seed)) <= step


@given(st.floats(0, 1000), st.integers())
def test_the_pause_that_the_other_side_asks_for_is_kept(wanted, seed):
    """The wait is never below what was asked for and at most a tenth above, except that the cap limits both."""
    pause = RetryPolicy(cap_s=60).delay(1, SeededIds(seed), wanted)
    assert min(60, wanted) <= pause <= min(60, wanted * 1.1)


def test_many_clients_do_not_come_back_together():
    """The pauses of a hundred clients spread: no twentieth of the range holds more than a fifth of them."""
    pauses = [RetryPolicy(base_s=20, cap_s=60).delay(1, SeededIds(seed)) for seed in range(100)]
    buckets = [int((pause - 10) / 0.5) for pause in pauses]
    assert max(buckets.count(bucket) for bucket in buckets) <= 20
