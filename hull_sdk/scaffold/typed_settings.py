"""The settings that a manifest declares, as a Python module: one class for each list, and a function that reads it.

The text depends on the manifest alone and is formatted as ``ruff format`` would; what the dashboard shows without
keeping a value (titles, information) is left out.
"""

from __future__ import annotations

import keyword
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.manifest import SettingsKey, setting_defaults

__all__ = ["settings_module"]

_Lists = dict[SettingsKey, list[Mapping[str, Any]]]

_ORDER: Final[tuple[SettingsKey, ...]] = ("private_settings", "settings")
_WIDTH: Final = 88
_INDENT: Final = "    "
_CLASSES: Final = {"settings": "Settings", "private_settings": "PrivateSettings"}
_WORDS: Final = {"settings": "settings that browsers may read", "private_settings": "private settings"}
_SHOWN_ONLY: Final = frozenset({"title", "information"})
_LISTS_OF_TEXT: Final = frozenset({"segment", "accountSegment", "event", "trait", "accountTrait", "tags", "select"})
_LISTS_OF_ROWS: Final = frozenset({"traitMapping", "trait-mapping", "accountTraitMapping", "table"})
_TYPES: Final = {
    "string": "str",
    "number": "float",
    "integer": "int",
    "boolean": "bool",
    "array": "list[Any]",
    "object": "dict[str, Any]",
}
#: Names that a class body cannot have without hiding what the annotations use.
_HIDING: Final = frozenset({"Any", "Literal", "str", "float", "int", "bool", "list", "dict"})


def settings_module(manifest: Mapping[str, Any], source: str = "manifest.json") -> str:
    """Return the text of a module with typed settings.

    A setting without a default may be ``None``; one with a default always has a value.

    Args:
        manifest: A checked manifest.
        source: The manifest's file, named in the module's docstring.

    Raises:
        InvalidArgumentError: The manifest declares no settings.
    """
    declared: _Lists = {key: _kept(manifest.get(key) or []) for key in _ORDER}
    lists: _Lists = {key: entries for key, entries in declared.items() if entries}
    if not lists:
        raise InvalidArgumentError(
            'the manifest declares no settings; add some, such as "private_settings": [{"name": "api_key", "type": '
            '"string"}]'
        )
    parts = [_part(key, entries, setting_defaults(manifest, key)) for key, entries in lists.items()]
    return "\n\n".join([_head(list(lists), "".join(parts), source), *parts])


