"""JSON: the same bytes as the standard library, and nothing that another reader would refuse."""

from __future__ import annotations

import json as stdlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core import json

leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text())
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=20,
)


@given(values)
def test_the_bytes_are_those_of_the_standard_library(value):
    """Encoding gives the compact UTF-8 form of the standard library, with and without sorted keys."""
    assert json.dumps(value) == stdlib.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert (
        json.dumps_sorted(value)
        == stdlib.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    )


@given(values)
def test_what_was_encoded_is_decoded_to_the_same_value(value):
    """A round trip changes neither value nor type."""
    decoded = json.loads(json.dumps(value))
    assert decoded == value
    assert stdlib.dumps(decoded) == stdlib.dumps(value)


def test_sorted_keys_make_equal_values_equal_bytes():
    """The order in which keys were set does not matter for the sorted form."""
    assert json.dumps_sorted({"b": 1, "a": {"d": 2, "c": 3}}) == b'{"a":{"c":3,"d":2},"b":1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), {"a": [float("nan")]}])
def test_numbers_that_are_none_are_refused(value):
    """NaN and infinities are not written, since no other reader would take them."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        json.dumps(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", {(1, 2): 3}])
def test_what_json_cannot_carry_is_refused(value):
    """Other types are refused instead of being guessed."""
    with pytest.raises(TypeError):
        json.dumps(value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "[-Infinity]", '{"a": NaN}', "1e999", "[-1e400]"])
def test_numbers_beyond_json_are_refused_when_read(text):
    """Constants that are no JSON and numbers that would become infinite are refused with their text."""
    with pytest.raises(ValueError, match=r"NaN|Infinity|1e999|1e400"):
        json.loads(text)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"{'a': 1}", b"\xff\xfe", b'"\xc3"', "[" * 100_000, b'{"a":1}x', "1" * 5000, "\ufeff{}"]
)
def test_what_is_no_json_raises_a_value_error(data):
    """Broken text, bytes that are not UTF-8, bottomless nesting and endless numbers all raise ValueError."""
    with pytest.raises(ValueError):
        json.loads(data)


def test_a_byte_order_mark_is_skipped():
    """Bytes that begin with a byte order mark are read."""
    assert json.loads(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@given(st.text(st.characters(codec=None), max_size=20))
def test_every_text_that_can_be_read_can_be_written(text):
    """Half a surrogate pair, which arrives as an escape, is written as an escape again instead of raising."""
    read = json.loads(stdlib.dumps({text: [text]}))
    assert json.loads(json.dumps(read)) == read
    assert json.loads(json.dumps_sorted(read)) == read


@pytest.mark.parametrize(
    ("value", "levels"), [(1, 0), ({}, 1), ([1, {"a": 2}], 2), ({"a": [], "b": {"c": [(1,)]}}, 4), ([[], [[]], []], 3)]
)
def test_the_levels_of_a_value_are_counted(value, levels):
    """Lists and objects within one another count, whatever stands beside them."""
    assert not json.nests_deeper(value, levels)
    assert levels == 0 or json.nests_deeper(value, levels - 1)


@pytest.mark.attack("deep JSON")
def test_bottomless_values_are_refused_when_written():
    """Nesting that cannot be written, and a value that holds itself, raise ValueError."""
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        json.dumps(deep)
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="Circular"):
        json.dumps(loop)
