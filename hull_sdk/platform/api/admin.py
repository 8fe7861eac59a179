"""What the operator of an organization does: connectors, segments, settings.

Rules: section "REST" of ``docs/protocol.md``. The admin secret stands in ``Hull-Access-Token``, without ``Hull-App-Id``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, request

from hull_sdk.platform.api.access import Caller, authenticate
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import json_response, refuse

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["admin_routes"]

_CONNECTOR_KEYS: Final = ("url", "manifest", "name", "settings", "private_settings", "id", "secret")
_SEGMENT_TYPES: Final = {"users_segments": "users_segment", "accounts_segments": "accounts_segment"}
_SEGMENT_KEYS: Final = ("name", "predicate", "query", "id")


def admin_routes(platform: Platform) -> Blueprint:
    """Return the routes for the operator."""
    routes = Blueprint("admin", __name__, url_prefix="/api/v1")

    def operator() -> Caller:
        caller = authenticate(platform, request)
        if not caller.is_admin:
            refuse(403, "this is for the operator; send the admin secret, without Hull-App-Id")
        return caller

    @routes.post("/connectors")
    def create_connector() -> Response:
        caller = operator()
        body = _known(read_object(request), _CONNECTOR_KEYS)
        if body.get("url") is None and body.get("manifest") is None:
            refuse(400, "a connector needs a url, or a manifest when it only writes")
        connector = caller.organization.install(body.pop("url", None), **body)
        return json_response(connector.to_wire(with_secret=True), 201)

    @routes.post("/<any(users_segments, accounts_segments):name>")
    def create_segment(name: str) -> Response:
        caller = operator()
        body = _known(read_object(request), _SEGMENT_KEYS)
        segment = caller.organization.create_segment(_SEGMENT_TYPES[name], body.pop("name", None), **body)
        return json_response(segment, 201)

    @routes.get("/settings")
    def settings() -> Response:
        return json_response(operator().organization.settings.to_wire())

    @routes.put("/settings")
    def put_settings() -> Response:
        caller = operator()
        caller.organization.update_settings(read_object(request))
        return json_response(caller.organization.settings.to_wire())

    return routes


def _known(body: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    unknown = sorted(set(body) - set(names))
    if unknown:
        refuse(400, f"unknown: {', '.join(unknown)}; known are {', '.join(names)}")
    return body