def _kept(entries: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    return [entry for entry in entries if entry.get("format") not in _SHOWN_ONLY]


def _head(keys: list[SettingsKey], body: str, source: str) -> str:
    names = sorted(name for key in keys for name in (key, _CLASSES[key]))  # classes, in upper case, come first
    typing = ["Any", "Final", *(["Literal"] if _has_choices(body) else []), "TypedDict", "cast"]
    public = ", ".join(f'"{name}"' for name in names)
    return "\n".join(
        (
            f'"""Settings as {source} declares them; written by ``hull types``, do not edit."""',
            "",
            "from __future__ import annotations",
            "",
            f"from typing import {', '.join(typing)}",
            "",
            "from hull_sdk import Context",
            "",
            f"__all__ = [{public}]",
            "",
        )
    )


def _has_choices(body: str) -> bool:
    return any(": Literal[" in line and not line.lstrip().startswith("#") for line in body.splitlines())


def _part(key: SettingsKey, entries: list[Mapping[str, Any]], defaults: Mapping[str, Any]) -> str:
    kept = {entry["name"]: defaults[entry["name"]] for entry in entries if defaults.get(entry["name"]) is not None}
    class_name = _CLASSES[key]
    constant = f"_{key.upper()}"
    stored = "{name: value for name, value in stored.items() if value is not None}"
    return "\n".join(
        (
            f"{constant}: Final[dict[str, Any]] = {_literal(kept, '', f'{constant}: Final[dict[str, Any]] = ')}",
            "",
            "",
            *_class(class_name, _WORDS[key], entries, kept),
            "",
            "",
            f"def {key}(ctx: Context) -> {class_name}:",
            f'{_INDENT}"""Return the {_WORDS[key]} of a context\'s connector."""',
            f'{_INDENT}stored = ctx.ship["{key}"]',
            f"{_INDENT}given = {stored}",
            f"{_INDENT}found = {{**{constant}, **given}}",
            f"{_INDENT}values = {{name: found.get(name) for name in {class_name}.__annotations__}}",
            f'{_INDENT}return cast("{class_name}", values)',
            "",
        )
    )


def _class(name: str, words: str, entries: list[Mapping[str, Any]], defaults: Mapping[str, Any]) -> Iterator[str]:
    lines = {entry["name"]: (_comment(entry), _annotation(entry, entry["name"] in defaults)) for entry in entries}
    if all(map(_is_plain, lines)):
        yield f"class {name}(TypedDict):"
        yield f'{_INDENT}"""The connector\'s {words}."""'
        yield ""
        for field, (comment, annotation) in lines.items():
            yield from (f"{_INDENT}{line}" for line in comment)
            yield f"{_INDENT}{field}: {annotation}"
        return
    yield f"{name} = TypedDict("
    yield f'{_INDENT}"{name}",'
    yield f"{_INDENT}{{"
    for field, (comment, annotation) in lines.items():
        yield from (f"{_INDENT * 2}{line}" for line in comment)
        yield f"{_INDENT * 2}{_text(field)}: {annotation},"
    yield f"{_INDENT}}},"
    yield ")"


def _is_plain(name: str) -> bool:
    return name.isidentifier() and not keyword.iskeyword(name) and name not in _HIDING and not name.startswith("__")


def _comment(entry: Mapping[str, Any]) -> list[str]:
    said = entry.get("description") or entry.get("title") or ""
    return [f"#: {line}" for line in textwrap.wrap(" ".join(said.split()), _WIDTH - 12)]


def _annotation(entry: Mapping[str, Any], always: bool) -> str:  # noqa: FBT001 - private
    found = _type(entry)
    choices = entry.get("enum")
    if choices and all(isinstance(choice, str) for choice in choices):
        literal = f"Literal[{', '.join(map(_text, choices))}]"
        if len(literal) + len(entry["name"]) <= _WIDTH - 20:  # longer ones would have to be broken
            found = literal
    return found if always or found == "Any" else f"{found} | None"


def _type(entry: Mapping[str, Any]) -> str:
    kind = entry.get("type", "")
    if kind == "array":
        items = entry.get("items")
        if isinstance(items, Mapping) and items.get("type") in _TYPES:
            return f"list[{_type(items)}]"
        if entry.get("format") in _LISTS_OF_TEXT:
            return "list[str]"
        if entry.get("format") in _LISTS_OF_ROWS:
            return "list[dict[str, Any]]"
    return _TYPES.get(kind, "Any")


def _literal(value: Any, indent: str, lead: str) -> str:
    """Return a value as Python would read it, broken like a formatter would where the line is too long."""
    flat = _flat(value)
    if len(indent + lead + flat) < _WIDTH or not value or not isinstance(value, list | Mapping):
        return flat
    inner = indent + _INDENT
    if isinstance(value, Mapping):
        rows = [f"{_text(name)}: {_literal(item, inner, f'{_text(name)}: ')}" for name, item in value.items()]
        return "{\n" + "".join(f"{inner}{row},\n" for row in rows) + indent + "}"
    return "[\n" + "".join(f"{inner}{_literal(item, inner, '')},\n" for item in value) + indent + "]"


def _flat(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_text(name)}: {_flat(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flat, value)) + "]"
    return _text(value) if isinstance(value, str) else repr(value)


def _text(value: str) -> str:
    quoted = json.dumps(value).decode()
    return quoted if '\\"' not in quoted or "'" in quoted else repr(value)
