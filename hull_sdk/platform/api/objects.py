"""Objects by their id, lists of segments, schemas, and what a connector tells of itself.

Rules: section "REST" of ``docs/protocol.md``. A connector's secret gives access to its whole organization and to nothing of
another one: objects of another organization are answered as if they did not exist.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, request

from hull_sdk.platform.api.access import Caller, authenticate
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import json_response, refuse
from hull_sdk.platform.api.trees import attribute_tree, schema_list
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.store import KINDS
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.firehose import HEADER_APP_ID

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["document", "object_routes"]

_SEARCHES: Final[dict[str, EntityKind]] = {"user_reports": "user", "account_reports": "account"}
_SCHEMAS: Final[dict[str, EntityKind]] = {"users": "user", "accounts": "account"}


def object_routes(platform: Platform) -> Blueprint:
    """Return the routes for objects, segments, schemas, logs and dead letters."""
    routes = Blueprint("objects", __name__, url_prefix="/api/v1")

    def secret_caller() -> Caller:
        caller = authenticate(platform, request)
        if not caller.has_secret:
            refuse(401, "a user's token gives access to /me only; send the connector's secret")
        return caller

    @routes.get("/")
    def organization() -> Response:
        caller = authenticate(platform, request)
        host = caller.organization.host
        return json_response({"id": host, "name": host.partition(".")[0], "domain": host})

    @routes.get("/app")
    def app() -> Response:
        return json_response(_own_connector(secret_caller()).to_wire())

    @routes.put("/app")
    def put_app() -> Response:
        caller = secret_caller()
        return _put_connector(caller, _own_connector(caller))

    @routes.put("/app/status")
    def put_app_status() -> Response:
        caller = secret_caller()
        return json_response(caller.organization.set_status(_own_connector(caller), read_object(request)))

    @routes.put("/<object_id>/status")
    def put_status(object_id: str) -> Response:
        caller = secret_caller()
        return json_response(caller.organization.set_status(_connector(caller, object_id), read_object(request)))

    @routes.post("/<object_id>/update_manifest")
    def update_manifest(object_id: str) -> Response:
        caller = secret_caller()
        connector = _connector(caller, object_id)
        caller.organization.update_manifest(connector)
        return json_response(connector.to_wire())

    @routes.get("/users_segments")
    @routes.get("/segments")
    def users_segments() -> Response:
        return json_response(secret_caller().organization.users_segments())

    @routes.get("/accounts_segments")
    def accounts_segments() -> Response:
        return json_response(secret_caller().organization.accounts_segments())

    @routes.get("/<any(users, accounts):name>/schema")
    def schema(name: str) -> Response:
        kind = _SCHEMAS[name]
        return json_response(schema_list(kind, secret_caller().organization.schema(kind)))

    @routes.get("/search/<any(user_reports, account_reports):name>/bootstrap")
    def bootstrap(name: str) -> Response:
        organization = secret_caller().organization
        return json_response(attribute_tree(_SEARCHES[name], {kind: organization.schema(kind) for kind in KINDS}))

    @routes.post("/<object_id>/logs")
    def logs(object_id: str) -> Response:
        caller = secret_caller()
        return _take_logs(caller, _connector(caller, object_id))

    @routes.get("/<object_id>/dead_letters")
    def dead_letters(object_id: str) -> Response:
        caller = secret_caller()
        letters = caller.organization.dead_letters(_connector(caller, object_id).id)
        return json_response([letter.to_wire() for letter in letters])

    @routes.post("/<object_id>/dead_letters/redrive")
    def redrive(object_id: str) -> Response:
        caller = secret_caller()
        ids = read_object(request).get("ids")
        if ids is not None and not (isinstance(ids, list) and all(isinstance(each, str) for each in ids)):
            refuse(400, f"ids is {ids!r:.100}; it must be a list of dead letter ids, or absent for all")
        return json_response({"redriven": caller.organization.redrive(_connector(caller, object_id).id, ids)})

    @routes.get("/<object_id>/segments")
    def segments_of(object_id: str) -> Response:
        caller = secret_caller()
        kind = _kind_of(caller, object_id)
        if kind is None:
            refuse(404, "Object not found")
        return json_response(segments_in(caller, kind, object_id))

    @routes.put("/<object_id>/traits")
    @routes.post("/<object_id>/traits")
    def put_traits(object_id: str) -> Response:
        caller = secret_caller()
        kind = _kind_of(caller, object_id)
        if kind is None:
            refuse(404, "Object not found")
        caller.organization.write_traits(kind, object_id, read_object(request), _writer(caller))
        return json_response(document(caller, kind, object_id))

    @routes.get("/<object_id>")
    def get_object(object_id: str) -> Response:
        return json_response(_object(secret_caller(), object_id))

    @routes.put("/<object_id>")
    def put_object(object_id: str) -> Response:
        caller = secret_caller()
        connector = caller.organization.connectors.get(object_id)
        if connector is not None:
            return _put_connector(caller, connector)
        segment = _segment(caller, object_id)
        if segment is not None:
            return json_response(caller.organization.update_segment(object_id, read_object(request)))
        kind = _kind_of(caller, object_id)
        if kind is None:
            refuse(404, "Object not found")
        caller.organization.write_traits(kind, object_id, read_object(request), _writer(caller))
        return json_response(document(caller, kind, object_id))

    @routes.delete("/<object_id>")
    def delete_object(object_id: str) -> Response:
        caller = secret_caller()
        _delete(caller, object_id)
        return json_response({"id": object_id, "deleted": True})

    return routes


def document(caller: Caller, kind: EntityKind, entity_id: str) -> dict[str, Any]:
    """Return a user or account as the REST API shows it: its report, a user's with its ``account``."""
    view = caller.organization.view(kind, entity_id)
    if view is None:
        refuse(404, "Object not found")
    return {**view.report, "account": view.account_report} if kind == "user" else dict(view.report)


