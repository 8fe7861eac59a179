"""Values of settings, held against what a manifest says of them.

Rules: section "Manifest" of ``docs/protocol.md``. Names that the manifest does not declare are left alone, since
connectors keep what they learn among their settings; so is ``null``, which means unset. Values never appear in a
message: they may be secrets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

from hull_sdk.core.checks import is_number
from hull_sdk.wire.problems import Problem, step

__all__ = ["SETTING_TYPES", "setting_problems", "value_problems"]


#: The types of settings, what each accepts, and how it is called in messages.
SETTING_TYPES: Final[dict[str, tuple[Callable[[Any], bool], str]]] = {
    "string": (lambda value: isinstance(value, str), "text"),
    "number": (is_number, "a number"),
    "integer": (lambda value: is_number(value) and float(value).is_integer(), "a whole number"),
    "boolean": (lambda value: isinstance(value, bool), "true or false"),
    "array": (lambda value: isinstance(value, list), "a list"),
    "object": (lambda value: isinstance(value, Mapping), "an object"),
}

_KINDS: Final = ("boolean", "string", "number", "array", "object")


def setting_problems(manifest: Mapping[str, Any], key: str, values: Mapping[str, Any]) -> list[Problem]:
    """Return what is wrong with the settings of an installation.

    Args:
        manifest: A checked manifest.
        key: ``"settings"`` or ``"private_settings"``.
        values: Names and values, for example ``{"api_key": "k-1"}``; what is absent is not missed.
    """
    entries = {entry["name"]: entry for entry in manifest.get(key) or []}
    return [
        problem
        for name, value in values.items()
        if name in entries
        for problem in value_problems(entries[name], value, step(f"$.{key}", name))
    ]


def value_problems(entry: Mapping[str, Any], value: Any, path: str) -> Iterator[Problem]:
    """Give what is wrong with one value.

    Args:
        entry: The setting's entry in the manifest, or ``items`` or ``properties`` of one.
        value: The value; ``None`` is fine.
        path: Its JSON path, for the messages.
    """
    if value is None:
        return
    accepts, expected = SETTING_TYPES.get(entry.get("type", ""), (lambda _value: True, ""))
    if not accepts(value):
        yield Problem(path, _kind(value), expected, "as the manifest declares it")
        return
    choices = entry.get("enum")
    if choices is not None and value not in choices:
        yield Problem(path, f"another {_kind(value)}", f"one of {', '.join(map(str, choices))}")
    if is_number(value):
        yield from _number(entry, value, path)
    if isinstance(value, str):
        yield from _text(entry, value, path)
    if isinstance(value, list):
        yield from _list(entry, value, path)
    if isinstance(value, Mapping):
        yield from _object(entry, value, path)


def _number(entry: Mapping[str, Any], value: float, path: str) -> Iterator[Problem]:
    minimum, maximum, factor = (entry.get(key) for key in ("minimum", "maximum", "multipleOf"))
    if minimum is not None and value < minimum:
        yield Problem(path, "a smaller number", f"a number of at least {minimum}")
    if maximum is not None and value > maximum:
        yield Problem(path, "a larger number", f"a number of at most {maximum}")
    if factor is not None and not float(round(value / factor, 9)).is_integer():
        yield Problem(path, "another number", f"a multiple of {factor}")


def _text(entry: Mapping[str, Any], value: str, path: str) -> Iterator[Problem]:
    pattern = entry.get("pattern")
    if pattern is not None and _compiled(pattern).search(value) is None:
        yield Problem(path, f"text of {len(value)} characters", f"text that matches {pattern}")


def _compiled(pattern: str) -> re.Pattern[str]:
    """Return a pattern; one in the language of browsers that Python does not know matches everything."""
    try:
        return re.compile(pattern)
    except re.error:
        return re.compile("")


def _list(entry: Mapping[str, Any], value: list[Any], path: str) -> Iterator[Problem]:
    least = entry.get("minItems")
    if least is not None and len(value) < least:
        yield Problem(path, f"a list of {len(value)}", f"a list of at least {least}")
    if entry.get("uniqueItems") is True and any(item in value[:index] for index, item in enumerate(value)):
        yield Problem(path, "a list that holds a value twice", "each value once")
    items = entry.get("items")
    if isinstance(items, Mapping):
        for index, item in enumerate(value):
            yield from value_problems(items, item, step(path, index))


def _object(entry: Mapping[str, Any], value: Mapping[str, Any], path: str) -> Iterator[Problem]:
    properties = entry.get("properties")
    if isinstance(properties, Mapping):
        for name, inner in value.items():
            if isinstance(properties.get(name), Mapping):
                yield from value_problems(properties[name], inner, step(path, name))


def _kind(value: Any) -> str:
    other = "a number that no float can hold" if isinstance(value, int | float) else type(value).__name__
    return next((SETTING_TYPES[name][1] for name in _KINDS if SETTING_TYPES[name][0](value)), other)
