"""Test controls: moving time, waiting for rest, breaking things, and looking inside.

Only there when the platform was started with them; otherwise every path below ``/_platform`` is 404. They ask for no
credentials, so they belong on a loopback address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, Response, request

from hull_sdk.core.clock import iso_millis
from hull_sdk.platform.api.body import read_json, read_object
from hull_sdk.platform.api.errors import json_response, refuse

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["control_routes"]

_DEFAULT_IDLE_MS: Final = 10_000.0
_LONGEST_IDLE_MS: Final = 600_000.0


def control_routes(platform: Platform) -> Blueprint:
    """Return the routes below ``/_platform``."""
    routes = Blueprint("controls", __name__, url_prefix="/_platform")

    @routes.before_request
    def enabled() -> None:
        if not platform.test_controls:
            refuse(404, "test controls are off; start the platform with --test-controls")

    @routes.post("/clock")
    def clock() -> Response:
        milliseconds = _number("advance_ms", read_object(request).get("advance_ms"))
        platform.shift(milliseconds / 1000)
        return json_response({"now": iso_millis(platform.clock.time())})

    @routes.get("/clock")
    def read_clock() -> Response:
        return json_response({"now": iso_millis(platform.clock.time())})

    @routes.get("/idle")
    def idle() -> Response:
        timeout_ms = _timeout(request.args.get("timeout_ms"))
        idle = platform.wait_until_idle(timeout_ms / 1000)
        return json_response({"idle": idle, "pending": platform.pending})

    @routes.get("/deliveries")
    def deliveries() -> Response:
        return json_response([delivery.to_dict() for delivery in platform.deliveries])

    @routes.get("/trace/<message_id>")
    def trace(message_id: str) -> Response:
        for organization in list(platform.organizations.values()):
            record = organization.trace(message_id)
            if record is not None:
                return json_response({"organization": organization.host, **record.to_wire()})
        return refuse(404, f"no message {message_id!r} has arrived")

    @routes.get("/faults")
    def list_faults() -> Response:
        return json_response([fault.to_wire() for fault in platform.faults.active()])

    @routes.post("/faults")
    def add_fault() -> Response:
        body = read_json(request)
        faults = [platform.faults.add_wire(each) for each in (body if isinstance(body, list) else [body])]
        return json_response([fault.to_wire() for fault in faults], 201)

    @routes.delete("/faults")
    def clear_faults() -> Response:
        platform.faults.clear()
        return json_response([])

    @routes.post("/reset")
    def reset() -> Response:
        platform.reset()
        return json_response({"ok": True})

    @routes.post("/snapshot")
    def snapshot() -> Response:
        return json_response(platform.state())

    return routes


def _timeout(text: str | None) -> float:
    if text is None:
        return _DEFAULT_IDLE_MS
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value <= _LONGEST_IDLE_MS:
        refuse(400, f"timeout_ms is {text!r}; it must be a number from 0 to {_LONGEST_IDLE_MS:g}")
    return value


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        refuse(400, f"{name} is {value!r}; it must be a number of at least 0, in milliseconds")
    return float(value)
