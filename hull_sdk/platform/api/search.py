"""Searching reports and events, and what can be searched for.

Rules: section "Search" of ``docs/protocol.md``.
"""

from __future__ import annotations

from typing import Any, Final

from werkzeug.routing import Rule

from hull_sdk.platform.api.access import Caller, secret_caller
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.routing import Route, present_request, rules
from hull_sdk.platform.attribute_lists import attribute_tree
from hull_sdk.platform.event_documents import event_catalogue
from hull_sdk.platform.population import Searchable
from hull_sdk.platform.store import KINDS
from hull_sdk.wire.entities import EntityKind

__all__ = ["search_routes"]


def search_routes() -> list[Rule]:
    """Return the routes below ``/search``."""
    return rules("/api/v1/search", _ROUTES, secret_caller)


def _search(caller: Caller, what: Searchable) -> dict[str, Any]:
    return caller.organization.search(what, read_object(present_request()))


def _tree(caller: Caller, kind: EntityKind) -> dict[str, Any]:
    return attribute_tree(kind, {each: caller.organization.schema(each) for each in KINDS})


def _events(caller: Caller) -> list[dict[str, Any]]:
    return event_catalogue(caller.organization.stored_events())


_ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/user_reports", lambda caller: _search(caller, "user_reports")),
    ("POST", "/user_report", lambda caller: _search(caller, "user_reports")),
    ("POST", "/account_reports", lambda caller: _search(caller, "account_reports")),
    ("POST", "/account_report", lambda caller: _search(caller, "account_reports")),
    ("POST", "/events", lambda caller: _search(caller, "events")),
    ("POST", "/event", lambda caller: _search(caller, "events")),
    ("GET", "/user_reports/bootstrap", lambda caller: _tree(caller, "user")),
    ("GET", "/account_reports/bootstrap", lambda caller: _tree(caller, "account")),
    ("GET", "/event/bootstrap", _events),
    ("GET", "/events/bootstrap", _events),
)
