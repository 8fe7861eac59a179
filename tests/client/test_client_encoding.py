"""Bodies: encoded at the call, dates as text, and errors that name the place."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta, timezone
from types import MappingProxyType

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.client.encoding import encode
from hull_sdk.errors import InvalidArgumentError

JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(codec="utf-8")),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner, max_size=3)
    ),
    max_leaves=10,
)


@given(JSON)
def test_json_survives_unchanged(value):
    """What is JSON already comes out as it went in."""
    assert json.loads(encode(value, "traits")) == value


def test_dates_become_iso_text():
    """Aware and naive datetimes and dates are written in UTC, anywhere in the body."""
    value = {
        "at": datetime(2024, 1, 5, 12, 0, tzinfo=timezone(timedelta(hours=2))),
        "naive": datetime(2024, 1, 5, 10, 0, 0, 250_000, UTC).replace(tzinfo=None),
        "day": date(2024, 1, 5),
        "deep": [{"at": datetime(2024, 1, 5, tzinfo=UTC)}],
    }
    assert json.loads(encode(value, "traits")) == {
        "at": "2024-01-05T10:00:00.000Z",
        "naive": "2024-01-05T10:00:00.250Z",
        "day": "2024-01-05",
        "deep": [{"at": "2024-01-05T00:00:00.000Z"}],
    }


def test_other_mappings_and_tuples_are_taken():
    """A read-only dict and a tuple are as good as a dict and a list."""
    assert encode(MappingProxyType({"a": (1, 2)}), "traits") == b'{"a":[1,2]}'


LOOP: dict[str, object] = {}
LOOP["self"] = LOOP
DEEP: list[object] = []
for _ in range(3000):
    DEEP = [DEEP]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"a": float("nan")}, r"traits\['a'\] is nan; JSON has no such number"),
        ({"a": [1, float("inf")]}, r"traits\['a'\]\[1\] is inf"),
        ({"a": {"b": object()}}, r"traits\['a'\]\['b'\] is of type object"),
        ({"a": {1, 2}}, r"traits\['a'\] is of type set"),
        ({"a": b"x"}, r"traits\['a'\] is of type bytes"),
        ({(1, 2): 1}, r"has the key \(1, 2\); keys are text"),
        (LOOP, "nested deeper than 100 levels, or holds itself"),
        (DEEP, "nested deeper than 100 levels"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(value, text):
    """The error names where the value stands and why it cannot be sent."""
    with pytest.raises(InvalidArgumentError, match=text):
        encode(value, "traits")
