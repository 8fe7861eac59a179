"""Attributes: names, types, casts and atomic operations, as pure functions.

Rules: section "Attributes" of ``docs/protocol.md``.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from hull_sdk.core.clock import iso_millis, iso_seconds, parse_time
from hull_sdk.errors import InvalidArgumentError

__all__ = [
    "OPERATIONS",
    "AttributeType",
    "Operation",
    "apply_operation",
    "cast",
    "detect_type",
    "normalize_name",
    "operation_of",
]

AttributeType = Literal["string", "number", "boolean", "date", "array", "json"]

#: Accepted spellings of an operation and what each means.
OPERATIONS: Final = {
    "set": "set",
    "setIfNull": "setIfNull",
    "inc": "inc",
    "increment": "inc",
    "dec": "dec",
    "decrement": "dec",
}

_DATE_SUFFIXES: Final = ("_at", "_date")
#: What is no object for sure: asking for these is quick, asking for a Mapping is not.
_PLAIN: Final = (str, int, float, list, type(None))
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


@dataclass(slots=True)  # not frozen, which doubles what it takes: each attribute of each message makes one
class Operation:
    """What a ``traits`` message asks of one attribute.

    Args:
        name: ``"set"``, ``"setIfNull"``, ``"inc"`` or ``"dec"``.
        value: The operand.
    """

    name: str
    value: Any


def normalize_name(name: str) -> str:
    """Return an attribute name as it is stored: lower case, without ``.`` and ``$``, trimmed."""
    return sys.intern(name.replace(".", "").replace("$", "").strip().lower())  # one text for all who have the attribute


def operation_of(value: Any) -> Operation:
    """Read the value of a ``traits`` body.

    Args:
        value: A plain value, or ``{"operation": "inc", "value": 2}``.

    Returns:
        The operation; a plain value is ``set``. ``inc`` and ``dec`` without a value count by one.

    Raises:
        InvalidArgumentError: The operation is unknown, or its operand is no number where one is needed.
    """
    if isinstance(value, _PLAIN) or not isinstance(value, Mapping) or "operation" not in value:
        return Operation("set", value)
    name = OPERATIONS.get(value["operation"]) if isinstance(value["operation"], str) else None
    if name is None:
        raise InvalidArgumentError(
            f"unknown attribute operation {value['operation']!r}; use one of {', '.join(OPERATIONS)}"
        )
    operand = value.get("value")
    if name in {"inc", "dec"}:
        operand = 1 if operand is None else cast("number", operand)
        if operand is None:
            raise InvalidArgumentError(f"{name} needs a number, not {value['value']!r}")
    return Operation(name, operand)


def detect_type(name: str, value: Any) -> AttributeType | None:
    """Return the type that a first value gives an attribute.

    Args:
        name: Normalized attribute name; one that ends in ``_at`` or ``_date`` is a date whatever the value.
        value: The first value.

    Returns:
        The type, or ``None`` for ``null``, which says nothing.
    """
    if value is None:
        return None
    if name.endswith(_DATE_SUFFIXES):
        return "date"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, Mapping):
        return "json"
    if isinstance(value, list):
        return "json" if value and isinstance(value[0], Mapping) else "array"
    return "string"


def cast(kind: AttributeType, value: Any) -> Any:
    """Cast a value to an attribute's type.

    Args:
        kind: The type.
        value: Any JSON value.

    Returns:
        The value as it is stored, or ``None`` when the cast is impossible. Dates become text such as
        ``"2024-01-05T10:00:00Z"``, with milliseconds only when there are some.
    """
    return None if value is None else _CASTS[kind](value)


def apply_operation(current: Any, operation: Operation, kind: AttributeType) -> Any:
    """Return the value of an attribute after an operation.

    Args:
        current: The stored value, ``None`` when absent.
        operation: What to do.
        kind: The attribute's type.

    Returns:
        The new value; ``None`` clears the attribute. Counting on an attribute that is no number, or beyond
        the range of numbers, leaves it as it is.
    """
    if operation.name in {"inc", "dec"}:
        if kind != "number":
            return current
        return _counted(current, operation.value if operation.name == "inc" else -operation.value)
    if operation.name == "setIfNull" and current is not None:
        return current
    return cast(kind, operation.value)


def _counted(current: Any, step: float) -> Any:
    try:
        total = (0 if current is None else current) + step
        return total if math.isfinite(total) else current
    except OverflowError:  # whole numbers have no limit, broken ones do
        return current


def _to_string(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and math.isfinite(value):
        return str(int(value)) if value.is_integer() else repr(value)
    return None


def _to_number(value: Any) -> int | float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return value
    if isinstance(value, str):
        text = value.strip()
        if not text.isascii() or "_" in text:
            return None
        try:
            return int(text)
        except ValueError:
            pass
        try:
            value = float(text)
        except ValueError:
            return None
    return value if isinstance(value, float) and math.isfinite(value) else None


def _to_boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    text = _to_string(value)
    return None if text is None else _BOOLEANS.get(text.strip().lower())


def _to_date(value: Any) -> str | None:
    moment = parse_time(value)
    if moment is None:
        return None
    return iso_millis(moment) if moment.microsecond >= 1000 else iso_seconds(moment)


def _to_array(value: Any) -> list[str] | None:
    items = [_to_string(item) for item in (value if isinstance(value, list) else [value])]
    strings = [item for item in items if item is not None]
    return strings if len(strings) == len(items) else None


def _to_json(value: Any) -> Any:
    return value if isinstance(value, (dict, list, Mapping)) else None


_CASTS: Final = {
    "string": _to_string,
    "number": _to_number,
    "boolean": _to_boolean,
    "date": _to_date,
    "array": _to_array,
    "json": _to_json,
}
