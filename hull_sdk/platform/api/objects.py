"""Objects by their id: connectors, segments, users and accounts.

Rules: section "REST" of ``docs/protocol.md``. A connector's secret gives access to its whole organization and
to nothing of another one: objects of another organization are answered as if they did not exist.
"""

from __future__ import annotations

from typing import Any, Final

from werkzeug.routing import Rule

from hull_sdk.platform.api.access import Caller, secret_caller
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.routing import Route, present_request, rules
from hull_sdk.platform.reports import full_report
from hull_sdk.platform.store import KINDS
from hull_sdk.wire.entities import EntityKind

__all__ = ["document", "object_routes", "segments_in"]


def object_routes() -> list[Rule]:
    """Return the routes for objects by their id."""
    return rules("/api/v1", _ROUTES, secret_caller)


def document(caller: Caller, kind: EntityKind, entity_id: str) -> dict[str, Any]:
    """Return a user or account as the REST API shows it: its report, a user's with its ``account``."""
    view = caller.organization.view(kind, entity_id)
    if view is None:
        refuse(404, "Object not found")
    return full_report(kind, view)


def segments_in(caller: Caller, kind: EntityKind, entity_id: str) -> list[dict[str, Any]]:
    """Return the segments that a user or account is in."""
    view = caller.organization.view(kind, entity_id)
    ids = () if view is None else view.segment_ids
    organization = caller.organization
    known = organization.users_segments() if kind == "user" else organization.accounts_segments()
    return [segment for segment in known if segment["id"] in ids]


def _organization(caller: Caller) -> dict[str, Any]:
    host = caller.organization.host
    return {"id": host, "name": host.partition(".")[0], "domain": host}


def _get(caller: Caller, object_id: str) -> dict[str, Any]:
    connector = caller.organization.connectors.get(object_id)
    if connector is not None:
        wire: dict[str, Any] = connector.to_wire()
        return wire
    job = caller.organization.imports.get(object_id)
    if job is not None:
        return job.to_wire()
    segment = _segment(caller, object_id)
    return document(caller, _kind_of(caller, object_id), object_id) if segment is None else segment


def _put(caller: Caller, object_id: str) -> dict[str, Any]:
    connector = caller.organization.connectors.get(object_id)
    if connector is not None:
        caller.organization.update_connector(connector, read_object(present_request()))
        wire: dict[str, Any] = connector.to_wire()
        return wire
    if caller.organization.segment(object_id) is not None:
        return caller.organization.update_segment(object_id, read_object(present_request()))
    return _put_traits(caller, object_id)


def _put_traits(caller: Caller, object_id: str) -> dict[str, Any]:
    kind = _kind_of(caller, object_id)
    writer = None if caller.connector is None else caller.connector.id
    caller.organization.write_traits(kind, object_id, read_object(present_request()), writer)
    return document(caller, kind, object_id)


def _delete(caller: Caller, object_id: str) -> dict[str, Any]:
    organization = caller.organization
    connector = organization.connectors.get(object_id)
    if connector is not None:
        if not caller.is_admin:
            refuse(403, "only the operator removes connectors; send the admin secret")
        organization.uninstall(connector)
    elif organization.imports.get(object_id) is not None:
        if not organization.imports.cancel(object_id):
            refuse(400, "the import is over; there is nothing to cancel")
    elif not organization.delete_segment(object_id):
        organization.delete_entity(_kind_of(caller, object_id), object_id)
    return {"id": object_id, "deleted": True}


def _segments_of(caller: Caller, object_id: str) -> list[dict[str, Any]]:
    return segments_in(caller, _kind_of(caller, object_id), object_id)


def _segment(caller: Caller, object_id: str) -> dict[str, Any] | None:
    organization = caller.organization
    if organization.segment(object_id) is None:
        return None
    every = [*organization.users_segments(), *organization.accounts_segments()]
    return next((segment for segment in every if segment["id"] == object_id), None)


def _kind_of(caller: Caller, object_id: str) -> EntityKind:
    for kind in KINDS:
        if caller.organization.view(kind, object_id) is not None:
            return kind
    return refuse(404, "Object not found")


_ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/", _organization),
    ("GET", "/<object_id>", _get),
    ("PUT", "/<object_id>", _put),
    ("DELETE", "/<object_id>", _delete),
    ("GET", "/<object_id>/segments", _segments_of),
    ("PUT", "/<object_id>/traits", _put_traits),
    ("POST", "/<object_id>/traits", _put_traits),
)
