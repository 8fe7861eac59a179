"""What stands before the API: faults on purpose, and a log line per request without its query.

A dropped connection is an answer that announces more bytes than it has; every client, also one in the same process,
sees that as a broken connection.
"""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from werkzeug.wrappers import Request

from hull_sdk.core import json
from hull_sdk.core.logs import emit
from hull_sdk.core.wsgi import WsgiAnswer, WsgiApp, run_wsgi
from hull_sdk.platform.faults import Fault
from hull_sdk.wire.firehose import MAX_BODY_BYTES

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["Gate", "platform_of"]

_log = logging.getLogger(__name__)

_FIREHOSE_PATHS: Final = frozenset({"/", "/api/v1/firehose"})
_JSON: Final = ("Content-Type", "application/json")


#: Where the platform stands in the environment of a request.
_PLATFORM: Final = "hull_sdk.platform"


def platform_of(request: Request) -> Platform:
    """Return the platform that a request is for."""
    platform: Platform = request.environ[_PLATFORM]
    return platform


class Gate:
    """Lets requests for one platform through to the API of all, except those that a fault hits.

    Args:
        app: The application behind it.
        platform: Whom the requests are for, with the faults that hit them.
    """

    def __init__(self, app: WsgiApp, platform: Platform) -> None:
        self._app = app
        self._platform = platform

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or break it."""
        environ[_PLATFORM] = self._platform
        faults = self._platform.faults
        target = _target(environ)
        fault = None if target is None else faults.take(target)
        _log_request(environ, fault)
        if fault is None:
            return self._app(environ, start_response)
        answer = faults.strike(fault, partial(_run, self._app, environ, _body(environ)), refuse=_refused, cut=_cut)
        start_response(answer.status, answer.headers)
        return answer.chunks


def _target(environ: dict[str, Any]) -> str | None:
    path = environ.get("PATH_INFO", "/")
    if environ.get("REQUEST_METHOD") == "POST" and path in _FIREHOSE_PATHS:
        return "firehose"
    if path.startswith(("/_platform", "/api/v1/notification_keys/")):
        return None
    return "api"


def _body(environ: dict[str, Any]) -> bytes:
    """Read a request's body, which its connection may take along; of one that is too large only so much."""
    length = environ.get("CONTENT_LENGTH") or ""
    announced = int(length) if length.isdigit() else MAX_BODY_BYTES + 1 if environ.get("wsgi.input_terminated") else 0
    body: bytes = environ["wsgi.input"].read(min(announced, MAX_BODY_BYTES + 1))
    return body


def _run(app: WsgiApp, environ: dict[str, Any], body: bytes) -> WsgiAnswer:
    """Let a request through, as often as wanted, and read the whole answer."""
    return run_wsgi(app, {**environ, "wsgi.input": io.BytesIO(body)}) or _cut()


def _refused(fault: Fault) -> WsgiAnswer:
    body = json.dumps({"status": fault.status, "message": "a fault on purpose"})
    headers = [_JSON, ("Content-Length", str(len(body))), *fault.headers.items()]
    return WsgiAnswer(f"{fault.status} Fault", headers, [body])


def _cut() -> WsgiAnswer:
    return WsgiAnswer("200 OK", [_JSON, ("Content-Length", "1000")], [b"{"])


def _log_request(environ: dict[str, Any], fault: Fault | None) -> None:
    fields = {"method": environ.get("REQUEST_METHOD"), "path": environ.get("PATH_INFO")}
    if fault is not None:
        fields["fault"] = fault.kind
    emit(_log, logging.DEBUG, "api.request", fields)
