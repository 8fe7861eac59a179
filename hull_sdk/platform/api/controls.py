"""Test controls: moving time, waiting for rest, breaking things, and looking inside.

Rules: section "Test controls" of ``docs/protocol.md``. Only there when the platform was started with them; otherwise
every path below ``/_platform`` is 404. They ask for no credentials, so they belong on a loopback address.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from werkzeug.routing import Rule
from werkzeug.wrappers import Request

from hull_sdk.core.checks import is_number
from hull_sdk.core.clock import iso_millis
from hull_sdk.platform.api.access import organization_of
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.gate import platform_of
from hull_sdk.platform.api.routing import Route, created, present_request, rules
from hull_sdk.platform.store import KINDS

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["control_routes"]

_DEFAULT_IDLE_MS: Final = 10_000.0
_LONGEST_IDLE_MS: Final = 600_000.0


def control_routes() -> list[Rule]:
    """Return the routes below ``/_platform``."""
    return rules("/_platform", _ROUTES, _controlled)


def _controlled(request: Request) -> Platform:
    platform = platform_of(request)
    if not platform.test_controls:
        refuse(404, "test controls are off; start the platform with --test-controls")
    return platform


def _clock(platform: Platform) -> dict[str, Any]:
    return {"now": iso_millis(platform.clock.time())}


def _move_clock(platform: Platform) -> dict[str, Any]:
    platform.shift(_milliseconds("advance_ms", read_object(present_request()).get("advance_ms")) / 1000)
    return _clock(platform)


def _idle(platform: Platform) -> dict[str, Any]:
    idle = platform.wait_until_idle(_timeout(present_request().args.get("timeout_ms")) / 1000)
    return {"idle": idle, "pending": platform.pending}


def _deliveries(platform: Platform) -> list[dict[str, Any]]:
    return [delivery.to_dict() for delivery in platform.deliveries]


def _extracts(platform: Platform) -> list[dict[str, Any]]:
    return [run.to_dict() for run in platform.extract_runs]


def _trace(platform: Platform, message_id: str) -> dict[str, Any]:
    for organization in list(platform.organizations.values()):
        found = organization.full_trace(message_id)
        if found is not None:
            return found
    return refuse(404, f"no message {message_id!r} has arrived")


def _preview_identity(_platform: Platform) -> dict[str, Any]:
    body = read_object(present_request())
    kind, claims, create = body.get("type", "user"), body.get("claims"), body.get("create", True)
    if kind not in KINDS or not isinstance(claims, dict) or not isinstance(create, bool):
        refuse(400, 'send {"type": "user" | "account", "claims": {"email": ...}, "create": true | false}')
    return organization_of(present_request()).preview(kind, claims, create=create)


def _faults(platform: Platform) -> list[dict[str, Any]]:
    return [fault.to_wire() for fault in platform.faults.active()]


def _add_fault(platform: Platform) -> dict[str, Any]:
    return created(platform.faults.add_wire(read_object(present_request())).to_wire())


def _clear_faults(platform: Platform) -> list[dict[str, Any]]:
    platform.faults.clear()
    return []


def _reset(platform: Platform) -> dict[str, Any]:
    platform.reset()
    return {"ok": True}


def _snapshot(platform: Platform) -> dict[str, Any]:
    saved = None if platform.keeper is None else platform.keeper()
    return {**platform.state(), "saved": saved}


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


def _milliseconds(name: str, value: Any) -> float:
    if not is_number(value, 0):
        refuse(400, f"{name} is {value!r}; it must be a number of at least 0, in milliseconds")
    return float(value)


_ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/clock", _clock),
    ("POST", "/clock", _move_clock),
    ("GET", "/idle", _idle),
    ("GET", "/deliveries", _deliveries),
    ("GET", "/extracts", _extracts),
    ("GET", "/trace/<path:message_id>", _trace),
    ("POST", "/identity/preview", _preview_identity),
    ("GET", "/faults", _faults),
    ("POST", "/faults", _add_fault),
    ("DELETE", "/faults", _clear_faults),
    ("POST", "/reset", _reset),
    ("POST", "/snapshot", _snapshot),
)
