"""JSON as it travels: compact UTF-8 bytes, the same with and without the optional fast library.

``NaN`` and infinities are no JSON and are refused in both directions.
"""

from __future__ import annotations

import json
from typing import Any

__all__ = ["JSONDecodeError", "dumps", "dumps_sorted", "loads"]

JSONDecodeError = json.JSONDecodeError

_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode
_encode_sorted = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"), sort_keys=True).encode


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed in JSON; send null or a finite number")


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode


def dumps(value: Any) -> bytes:
    """Encode a value.

    Args:
        value: Dicts, lists, strings, finite numbers, booleans and ``None``.

    Returns:
        Compact UTF-8 bytes, for example ``b'{"a":1}'``.

    Raises:
        TypeError: The value holds something that JSON cannot carry.
        ValueError: The value holds ``NaN`` or an infinity.
    """
    return _encode(value).encode()


def dumps_sorted(value: Any) -> bytes:
    """Encode a value with sorted keys, so that equal values give equal bytes."""
    return _encode_sorted(value).encode()


def loads(data: bytes | str) -> Any:
    """Decode a value.

    Args:
        data: UTF-8 bytes (a byte order mark is skipped) or text.

    Returns:
        The decoded value.

    Raises:
        ValueError: The data is no JSON, not UTF-8, too deeply nested, or holds ``NaN``.
    """
    text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
    try:
        return _decode(text)
    except RecursionError as err:
        raise ValueError("the JSON is nested too deeply") from err
