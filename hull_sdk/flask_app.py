"""The web edge: from a Flask request to a context, and from an error to an answer.

``Middleware`` builds the context alone; ``Connector.setup_app`` adds deadlines, answers to all errors and the promise
that nothing is answered with success before the platform has accepted what was sent.

What belongs to a request is kept in its WSGI environment, not on ``flask.g``: a request that runs inside another one
of the same application shares its ``g``.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final, cast

from flask import Flask, Request, Response, after_this_request, current_app, jsonify, make_response, request
from flask.typing import ResponseReturnValue
from werkzeug.exceptions import HTTPException
from werkzeug.local import LocalProxy

from hull_sdk.context import Context
from hull_sdk.context.current import current
from hull_sdk.core.net import split_host
from hull_sdk.errors import CredentialsError, InvalidArgumentError, NotificationError, TransientError
from hull_sdk.flask_thread import ENV_ACTIVE, OneThread, share_with_answer, wait_for_answer
from hull_sdk.infra import Cache, Instrumentation
from hull_sdk.middleware import (
    DEFAULT_MIDDLEWARE,
    Arrival,
    Extension,
    Incoming,
    RequestFacts,
    checked_client_config,
    checked_instance,
    host_secrets,
    settle,
    switches,
    trust_root,
)
from hull_sdk.middleware.bodies import ENV_BODY, ENV_BODY_ERROR, ENV_FLAG, ENV_LEGACY, BodyCapture, rewind
from hull_sdk.middleware.marks import marks_of
from hull_sdk.outcomes import judge, notification_body, report

__all__ = [
    "CHANNELS_KEY",
    "EXTENSION_KEY",
    "JOBS_KEY",
    "Middleware",
    "answer_error",
    "app_extension",
    "find_context",
    "incoming",
    "install",
    "json_body",
    "present_request",
    "promise_delivery",
    "request_context",
    "settle_first",
]

#: Where an application keeps what this package shares between its requests.
EXTENSION_KEY: Final = "hull"

#: Where an application keeps the jobs that its handlers bring along, by name; each is ``f(ctx, payload)``.
JOBS_KEY: Final = "hull_jobs"

#: Where handlers of smart notifications leave the channels that they have functions for.
CHANNELS_KEY: Final = "hull_channels"

#: Least time that a plain view's messages are given to be accepted, in seconds.
MIN_SETTLE_S: Final = 5.0

#: Returns the request itself: a context may outlive the call that made it, and each look at the proxy costs.
present_request: Final = cast("LocalProxy[Request]", request)._get_current_object  # noqa: SLF001 - the documented way

_present_app: Final = cast("LocalProxy[Flask]", current_app)._get_current_object  # noqa: SLF001 - as above

_ENV_INCOMING: Final = "hull.incoming"
_ENV_CONTEXT: Final = "hull.context"

_SUCCESS: Final = range(200, 300)
_SERVER_ERROR: Final = 500


def _no_answer() -> None:
    return None


def _incoming() -> Incoming:
    environ = present_request().environ
    found: Incoming | None = environ.get(_ENV_INCOMING)
    if found is None:
        found = environ[_ENV_INCOMING] = Incoming()
    return found


#: What the application knows about the present request; an ``@app.before_request`` function that is registered
#: before ``setup_app`` may set its ``config``, ``token`` and ``request_id``.
incoming: Incoming = cast("Incoming", LocalProxy(_incoming))


class Middleware:
    """Builds the context of each request, and nothing else; ``Connector`` does more.

    Example::

        app = Flask(__name__)
        Middleware(host_secret="a long random text").init_app(app)

        @app.post("/show-segments")
        def show_segments():
            return [segment["name"] for segment in current_context.segments]

    Args:
        host_secret: Encrypts tokens; a list for rotation, the newest first.
        client_config: Further options of ``Client``, for example ``{"flush_at": 10}``.
        allowed_organizations: The trust root: hosts and suffixes; the environment's
            ``HULL_ALLOWED_ORGANIZATIONS`` when ``None``, else ``["*.hullapp.io"]``.
        cache: Where connectors and segments are kept.
        instrumentation: Where metrics and unexpected errors go.
        skip_signature_validation: ``True`` believes every notification; for tests only.
        accept_unbound_signatures: ``True`` accepts signatures that do not cover the body.
        accept_signed_tokens: ``True`` accepts the Node generation's tokens beside encrypted ones, as ``Connector``
            does.

    Raises:
        InvalidArgumentError: An option breaks a rule.
    """

    def __init__(
        self,
        host_secret: str | Iterable[str] | None = None,
        *,
        client_config: Mapping[str, Any] | None = None,
        allowed_organizations: Iterable[str] | None = None,
        cache: Cache | None = None,
        instrumentation: Instrumentation | None = None,
        skip_signature_validation: bool = False,
        accept_unbound_signatures: bool = False,
        accept_signed_tokens: bool = False,
    ) -> None:
        self._options: dict[str, Any] = {
            "host_secret": None if host_secret is None else host_secrets(host_secret),
            "client_options": checked_client_config(client_config),
            "allowed_organizations": None if allowed_organizations is None else trust_root(allowed_organizations, {}),
            "cache": checked_instance("cache", cache, Cache, "a Cache of hull_sdk.infra"),
            "instrumentation": checked_instance(
                "instrumentation", instrumentation, Instrumentation, "an Instrumentation of hull_sdk.infra"
            ),
            **switches(
                skip_signature_validation=skip_signature_validation,
                accept_unbound_signatures=accept_unbound_signatures,
                accept_signed_tokens=accept_signed_tokens,
            ),
        }

    def init_app(self, app: Flask) -> Flask:
        """Install the middleware.

        Args:
            app: The application; its errors of credentials and notifications are answered too.

        Returns:
            The application.

        Raises:
            InvalidArgumentError: An option breaks a rule, or the application has been set up before.
        """
        install(app, Extension.open(environ=os.environ, **self._options))
        for error in (CredentialsError, NotificationError, TransientError):
            _answer_unless_answered(app, error)
        return app


def install(
    app: Flask, extension: Extension, answer_stray: Callable[[], ResponseReturnValue | None] = _no_answer
) -> None:
    """Have an application build a context for each request.

    Args:
        app: The application.
        extension: What it shares between requests.
        answer_stray: Called for requests that lead to no view; returns their answer, or ``None`` for the usual one.

    Raises:
        InvalidArgumentError: It has been set up before.
    """
    if EXTENSION_KEY in app.extensions:
        raise InvalidArgumentError(f"the application {app.name!r} has been set up before; call setup_app once")
    app.extensions[EXTENSION_KEY] = extension
    app.wsgi_app = OneThread(app, BodyCapture(app.wsgi_app), extension)  # type: ignore[method-assign]  # the documented way to wrap it
    app.before_request(partial(_enter, answer_stray))
    app.teardown_request(_leave)


def promise_delivery(app: Flask) -> None:
    """Have every 2xx wait until the platform has accepted what was sent through ``ctx.client``.

    Requests that call :func:`settle_first` wait before the application's own after-request functions, too.

    Args:
        app: The application; its own after-request functions see the outcome and may change it.
    """
    # The functions run from last to first: one at the start of the list sees what the others have sent.
    app.after_request_funcs.setdefault(None, []).insert(0, _settled)
    _answer_unless_answered(app, Exception)


def app_extension(app: Flask | None = None) -> Extension:
    """Return what an application shares between its requests.

    Args:
        app: The application; the current one when ``None``.

    Raises:
        InvalidArgumentError: It has not been set up.
    """
    target = _present_app() if app is None else app
    extension = target.extensions.get(EXTENSION_KEY)
    if not isinstance(extension, Extension):
        raise InvalidArgumentError(
            f"the application {target.name!r} has no context; call Connector(...).setup_app(app) or "
            "Middleware(...).init_app(app)"
        )
    return extension


def find_context() -> Context | None:
    """Return the context of the present request, or ``None`` when it has none, as requests for files."""
    context = present_request().environ.get(_ENV_CONTEXT)
    return context if isinstance(context, Context) else None


def request_context() -> Context:
    """Return the context of the present request.

    Raises:
        InvalidArgumentError: The application has not been set up.
    """
    context = find_context()
    if context is not None:
        return context
    app_extension()
    raise InvalidArgumentError("this request has no context yet; use it in views and in Connector.use")


def json_body(present: Request, *, force: bool = False) -> Any:
    """Return the decoded JSON of a request's body, ``None`` when it is none or is nested too deeply to be read.

    It is decoded once: what is read here is what the function of an ``action_handler`` gets as ``body``.

    Args:
        present: The request, for example ``flask.request``.
        force: ``True`` reads it whatever the header ``Content-Type`` says, which many services leave out.

    Returns:
        The value, for example ``{"type": "identify"}``.
    """
    try:
        return present.get_json(force=force, silent=True)
    except RecursionError:
        return None


def answer_error(error: Exception) -> Response | HTTPException:
    """Answer an error by the table of ``hull_sdk.outcomes``.

    Args:
        error: Whatever a view, a handler or the middleware raised; HTTP exceptions pass.

    Returns:
        Flow control for smart notifications, a short text for everything else.
    """
    if isinstance(error, HTTPException):
        return error
    view = current_app.view_functions.get(request.endpoint or "")
    verdict = judge(error, retry_status=marks_of(view).retry_status)
    report(error, verdict, app_extension().instrumentation, find_context())
    if verdict.outcome.reported and _answers_500():
        raise error
    if ENV_FLAG not in request.environ:
        pause = {} if verdict.retry_after_s is None else {"Retry-After": str(verdict.retry_after_s)}
        return Response(verdict.text, verdict.status, pause, mimetype="text/plain")
    errors = [{"code": verdict.code, "reason": verdict.reason}]
    return make_response(jsonify(notification_body(verdict.flow_control, errors=errors)), verdict.status)


def _enter(answer_stray: Callable[[], ResponseReturnValue | None]) -> ResponseReturnValue | None:
    present = present_request()
    endpoint = present.endpoint
    if endpoint is None:
        return answer_stray()
    if endpoint == "static":  # files need no context
        return None
    app = _present_app()
    extension = app_extension(app)
    environ = present.environ
    marks = marks_of(app.view_functions[endpoint])
    context = Context(
        extension,
        hostname=_hostname(present),
        load_options=_option_loader(present),
        timeout_s=marks.timeout_s,
    )
    environ[_ENV_CONTEXT] = context
    environ[ENV_ACTIVE] = current.set(context)
    share_with_answer(environ)
    facts = RequestFacts(
        header=present.headers.get,
        query=present.args.to_dict(),
        takes_state=marks.takes_state,
        takes_webhooks=marks.takes_webhooks,
        is_notification=ENV_FLAG in environ,
        is_legacy=ENV_LEGACY in environ,
        body=environ.get(ENV_BODY),
        body_error=environ.get(ENV_BODY_ERROR),
    )
    arrival = Arrival(facts=facts, incoming=_incoming(), extension=extension, context=context)
    for step in DEFAULT_MIDDLEWARE:
        step(arrival)
    rewind(environ)
    return None


def _option_loader(present: Request) -> Callable[[Any], dict[str, Any]]:
    def load(notification: Any) -> dict[str, Any]:
        body = json_body(present) if notification is None else notification
        return {**present.args.to_dict(), **(body if isinstance(body, dict) else {})}

    return load


def _leave(_error: BaseException | None) -> None:
    environ = present_request().environ
    wait_for_answer(environ)
    token = environ.pop(ENV_ACTIVE, None)
    if token is not None:
        current.reset(token)
    # The context may hold the request, which holds this: a circle, in which a whole notification would stay in memory
    # until the garbage collector finds it.
    environ.pop(_ENV_CONTEXT, None)


def _hostname(present: Request) -> str:
    host = present.host
    parsed = split_host(host)
    return host if parsed is None else parsed[0]


def settle_first() -> None:
    """Have the present request wait before the application's own after-request functions: these have the last word."""
    after_this_request(_settled)


def _settled(response: Response) -> Response:
    context = find_context()
    if context is None or response.status_code not in _SUCCESS:
        return response
    try:
        settle(context, max(context.remaining_s(), MIN_SETTLE_S))
    except TransientError as err:
        return make_response(answer_error(err))
    return response


def _answer_unless_answered(app: Flask, error: type[Exception]) -> None:
    if error not in app.error_handler_spec[None][None]:
        app.register_error_handler(error, answer_error)


def _answers_500() -> bool:
    names = (*request.blueprints, None)
    return any(current_app.error_handler_spec[name].get(_SERVER_ERROR) for name in names)
