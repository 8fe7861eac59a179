"""JSON as it travels: compact UTF-8 bytes, as the standard library writes them.

``NaN`` and infinities are no JSON and are refused in both directions. With the extra ``[fast]`` orjson does what it
does alike, but for the form of tiny floats (``0.00001`` for ``1e-05``); the rest, and every error, is left to the
standard library.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from typing import Any, Final
from uuid import UUID

try:
    import orjson
except ImportError:
    orjson = None  # type: ignore[assignment]

__all__ = ["OBJECT", "JSONDecodeError", "dumps", "dumps_sorted", "loads", "nests_deeper", "stand_in"]

JSONDecodeError = json.JSONDecodeError

#: What counts as an object, for ``isinstance``: any mapping; asking for ``dict`` first is eight times as quick.
OBJECT: Final = (dict, Mapping)

_COMPACT: Final = (",", ":")
_SPACE: Final = " \t\n\r"

#: What orjson would write in forms of its own, it gives back instead.
_PLAIN_ONLY: Final = (
    0
    if orjson is None
    else orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_SUBCLASS
)


def stand_in(value: Any) -> Any:
    """Return what stands for a value that JSON has no form of its own for.

    Args:
        value: A UUID or a member of an ``Enum``; orjson knows the same.

    Returns:
        Its text, or its value.

    Raises:
        TypeError: It is of another type.
    """
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, Enum):
        return value.value
    raise TypeError(f"Object of type {type(value).__name__} is not JSON serializable")


def _encoder(*, ensure_ascii: bool, sort_keys: bool) -> Callable[[Any], str]:
    """Return what encodes as a ``JSONEncoder`` does, but is made once; that one makes all of it for every value."""
    module: Any = json.encoder
    make = module.c_make_encoder
    if make is None:  # an interpreter without it
        return json.JSONEncoder(
            allow_nan=False, separators=_COMPACT, default=stand_in, ensure_ascii=ensure_ascii, sort_keys=sort_keys
        ).encode
    text = module.encode_basestring_ascii if ensure_ascii else module.encode_basestring
    # Without a memory of what it is within: a loop ends as something that is nested too deeply.
    encode = make(None, stand_in, text, None, ":", ",", sort_keys, False, False)
    return lambda value: "".join(encode(value, 0))


_encode = _encoder(ensure_ascii=False, sort_keys=False)
_encode_sorted = _encoder(ensure_ascii=False, sort_keys=True)
_encode_ascii = _encoder(ensure_ascii=True, sort_keys=False)
_encode_ascii_sorted = _encoder(ensure_ascii=True, sort_keys=True)


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not allowed in JSON; send null or a finite number")


def _finite(text: str) -> float:
    number = float(text)
    if number - number != 0.0:
        raise ValueError(f"{text} is too large for a number; send a finite number or text")
    return number


_decoder: Final = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite)


def dumps(value: Any) -> bytes:
    """Encode a value.

    Args:
        value: Dicts, lists, strings, finite numbers, booleans and ``None``; UUIDs become text, members of an
            ``Enum`` their values.

    Returns:
        Compact UTF-8 bytes, for example ``b'{"a":1}'``. A value with half a surrogate pair, which UTF-8 cannot
        hold, is written with escapes of ASCII characters instead.

    Raises:
        TypeError: The value holds something that JSON cannot carry.
        ValueError: The value holds ``NaN`` or an infinity, itself, or is too deeply nested.
    """
    if orjson is not None:
        try:
            data = orjson.dumps(value, option=_PLAIN_ONLY)
        except TypeError:
            pass
        else:
            # NaN and the infinities become null, silently; they differ from what comes back, None does not.
            if b"null" not in data or orjson.loads(data) == value:
                return data
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

    Integers beyond 64 bits are exact; with the extra ``[fast]`` they become floats, as they do in JavaScript.
    """
    if orjson is not None:
        try:
            return orjson.loads(data)
        except ValueError:
            pass
    text = data.decode().removeprefix("\ufeff") if isinstance(data, bytes) else data
    try:
        return _decoded(text)
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
        layer = [each for each in layer if isinstance(each, (dict, list, tuple, Mapping))]
        if not layer:
            return False
        layer = [inner for each in layer for inner in (each.values() if isinstance(each, OBJECT) else each)]
    return True


def _decoded(text: str) -> Any:
    """Decode as ``JSONDecoder.decode`` does, without its two searches for space: half the time of small values."""
    if text and text[0] not in _SPACE:
        value, end = _decoder.raw_decode(text)
        if not text[end:].strip(_SPACE):
            return value
    return _decoder.decode(text)


def _bytes(value: Any, encode: Callable[[Any], str], fallback: Callable[[Any], str]) -> bytes:
    try:
        return encode(value).encode()
    except UnicodeEncodeError:
        return fallback(value).encode()
    except RecursionError as err:
        raise ValueError("the value is nested too deeply for JSON, or holds itself") from err
