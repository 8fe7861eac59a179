"""What belongs to one connector: its settings, status, manifest, logs and dead letters.

Rules: section "REST" of ``docs/protocol.md``. ``/app`` is the connector that ``Hull-App-Id`` names.
"""

from __future__ import annotations

from typing import Any, Final

from werkzeug.routing import Rule

from hull_sdk.platform.api.access import Caller, secret_caller
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.routing import Route, present_request, rules
from hull_sdk.platform.connectors import Connector
from hull_sdk.wire.firehose import HEADER_APP_ID

__all__ = ["app_routes"]


def app_routes() -> list[Rule]:
    """Return the routes for a connector's own matters."""
    return rules("/api/v1", _ROUTES, secret_caller)


def _connector(caller: Caller, object_id: str | None = None) -> Connector:
    """Return the connector of a path, or the caller's own."""
    if object_id is None:
        if caller.connector is None:
            refuse(400, f"the operator has no connector of its own; name one by its id, or send {HEADER_APP_ID}")
        return caller.connector
    connector: Connector | None = caller.organization.connectors.get(object_id)
    if connector is None:
        refuse(404, "App not found")
    return connector


def _get_app(caller: Caller) -> dict[str, Any]:
    return _connector(caller).to_wire()


def _put_app(caller: Caller) -> dict[str, Any]:
    connector = _connector(caller)
    caller.organization.update_connector(connector, read_object(present_request()))
    return connector.to_wire()


def _put_status(caller: Caller, object_id: str | None = None) -> dict[str, Any]:
    return caller.organization.set_status(_connector(caller, object_id), read_object(present_request()))


def _update_manifest(caller: Caller, object_id: str) -> dict[str, Any]:
    connector = _connector(caller, object_id)
    caller.organization.update_manifest(connector)
    return connector.to_wire()


def _take_logs(caller: Caller, object_id: str) -> dict[str, Any]:
    connector = _connector(caller, object_id)
    if not caller.is_admin and caller.connector is not connector:
        refuse(403, "a connector sends its own logs only")
    entries = read_object(present_request()).get("logs")
    if not isinstance(entries, list) or not all(isinstance(each, dict) for each in entries):
        refuse(400, 'send {"logs": [{"message", "level", "data", "context", "timestamp"}]}')
    caller.organization.add_connector_logs(connector, entries)
    return {"accepted": len(entries)}


def _dead_letters(caller: Caller, object_id: str) -> list[dict[str, Any]]:
    letters = caller.organization.dead_letters(_connector(caller, object_id).id)
    return [letter.to_wire() for letter in letters]


def _redrive(caller: Caller, object_id: str) -> dict[str, Any]:
    connector = _connector(caller, object_id)
    ids = read_object(present_request()).get("ids")
    if ids is not None and not (isinstance(ids, list) and all(isinstance(each, str) for each in ids)):
        refuse(400, f"ids is {ids!r:.100}; it must be a list of dead letter ids, or absent for all")
    return {"redriven": caller.organization.redrive(connector.id, ids)}


_ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/app", _get_app),
    ("PUT", "/app", _put_app),
    ("PUT", "/app/status", _put_status),
    ("PUT", "/<object_id>/status", _put_status),
    ("POST", "/<object_id>/update_manifest", _update_manifest),
    ("POST", "/<object_id>/logs", _take_logs),
    ("GET", "/<object_id>/dead_letters", _dead_letters),
    ("POST", "/<object_id>/dead_letters/redrive", _redrive),
)
