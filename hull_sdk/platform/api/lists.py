"""Lists to choose from: segments, and attributes as a list and as a tree.

Rules: section "REST" of ``docs/protocol.md``. The tree is thin: one group for users, one for accounts, no sub-groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, request

from hull_sdk.platform.api.access import Caller, secret_caller
from hull_sdk.platform.api.routing import Route, add_routes
from hull_sdk.platform.store import KINDS
from hull_sdk.wire.entities import EntityKind, report_key

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["Schema", "attribute_tree", "list_routes", "schema_list"]

#: Attributes by name: ``{"plan": {"type": "string", "hidden": False}}``.
Schema = Mapping[str, Mapping[str, Any]]


def list_routes(platform: Platform) -> Blueprint:
    """Return the routes for segments and attributes."""
    return add_routes(
        Blueprint("lists", __name__, url_prefix="/api/v1"), _ROUTES, lambda: secret_caller(platform, request)
    )


def schema_list(kind: EntityKind, schema: Schema) -> list[dict[str, Any]]:
    """Return the attributes of a kind as a list.

    Args:
        kind: ``"user"`` or ``"account"``.
        schema: The attributes by name.

    Returns:
        ``[{"key": "traits_plan", "type": "string", "configurable", "visible", "track_changes"}, ...]``.
    """
    return [
        {
            "key": report_key(kind, name),
            "type": entry["type"],
            "configurable": report_key(kind, name) != name or kind == "account",
            "visible": not entry["hidden"],
            "track_changes": False,
        }
        for name, entry in schema.items()
    ]


def attribute_tree(kind: EntityKind, schemas: Mapping[EntityKind, Schema]) -> dict[str, Any]:
    """Return the attributes that a report of a kind has.

    Args:
        kind: Whose report.
        schemas: The attributes of both kinds.

    Returns:
        ``{"version": "new", "tree": [{"text": "User", "children": [{"id", "text", "type"}]}, ...]}``; the leaves of a
        linked account start with ``account.``.
    """
    accounts = schemas["account"]
    if kind == "account":
        return {"version": "new", "tree": [_group("Account", "account", "", accounts)]}
    tree = [_group("User", "user", "", schemas["user"]), _group("Account", "account", "account.", accounts)]
    return {"version": "new", "tree": tree}


def _group(text: str, kind: EntityKind, prefix: str, schema: Schema) -> dict[str, Any]:
    leaves = [
        {"id": prefix + report_key(kind, name), "text": name, "type": entry["type"]}
        for name, entry in schema.items()
        if not entry["hidden"]
    ]
    return {"text": text, "children": leaves}


def _tree(caller: Caller, kind: EntityKind) -> dict[str, Any]:
    return attribute_tree(kind, {each: caller.organization.schema(each) for each in KINDS})


_ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/segments", lambda caller: caller.organization.users_segments()),
    ("GET", "/users_segments", lambda caller: caller.organization.users_segments()),
    ("GET", "/accounts_segments", lambda caller: caller.organization.accounts_segments()),
    ("GET", "/users/schema", lambda caller: schema_list("user", caller.organization.schema("user"))),
    ("GET", "/accounts/schema", lambda caller: schema_list("account", caller.organization.schema("account"))),
    ("GET", "/search/user_reports/bootstrap", lambda caller: _tree(caller, "user")),
    ("GET", "/search/account_reports/bootstrap", lambda caller: _tree(caller, "account")),
)
