"""Segments and attributes as lists, and what is shown of attributes.

Rules: section "REST" of ``docs/protocol.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, request

from hull_sdk.platform.api.access import Caller, secret_caller
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.routing import Route, add_routes
from hull_sdk.platform.attribute_lists import schema_list
from hull_sdk.wire.entities import EntityKind

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["list_routes"]


def list_routes(platform: Platform) -> Blueprint:
    """Return the routes for segments and attributes."""
    return add_routes(
        Blueprint("lists", __name__, url_prefix="/api/v1"), _ROUTES, lambda: secret_caller(platform, request)
    )


def _schema(caller: Caller, kind: EntityKind) -> list[dict[str, Any]]:
    return schema_list(kind, caller.organization.schema(kind))


def _show_attribute(caller: Caller, kind: EntityKind, name: str) -> dict[str, Any]:
    body = read_object(request)
    if set(body) != {"visible"} or not isinstance(body["visible"], bool):
        refuse(400, f'send {{"visible": true | false}} to show or hide the {kind} attribute {name!r:.100}')
    if name not in caller.organization.schema(kind):
        refuse(404, f"no {kind} has an attribute {name!r:.100}; name it without traits_")
    caller.organization.hide_attribute(kind, name, hidden=not body["visible"])
    return {"name": name, "visible": body["visible"]}


_ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/segments", lambda caller: caller.organization.users_segments()),
    ("GET", "/users_segments", lambda caller: caller.organization.users_segments()),
    ("GET", "/accounts_segments", lambda caller: caller.organization.accounts_segments()),
    ("GET", "/users/schema", lambda caller: _schema(caller, "user")),
    ("GET", "/accounts/schema", lambda caller: _schema(caller, "account")),
    ("PUT", "/settings/user_traits/<path:name>", lambda caller, name: _show_attribute(caller, "user", name)),
    ("PUT", "/settings/account_traits/<path:name>", lambda caller, name: _show_attribute(caller, "account", name)),
)
