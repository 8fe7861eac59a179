"""Attributes as the caller meets them: grouping a report, normalizing and checking what is to be written.

Rules: sections "Attributes" and "Reports" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.attributes import operation_of

__all__ = ["Traits", "checked_attributes", "group_traits", "normalize_traits"]

_PREFIX: Final = "traits_"
_GROUP: Final = "traits"
_SCALARS: Final = frozenset({str, int, float, bool, type(None), list})


def group_traits(report: Mapping[str, Any]) -> dict[str, Any]:
    """Turn a flat report into nested groups.

    Args:
        report: For example ``{"id": "5a79...", "traits_plan": "pro", "traits_crm/stage": "won"}``.

    Returns:
        A new dict, for example ``{"id": "5a79...", "traits": {"plan": "pro"}, "crm": {"stage": "won"}}``;
        ``traits`` is always there. Where a plain value and a group have the same name, the group stays.
    """
    grouped: dict[str, Any] = {_GROUP: {}}
    for key, value in report.items():
        name = key.removeprefix(_PREFIX)
        path = name.split("/")
        if name is not key and len(path) == 1:
            path = [_GROUP, name]
        _put(grouped, path, value)
    return grouped


def normalize_traits(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Write every attribute as an operation.

    Args:
        attributes: For example ``{"plan": "pro", "visits": {"operation": "inc", "value": 1}}``.

    Returns:
        A new dict, for example ``{"plan": {"operation": "set", "value": "pro"}}``. ``{"value": 1}`` alone means
        ``set``; other dicts and lists are values.
    """
    return {name: _operation(value) for name, value in attributes.items()}


def checked_attributes(attributes: Any) -> Mapping[str, Any]:
    """Check what ``traits`` is called with.

    Args:
        attributes: A dict of attributes.

    Returns:
        The same dict.

    Raises:
        InvalidArgumentError: It is no dict, a name is no text or empty, or an operation is unknown.
    """
    if type(attributes) is not dict and not isinstance(attributes, Mapping):
        raise InvalidArgumentError(f"traits takes a dict of attributes, not {attributes!r}")
    for name, value in attributes.items():
        if not isinstance(name, str) or not name.strip():
            raise InvalidArgumentError(f"the attribute name {name!r} is no text or empty")
        if type(value) not in _SCALARS and isinstance(value, Mapping) and "operation" in value:
            try:
                operation_of(value)
            except InvalidArgumentError as err:
                raise InvalidArgumentError(f"attribute {name!r}: {err}") from err
    return attributes


class Traits:
    """``client.utils.traits``."""

    def group(self, report: Mapping[str, Any]) -> dict[str, Any]:
        """Return :func:`group_traits` of a report."""
        return group_traits(report)

    def normalize(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        """Return :func:`normalize_traits` of attributes."""
        return normalize_traits(attributes)


def _put(target: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        inner = target.get(name)
        # Copied, since it may be a value of the caller's report.
        target[name] = dict(inner) if isinstance(inner, Mapping) else {}
        target = target[name]
    held = target.get(path[-1])
    if not isinstance(held, Mapping):
        target[path[-1]] = value
    elif isinstance(value, Mapping):
        target[path[-1]] = {**value, **held}


def _operation(value: Any) -> dict[str, Any]:
    if isinstance(value, Mapping):
        if "operation" in value:
            return dict(value)
        if set(value) == {"value"}:
            return {"operation": "set", "value": value["value"]}
    return {"operation": "set", "value": value}
