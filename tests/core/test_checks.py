"""What counts as a number in an option."""

from __future__ import annotations

import math

import pytest

from hull_sdk.core.checks import is_number, is_whole

NEVER = [None, True, False, "1", [1], math.nan, math.inf, -math.inf]


@pytest.mark.parametrize("value", [*NEVER, 1.0, 2.5])
def test_only_whole_numbers_are_whole(value):
    """Texts, truth values and numbers with a fraction are no whole numbers, whatever the limits."""
    assert not is_whole(value)


@pytest.mark.parametrize("value", [*NEVER, 10**400, -(10**400)])
def test_only_finite_numbers_count(value):
    """Neither truth values nor texts are numbers, nor is what no float can hold."""
    assert not is_number(value)


def test_limits_belong_to_the_range_unless_they_are_to_be_exceeded():
    """The lowest and the highest number count; a number must be higher than ``above``."""
    assert [value for value in range(6) if is_whole(value, 1, 4)] == [1, 2, 3, 4]
    assert [value for value in (-0.5, 0, 0.5) if is_number(value, 0)] == [0, 0.5]
    assert [value for value in (-0.5, 0, 0.5) if is_number(value, above=0)] == [0.5]
    assert [value for value in (0.5, 1, 1.5) if is_number(value, 0, 1)] == [0.5, 1]
    assert is_whole(10**400, 1)