def segments_in(caller: Caller, kind: EntityKind, entity_id: str) -> list[dict[str, Any]]:
    """Return the segments that a user or account is in."""
    view = caller.organization.view(kind, entity_id)
    ids = () if view is None else view.segment_ids
    organization = caller.organization
    known = organization.users_segments() if kind == "user" else organization.accounts_segments()
    return [segment for segment in known if segment["id"] in ids]


def _own_connector(caller: Caller) -> Connector:
    if caller.connector is None:
        refuse(400, f"the operator has no connector of its own; name one by its id, or send {HEADER_APP_ID}")
    return caller.connector


def _connector(caller: Caller, object_id: str) -> Connector:
    connector = caller.organization.connectors.get(object_id)
    if connector is None:
        refuse(404, "App not found")
    return connector


def _writer(caller: Caller) -> str | None:
    return None if caller.connector is None else caller.connector.id


def _kind_of(caller: Caller, object_id: str) -> EntityKind | None:
    return next((kind for kind in KINDS if caller.organization.view(kind, object_id) is not None), None)


def _segment(caller: Caller, object_id: str) -> dict[str, Any] | None:
    organization = caller.organization
    every = [*organization.users_segments(), *organization.accounts_segments()]
    return next((segment for segment in every if segment["id"] == object_id), None)


def _object(caller: Caller, object_id: str) -> dict[str, Any]:
    connector = caller.organization.connectors.get(object_id)
    if connector is not None:
        return connector.to_wire()
    segment = _segment(caller, object_id)
    if segment is not None:
        return segment
    kind = _kind_of(caller, object_id)
    if kind is None:
        refuse(404, "Object not found")
    return document(caller, kind, object_id)


def _put_connector(caller: Caller, connector: Connector) -> Response:
    caller.organization.update_connector(connector, read_object(request))
    return json_response(connector.to_wire())


def _delete(caller: Caller, object_id: str) -> None:
    organization = caller.organization
    connector = organization.connectors.get(object_id)
    if connector is not None:
        if not caller.is_admin:
            refuse(403, "only the operator removes connectors; send the admin secret")
        organization.uninstall(connector)
        return
    if _segment(caller, object_id) is not None:
        organization.delete_segment(object_id)
        return
    kind = _kind_of(caller, object_id)
    if kind is None:
        refuse(404, "Object not found")
    organization.delete_entity(kind, object_id)


def _take_logs(caller: Caller, connector: Connector) -> Response:
    if not caller.is_admin and caller.connector is not connector:
        refuse(403, "a connector sends its own logs only")
    entries = read_object(request).get("logs")
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        refuse(400, 'send {"logs": [{"message", "level", "data", "context", "timestamp"}]}')
    caller.organization.add_connector_logs(connector, entries)
    return json_response({"accepted": len(entries)})
