"""Starting imports, and the report of the lines that could not be taken.

Rules: section "Imports" of ``docs/protocol.md``. The job itself is read at ``GET /:jobId``.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from flask import Blueprint, request

from hull_sdk.platform.api.access import Caller, secret_caller
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.routing import Route, add_routes, created
from hull_sdk.platform.import_records import DataSet

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["import_routes"]

_PER_PAGE: Final = 100
_MAX_PER_PAGE: Final = 1000


def import_routes(platform: Platform) -> Blueprint:
    """Return the routes of imports."""
    return add_routes(
        Blueprint("imports", __name__, url_prefix="/api/v1"), _ROUTES, lambda: secret_caller(platform, request)
    )


def _request(caller: Caller, data_set: DataSet) -> dict[str, Any]:
    return created(caller.organization.request_import(data_set, read_object(request), caller.connector).to_wire())


def _jobs(caller: Caller) -> list[dict[str, Any]]:
    return [job.to_wire() for job in caller.organization.imports.jobs]


def _errors(caller: Caller, job_id: str) -> dict[str, Any]:
    job = caller.organization.imports.get(job_id)
    if job is None:
        refuse(404, "Object not found")
    page, per_page = _number("page", 1, 10**6), _number("per_page", _PER_PAGE, _MAX_PER_PAGE)
    total, start = len(job.errors), (page - 1) * per_page
    return {
        "pagination": {"total": total, "page": page, "pages": math.ceil(total / per_page), "per_page": per_page},
        "data": [each.to_wire() for each in job.errors[start : start + per_page]],
    }


def _number(name: str, default: int, most: int) -> int:
    text = request.args.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        refuse(400, f"{name} is {text!r:.100}; it must be a whole number from 1 to {most}")
    return int(text)


_ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/imports", _jobs),
    ("POST", "/import/users", lambda caller: _request(caller, "users")),
    ("POST", "/import/accounts", lambda caller: _request(caller, "accounts")),
    ("POST", "/import/events", lambda caller: _request(caller, "events")),
    ("GET", "/<job_id>/errors", _errors),
)
