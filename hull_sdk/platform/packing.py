"""Turning state into plain data and back, by the types that its classes declare.

Dataclasses are packed field by field. A class with ``STATE`` (attribute names and their types) is packed by those
attributes and restored in place. Nothing but these classes is ever made from a file.
"""

from __future__ import annotations

import base64
import collections
import functools
import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

__all__ = ["pack", "pack_state", "restore_state", "unpack"]


def pack(value: Any) -> Any:
    """Return a value as plain data.

    Args:
        value: JSON, bytes, collections, dataclasses, objects with ``STATE``, or with ``packed()``.
    """
    if value is None or isinstance(value, str | int | float):
        return value
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        if all(isinstance(key, str) for key in value):
            return {key: pack(item) for key, item in value.items()}
        return [[pack(key), pack(item)] for key, item in value.items()]
    if isinstance(value, set | frozenset):
        return sorted(pack(item) for item in value)
    if isinstance(value, list | tuple | collections.deque):
        return [pack(item) for item in value]
    return _pack_object(value)


def pack_state(value: Any) -> dict[str, Any]:
    """Return the attributes that an object's class names in ``STATE`` as plain data."""
    return {name: pack(getattr(value, name)) for name in value.STATE}


def restore_state(value: Any, plain: Mapping[str, Any]) -> None:
    """Give an object the attributes back that its class names in ``STATE``."""
    for name, hint in value.STATE.items():
        if hasattr(hint, "STATE"):
            restore_state(getattr(value, name), plain[name])
        else:
            setattr(value, name, unpack(hint, plain[name]))


def unpack(hint: Any, plain: Any) -> Any:
    """Return what was packed.

    Args:
        hint: Its type.
        plain: What :func:`pack` returned.

    Raises:
        KeyError, TypeError, ValueError: It is not what the type says.
    """
    if hint is Any or plain is None:
        return plain
    if hint is bytes:
        return base64.b64decode(plain)
    if hasattr(hint, "unpacked"):
        return hint.unpacked(plain)
    origin = get_origin(hint)
    if origin in {Union, types.UnionType}:
        return unpack(_choose([each for each in get_args(hint) if each is not type(None)], plain), plain)
    if origin in {None, Literal}:
        return _unpack_class(hint, plain)
    return _unpack_collection(origin, get_args(hint), plain)


def _pack_object(value: Any) -> Any:
    if hasattr(value, "packed"):
        return value.packed()
    if hasattr(value, "STATE"):
        return pack_state(value)
    if not is_dataclass(value):
        raise TypeError(f"{type(value).__name__} is no state that can be saved")
    return {each.name: pack(getattr(value, each.name)) for each in fields(value)}


def _choose(hints: list[Any], plain: Any) -> Any:
    """Return the one of several dataclasses that has exactly these fields."""
    if len(hints) == 1 or not isinstance(plain, Mapping):
        return hints[0]
    return next(each for each in hints if {field.name for field in fields(each)} == plain.keys())


def _unpack_class(hint: Any, plain: Any) -> Any:
    if is_dataclass(hint):
        known: dict[str, Any] = _hints(hint)  # type: ignore[arg-type]  # a class, which can be hashed
        return hint(**{name: unpack(known[name], item) for name, item in plain.items()})  # type: ignore[operator]  # a class
    if hint is float:
        return float(plain)
    return plain


def _unpack_collection(origin: Any, inner: tuple[Any, ...], plain: Any) -> Any:
    if issubclass(origin, Mapping):
        pairs = plain.items() if isinstance(plain, Mapping) else plain
        make: Callable[[Any], Any] = collections.Counter if origin is collections.Counter else dict
        key, item = (inner[0], int) if origin is collections.Counter else inner
        return make({unpack(key, k): unpack(item, v) for k, v in pairs})
    if origin is tuple and inner[-1] is not Ellipsis:
        return tuple(unpack(each, item) for each, item in zip(inner, plain, strict=True))
    return origin(unpack(inner[0], item) for item in plain)


@functools.cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)
