"""Searching reports and events: a query over everybody, sorted, cut into pages, and counted by filters.

Rules: section "Search" of ``docs/protocol.md``. Each search reads what there is at its moment and evaluates it outside
the organization's lock. Not done: scores, and aggregations other than filters.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

from hull_sdk.core.checks import is_whole
from hull_sdk.core.clock import Clock
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.checks import check_known
from hull_sdk.platform.event_documents import event_document, raw_event
from hull_sdk.platform.extract_options import checked_fields, checked_query
from hull_sdk.platform.fields import Document, Field
from hull_sdk.platform.query import Query, compile_query
from hull_sdk.platform.reports import View, full_report, with_fields
from hull_sdk.platform.store import StoredEvent
from hull_sdk.wire.entities import EntityKind

__all__ = ["MAX_PER_PAGE", "Source", "pagination", "search_events", "search_reports"]

#: Hits on a page when a search does not say, and at most.
PER_PAGE: Final = 30
MAX_PER_PAGE: Final = 1000
_MAX_AGGREGATIONS: Final = 1000
_KEYS: Final = ("query", "raw", "page", "per_page", "sort", "include", "aggs")


class Source(Protocol):
    """What a search needs of the organization that it reads."""

    host: str

    @property
    def clock(self) -> Clock:
        """Domain time."""
        ...

    def view(self, kind: EntityKind, entity_id: str) -> View | None:
        """Return an entity, or ``None``."""
        ...

    def views(self, kind: EntityKind) -> list[View]:
        """Return everybody of a kind, oldest first."""
        ...

    def events(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """Return the events of a user, in the shape of the wire."""
        ...

    def stored_events(self) -> list[StoredEvent]:
        """Return all events, in order of arrival."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class _Search:
    query: Query
    page: int
    per_page: int
    order: tuple[tuple[Field, bool], ...]
    include: tuple[str, ...]
    filters: Mapping[str, Query]
    raw: bool

    def answer(self, documents: Sequence[Document], show: Callable[[Document], dict[str, Any]]) -> dict[str, Any]:
        hits = [document for document in documents if self.query.matches(document)]
        counts = {name: sum(map(each.matches, hits)) for name, each in self.filters.items()}
        for field, descending in reversed(self.order):
            hits.sort(key=lambda hit: _rank(field.values(hit), descending=descending), reverse=descending)
        start = (self.page - 1) * self.per_page
        return {
            "pagination": pagination(len(hits), self.page, self.per_page),
            "data": [show(hit) for hit in hits[start : start + self.per_page]],
            "aggregations": {name: {"doc_count": count} for name, count in counts.items()},
        }


def pagination(total: int, page: int, per_page: int) -> dict[str, int]:
    """Return what an answer says of its pages.

    Args:
        total: How many items there are.
        page: Which page it is, from 1.
        per_page: How many are on one; 0 only counts them.
    """
    pages = math.ceil(total / per_page) if per_page else 0
    return {"total": total, "page": page, "pages": pages, "per_page": per_page}


def search_reports(source: Source, kind: EntityKind, body: Mapping[str, Any]) -> dict[str, Any]:
    """Search the reports of users or accounts.

    Args:
        source: The organization.
        kind: ``"user"`` or ``"account"``.
        body: ``query``, ``page``, ``per_page``, ``sort``, ``include`` and ``aggs``, all optional, for example
            ``{"query": {"term": {"traits_plan.raw": "pro"}}, "sort": {"created_at": "desc"}, "per_page": 10}``.

    Returns:
        ``{"pagination": {"total", "page", "pages", "per_page"}, "data": [report, ...], "aggregations": {}}``.

    Raises:
        InvalidArgumentError: Something of it breaks a rule.
    """
    search = _read(body, lambda query: checked_query(kind, query))
    moment = _moment(source)
    documents = [_report_document(source, full_report(kind, view), moment) for view in source.views(kind)]
    envelope = {"_type": f"{kind}_report", "_index": source.host, "_score": None, "doctype": f"{kind}_report"}

    def show(document: Document) -> dict[str, Any]:
        return {**with_fields(document.fields, search.include), "_id": document.fields["id"], **envelope}

    return search.answer(documents, show)


