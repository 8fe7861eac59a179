"""Notifications in one thread, from their verification to their last byte of memory, and answered at their deadline.

A handler cannot be stopped, so another thread than its own has to answer when it is late. Were it changed in the middle
of a request, all that a notification decodes to would be cold in the processor's caches when the handler gets its turn,
and once more when it is freed. So the whole request runs in the handler's thread, and the server's thread just waits.
"""

from __future__ import annotations

import contextvars
import io
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar

from flask import Flask, request

from hull_sdk.context import Context
from hull_sdk.core.clock import Clock
from hull_sdk.core.logs import emit
from hull_sdk.core.tasks import Condition, Outcome, outcome_of
from hull_sdk.core.wsgi import WsgiAnswer, WsgiApp, run_wsgi
from hull_sdk.middleware import Extension, run_within_deadline
from hull_sdk.middleware.bodies import ENV_BODY, ENV_FLAG, keep_body
from hull_sdk.middleware.marks import marks_of
from hull_sdk.outcomes import deadline_passed

__all__ = ["ENV_ACTIVE", "OneThread", "run_in_time", "share_with_answer", "wait_for_answer"]

#: Where the context that is the current one stands in a request's WSGI environment, to be left when it ends.
ENV_ACTIVE: Final = "hull.active"

#: How long the end of a request is waited for that has come to its teardown functions at its deadline, in seconds.
ENDING_S: Final = 1.0

_ENV_AWAITED: Final = "hull.awaited"

T = TypeVar("T")

_log = logging.getLogger(__name__)


def run_in_time(context: Context, function: Callable[[], T]) -> T:
    """Run a function of a handler: in this thread if another one waits for it, else until the request's deadline.

    Args:
        context: Whose request it is.
        function: What to run.

    Returns:
        The function's result.

    Raises:
        TransientError: It did not end in time (status 503), and no other thread waits.
        Exception: Whatever the function raised.
    """
    return function() if _ENV_AWAITED in request.environ else run_within_deadline(context, function)


def share_with_answer(environ: dict[str, Any]) -> None:
    """Let a late answer of this request be made with what is current here: the request, ``flask.g``, the context.

    Args:
        environ: The request's WSGI environment.
    """
    if _ENV_AWAITED in environ:
        environ[_ENV_AWAITED].share()


def wait_for_answer(environ: dict[str, Any]) -> None:
    """Let a late answer be made to its end before anything is torn down that it is made with, and begin no other.

    Args:
        environ: The request's WSGI environment.
    """
    if _ENV_AWAITED in environ:
        environ[_ENV_AWAITED].end_sharing()


class OneThread:
    """Runs notifications in a thread of their own, until the deadline for marked views; other requests pass untouched.

    Which view a notification leads to is asked at its deadline only. On a virtual clock, where nothing runs while
    somebody waits, all requests pass.

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
        tasks, timeout_s = self._extension.runtime.tasks, self._extension.timeout_s
        # Nobody posts to files: the only views that ask for no signature, with answers too large to gather in memory.
        if ENV_FLAG not in environ or tasks.virtual or environ["REQUEST_METHOD"] != "POST":
            return self._inner(environ, start_response)
        awaited = environ[_ENV_AWAITED] = _Awaited(self._extension.runtime.clock)
        try:
            tasks.run_within(timeout_s, awaited.work, self._inner, environ, name="hull-handler")
        except RuntimeError:  # no thread can be started: the application meets that itself, and answers it
            del environ[_ENV_AWAITED]
            return self._inner(environ, start_response)
        awaited.wait(timeout_s)
        if not awaited.has_ended() and not self._leads_to_marked(environ):
            awaited.wait(None)
        outcome = awaited.take()
        if outcome is None:
            with awaited.answering() as variables:
                return self._late(environ, start_response, variables)
        answer, error = outcome
        if error is not None:
            try:
                raise error
            finally:
                del outcome, error  # as in _note
        if answer is None:
            raise RuntimeError(f"the application {self._app.name!r} gave an answer without a status")
        start_response(answer.status, answer.headers)
        return answer.chunks

    def _leads_to_marked(self, environ: dict[str, Any]) -> bool:
        try:
            adapter = self._app.create_url_adapter(self._app.request_class(environ, populate_request=False))
            endpoint = "" if adapter is None else adapter.match()[0]
        except Exception:  # noqa: BLE001 - it leads nowhere, or a converter needs a request; the application knows
            return False
        return marks_of(self._app.view_functions.get(endpoint)).one_thread

    def _late(
        self, environ: dict[str, Any], start_response: Callable[..., Any], variables: contextvars.Context | None
    ) -> Iterable[bytes]:
        """Answer while the handler goes on: with the application's own error handlers and after-request functions."""
        if variables is not None:
            # Nothing is torn down here: it belongs to the handler, which uses it.
            return variables.run(self._answer_late, start_response)
        # The request has not come to us yet, or is about to end and does not: this one has everything of its own.
        body = environ.get(ENV_BODY, b"")
        present = {**environ, "wsgi.input": io.BytesIO(body), "CONTENT_LENGTH": str(len(body))}
        for name in (ENV_ACTIVE, _ENV_AWAITED):
            present.pop(name, None)
        with self._app.request_context(present):
            return self._answer_late(start_response)

    def _answer_late(self, start_response: Callable[..., Any]) -> Iterable[bytes]:
        app = self._app
        try:
            response = app.finalize_request(app.handle_user_exception(deadline_passed(self._extension.timeout_s)))
        except Exception as err:  # noqa: BLE001 - as Flask does with what its error handlers raise
            response = app.handle_exception(err)
        return response(request.environ, start_response)


