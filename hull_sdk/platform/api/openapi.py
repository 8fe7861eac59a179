"""The API's description of itself at ``/openapi.json``, in OpenAPI 3.1.

Rules: section "Description of the API" of ``docs/protocol.md``. It is made from the table of operations; every status
that a request can be answered with is listed by its number. Faults on purpose are not: they are no rule.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from werkzeug.routing import Rule

from hull_sdk import __version__
from hull_sdk.platform.api.errors import json_response
from hull_sdk.platform.api.openapi_operations import OPERATIONS, Access, Operation
from hull_sdk.platform.api.openapi_schemas import SCHEMAS
from hull_sdk.platform.api.openapi_shapes import Shape, reference
from hull_sdk.platform.api.routing import rule
from hull_sdk.wire.firehose import HEADER_ACCESS_TOKEN, HEADER_APP_ID, HEADER_ORGANIZATION, HEADER_USER_ID

__all__ = ["OPENAPI_VERSION", "description", "description_routes"]

OPENAPI_VERSION: Final = "3.1.0"

_INTRODUCTION: Final = (
    "The API of one organization. Say which one with the host or with Hull-Organization; a connector's credentials "
    "name theirs. Credentials may also stand in the query: id, ship or app_id, and secret or access_token."
)
_REASONS: Final[Mapping[int, str]] = {
    200: "Done.",
    201: "Created.",
    400: "Something of the request breaks a rule; the message names value, rule and way out.",
    401: "Credentials are missing or wrong.",
    402: "The organization has been switched off.",
    403: "Known, but not allowed to do this.",
    404: "There is no such object, connector or organization.",
    413: "The body is too large.",
    415: "The body's Content-Encoding is not understood.",
    502: "The connector did not answer.",
}
_SECURITY: Final[Mapping[Access, list[dict[str, list[str]]]]] = {
    "secret": [{"connectorId": [], "connectorSecret": []}, {"adminSecret": []}],
    "connector": [{"connectorId": [], "connectorSecret": []}, {"userToken": []}],
    "operator": [{"adminSecret": []}],
    "user": [{"userToken": []}, {"connectorId": [], "connectorSecret": [], "userId": []}],
    "nobody": [],
}
#: What checking credentials may be answered with.
_REFUSALS: Final[Mapping[Access, tuple[int, ...]]] = {
    "secret": (401, 402, 404),
    "connector": (401, 402, 404),
    "operator": (401, 402, 403, 404),
    "user": (401, 402, 404),
    "nobody": (),
}
_PATH_PARAMETER: Final = re.compile(r"\{(\w+)\}")


def description_routes() -> list[Rule]:
    """Return the route of the description, which asks for no credentials."""
    return [rule("/openapi.json", lambda: json_response(description()), "GET")]


def description() -> dict[str, Any]:
    """Return the API's description as an OpenAPI document."""
    paths: dict[str, dict[str, Any]] = {}
    for (method, path), operation in OPERATIONS.items():
        paths.setdefault(path, {})[method.lower()] = _operation(method, path, operation)
    return {
        "openapi": OPENAPI_VERSION,
        "info": {"title": "Hull platform", "version": __version__, "description": _INTRODUCTION},
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "connectorId": _header(HEADER_APP_ID, "The connector's id."),
                "connectorSecret": _header(HEADER_ACCESS_TOKEN, "The connector's secret."),
                "userToken": _header(HEADER_ACCESS_TOKEN, "A token signed with the connector's secret (JWT, HS256)."),
                "userId": _header(HEADER_USER_ID, "The user that a connector's request is made for."),
                "adminSecret": _header(HEADER_ACCESS_TOKEN, f"The operator's secret, without {HEADER_APP_ID}."),
            },
        },
    }


def _header(name: str, text: str) -> Shape:
    return {"type": "apiKey", "in": "header", "name": name, "description": text}


def _operation(method: str, path: str, operation: Operation) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": _name(method, path),
        "summary": operation.summary,
        "tags": [operation.topic],
        "security": _SECURITY[operation.access],
        "parameters": _parameters(path, operation),
        "responses": _responses(operation),
    }
    if operation.body is not None:
        content = {"application/json": {"schema": operation.body}}
        described["requestBody"] = {"required": operation.needs_body, "content": content}
    return described


def _name(method: str, path: str) -> str:
    return "_".join([method.lower(), *re.findall(r"\w+", path)])


def _parameters(path: str, operation: Operation) -> list[dict[str, Any]]:
    return [
        *(
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            for name in _PATH_PARAMETER.findall(path)
        ),
        *({"name": name, "in": "query", "schema": shape} for name, shape in operation.query.items()),
        *(
            []
            if operation.access == "nobody"
            else [{"name": HEADER_ORGANIZATION, "in": "header", "schema": {"type": "string"}}]
        ),
    ]


def _responses(operation: Operation) -> dict[str, Any]:
    content = {media: {"schema": operation.answer} for media in operation.media}
    return {
        str(operation.status): {"description": _REASONS[operation.status], "content": content},
        **{str(status): _error(status) for status in sorted(_errors(operation))},
    }


def _errors(operation: Operation) -> set[int]:
    found = {*operation.errors, *_REFUSALS[operation.access]}
    if operation.query and operation.checks_query:
        found.add(400)
    return found if operation.body is None else found | {400, 413, 415}


def _error(status: int) -> dict[str, Any]:
    return {"description": _REASONS[status], "content": {"application/json": {"schema": reference("Error")}}}
