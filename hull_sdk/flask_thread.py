"""Notifications in one thread, from their verification to their last byte of memory, and answered at their deadline.

A handler cannot be stopped, so another thread than its own has to answer when it is late. Were it changed in the middle
of a request, all that a notification decodes to would be cold in the processor's caches when the handler gets its turn,
and once more when it is freed. So the whole request runs in the handler's thread, and the server's thread just waits.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

from flask import Flask, request
from flask.globals import app_ctx
from werkzeug.exceptions import HTTPException

from hull_sdk.context import Context
from hull_sdk.core.wsgi import WsgiApp, run_wsgi
from hull_sdk.middleware import Awaited, Extension, run_awaited, run_within_deadline
from hull_sdk.middleware.bodies import ENV_BODY, ENV_FLAG
from hull_sdk.middleware.marks import marks_of
from hull_sdk.outcomes import deadline_passed

__all__ = ["ENV_ACTIVE", "OneThread", "run_in_time", "share_with_answer"]

#: Where the context that is the current one stands in a request's WSGI environment, to be left when it ends.
ENV_ACTIVE: Final = "hull.active"

_ENV_AWAITED: Final = "hull.awaited"
_ENV_GLOBALS: Final = "hull.globals"

T = TypeVar("T")


def run_in_time(context: Context, function: Callable[[], T]) -> T:
    """Run a function of a handler until the deadline of its request, in this thread if it is the handler's.

    Args:
        context: Whose request it is.
        function: What to run.

    Returns:
        The function's result.

    Raises:
        TransientError: It did not end in time (status 503).
        Exception: Whatever the function raised in time.
    """
    awaited: Awaited | None = request.environ.get(_ENV_AWAITED)
    return run_within_deadline(context, function) if awaited is None else run_awaited(context, function, awaited)


def share_with_answer(environ: dict[str, Any]) -> None:
    """Let what functions before the request leave on ``flask.g`` be there for those after a late answer.

    Args:
        environ: The request's WSGI environment.
    """
    if _ENV_AWAITED in environ:
        environ[_ENV_GLOBALS] = app_ctx.g


class OneThread:
    """Runs the notifications of marked views in a thread of their own; other requests pass untouched.

    Args:
        app: The application.
        inner: What answers its requests.
        extension: What it shares between requests.
    """

    def __init__(self, app: Flask, inner: WsgiApp, extension: Extension) -> None:
        self._app = app
        self._inner = inner
        self._extension = extension

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, at its deadline if it is late."""
        if ENV_FLAG not in environ or not self._leads_to_marked(environ):
            return self._inner(environ, start_response)
        awaited = environ[_ENV_AWAITED] = Awaited()
        tasks, timeout_s = self._extension.runtime.tasks, self._extension.timeout_s
        outcome = tasks.run_within(timeout_s, run_wsgi, self._inner, environ, name="hull-handler")
        if outcome is None:
            awaited.given_up = True
            return self._late(environ, start_response, timeout_s)
        answer, error = outcome
        del outcome
        if error is not None:
            raise error
        if answer is None:
            raise RuntimeError(f"the application {self._app.name!r} gave an answer without a status")
        start_response(answer.status, answer.headers)
        return answer.chunks

    def _leads_to_marked(self, environ: dict[str, Any]) -> bool:
        try:
            adapter = self._app.create_url_adapter(self._app.request_class(environ, populate_request=False))
            endpoint = "" if adapter is None else adapter.match()[0]
        except HTTPException:  # it leads nowhere, which the application answers
            return False
        return marks_of(self._app.view_functions.get(endpoint)).one_thread

    def _late(self, environ: dict[str, Any], start_response: Callable[..., Any], timeout_s: float) -> Iterable[bytes]:
        """Answer while the handler goes on: with the application's own error handlers and after-request functions."""
        present = {**environ, "wsgi.input": io.BytesIO(environ.get(ENV_BODY, b""))}
        present.pop(ENV_ACTIVE, None)
        with self._app.request_context(present):
            app_ctx.g = present.get(_ENV_GLOBALS, app_ctx.g)
            answer = self._app.handle_user_exception(deadline_passed(timeout_s))
            return self._app.finalize_request(answer)(present, start_response)
