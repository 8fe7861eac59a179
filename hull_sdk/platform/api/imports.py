"""Starting imports, and the report of the lines that could not be taken.

Rules: section "Imports" of ``docs/protocol.md``. The job itself is read at ``GET /:jobId``.
"""

from __future__ import annotations

from typing import Any, Final

from werkzeug.routing import Rule

from hull_sdk.platform.api.access import Caller, secret_caller
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.routing import Route, created, present_request, rules
from hull_sdk.platform.checks import checked_count
from hull_sdk.platform.import_records import DataSet
from hull_sdk.platform.search import MAX_PER_PAGE, pagination

__all__ = ["import_routes"]

_PER_PAGE: Final = 100


def import_routes() -> list[Rule]:
    """Return the routes of imports."""
    return rules("/api/v1", _ROUTES, secret_caller)


def _request(caller: Caller, data_set: DataSet) -> dict[str, Any]:
    return created(
        caller.organization.request_import(data_set, read_object(present_request()), caller.connector).to_wire()
    )


def _jobs(caller: Caller) -> list[dict[str, Any]]:
    return [job.to_wire() for job in caller.organization.imports.jobs]


def _errors(caller: Caller, job_id: str) -> dict[str, Any]:
    job = caller.organization.imports.get(job_id)
    if job is None:
        refuse(404, "Object not found")
    page = checked_count("page", present_request().args.get("page"), 1, 10**6)
    per_page = checked_count("per_page", present_request().args.get("per_page"), _PER_PAGE, MAX_PER_PAGE)
    start = (page - 1) * per_page
    return {
        "pagination": pagination(len(job.errors), page, per_page),
        "data": [each.to_wire() for each in job.errors[start : start + per_page]],
    }


_ROUTES: Final[tuple[Route, ...]] = (
    ("GET", "/imports", _jobs),
    ("POST", "/import/users", lambda caller: _request(caller, "users")),
    ("POST", "/import/accounts", lambda caller: _request(caller, "accounts")),
    ("POST", "/import/events", lambda caller: _request(caller, "events")),
    ("GET", "/<job_id>/errors", _errors),
)
