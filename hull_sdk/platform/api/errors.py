"""One shape for every error: ``{"status", "message"}`` in JSON.

Rules: section "REST" of ``docs/protocol.md``.
"""

from __future__ import annotations

import logging
from typing import Any, NoReturn

from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Request, Response

from hull_sdk.core import json
from hull_sdk.core.logs import emit
from hull_sdk.errors import CredentialsError, InvalidArgumentError, NetworkError

__all__ = ["Refused", "error_response", "json_response", "refuse"]

_log = logging.getLogger(__name__)


class Refused(Exception):  # noqa: N818 - an answer, not a failure of ours
    """Raised to answer a request with an error.

    Args:
        status: HTTP status.
        message: What is wrong and how to mend it; never holds a secret.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def refuse(status: int, message: str) -> NoReturn:
    """Answer the request at hand with an error."""
    raise Refused(status, message)


def json_response(value: Any, status: int = 200) -> Response:
    """Return an answer in JSON."""
    return Response(json.dumps(value), status, mimetype="application/json")


def error_response(request: Request, err: Exception) -> Response:
    """Return the answer to a request that ended with an error, always in the one shape."""
    if isinstance(err, Refused):
        return _answer(err.status, err.message)
    if isinstance(err, CredentialsError):
        return _answer(err.status, err.message)
    if isinstance(err, InvalidArgumentError):
        return _answer(400, err.message)
    if isinstance(err, NetworkError):
        return _answer(502, err.message)
    if isinstance(err, HTTPException):
        return _answer_http(request, err)
    emit(_log, logging.ERROR, "api.crashed", {"method": request.method, "path": request.path}, exc_info=err)
    return _answer(500, "the platform failed; its log says why")


def _answer(status: int, message: str) -> Response:
    return json_response({"status": status, "message": message}, status)


def _answer_http(request: Request, err: HTTPException) -> Response:
    status = 500 if err.code is None else err.code
    if status == 404:
        return _answer(404, f"there is nothing at {request.method} {request.path}")
    if status == 405:
        return _answer(405, f"{request.method} is not possible at {request.path}")
    return _answer(status, err.description or err.name)
