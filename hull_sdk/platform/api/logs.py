"""Reading the log: an operator's view of all lines, a connector's of its own.

Rules: section "Logs" of ``docs/protocol.md``.
"""

from __future__ import annotations

from typing import Any, Final

from werkzeug.routing import Rule

from hull_sdk.platform.api.access import CREDENTIAL_PARAMETERS, Caller, secret_caller
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.routing import Route, present_request, rules

__all__ = ["log_routes"]


def log_routes() -> list[Rule]:
    """Return the routes that read the log."""
    return rules("/api/v1", _ROUTES, secret_caller)


def _logs(caller: Caller, object_id: str | None = None) -> dict[str, Any]:
    wanted = {name: value for name, value in present_request().args.items() if name not in CREDENTIAL_PARAMETERS}
    only = object_id if caller.connector is None else caller.connector.id
    if object_id is not None and object_id != only:
        refuse(403, "a connector reads its own logs only")
    if object_id is not None and object_id not in caller.organization.connectors:
        refuse(404, "App not found")
    found, total = caller.organization.query_log(wanted, connector_id=only)
    return {"logs": [entry.to_wire() for entry in found], "total": total}


_ROUTES: Final[tuple[Route, ...]] = (("GET", "/logs", _logs), ("GET", "/<object_id>/logs", _logs))
