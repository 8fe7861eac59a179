"""What stands before the API: faults on purpose, and a log line per request without its query.

A dropped connection is an answer that announces more bytes than it has; every client, also one in the same process,
sees that as a broken connection.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.logs import emit
from hull_sdk.platform.faults import DROP_AFTER, DROP_BEFORE, Fault, Faults

__all__ = ["Gate"]

_log = logging.getLogger(__name__)

_FIREHOSE_PATHS: Final = frozenset({"/", "/api/v1/firehose"})
_JSON: Final = ("Content-Type", "application/json")

WsgiApp = Callable[..., Iterable[bytes]]


class Gate:
    """Lets requests through to an application, except those that a fault hits.

    Args:
        app: The application behind it.
        faults: What to break.
    """

    def __init__(self, app: WsgiApp, faults: Faults) -> None:
        self._app = app
        self._faults = faults

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or break it."""
        target = _target(environ)
        fault = None if target is None else self._faults.take(target)
        _log_request(environ, fault)
        if fault is None:
            return self._app(environ, start_response)
        if fault.kind == DROP_BEFORE:
            return _broken(start_response)
        if fault.kind == DROP_AFTER:
            _run_and_discard(self._app, environ)
            return _broken(start_response)
        body = json.dumps({"status": fault.status, "message": "a fault on purpose"})
        start_response(f"{fault.status} Fault", [_JSON, ("Content-Length", str(len(body)))])
        return [body]


def _target(environ: dict[str, Any]) -> str | None:
    path = environ.get("PATH_INFO", "/")
    if environ.get("REQUEST_METHOD") == "POST" and path in _FIREHOSE_PATHS:
        return "firehose"
    if path.startswith(("/_platform", "/api/v1/notification_keys/")):
        return None
    return "api"


def _broken(start_response: Callable[..., Any]) -> Iterable[bytes]:
    start_response("200 OK", [_JSON, ("Content-Length", "1000")])
    return [b"{"]


def _run_and_discard(app: WsgiApp, environ: dict[str, Any]) -> None:
    result = app(environ, lambda *_: lambda _chunk: None)
    try:
        for _ in result:
            pass
    finally:
        close = getattr(result, "close", None)
        if close is not None:
            close()


def _log_request(environ: dict[str, Any], fault: Fault | None) -> None:
    fields = {"method": environ.get("REQUEST_METHOD"), "path": environ.get("PATH_INFO")}
    if fault is not None:
        fields["fault"] = fault.kind
    emit(_log, logging.DEBUG, "api.request", fields)
