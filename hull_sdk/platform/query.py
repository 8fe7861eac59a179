"""Queries: a subset of the Elasticsearch 1.x language, compiled once and evaluated on one entity at a time.

Rules: section "Queries" of ``docs/protocol.md``. How a field is compared is the matter of ``fields``. Not done:
scoring, nested documents, scripts, fuzzy matching.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import repeat
from operator import ge, gt, le, lt
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.checks import is_whole
from hull_sdk.core.clock import parse_time
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.dates import is_relative, parse_bound
from hull_sdk.platform.fields import Document, Field, contains_run, event_fields, is_date_text, to_text, wildcard, words
from hull_sdk.wire.attributes import AttributeType, cast

__all__ = ["CLAUSES", "MAX_DEPTH", "Query", "compile_query"]

#: Deepest nesting of lists and objects in a query.
MAX_DEPTH: Final = 100


_Matcher = Callable[[Document], bool]


@dataclass(frozen=True, slots=True)
class Query:
    """A compiled query.

    Args:
        source: The query as it was given.
        matches: Tells whether a document matches.
        relative: ``True`` when time alone can change the answer.
        uses_events: ``True`` when it looks at events.
        looks_at: The fields that it asks for, each by the names under which a document may hold it.
    """

    source: Mapping[str, Any]
    matches: _Matcher
    relative: bool
    uses_events: bool
    looks_at: frozenset[str]

    def packed(self) -> Mapping[str, Any]:
        """Return what it is compiled from."""
        return self.source

    @classmethod
    def unpacked(cls, plain: Mapping[str, Any]) -> Query:
        """Compile it anew."""
        return compile_query(plain)


def compile_query(source: Any, *, on_events: bool = False) -> Query:
    """Check and compile a query.

    Args:
        source: For example ``{"term": {"traits_plan.raw": "pro"}}``; ``{}`` matches everything.
        on_events: ``True`` for a query that searches events, and may ask ``has_parent``.

    Returns:
        The compiled query.

    Raises:
        InvalidArgumentError: A clause is unknown or malformed, and the message names it; or they stand in one another
            more than :data:`MAX_DEPTH` levels deep.
    """
    if json.nests_deeper(source, MAX_DEPTH):
        raise InvalidArgumentError(f"the query is nested more than {MAX_DEPTH} levels deep; join clauses side by side")
    compiler = _Compiler(on_events=on_events)
    matches = compiler.clause(source)
    return Query(source, matches, compiler.relative, compiler.uses_events, frozenset(compiler.looks_at))


class _Compiler:
    """Compiles clauses and remembers what they depend on."""

    def __init__(self, *, on_events: bool) -> None:
        self.on_events = on_events
        self.relative = False
        self.uses_events = False
        self.looks_at: set[str] = set()

    def field(self, name: Any) -> Field:
        """Return a field, and note that the query asks for it."""
        field = Field(name)
        self.looks_at.update((field.path, field.path.partition(".")[0]))
        return field

    def clause(self, source: Any) -> _Matcher:
        if not isinstance(source, Mapping):
            raise _bad("a query clause", source, "a JSON object with one clause")
        if not source:
            return _everything
        if len(source) > 1:
            raise _bad("a query clause", sorted(map(str, source)), "one name only; join several with bool or and")
        ((name, body),) = source.items()
        if name not in CLAUSES:
            raise InvalidArgumentError(f"unknown query clause {name!r}; use one of {', '.join(CLAUSES)}")
        return CLAUSES[name](self, body)

    def clauses(self, name: str, body: Any) -> list[_Matcher]:
        if isinstance(body, Mapping):
            return [self.clause(body)] if body else []
        if not isinstance(body, list):
            raise _bad(name, body, "a clause or a list of clauses")
        return [self.clause(item) for item in body]

    def match_all(self, _body: Any) -> _Matcher:
        return _everything

    def wrapped(self, body: Any) -> _Matcher:
        _expect_object("constant_score", body, {"query", "filter", "boost"})
        return _all([self.clause(body[key]) for key in ("query", "filter") if key in body])

    def every(self, body: Any) -> _Matcher:
        return _all(self.clauses("and", _filters(body)))

    def some(self, body: Any) -> _Matcher:
        return _any(self.clauses("or", _filters(body)))

    def negated(self, body: Any) -> _Matcher:
        if isinstance(body, Mapping):
            for key in ("filter", "query"):
                if key in body and len(body) == 1:
                    body = body[key]
                    break
        inner = _any(self.clauses("not", body))
        return lambda document: not inner(document)

    def query(self, body: Any) -> _Matcher:
        return self.clause(body)

    def boolean(self, body: Any) -> _Matcher:
        known = {"must", "filter", "should", "must_not", "minimum_should_match", "boost"}
        _expect_object("bool", body, known)
        required = [m for key in ("must", "filter") for m in self.clauses(f"bool.{key}", body.get(key, []))]
        optional = self.clauses("bool.should", body.get("should", []))
        refused = self.clauses("bool.must_not", body.get("must_not", []))
        least = body.get("minimum_should_match", 0 if required or not optional else 1)
        if not is_whole(least, 0):
            raise _bad("bool.minimum_should_match", least, "a whole number of at least 0")

        def matches(document: Document) -> bool:
            return (
                all(matcher(document) for matcher in required)
                and not any(matcher(document) for matcher in refused)
                and (least == 0 or sum(matcher(document) for matcher in optional) >= least)
            )

        return matches

    def term(self, body: Any) -> _Matcher:
        path, value = _field_and_value("term", body, "value")
        return _on_terms(self.field(path), path, [value])

    def terms(self, body: Any) -> _Matcher:
        _expect_object("terms", body)
        fields = {
            key: value for key, value in body.items() if key not in {"execution", "boost", "minimum_should_match"}
        }
        if len(fields) != 1 or not isinstance(next(iter(fields.values())), list):
            raise _bad("terms", body, '{"field": [values]}')
        ((path, values),) = fields.items()
        return _on_terms(self.field(path), path, values)

    def range(self, body: Any) -> _Matcher:
        path, bounds = _single("range", body)
        _expect_object("range", bounds, {*_BOUNDS, "format", "time_zone", "boost"})
        given = [(_BOUNDS[name], bound) for name, bound in bounds.items() if name in _BOUNDS and bound is not None]
        self.relative |= any(is_relative(bound) for _, bound in given)
        checks = [_bounded(compare, bound) for compare, bound in given]
        if not checks:
            raise _bad("range", body, f"at least one of {', '.join(_BOUNDS)}")
        field = self.field(path)
        keeps = checks[0] if len(checks) == 1 else (lambda value, now: all(check(value, now) for check in checks))
        return lambda document: any(map(keeps, field.values(document), repeat(document.now)))

    def exists(self, body: Any) -> _Matcher:
        _expect_object("exists", body, {"field", "boost"})
        if not isinstance(body.get("field"), str):
            raise _bad("exists", body, '{"field": "name"}')
        field = self.field(body["field"])
        return lambda document: bool(field.values(document))

    def missing(self, body: Any) -> _Matcher:
        _expect_object("missing", body, {"field", "existence", "null_value"})
        exists = self.exists({"field": body.get("field")})
        return lambda document: not exists(document)

    def prefix(self, body: Any) -> _Matcher:
        path, value = _field_and_value("prefix", body, "value", "prefix")
        return _on_text(self.field(path), "prefix", value, lambda text: lambda candidate: candidate.startswith(text))

    def wildcard(self, body: Any) -> _Matcher:
        path, value = _field_and_value("wildcard", body, "value", "wildcard")
        return _on_text(self.field(path), "wildcard", value, lambda text: wildcard(text).fullmatch)

    def match(self, body: Any) -> _Matcher:
        path, value = _single("match", body)
        options = value if isinstance(value, Mapping) else {"query": value}
        _expect_object("match", options, {"query", "operator", "type", "boost"})
        if options.get("type") == "phrase":
            return self.match_phrase({path: options.get("query")})
        operator = str(options.get("operator", "or")).lower()
        if operator not in {"and", "or"}:
            raise _bad("match.operator", options["operator"], "'and' or 'or'")
        wanted, field = set(words(_as_text("match", options.get("query")))), self.field(path)
        enough = wanted.issubset if operator == "and" else (lambda found: not wanted.isdisjoint(found))
        return lambda document: any(
            bool(wanted) and enough(set(words(to_text(value)))) for value in field.values(document)
        )

    def match_phrase(self, body: Any) -> _Matcher:
        path, value = _field_and_value("match_phrase", body, "query")
        wanted, field = words(_as_text("match_phrase", value)), self.field(path)
        return lambda document: any(contains_run(words(to_text(v)), wanted) for v in field.values(document))

    def ids(self, body: Any) -> _Matcher:
        _expect_object("ids", body, {"values", "type"})
        if not isinstance(body.get("values"), list):
            raise _bad("ids", body, '{"values": [ids]}')
        wanted = frozenset(map(str, body["values"]))
        self.looks_at.add("id")
        return lambda document: document.fields.get("id") in wanted

    def has_parent(self, body: Any) -> _Matcher:
        _expect_object("has_parent", body, {"parent_type", "type", "query", "filter", "score_mode", "score"})
        if not self.on_events:
            raise InvalidArgumentError("has_parent is for searching events; a segment asks about its user directly")
        kind = body.get("parent_type", body.get("type"))
        if kind not in _PARENTS:
            raise _bad("has_parent.parent_type", kind, f"one of {', '.join(_PARENTS)}")
        self.on_events = False
        inner = _all([self.clause(body[key]) for key in ("query", "filter") if key in body])
        self.on_events = True
        return lambda document: document.parent is not None and inner(document.parent())

    def has_child(self, body: Any) -> _Matcher:
        _expect_object("has_child", body, {"type", "query", "filter", "min_children", "max_children", "score_mode"})
        if body.get("type") != "event":
            raise _bad("has_child.type", body.get("type"), "'event'")
        inner = _all([self.clause(body[key]) for key in ("query", "filter") if key in body])
        least, most = _count("min_children", body.get("min_children", 1)), body.get("max_children")
        limit = None if most is None else _count("max_children", most)
        self.uses_events = True

        def matches(document: Document) -> bool:
            count = sum(inner(Document(event_fields(event), tuple, document.now)) for event in document.events())
            return count >= least and (limit is None or count <= limit)

        return matches


#: Clause names and what compiles each.
CLAUSES: Final[dict[str, Callable[[_Compiler, Any], _Matcher]]] = {
    "match_all": _Compiler.match_all,
    "constant_score": _Compiler.wrapped,
    "filtered": _Compiler.wrapped,
    "query": _Compiler.query,
    "bool": _Compiler.boolean,
    "and": _Compiler.every,
    "or": _Compiler.some,
    "not": _Compiler.negated,
    "term": _Compiler.term,
    "terms": _Compiler.terms,
    "range": _Compiler.range,
    "exists": _Compiler.exists,
    "missing": _Compiler.missing,
    "prefix": _Compiler.prefix,
    "wildcard": _Compiler.wildcard,
    "match": _Compiler.match,
    "match_phrase": _Compiler.match_phrase,
    "ids": _Compiler.ids,
    "has_child": _Compiler.has_child,
    "has_parent": _Compiler.has_parent,
}

_PARENTS: Final = ("user_report", "user")

_BOUNDS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "gt": gt,
    "gte": ge,
    "lt": lt,
    "lte": le,
}


def _on_terms(field: Field, path: Any, values: list[Any]) -> _Matcher:
    for value in values:
        if value is None or isinstance(value, Mapping | list):
            raise _bad(f"a term of {path!r}", value, "text, a number or a boolean; use missing to find empty fields")
    texts = {to_text(value) if field.mode == "raw" else to_text(value).lower() for value in values}

    def equals(found: Any) -> bool:
        if isinstance(found, (int, float)):
            kind: AttributeType = "boolean" if isinstance(found, bool) else "number"
            return any(cast(kind, value) == found for value in values)
        return not texts.isdisjoint(field.texts(found))

    def matches(document: Document) -> bool:
        found = field.values(document)
        return len(found) > 0 and any(map(equals, found))

    return matches


def _on_text(field: Field, clause: str, value: Any, make: Callable[[str], Callable[[str], Any]]) -> _Matcher:
    text = _as_text(clause, value)
    accepts = make(text if field.mode == "raw" else text.lower())
    return lambda document: any(bool(accepts(t)) for found in field.values(document) for t in field.texts(found))


def _bounded(compare: Callable[[Any, Any], Any], bound: Any) -> Callable[[Any, datetime], bool]:
    """Return what tells whether a value keeps to a bound, at a moment; the bound itself is read once."""
    if isinstance(bound, bool) or not isinstance(bound, (str, int, float)):
        raise _bad("a range bound", bound, "a number, a date or text")
    relative = is_relative(bound)
    number, text = cast("number", bound), to_text(bound)
    fixed = parse_bound(bound, datetime(2024, 1, 1, tzinfo=UTC))  # what counts from now is read to check it

    def keeps(value: Any, now: datetime) -> bool:
        if isinstance(value, bool):
            return False
        if isinstance(value, (int, float)):
            return number is not None and bool(compare(value, number))
        moment = parse_time(value) if is_date_text(value) else None
        limit = parse_bound(bound, now) if relative else fixed
        if moment is not None and limit is not None:
            return bool(compare(moment, limit))
        return not relative and bool(compare(str(value), text))

    return keeps


def _as_text(clause: str, value: Any) -> str:
    if value is None or isinstance(value, Mapping | list):
        raise _bad(clause, value, "text")
    return to_text(value)


def _single(clause: str, body: Any) -> tuple[Any, Any]:
    if not isinstance(body, Mapping) or len(body) != 1:
        raise _bad(clause, body, '{"field": ...}')
    return next(iter(body.items()))


def _field_and_value(clause: str, body: Any, *keys: str) -> tuple[Any, Any]:
    path, value = _single(clause, body)
    if isinstance(value, Mapping):
        found = [value[key] for key in keys if key in value]
        if len(found) != 1:
            raise _bad(clause, body, f'{{"field": value}} or {{"field": {{"{keys[0]}": value}}}}')
        value = found[0]
    return path, value


def _filters(body: Any) -> Any:
    if isinstance(body, Mapping) and "filters" in body:
        return body["filters"]
    return body


def _count(name: str, value: Any) -> int:
    if not is_whole(value, 0):
        raise _bad(f"has_child.{name}", value, "a whole number of at least 0")
    return value


def _expect_object(clause: str, body: Any, known: set[str] | None = None) -> None:
    if not isinstance(body, Mapping):
        raise _bad(clause, body, "a JSON object")
    unknown = sorted(set(body) - known) if known is not None else []
    if unknown:
        raise InvalidArgumentError(f"unknown key {unknown[0]!r} in {clause}; it knows {', '.join(sorted(known or ()))}")


def _bad(what: str, value: Any, wanted: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{what} is {value!r:.200}; it must be {wanted}")


def _everything(_document: Document) -> bool:
    return True


def _all(matchers: list[_Matcher]) -> _Matcher:
    matchers = [matcher for matcher in matchers if matcher is not _everything] or [_everything]
    return matchers[0] if len(matchers) == 1 else lambda document: all(matcher(document) for matcher in matchers)


def _any(matchers: list[_Matcher]) -> _Matcher:
    return matchers[0] if len(matchers) == 1 else lambda document: any(matcher(document) for matcher in matchers)
