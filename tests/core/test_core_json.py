"""JSON: the same bytes as the standard library, and nothing that another reader would refuse."""

from __future__ import annotations

import enum
import json as stdlib
import re
import sys
import uuid
from datetime import UTC, datetime
from importlib.util import module_from_spec, spec_from_file_location
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core import json as installed

WITHIN_64_BITS = st.integers(-(2**63), 2**64 - 1)
leaves = st.one_of(
    st.none(), st.booleans(), WITHIN_64_BITS, st.floats(allow_nan=False, allow_infinity=False), st.text()
)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(), inner, max_size=4)),
    max_leaves=20,
)


def _implementation(*, fast):
    """Load the module once more, as if orjson were installed or not."""
    spec = spec_from_file_location("loaded_json", installed.__file__)
    module, kept = module_from_spec(spec), sys.modules.get("orjson")
    if not fast:
        sys.modules["orjson"] = None
    try:
        spec.loader.exec_module(module)
    finally:
        sys.modules.pop("orjson", None)
        if kept is not None:
            sys.modules["orjson"] = kept
    return module


PLAIN, FAST = _implementation(fast=False), _implementation(fast=True)


@pytest.fixture(params=[PLAIN, FAST], ids=["plain", "fast"])
def json(request):
    """Both implementations in turn."""
    return request.param


class Plan(enum.Enum):
    """A member has a value that JSON can carry."""

    PRO = "pro"


@given(values)
def test_the_bytes_are_those_of_the_standard_library(value):
    """Encoding gives the compact UTF-8 form of the standard library, with and without sorted keys."""
    json = PLAIN
    assert json.dumps(value) == stdlib.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
    assert (
        json.dumps_sorted(value)
        == stdlib.dumps(value, ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode()
    )


@given(values)
def test_what_was_encoded_is_decoded_to_the_same_value(value):
    """A round trip changes neither value nor type, whoever writes and whoever reads."""
    for writer, reader in ((PLAIN, PLAIN), (PLAIN, FAST), (FAST, PLAIN), (FAST, FAST)):
        decoded = reader.loads(writer.dumps(value))
        assert decoded == value
        assert stdlib.dumps(decoded) == stdlib.dumps(value)


def test_large_integers_are_exact_unless_reading_is_fast():
    """Integers beyond 64 bits are written in full; the fast reader makes floats of them, as JavaScript does."""
    large = 2**64 + 1
    assert PLAIN.dumps(large) == FAST.dumps(large) == b"18446744073709551617"
    assert PLAIN.loads(str(large)) == large
    assert FAST.loads(str(large)) == (large if FAST.orjson is None else float(large))


@pytest.mark.parametrize("value", [uuid.UUID(int=5), Plan.PRO, {"plan": [Plan.PRO, uuid.UUID(int=6)]}])
def test_uuids_and_members_of_enums_are_written_alike(value):
    """What has an obvious form in JSON is written in it, with and without orjson."""
    assert PLAIN.dumps(value) == FAST.dumps(value) == PLAIN.dumps_sorted(value)


@pytest.mark.parametrize(
    "value", [datetime(2024, 1, 5, tzinfo=UTC), SimpleNamespace(a=1), {"at": datetime(2024, 1, 5, tzinfo=UTC).date()}]
)
def test_dates_are_not_written_in_a_form_of_the_encoder_s_own(json, value):
    """Dates are the caller's to write: the encoder takes none, whichever it is."""
    with pytest.raises(TypeError):
        json.dumps(value)


def test_sorted_keys_make_equal_values_equal_bytes(json):
    """The order in which keys were set does not matter for the sorted form."""
    assert json.dumps_sorted({"b": 1, "a": {"d": 2, "c": 3}}) == b'{"a":{"c":3,"d":2},"b":1}'


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf"), {"a": [None, float("nan")]}])
def test_numbers_that_are_none_are_refused(json, value):
    """NaN and infinities are not written, since no other reader would take them."""
    with pytest.raises(ValueError, match="not JSON compliant"):
        json.dumps(value)


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", {(1, 2): 3}])
def test_what_json_cannot_carry_is_refused(json, value):
    """Other types are refused instead of being guessed."""
    with pytest.raises(TypeError):
        json.dumps(value)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "[-Infinity]", '{"a": NaN}', "1e999", "[-1e400]"])
def test_numbers_beyond_json_are_refused_when_read(json, text):
    """Constants that are no JSON and numbers that would become infinite are refused with their text."""
    with pytest.raises(ValueError, match=r"NaN|Infinity|1e999|1e400"):
        json.loads(text)


@pytest.mark.parametrize(
    "data", [b"", b"{", b"{'a': 1}", b"\xff\xfe", b'"\xc3"', "[" * 100_000, b'{"a":1}x', "1" * 5000, "\ufeff{}"]
)
def test_what_is_no_json_raises_a_value_error(json, data):
    """Broken text, bytes that are not UTF-8, bottomless nesting and endless numbers all raise ValueError."""
    with pytest.raises(ValueError):
        json.loads(data)


def test_a_byte_order_mark_is_skipped(json):
    """Bytes that begin with a byte order mark are read."""
    assert json.loads(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@given(
    st.lists(st.sampled_from(['{"a":[1]}', "1", '"x"', "tru", "e", " ", "\n", "\r\t", "\xa0", ",", "}"]), max_size=5)
)
def test_text_is_read_as_the_standard_library_reads_it(pieces):
    """Space around a value is skipped; anything else beside it is refused, with the words of the standard library."""
    text = "".join(pieces)
    try:
        expected = stdlib.loads(text)
    except ValueError as err:
        with pytest.raises(ValueError, match=re.escape(str(err))):
            PLAIN.loads(text)
    else:
        assert PLAIN.loads(text) == expected


@given(st.text(st.characters(codec=None), max_size=20))
def test_every_text_that_can_be_read_can_be_written(text):
    """Half a surrogate pair, which arrives as an escape, is written as an escape again instead of raising."""
    for json in (PLAIN, FAST):
        read = json.loads(stdlib.dumps({text: [text]}))
        assert json.loads(json.dumps(read)) == read
        assert json.loads(json.dumps_sorted(read)) == read


@pytest.mark.parametrize(
    ("value", "levels"), [(1, 0), ({}, 1), ([1, {"a": 2}], 2), ({"a": [], "b": {"c": [(1,)]}}, 4), ([[], [[]], []], 3)]
)
def test_the_levels_of_a_value_are_counted(json, value, levels):
    """Lists and objects within one another count, whatever stands beside them."""
    assert not json.nests_deeper(value, levels)
    assert levels == 0 or json.nests_deeper(value, levels - 1)


@pytest.mark.attack("deep JSON")
def test_bottomless_values_are_refused_when_written(json):
    """Nesting that cannot be written, and a value that holds itself, raise ValueError."""
    deep: list = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(ValueError, match="nested too deeply"):
        json.dumps(deep)
    loop: list = []
    loop.append(loop)
    with pytest.raises(ValueError, match="holds itself"):
        json.dumps(loop)
