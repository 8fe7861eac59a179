"""What a token may do for the user (or account) that it names.

Rules: section "REST" of ``docs/protocol.md``. Reading creates nobody: an unknown user is 404. Writes take the same
way as messages of the firehose and are applied before the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from werkzeug.routing import Rule
from werkzeug.wrappers import Request

from hull_sdk.core.clock import iso_millis
from hull_sdk.platform.api.access import Caller, user_caller
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.gate import platform_of
from hull_sdk.platform.api.objects import document, segments_in
from hull_sdk.platform.api.routing import Route, present_request, rules
from hull_sdk.wire import tokens
from hull_sdk.wire.firehose import HEADER_ACCESS_TOKEN

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["me_routes"]


def me_routes() -> list[Rule]:
    """Return the routes below ``/me``, and ``/t``."""
    return rules("/api/v1", _ROUTES, _Self.of)


@dataclass(frozen=True, slots=True)
class _Self:
    """Who asks, and where the writes go."""

    platform: Platform
    caller: Caller

    @classmethod
    def of(cls, request: Request) -> Self:
        return cls(platform_of(request), user_caller(request))

    def write(self, kind: str, body: dict[str, Any]) -> dict[str, Any]:
        _send(self.platform, self.caller, kind, body)
        return {"ok": True}


def _me(me: _Self) -> dict[str, Any]:
    return document(me.caller, "user", _user_id(me.caller))


def _segments(me: _Self) -> list[dict[str, Any]]:
    return segments_in(me.caller, "user", _user_id(me.caller))


def _traits(me: _Self) -> dict[str, Any]:
    return me.write("traits", _traits_body(read_object(present_request())))


def _alias(me: _Self) -> dict[str, Any]:
    return me.write("alias", read_object(present_request()))


def _track(me: _Self) -> dict[str, Any]:
    return me.write("track", read_object(present_request()))


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
    now = platform.runtime.clock.time()
    claims = {**caller.claims, "iat": int(now)}
    message = {
        "type": kind,
        "message_id": platform.runtime.ids.uuid(),
        "body": body,
        "timestamp": iso_millis(now),
        "headers": {HEADER_ACCESS_TOKEN: tokens.encode(claims, connector.secret)},
    }
    _, rejections = caller.organization.receive([message], connector)
    if rejections:
        refuse(400, f"{rejections[0].code}: {rejections[0].reason}")


_ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/me", _me),
    ("GET", "/me/user_report", _me),
    ("GET", "/me/segments", _segments),
    ("PUT", "/me/traits", _traits),
    ("POST", "/me/traits", _traits),
    ("POST", "/me/alias", _alias),
    ("POST", "/t", _track),
)
