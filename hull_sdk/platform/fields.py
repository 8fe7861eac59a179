"""What a query compares: fields of a document, their values, and the texts under which a value is found.

Rules: section "Queries" of ``docs/protocol.md``. A field stands for its analysed value (words in lower case, and the
whole value in lower case), ``.exact`` for the whole value in lower case, ``.raw`` for the value as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.attributes import cast

__all__ = [
    "Document",
    "Field",
    "contains_run",
    "event_fields",
    "flat_context",
    "is_date_text",
    "to_text",
    "wildcard",
    "words",
]


@dataclass(frozen=True, slots=True)
class Document:
    """What a query is evaluated on.

    Args:
        fields: A report; nested objects are reached with dots, for example ``account.domain``.
        events: Returns the user's events in the shape of the wire; called only when a query asks.
        now: The moment that relative dates count from.
        parent: For an event, returns the document of its user; ``None`` for users and accounts.
    """

    fields: Mapping[str, Any]
    events: Callable[[], Sequence[Mapping[str, Any]]]
    now: datetime
    parent: Callable[[], Document] | None = None


#: Fields that are never split into words, and compare as they are.
_KEYWORDS: Final = frozenset(
    {"anonymous_ids", "event", "event_id", "event_source", "event_type", "external_id", "id", "segment_ids", "source"}
)
#: Fields that are never split into words, and compare in lower case.
_WHOLE: Final = frozenset({"contact_email", "domain", "email"})

_WORD: Final = re.compile(r"\w+")


#: What can be compared; asked of each value, and a tuple is asked faster than a union.
_SCALARS: Final = (str, int, float)

#: Report fields that are objects to look into; what is in a JSON attribute is not indexed.
_OBJECTS: Final = frozenset({"account", "context", "properties", "props"})


class Field:
    """A field name, split into its path and what the suffix says about the comparison."""

    __slots__ = ("mode", "path")

    def __init__(self, name: Any) -> None:
        if not isinstance(name, str) or not name:
            raise InvalidArgumentError(f"a field name is {name!r:.200}; it must be text")
        base, _, suffix = name.rpartition(".")
        self.mode: str = suffix if base and suffix in {"raw", "exact"} else "analysed"
        self.path: str = base if self.mode != "analysed" else name
        leaf = self.path.rpartition(".")[2]
        if self.mode == "analysed" and leaf in _KEYWORDS:
            self.mode = "raw"
        elif self.mode == "analysed" and leaf in _WHOLE:
            self.mode = "exact"

    def values(self, document: Document) -> list[Any]:
        """Return the values of the field; none for null and JSON, several for an array."""
        fields, path = document.fields, self.path
        value = fields[path] if path in fields else _inner(fields, path)
        if isinstance(value, _SCALARS):
            return [value]
        return [item for item in value if isinstance(item, _SCALARS)] if isinstance(value, list) else []

    def texts(self, value: Any) -> Iterable[str]:
        """Return the texts under which a value is found."""
        text = to_text(value)
        if self.mode == "raw":
            return (text,)
        whole = text.lower()
        return (whole,) if self.mode == "exact" else (whole, *words(whole))


def _inner(fields: Mapping[str, Any], path: str) -> Any:
    head, dot, rest = path.partition(".")
    return _within_object(fields.get(head), head, rest) if dot and head in _OBJECTS else None


def _within_object(value: Any, name: str, path: str) -> Any:
    if not isinstance(value, Mapping):
        return None
    if path in value:
        return value[path]
    head, dot, rest = path.partition(".")
    return _within_object(value.get(head), head, rest) if dot and name == "context" else None


def event_fields(event: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields under which an event in the shape of the wire is searched; its context also flat."""
    context = event.get("context") or {}
    return {
        **event,
        "context": {**flat_context(context), **context},
        "id": event.get("event_id"),
        "source": event.get("event_source"),
        "type": event.get("event_type"),
        "props": event.get("properties"),
    }


def flat_context(context: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return a context without nesting: ``{"page": {"url": ...}}`` becomes ``{"page_url": ...}``."""
    flat: dict[str, Any] = {}
    for name, value in context.items():
        if isinstance(value, Mapping):
            flat.update(flat_context(value, f"{prefix}{name}_"))
        else:
            flat[prefix + name] = value
    return flat


_DATE_TEXT: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


def is_date_text(value: Any) -> bool:
    """Tell whether a value is text that begins like a date."""
    return isinstance(value, str) and _DATE_TEXT.match(value) is not None


#: A star and what follows it, up to the next star.
_STARS: Final = re.compile(r"\*((?:\\.|[^*\\]|\\)*)", re.DOTALL)
_PARTS: Final = re.compile(r"\\.|\?|[^?\\]+|\\", re.DOTALL)


def wildcard(text: str) -> re.Pattern[str]:
    """Return the expression of a pattern in which ``*`` and ``?`` stand for anything."""
    # What stands between two stars is looked for once, at its first place: trying the later ones finds nothing more.
    first, *between = [_literal(part) for part in _STARS.findall(f"*{text}")]
    if not between:
        return re.compile(first, re.DOTALL)
    middle = "".join(f"(?>.*?{part})" for part in between[:-1])
    return re.compile(f"{first}{middle}.*{between[-1]}", re.DOTALL)


def _literal(text: str) -> str:
    return "".join(map(_literal_part, _PARTS.findall(text)))


def _literal_part(part: str) -> str:
    if part == "?":
        return "."
    return re.escape(part[1:] if part[0] == "\\" and len(part) > 1 else part)


def contains_run(words: list[str], wanted: list[str]) -> bool:
    """Tell whether words stand in a row within others."""
    size = len(wanted)
    return size > 0 and any(words[start : start + size] == wanted for start in range(len(words) - size + 1))


def words(text: str) -> list[str]:
    """Return the words of a text, in lower case."""
    return _WORD.findall(text.lower())


def to_text(value: Any) -> str:
    """Return a value as text."""
    text = cast("string", value)
    return str(value) if text is None else text
