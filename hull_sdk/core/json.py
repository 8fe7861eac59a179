"""JSON as it travels: compact UTF-8 bytes, the same as the standard library writes.

``NaN`` and infinities are no JSON and are refused in both directions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

__all__ = ["JSONDecodeError", "dumps", "dumps_sorted", "loads", "nests_deeper"]

JSONDecodeError = json.JSONDecodeError

_COMPACT: Final = (",", ":")

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=_COMPACT).encode
_encode_sorted = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=_COMPACT, sort_keys=True).encode
_encode_ascii = json.JSONEncoder(allow_nan=False, separators=_COMPACT).encode
_encode_ascii_sorted = json.JSONEncoder(allow_nan=False, separators=_COMPACT, sort_keys=True).encode


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed in JSON; send null or a finite number")


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0.0:
        raise ValueError(f"{text} is too large for a number; send a finite number or text")
    return number


_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).decode


def dumps(value: Any) -> bytes:
    """Encode a value.

    Args:
        value: Dicts, lists, strings, finite numbers, booleans and ``None``.

    Returns:
        Compact UTF-8 bytes, for example ``b'{"a":1}'``. A value with half a surrogate pair, which UTF-8 cannot
        hold, is written with escapes of ASCII characters instead.

    Raises:
        TypeError: The value holds something that JSON cannot carry.
        ValueError: The value holds ``NaN`` or an infinity, itself, or is too deeply nested.
    """
    return _bytes(value, _encode, _encode_ascii)


def dumps_sorted(value: Any) -> bytes:
    """Encode a value with sorted keys, so that equal values give equal bytes; otherwise as :func:`dumps`."""
    return _bytes(value, _encode_sorted, _encode_ascii_sorted)


def loads(data: bytes | str) -> Any:
    """Decode a value.

    Args:
        data: UTF-8 bytes (a byte order mark is skipped) or text.

    Returns:
        The decoded value.

    Raises:
        ValueError: The data is no JSON, not UTF-8, too deeply nested, or holds ``NaN`` or a number beyond
            the range of floats.
    """
    text = data.decode().removeprefix("\ufeff") if isinstance(data, bytes) else data
    try:
        return _decode(text)
    except RecursionError as err:
        raise ValueError("the JSON is nested too deeply") from err


def nests_deeper(value: Any, levels: int) -> bool:
    """Tell whether lists and objects of a value stand in one another more than so many levels deep.

    Args:
        value: A decoded value; its own list or object is the first level.
        levels: For example ``100``.
    """
    layer: Iterable[Any] = (value,)
    for _ in range(levels + 1):
        layer = [each for each in layer if isinstance(each, Mapping | list | tuple)]
        if not layer:
            return False
        layer = [inner for each in layer for inner in (each.values() if isinstance(each, Mapping) else each)]
    return True


def _bytes(value: Any, encode: Callable[[Any], str], fallback: Callable[[Any], str]) -> bytes:
    try:
        return encode(value).encode()
    except UnicodeEncodeError:
        return fallback(value).encode()
    except RecursionError as err:
        raise ValueError("the value is nested too deeply for JSON") from err
