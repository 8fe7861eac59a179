"""Segments and attributes as lists, and what is shown of attributes.

Rules: section "REST" of ``docs/protocol.md``.
"""

from __future__ import annotations

from typing import Any, Final

from werkzeug.routing import Rule

from hull_sdk.platform.api.access import Caller, secret_caller
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.routing import Route, present_request, rules
from hull_sdk.platform.attribute_lists import is_custom, schema_list
from hull_sdk.wire.entities import EntityKind

__all__ = ["list_routes"]


def list_routes() -> list[Rule]:
    """Return the routes for segments and attributes."""
    return rules("/api/v1", _ROUTES, secret_caller)


def _schema(caller: Caller, kind: EntityKind) -> list[dict[str, Any]]:
    return schema_list(kind, caller.organization.schema(kind))


#: What can be said of an attribute.
_FLAGS: Final = frozenset({"visible", "track_changes"})


def _set_attribute(caller: Caller, kind: EntityKind, name: str) -> dict[str, Any]:
    body = read_object(present_request())
    if not body or set(body) - _FLAGS or not all(isinstance(value, bool) for value in body.values()):
        refuse(400, f"send visible, track_changes or both, each true or false, for the {kind} attribute {name!r:.100}")
    organization = caller.organization
    if name not in organization.schema(kind):
        refuse(404, f"no {kind} has an attribute {name!r:.100}; name it without traits_")
    if body.get("track_changes") and (kind == "account" or not is_custom(kind, name)):
        refuse(400, f"track_changes is for custom attributes of users, and {name!r:.100} of the {kind} is none")
    if "visible" in body:
        organization.hide_attribute(kind, name, hidden=not body["visible"])
    if "track_changes" in body and kind == "user":
        organization.track_attribute(name, tracked=body["track_changes"])
    entry = organization.schema(kind)[name]
    return {"name": name, "visible": not entry["hidden"], "track_changes": entry["tracked"]}


_ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/segments", lambda caller: caller.organization.users_segments()),
    ("GET", "/users_segments", lambda caller: caller.organization.users_segments()),
    ("GET", "/accounts_segments", lambda caller: caller.organization.accounts_segments()),
    ("GET", "/users/schema", lambda caller: _schema(caller, "user")),
    ("GET", "/accounts/schema", lambda caller: _schema(caller, "account")),
    ("PUT", "/settings/user_traits/<path:name>", lambda caller, name: _set_attribute(caller, "user", name)),
    ("PUT", "/settings/account_traits/<path:name>", lambda caller, name: _set_attribute(caller, "account", name)),
)
