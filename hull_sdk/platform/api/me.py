"""What a token may do for the user (or account) that it names.

Rules: section "REST" of ``docs/protocol.md``. Reading creates nobody: an unknown user is 404. Writes take the same way as
messages of the firehose and are applied before the answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from flask import Blueprint, Response, request

from hull_sdk.platform.api.access import Caller, authenticate
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import json_response, refuse
from hull_sdk.platform.api.objects import document, segments_in
from hull_sdk.wire import tokens
from hull_sdk.wire.firehose import HEADER_ACCESS_TOKEN, HEADER_USER_ID

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["me_routes"]


def me_routes(platform: Platform) -> Blueprint:
    """Return the routes below ``/me``, and ``/t``."""
    routes = Blueprint("me", __name__, url_prefix="/api/v1")

    def user_caller() -> Caller:
        caller = authenticate(platform, request)
        if caller.claims is None:
            refuse(401, f"say for whom: send a user's token as {HEADER_ACCESS_TOKEN}, or {HEADER_USER_ID}")
        return caller

    def write(kind: str, body: dict[str, Any]) -> Caller:
        caller = user_caller()
        _send(platform, caller, kind, body)
        return caller

    @routes.get("/me")
    @routes.get("/me/user_report")
    def me() -> Response:
        caller = user_caller()
        return json_response(document(caller, "user", _user_id(caller)))

    @routes.get("/me/segments")
    def segments() -> Response:
        caller = user_caller()
        return json_response(segments_in(caller, "user", _user_id(caller)))

    @routes.route("/me/traits", methods=["POST", "PUT"])
    def traits() -> Response:
        write("traits", _traits_body(read_object(request)))
        return json_response({"ok": True})

    @routes.post("/me/alias")
    def alias() -> Response:
        write("alias", read_object(request))
        return json_response({"ok": True})

    @routes.post("/t")
    def track() -> Response:
        write("track", read_object(request))
        return json_response({"ok": True})

    return routes


def _user_id(caller: Caller) -> str:
    claims = caller.claims or {}
    subject = claims.get(tokens.AS_CLAIMS["user"], claims.get("sub"))
    if not subject:
        refuse(400, f"the token names no user; add {tokens.AS_CLAIMS['user']} with an identifier")
    user = caller.organization.find_user(subject)
    if user is None:
        refuse(404, "User not found")
    return user.id


def _traits_body(body: dict[str, Any]) -> dict[str, Any]:
    """Return a map of attributes; browsers send one operation as ``{name, operation, value}``."""
    if isinstance(body.get("name"), str) and "operation" in body and set(body) <= {"name", "operation", "value"}:
        return {body["name"]: {"operation": body["operation"], "value": body.get("value")}}
    return body


def _send(platform: Platform, caller: Caller, kind: str, body: dict[str, Any]) -> None:
    connector = caller.connector
    if connector is None or caller.claims is None:
        refuse(401, f"the operator writes through a connector; send its id and {HEADER_ACCESS_TOKEN}")
    claims = {**caller.claims, "iat": int(platform.runtime.clock.time())}
    message = {
        "type": kind,
        "message_id": platform.runtime.ids.uuid(),
        "body": body,
        "headers": {HEADER_ACCESS_TOKEN: tokens.encode(claims, connector.secret)},
    }
    _, rejections = caller.organization.receive([message], connector)
    if rejections:
        refuse(400, f"{rejections[0].code}: {rejections[0].reason}")