def search_events(source: Source, body: Mapping[str, Any]) -> dict[str, Any]:
    """Search events.

    Args:
        source: The organization.
        body: As for :func:`search_reports`; the query may ask ``has_parent`` about the event's user. ``"raw": true``
            gives events in the form in which they are indexed, else in that of notifications.

    Returns:
        As :func:`search_reports`.

    Raises:
        InvalidArgumentError: Something of it breaks a rule.
    """
    search = _read(body, lambda query: compile_query({} if query is None else query, on_events=True))
    moment, users = _moment(source), {}
    events = {event.id: event for event in source.stored_events()}

    def user(user_id: str) -> Document:
        if user_id not in users:
            view = source.view("user", user_id)
            report = {} if view is None else full_report("user", view)
            users[user_id] = _report_document(source, report, moment)
        return users[user_id]

    def show(document: Document) -> dict[str, Any]:
        event = events[document.fields["id"]]
        shown = raw_event(event, source.host) if search.raw else event.to_wire()
        return {name: shown.get(name) for name in search.include} if search.include else shown

    documents = [event_document(event, moment, user) for event in events.values()]
    return search.answer(documents, show)


def _report_document(source: Source, report: Mapping[str, Any], moment: datetime) -> Document:
    return Document(report, lambda: source.events(report["id"]), moment)


def _moment(source: Source) -> datetime:
    return datetime.fromtimestamp(source.clock.time(), UTC)


def _read(body: Mapping[str, Any], compiled: Callable[[Any], Query]) -> _Search:
    check_known(body, _KEYS, " in a search")
    include = body.get("include")
    return _Search(
        query=compiled(body.get("query")),
        page=_number("page", body.get("page"), 1, 1, 10**9),
        per_page=_number("per_page", body.get("per_page"), PER_PAGE, 0, MAX_PER_PAGE),
        order=_order(body.get("sort")),
        include=checked_fields([] if include is None else include),
        filters=_filters(body.get("aggs"), compiled),
        raw=body.get("raw") is True,
    )


def _number(name: str, value: Any, default: int, least: int, most: int) -> int:
    if value is None:
        return default
    if not is_whole(value, least, most):
        raise InvalidArgumentError(f"{name} is {value!r:.100}; it must be a whole number from {least} to {most}")
    return value


def _order(value: Any) -> tuple[tuple[Field, bool], ...]:
    parts = value if isinstance(value, list) else [] if value is None else [value]
    return tuple(_direction(item) for part in parts for item in _sort_items(part))


def _sort_items(part: Any) -> list[tuple[str, Any]]:
    if isinstance(part, str):
        return [(part, "asc")]
    if isinstance(part, Mapping):
        return list(part.items())
    raise InvalidArgumentError(f'sort is {part!r:.100}; write {{"created_at": "desc"}}, or a list of such')


def _direction(item: tuple[str, Any]) -> tuple[Field, bool]:
    name, way = item
    way = way.get("order", "asc") if isinstance(way, Mapping) else way
    if way not in ("asc", "desc"):
        raise InvalidArgumentError(f"the order of {name!r} is {way!r:.100}; use 'asc' or 'desc'")
    return Field(name), way == "desc"


def _rank(values: list[Any], *, descending: bool) -> tuple[bool, int, Any]:
    """Return what a hit is sorted by: numbers before texts, and who has no value last, whatever the order."""
    if not values:
        return (not descending, 0, 0)
    ranked: list[tuple[int, Any]] = [(int(isinstance(value, str)), value) for value in values]
    kind, value = max(ranked) if descending else min(ranked)
    return descending, kind, value


def _filters(value: Any, compiled: Callable[[Any], Query]) -> dict[str, Query]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or len(value) > _MAX_AGGREGATIONS:
        raise InvalidArgumentError(f"aggs must be a JSON object of at most {_MAX_AGGREGATIONS} names and filters")
    for name, each in value.items():
        if not isinstance(each, Mapping) or set(each) != {"filter"}:
            raise InvalidArgumentError(f'the aggregation {name!r} is {each!r:.200}; write {{"filter": query}}')
    return {name: compiled(each["filter"]) for name, each in value.items()}
