"""What is wrong with a document that somebody wrote: the place, what stands there, what should, and the way out.

Schemas of marshmallow raise :class:`Rule` where the library would put a text of its own; the place and what was found
are read from the document afterwards, so that no schema has to format anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields

from hull_sdk.core import json

__all__ = ["Checked", "Problem", "Rule", "problems_in", "rule_errors", "show_problems", "step"]

_FOUND_CHARS: Final = 80
_SCHEMA: Final = "_schema"


class _Missing:
    """What stands where nothing stands."""


_MISSING: Final = _Missing()


@dataclass(frozen=True, slots=True)
class Rule:
    """What a schema expects.

    Args:
        expected: For example ``"one of cron, interval"``.
        hint: What to do about it, for example ``"without quotes"``.
        found: What is wrong, where the value alone does not tell; the value itself when ``None``.
    """

    expected: str
    hint: str = ""
    found: str | None = None


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Args:
        path: The JSON path, for example ``"$.schedules[0].type"``.
        found: What stands there, for example ``'"daily"'``, or ``"missing"``.
        expected: What should.
        hint: The way out; may be empty.
    """

    path: str
    found: str
    expected: str
    hint: str = ""

    def __str__(self) -> str:
        # No colon after the path: in logs what follows one is masked where the path ends like a secret's name.
        way_out = f"; {self.hint}" if self.hint else ""
        return f"{self.path} is {self.found}, expected {self.expected}{way_out}"


class Checked(fields.Field[Any]):
    """A value that a function judges; what it lets pass is kept as it is.

    Args:
        accepts: Tells whether a value will do.
        expected: What will do.
        hint: The way out.
        required: Whether it must be there.
    """

    def __init__(
        self, accepts: Callable[[Any], bool], expected: str, hint: str = "", *, required: bool = False
    ) -> None:
        self._accepts = accepts
        self._rule = Rule(expected, hint)
        super().__init__(required=required, error_messages=rule_errors(expected, hint))

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> Any:
        if not self._accepts(value):
            raise ValidationError([self._rule])
        return value


def rule_errors(expected: str, hint: str = "") -> dict[str, Any]:
    """Return the ``error_messages`` of a field that say a rule, whatever is wrong.

    Args:
        expected: What will do.
        hint: The way out.
    """
    return {key: [Rule(expected, hint)] for key in ("required", "null", "invalid", "type", "validator_failed")}


def problems_in(document: Any, schema: Schema) -> list[Problem]:
    """Return everything that a schema finds wrong with a document, in the order of the document's schema.

    Args:
        document: A decoded document.
        schema: One whose rules are :class:`Rule`.
    """
    try:
        schema.load(document)
    except ValidationError as err:
        return list(_problems(err.messages, document, "$"))
    return []


def show_problems(what: str, problems: Sequence[Problem]) -> str:
    """Return problems as a text of several lines.

    Args:
        what: What they are found in, for example ``"the manifest"``.
        problems: One or more.
    """
    return f"{what} is invalid:\n" + "\n".join(f"  {problem}" for problem in problems)


def step(path: str, key: str | int) -> str:
    """Return the JSON path of an element.

    Args:
        path: Of the object or list, for example ``"$.schedules"``.
        key: A name or an index from 0.
    """
    if isinstance(key, int):
        return f"{path}[{key}]"
    return f"{path}.{key}" if key.isidentifier() else f"{path}[{json.dumps(key).decode()}]"


def _problems(messages: Any, value: Any, path: str) -> Iterator[Problem]:
    if isinstance(messages, Mapping):
        for key, inner in messages.items():
            if key == _SCHEMA:
                yield from _problems(inner, value, path)
            else:
                yield from _problems(inner, _element(value, key), step(path, key))
        return
    for message in messages if isinstance(messages, list) else [messages]:
        rule = message if isinstance(message, Rule) else Rule(str(message))
        yield Problem(path, _show(value) if rule.found is None else rule.found, rule.expected, rule.hint)


def _element(value: Any, key: str | int) -> Any:
    if isinstance(value, Mapping):
        return value.get(key, _MISSING)
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return value[key]
    return _MISSING


def _show(value: Any) -> str:
    if value is _MISSING:
        return "missing"
    try:
        text = json.dumps(value).decode()
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _FOUND_CHARS else f"{text[:_FOUND_CHARS]}…"
