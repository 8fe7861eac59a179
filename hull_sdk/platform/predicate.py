"""Predicates: the tree that a person clicks together, compiled to a query.

Rules: section "Predicates" of ``docs/protocol.md``. A predicate is never evaluated itself, so that every segment can
be extracted by its query.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.checks import is_whole
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.query import MAX_DEPTH, compile_query
from hull_sdk.wire.entities import EntityKind, report_key

__all__ = ["OPERATORS", "compile_predicate"]

_Clause = dict[str, Any]


def compile_predicate(tree: Any, kind: EntityKind) -> _Clause:
    """Compile a predicate.

    Args:
        tree: A group ``{"type": "all" | "any", "predicates": [...]}``, a leaf ``{"property": {"key": "traits_plan",
            "entity": "user"}, "operator": "equals", "options": {"value": ["pro"]}}`` or an event leaf ``{"event":
            "Ordered", "operator": "performed", "count": {"gte": 1}, "within": "30d"}``.
        kind: What the segment is made of; a segment of accounts has no user and no event leaves.

    Returns:
        The query; an empty group matches everything.

    Raises:
        InvalidArgumentError: A node cannot be read; the message names it.
    """
    if json.nests_deeper(tree, MAX_DEPTH):
        raise InvalidArgumentError(f"the predicate is nested more than {MAX_DEPTH} levels deep; use fewer groups")
    if not isinstance(tree, Mapping):
        raise _bad("a predicate", tree, 'an object such as {"type": "all", "predicates": [...]}')
    query = {"constant_score": {"query": {"match_all": {}}, "filter": _node(tree, kind) if tree else {"match_all": {}}}}
    compile_query(query)
    return query


def _node(node: Any, kind: EntityKind) -> _Clause:
    if not isinstance(node, Mapping):
        raise _bad("a predicate", node, "an object")
    if "predicates" in node:
        return _group(node, kind)
    if "event" in node:
        return _event_leaf(node, kind)
    return _leaf(node, lambda found: _attribute_field(found, kind))


def _group(node: Mapping[str, Any], kind: EntityKind) -> _Clause:
    found, children = node.get("type", "all"), node["predicates"]
    if found not in ("all", "any"):
        raise _bad("the type of a predicate group", found, "'all' or 'any'")
    join = "and" if found == "all" else "or"
    if not isinstance(children, list):
        raise _bad("the predicates of a group", children, "a list")
    return {join: {"filters": [_node(child, kind) for child in children]}} if children else {"match_all": {}}


def _leaf(node: Mapping[str, Any], field_of: Callable[[Mapping[str, Any]], str]) -> _Clause:
    found = node.get("property")
    if not isinstance(found, Mapping) or not isinstance(found.get("key"), str) or not found["key"]:
        raise _bad("a predicate", dict(node), "a group with predicates, or a leaf with property.key or event")
    operator = node.get("operator")
    if operator not in OPERATORS:
        raise _bad(f"the operator on {found['key']!r}", operator, f"one of {', '.join(OPERATORS)}")
    options = node.get("options", {})
    value = options.get("value") if isinstance(options, Mapping) else options
    values = value if isinstance(value, list) else [] if value is None else [value]
    if operator not in _WITHOUT_VALUE and not values:
        raise _bad(f"the value of {operator} on {found['key']!r}", value, "in options.value")
    is_date = found.get("type") == "date" and operator in {"equals", "not_equals"}
    name = f"{operator}_date" if is_date else operator
    return _COMPILERS[name](field_of(found), values)


def _attribute_field(found: Mapping[str, Any], kind: EntityKind) -> str:
    entity, key = found.get("entity", kind), found["key"]
    if key.startswith("account."):
        entity, key = "account", key.removeprefix("account.")
    if entity not in ("user", "account"):
        raise _bad(f"the entity of {key!r}", entity, "'user' or 'account'")
    if entity == "user" and kind == "account":
        raise InvalidArgumentError(
            f"{key!r} is an attribute of users; a segment of accounts is made of account attributes"
        )
    if entity == "user":
        return key if key.startswith("traits_") else report_key("user", key)
    return key if kind == "account" else f"account.{key}"


def _event_leaf(node: Mapping[str, Any], kind: EntityKind) -> _Clause:
    event, operator = node["event"], node.get("operator", "performed")
    if kind == "account":
        raise InvalidArgumentError(f"the event {event!r} cannot be asked of accounts; accounts have no events")
    if not isinstance(event, str) or not event:
        raise _bad("the event of a predicate", event, "a name")
    if operator not in ("performed", "not_performed"):
        raise _bad(f"the operator on the event {event!r}", operator, "'performed' or 'not_performed'")
    filters: list[_Clause] = [{"term": {"event": event}}]
    if node.get("within") is not None:
        filters.append({"range": {"created_at": {"gte": f"now-{_span(node['within'])}"}}})
    for part in _EVENT_PARTS:
        leaves = node.get(part, [])
        if not isinstance(leaves, list):
            raise _bad(f"the {part} of the event {event!r}", leaves, "a list of leaves")
        filters.extend(_event_part(part, leaf) for leaf in leaves)
    clause = {"has_child": {"type": "event", "query": {"bool": {"filter": filters}}, **_counts(node.get("count", {}))}}
    return clause if operator == "performed" else {"not": {"filter": clause}}


def _event_part(part: str, leaf: Any) -> _Clause:
    if not isinstance(leaf, Mapping):
        raise _bad(f"a leaf in the {part} of an event", leaf, "an object with property.key")
    return _leaf(leaf, lambda found: f"{part}.{found['key'].removeprefix(f'{part}.')}")


#: What the leaves of an event may ask about.
_EVENT_PARTS: Final = ("properties", "context")

_COUNTS: Final = {
    "gte": ("min_children", 0),
    "gt": ("min_children", 1),
    "lte": ("max_children", 0),
    "lt": ("max_children", -1),
}


def _counts(count: Any) -> dict[str, int]:
    if not isinstance(count, Mapping) or not count.keys() <= {*_COUNTS, "eq"}:
        raise _bad("the count of an event", count, 'an object such as {"gte": 1} (gte, gt, lte, lt, eq)')
    found = {"min_children": 1}
    for name, number in count.items():
        if not is_whole(number, 0):
            raise _bad(f"the count {name}", number, "a whole number of at least 0")
        if name == "eq":
            found.update(min_children=number, max_children=number)
        else:
            key, shift = _COUNTS[name]
            found[key] = max(0, number + shift)
    return found


def _span(value: Any) -> str:
    if not isinstance(value, str) or not value[:-1].isdigit():
        raise _bad("a time span", value, "a number and a unit such as '30d' (y, M, w, d, h, m, s)")
    return value


def _equals(field: str, values: list[Any]) -> _Clause:
    return {"term": {f"{field}.raw": values[0]}} if len(values) == 1 else {"terms": {f"{field}.raw": values}}


def _equals_date(field: str, values: list[Any]) -> _Clause:
    return _some([{"range": {field: {"gte": value, "lte": value}}} for value in values])


def _contains(field: str, values: list[Any]) -> _Clause:
    filters = [{"prefix": {name: value}} for value in values for name in (field, f"{field}.exact")]
    return {"or": {"filters": filters}}


def _starts_with(field: str, values: list[Any]) -> _Clause:
    return _some([{"prefix": {f"{field}.exact": value}} for value in values])


def _ends_with(field: str, values: list[Any]) -> _Clause:
    return _some([{"wildcard": {f"{field}.exact": f"*{_escape(value)}"}} for value in values])


def _is_set(field: str, _values: list[Any]) -> _Clause:
    return {"exists": {"field": field}}


def _is_not_set(field: str, _values: list[Any]) -> _Clause:
    return {"missing": {"field": field}}


def _within(field: str, values: list[Any]) -> _Clause:
    return {"range": {field: {"gte": f"now-{_span(values[0])}", "lte": "now"}}}


def _range(bound: str) -> Callable[[str, list[Any]], _Clause]:
    return lambda field, values: {"range": {field: {bound: values[0]}}}


def _negated(compiler: Callable[[str, list[Any]], _Clause]) -> Callable[[str, list[Any]], _Clause]:
    return lambda field, values: {"not": {"filter": compiler(field, values)}}


def _some(clauses: list[_Clause]) -> _Clause:
    return clauses[0] if len(clauses) == 1 else {"or": {"filters": clauses}}


def _escape(value: Any) -> str:
    return "".join(f"\\{char}" if char in "*?\\" else char for char in str(value))


_COMPILERS: Final[dict[str, Callable[[str, list[Any]], _Clause]]] = {
    "equals": _equals,
    "not_equals": _negated(_equals),
    "equals_date": _equals_date,
    "not_equals_date": _negated(_equals_date),
    "contains": _contains,
    "not_contains": _negated(_contains),
    "starts_with": _starts_with,
    "ends_with": _ends_with,
    "is_set": _is_set,
    "exists": _is_set,
    "is_not_set": _is_not_set,
    "greater_than": _range("gt"),
    "less_than": _range("lt"),
    "at_least": _range("gte"),
    "at_most": _range("lte"),
    "after": _range("gt"),
    "before": _range("lt"),
    "within": _within,
    "not_within": _negated(_within),
}

_WITHOUT_VALUE: Final = frozenset({"is_set", "exists", "is_not_set"})

#: What a leaf may ask of a field.
OPERATORS: Final = tuple(name for name in _COMPILERS if not name.endswith("_date"))


def _bad(what: str, value: Any, wanted: str) -> InvalidArgumentError:
    return InvalidArgumentError(f"{what} is {value!r:.200}; it must be {wanted}")