class _Awaited:
    """What the two threads of a request know of each other: the one that does the work, and the one that waits."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = Condition()
        self._read_at: float | None = None
        self._outcome: Outcome[WsgiAnswer | None] | None = None
        self._variables: contextvars.Context | None = None
        self._given_up = self._answering = self._ending = False

    # -- in the handler's thread

    def work(self, inner: WsgiApp, environ: dict[str, Any]) -> None:
        """Answer the request."""
        self._note(outcome_of(self._run, (inner, environ)))

    def _note(self, outcome: Outcome[WsgiAnswer | None]) -> None:
        # Not in the call that it comes to: an error holds, through its traceback, the calls that it went through.
        # If one held the error too, a whole body would stay in that circle until the garbage collector finds it.
        with self._changed:
            if not self._given_up:
                self._outcome = outcome
                self._changed.notify()
        if self._given_up and outcome[1] is not None:
            emit(_log, logging.ERROR, "task.failed", {"task": "hull-handler"}, exc_info=outcome[1])

    def _run(self, inner: WsgiApp, environ: dict[str, Any]) -> WsgiAnswer | None:
        # Not before the change of threads: each processor would have to get the bytes from the other one's cache.
        keep_body(environ)
        self._read_at = self._clock.monotonic()
        return run_wsgi(inner, environ)

    def share(self) -> None:
        """Keep the context variables of this thread for a late answer."""
        with self._changed:
            if not self._given_up:
                self._variables = contextvars.copy_context()

    def end_sharing(self) -> None:
        """Wait until a late answer that is being made is made; from now on the outcome is near."""
        with self._changed:
            self._changed.wait_for(lambda: not self._answering)
            self._ending, self._variables = True, None

    # -- in the server's thread

    def has_ended(self) -> bool:
        """Tell whether the outcome is there."""
        return self._outcome is not None

    def wait(self, timeout_s: float | None) -> None:
        """Wait for the outcome.

        Args:
            timeout_s: So many seconds after the body has come, however long that takes; ``None`` waits as long as the
                outcome takes.
        """
        with self._changed:
            while not self.has_ended():
                left_s = self._left_s(timeout_s)
                if left_s is not None and left_s <= 0.0:
                    return
                self._changed.wait(left_s)

    def _left_s(self, timeout_s: float | None) -> float | None:
        if timeout_s is None or self._read_at is None:
            return timeout_s
        return self._read_at + timeout_s - self._clock.monotonic()

    def take(self) -> Outcome[WsgiAnswer | None] | None:
        """Return the outcome, or ``None`` if there is none: from now on nobody wants it."""
        with self._changed:
            if self._ending:
                self._changed.wait_for(self.has_ended, ENDING_S)
            outcome, self._outcome = self._outcome, None
            self._given_up = outcome is None
            self._answering = self._given_up and not self._ending
        return outcome

    @contextmanager
    def answering(self) -> Iterator[contextvars.Context | None]:
        """Give what was shared to a ``with`` block that makes the late answer."""
        try:
            yield self._variables
        finally:
            with self._changed:
                self._answering, self._variables = False, None
                self._changed.notify()
