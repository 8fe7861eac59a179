"""Turning what a caller passes into JSON bytes, once, at the call.

The caller's values are read and never changed; what is changed later has no effect on what was sent.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from contextlib import suppress
from datetime import date, datetime
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.clock import iso_millis, parse_time
from hull_sdk.errors import InvalidArgumentError

__all__ = ["encode", "plain"]

_MAX_DEPTH: Final = 100


def encode(value: Any, what: str) -> bytes:
    """Encode a value as JSON.

    Args:
        value: JSON-like data; dates and datetimes become ISO 8601 text, tuples become lists, UUIDs become text, members
            of an ``Enum`` their values.
        what: What it is, for the error, for example ``"traits"``.

    Returns:
        Compact UTF-8 bytes.

    Raises:
        InvalidArgumentError: Something in it is no JSON, such as ``NaN``, an object or a loop; the message
            names the place.
    """
    try:
        data = json.dumps(value)
    except (TypeError, ValueError, RecursionError):
        return json.dumps(plain(value, what))
    # How deep the encoder goes differs between versions of Python; only many brackets can be too deep.
    if len(data) > 2 * _MAX_DEPTH and data.count(b"{") + data.count(b"[") > _MAX_DEPTH:
        plain(value, what)
    return data


def plain(value: Any, path: str, depth: int = 0) -> Any:
    """Copy a value, writing dates as text, and say where something is that JSON cannot carry.

    Args:
        value: The value.
        path: Where it stands, for example ``"traits['plan']"``.
        depth: How deep that is.

    Raises:
        InvalidArgumentError: Something in it is no JSON.
    """
    if depth > _MAX_DEPTH:
        raise InvalidArgumentError(f"{path[:60]}... is nested deeper than {_MAX_DEPTH} levels, or holds itself")
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidArgumentError(f"{path} is {value!r}; JSON has no such number, send None or a finite one")
        return value
    if isinstance(value, datetime):
        return iso_millis(parse_time(value) or value)
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {_key(key, path): plain(item, f"{path}[{key!r}]", depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(value)]
    with suppress(TypeError):
        return plain(json.stand_in(value), path, depth + 1)
    raise InvalidArgumentError(
        f"{path} is of type {type(value).__name__}; JSON knows text, numbers, booleans, None, lists and dicts"
    )


def _key(key: Any, path: str) -> str:
    if not isinstance(key, str):
        raise InvalidArgumentError(f"{path} has the key {key!r}; keys are text")
    return key
