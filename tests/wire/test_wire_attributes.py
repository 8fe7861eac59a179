"""Attributes: names, types, casts and operations."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.attributes import (
    OPERATIONS,
    Operation,
    apply_operation,
    cast,
    detect_type,
    normalize_name,
    operation_of,
)

KINDS = ("string", "number", "boolean", "date", "array", "json")
kinds = st.sampled_from(KINDS)
scalars = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(max_size=12),
    st.datetimes().map(lambda moment: moment.isoformat()), st.sampled_from(["1", "0", "true", " False ", "1e3", "12", "-0.0", "nan", "inf", "0x10", "1_000"]),
)  # fmt: skip
values = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("Plan", "plan"),
        ("salesforce/Status", "salesforce/status"),
        ("a.b$c", "abc"),
        ("  $first name. ", "first name"),
        ("ÄÖ", "äö"),
        ("$.", ""),
    ],
)
def test_names_are_stored_in_lower_case_without_dots_and_dollars(name, stored):
    """Case, dots, dollar signs and blanks around a name do not make another attribute."""
    assert normalize_name(name) == stored


@given(st.text(max_size=30))
def test_a_stored_name_stays_as_it_is(name):
    """Normalizing twice changes nothing more."""
    once = normalize_name(name)
    assert normalize_name(once) == once
    assert not set(once) & {".", "$"}


@pytest.mark.parametrize(
    ("name", "value", "kind"),
    [
        ("plan", "free", "string"),
        ("plan", "12", "string"),
        ("logins", 3, "number"),
        ("score", 1.5, "number"),
        ("vip", True, "boolean"),
        ("vip", False, "boolean"),
        ("tags", ["a"], "array"),
        ("tags", [], "array"),
        ("tags", [1, {"a": 1}], "array"),
        ("rows", [{"a": 1}], "json"),
        ("address", {"city": "Paris"}, "json"),
        ("created_at", "2024-01-05", "date"),
        ("created_at", 12, "date"),
        ("birth_date", {"a": 1}, "date"),
        ("created_at", None, None),
        ("plan", None, None),
        ("at", "x", "string"),
        ("update", "x", "string"),
    ],
)
def test_the_first_value_decides_the_type(name, value, kind):
    """The type follows from the first value; a name that ends in _at or _date is a date; null says nothing."""
    assert detect_type(name, value) == kind


CASTS = [
    ("string", "a", "a"),
    ("string", 12, "12"),
    ("string", 12.0, "12"),
    ("string", 12.5, "12.5"),
    ("string", True, "true"),
    ("string", [], None),
    ("string", {"a": 1}, None),
    ("number", 12, 12),
    ("number", 1.5, 1.5),
    ("number", " 12 ", 12),
    ("number", "1.5", 1.5),
    ("number", "1e3", 1000.0),
    ("number", "-7", -7),
    ("number", True, None),
    ("number", "many", None),
    ("number", "", None),
    ("number", "1_000", None),
    ("number", "\u0661", None),
    ("number", "nan", None),
    ("number", "inf", None),
    ("number", "1e999", None),
    ("number", "9" * 5000, None),
    ("number", [1], None),
    ("boolean", True, True),
    ("boolean", "true", True),
    ("boolean", " FALSE ", False),
    ("boolean", 1, True),
    ("boolean", 0, False),
    ("boolean", "0", False),
    ("boolean", 1.0, True),
    ("boolean", 2, None),
    ("boolean", "yes", None),
    ("date", "2024-01-05T10:00:00Z", "2024-01-05T10:00:00Z"),
    ("date", "2024-01-05T12:00:00+02:00", "2024-01-05T10:00:00Z"),
    ("date", "2024-01-05", "2024-01-05T00:00:00Z"),
    ("date", 1704448800, "2024-01-05T10:00:00Z"),
    ("date", 1704448800123, "2024-01-05T10:00:00.123Z"),
    ("date", "1704448800", "2024-01-05T10:00:00Z"),
    ("date", "0033-01-02", "0033-01-02T00:00:00Z"),
    ("date", "soon", None),
    ("date", True, None),
    ("date", {}, None),
    ("array", ["a", 1, True], ["a", "1", "true"]),
    ("array", "a", ["a"]),
    ("array", [], []),
    ("array", [None], None),
    ("array", [["a"]], None),
    ("array", {"a": 1}, None),
    ("json", {"a": [1]}, {"a": [1]}),
    ("json", [1, "a"], [1, "a"]),
    ("json", "a", None),
    ("json", 1, None),
]


@pytest.mark.parametrize(("kind", "value", "stored"), CASTS)
def test_values_are_cast_to_the_type_of_the_attribute(kind, value, stored):
    """Each type takes what means the same and turns the impossible into null."""
    result = cast(kind, value)
    assert result == stored
    assert type(result) is type(stored)


@given(kinds, values)
def test_casting_twice_changes_nothing_more(kind, value):
    """A stored value is stored as it is, whatever it came from."""
    once = cast(kind, value)
    assert cast(kind, once) == once


@given(kinds, values)
def test_a_cast_value_can_travel_and_has_its_type(kind, value):
    """Whatever was cast can be written as strict JSON, and null stays null."""
    json.dumps(cast(kind, value), allow_nan=False)
    assert cast(kind, None) is None


@pytest.mark.parametrize(
    ("value", "operation"),
    [
        ("free", Operation("set", "free")),
        (None, Operation("set", None)),
        ({"a": 1}, Operation("set", {"a": 1})),
        ({"value": 1}, Operation("set", {"value": 1})),
        ({"operation": "set", "value": 1}, Operation("set", 1)),
        ({"operation": "set"}, Operation("set", None)),
        ({"operation": "setIfNull", "value": "a"}, Operation("setIfNull", "a")),
        ({"operation": "inc", "value": 2}, Operation("inc", 2)),
        ({"operation": "increment", "value": "2"}, Operation("inc", 2)),
        ({"operation": "dec", "value": 0}, Operation("dec", 0)),
        ({"operation": "decrement"}, Operation("dec", 1)),
        ({"operation": "inc", "value": None}, Operation("inc", 1)),
    ],
)
def test_operations_are_read(value, operation):
    """Plain values and objects without an operation are set; counting needs no value and defaults to one."""
    assert operation_of(value) == operation


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"operation": "multiply", "value": 2}, "'multiply'.*setIfNull"),
        ({"operation": None}, "None"),
        ({"operation": ["inc"]}, "inc"),
        ({"operation": "inc", "value": "many"}, "inc needs a number, not 'many'"),
        ({"operation": "dec", "value": True}, "dec needs a number, not True"),
        ({"operation": "inc", "value": float("nan")}, "inc needs a number"),
    ],
)
def test_operations_that_do_not_exist_are_refused(value, text):
    """An unknown operation names the known ones; counting by what is no number names the value."""
    with pytest.raises(InvalidArgumentError, match=text):
        operation_of(value)


@pytest.mark.parametrize(
    ("current", "operation", "kind", "result"),
    [
        ("free", Operation("set", "pro"), "string", "pro"),
        ("free", Operation("set", None), "string", None),
        ("free", Operation("set", 12), "string", "12"),
        (5, Operation("set", "many"), "number", None),
        (None, Operation("setIfNull", "pro"), "string", "pro"),
        ("free", Operation("setIfNull", "pro"), "string", "free"),
        (False, Operation("setIfNull", True), "boolean", False),
        (0, Operation("setIfNull", 5), "number", 0),
        ("", Operation("setIfNull", "a"), "string", ""),
        (None, Operation("inc", 2), "number", 2),
        (5, Operation("inc", 2), "number", 7),
        (5, Operation("dec", 7), "number", -2),
        (0.5, Operation("inc", 0.25), "number", 0.75),
        ("5", Operation("inc", 2), "string", "5"),
        (None, Operation("inc", 2), "string", None),
        (1e308, Operation("inc", 1e308), "number", 1e308),
        (10**400, Operation("inc", 0.5), "number", 10**400),
    ],
)
def test_operations_give_the_new_value(current, operation, kind, result):
    """Setting casts and clears, setting if null respects any value, counting starts at zero and stays finite."""
    assert apply_operation(current, operation, kind) == result


@given(
    st.integers(-1000, 1000), st.lists(st.tuples(st.sampled_from(["inc", "dec"]), st.integers(-50, 50)), max_size=10)
)
def test_counting_does_not_depend_on_the_order(start, steps):
    """Additions and subtractions give the same sum in any order."""
    forward, backward = start, start
    for (name, value), (other, amount) in zip(steps, reversed(steps), strict=True):
        forward = apply_operation(forward, Operation(name, value), "number")
        backward = apply_operation(backward, Operation(other, amount), "number")
    assert forward == backward


def test_both_spellings_of_counting_are_known():
    """The short and the long names mean the same."""
    assert OPERATIONS["increment"] == OPERATIONS["inc"]
    assert OPERATIONS["decrement"] == OPERATIONS["dec"]
