"""Asking for extracts, and serving their files.

Rules: section "Extracts" of ``docs/protocol.md``. A file's address is its own key: it is signed, and expires.
"""

from __future__ import annotations

from typing import Any, Final

from werkzeug.routing import Rule
from werkzeug.wrappers import Response

from hull_sdk.platform.api.access import Caller, secret_caller
from hull_sdk.platform.api.body import read_object
from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.gate import platform_of
from hull_sdk.platform.api.routing import Route, present_request, rule, rules
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.firehose import HEADER_APP_ID

__all__ = ["extract_routes", "file_routes"]


def extract_routes() -> list[Rule]:
    """Return the routes that extracts are asked for at."""
    return rules("/api/v1", _ROUTES, secret_caller)


def file_routes() -> list[Rule]:
    """Return the route of the files, which answers GET and POST without credentials."""
    return [rule("/api/v1/extracts/<object_type>/<date>/<name>", _file, "GET", "POST")]


def _file(**_parts: str) -> Response:
    request = present_request()
    signed = request.args.get("expires", ""), request.args.get("signature", "")
    found = platform_of(request).find_file(request.path, *signed)
    if found is None:
        refuse(403, "this address is wrong or has expired; ask for the extract again")
    headers = {"ETag": found.etag, **({"Content-Encoding": "gzip"} if found.gzip else {})}
    return Response(found.data, headers=headers, content_type=found.content_type)


def _request(caller: Caller, kind: EntityKind) -> dict[str, Any]:
    if caller.connector is None:
        refuse(400, f"an extract is brought to a connector; send {HEADER_APP_ID}")
    body = read_object(present_request())
    compress = body.get("gzip", False)
    if not isinstance(compress, bool):
        refuse(400, f"gzip is {compress!r:.100}; it must be true or false")
    requested: dict[str, Any] = caller.organization.extracts.request(
        caller.connector,
        kind,
        url=body.get("url", ""),
        query=body.get("query"),
        file_format=body.get("format", "json"),
        fields=[] if body.get("fields") is None else body["fields"],
        compress=compress,
    )
    return requested


_ROUTES: Final[tuple[Route, ...]] = (
    ("POST", "/extract/user_reports", lambda caller: _request(caller, "user")),
    ("POST", "/extract/account_reports", lambda caller: _request(caller, "account")),
)
