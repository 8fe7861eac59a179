"""Patterns of external ids: what is accepted cannot keep the platform busy."""

from __future__ import annotations

import re

import pytest

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.patterns import MAX_TEXT, check_pattern
from hull_sdk.platform.settings import load_settings


@pytest.mark.parametrize(
    "text",
    [
        "[0-9]+",
        r"\d{1,10}",
        "(?:user|org)_[0-9]+",
        "[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}",
        "(?i)[a-z]+-[0-9]+",
        r"[\]a-z^]*",
        r"[\[a|b]\[--",
        "--&&",
        r"(?![^@]*@).+",
        r"\w++@\w++\.\w+",
        r"(?>\w+)@(?>\w+)\.\w+",
        r"\(\d\)",
        "a{b",
        "[^]]+",
    ],
)
def test_useful_patterns_are_accepted(text):
    """Digits, prefixes, UUIDs, and possessive repeats are no danger."""
    check_pattern(text)


@pytest.mark.parametrize(
    "text",
    [
        "[[a]",
        "[a--z]",
        "[^]&&a]",
        "[[",
        "[[\\",
        "(a+)+",
        "(a*)*b",
        "(a|aa)+b",
        "(?:a?){30}a{30}",
        "a?" * 30 + "a" * 30,
        "a*a*a*b",
        "a{0,199}a{0,199}a{0,199}b",
        "(?:(?:ab)*)*",
        "(?x) a + # b",
        "(?#(a+)+",
        "(",
        "x" * 501,
        "(?:a{0,65000}){65000}",
    ],
)
def test_patterns_that_could_hang_or_are_malformed_are_refused(text):
    """Nested, adjacent and alternative repeats are refused with the rule."""
    with pytest.raises(InvalidArgumentError):
        check_pattern(text)


def test_a_long_external_id_is_not_matched_at_all():
    """Past the limit the id is not believed, and the reason says so."""
    settings = load_settings({"user_external_id_pattern": "[0-9]*[0-9]*x"})
    assert settings.external_id_problem("user", "1" * MAX_TEXT + "x") is not None
    assert settings.external_id_problem("user", "1" * (MAX_TEXT - 1) + "x") is None
    assert settings.external_id_problem("account", "1" * 10_000) is None


def test_the_count_of_ways_is_an_upper_bound():
    """An accepted pattern answers at once on the worst text for it."""
    check_pattern("a*a*b")
    assert re.fullmatch("a*a*b", "a" * MAX_TEXT) is None
