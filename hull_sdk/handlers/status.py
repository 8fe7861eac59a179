"""The endpoint that tells whether a connector is set up and working.

Rules: section "REST" of ``docs/protocol.md`` (``PUT /:id/status``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Final

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from hull_sdk.context import Context
from hull_sdk.errors import HullError, InvalidArgumentError, TransientError
from hull_sdk.flask_app import request_context
from hull_sdk.handlers.endpoint import call, check_callable, endpoint
from hull_sdk.middleware import run_within_deadline, settle
from hull_sdk.outcomes import judge, report
from hull_sdk.wire.manifest import CONNECTOR_STATUSES

__all__ = ["status_handler"]

#: Share of the deadline in which the checks have to end; the rest is for telling the platform.
CHECKS_SHARE: Final = 0.8

Check = Callable[[Context], Any]
_Result = tuple[str, list[str]]


def status_handler(checks: Check | Iterable[Check]) -> Blueprint:
    """Return a blueprint that runs checks, answers their result and stores it with the platform.

    Example::

        def has_key(ctx):
            if not ctx.ship["private_settings"].get("api_key"):
                return {"status": "setupRequired", "messages": ["The API key is missing."]}

        app.register_blueprint(status_handler([has_key]), url_prefix="/status")

    Args:
        checks: One function or several, plain or ``async``. Each gets the context and returns nothing when all is
            well, else ``{"status", "messages"}`` with a status of ``ok``, ``warning``, ``setupRequired`` or
            ``error``. One that raises an error of ``hull_sdk.errors`` counts as ``error`` with its message. One that
            raises anything else or an ``InvalidArgumentError``, returns something else, or does not end within four
            fifths of the deadline counts as ``error`` without it; all but the last are also reported. They run one
            after the other; those behind one that does not end are left out.

    Returns:
        A blueprint for GET, POST and PUT; it answers ``{"status", "messages"}`` with the worst status.

    Raises:
        InvalidArgumentError: A check is no function.
    """
    functions = [checks] if callable(checks) else list(checks)
    for function in functions:
        check_callable(function, "a check of status_handler")
    return endpoint("hull_status", partial(_answer, functions), ["GET", "POST", "PUT"])


def _answer(checks: list[Check]) -> ResponseReturnValue:
    context = request_context()
    context.credentials()
    return jsonify(run_within_deadline(context, partial(_run, checks, context)))


def _run(checks: list[Check], context: Context) -> dict[str, Any]:
    results = _results(checks, context)
    worst = max((status for status, _ in results), key=CONNECTOR_STATUSES.index, default="ok")
    answer = {"status": worst, "messages": [message for _, messages in results for message in messages]}
    context.client.put(f"{context.credentials().id}/status", answer)
    return answer


def _results(checks: list[Check], context: Context) -> list[_Result]:
    clock, timeout_s = context.runtime.clock, context.remaining_s() * CHECKS_SHARE
    until = clock.monotonic() + timeout_s
    ended: list[_Result] = []

    def run_all() -> None:
        for check in checks:
            result = _check(check, context)
            if clock.monotonic() > until:
                return
            ended.append(result)

    context.runtime.tasks.wait(context.submit(run_all), timeout_s)
    results = list(ended)
    if len(results) < len(checks):
        name = _name(checks[len(results)])
        results.append(("error", [f"The check {name!r} did not end within {timeout_s:g} seconds."]))
    return [*results, *_unsent(context)]


def _unsent(context: Context) -> list[_Result]:
    try:
        settle(context, context.remaining_s())
    except TransientError as err:
        return [("error", [err.message])]
    return []


def _check(check: Check, context: Context) -> _Result:
    try:
        result = call(check, context)
        return ("ok", []) if result is None else _read(check, result)
    except Exception as err:  # noqa: BLE001 - whatever a check raises, the platform is told that it failed
        return "error", [_failed(check, err, context)]


def _failed(check: Check, err: Exception, context: Context) -> str:
    if isinstance(err, HullError) and not isinstance(err, InvalidArgumentError):
        return err.message or f"The check {_name(check)!r} raised {type(err).__name__}."
    # The error's own text is for the log: what is written here is shown to users.
    report(err, judge(err), context.instrumentation, context)
    return f"The check {_name(check)!r} failed unexpectedly ({type(err).__name__})."


def _read(check: Check, result: Any) -> _Result:
    status = result.get("status", "ok") if isinstance(result, Mapping) else None
    messages = result.get("messages") if isinstance(result, Mapping) else None
    if status not in CONNECTOR_STATUSES or not isinstance(messages, str | list | tuple | None):
        raise InvalidArgumentError(
            f"the check {_name(check)!r} returned {result!r:.200}; return nothing, or a dict with messages and one of "
            f"the statuses {', '.join(CONNECTOR_STATUSES)}"
        )
    return status, [messages] if isinstance(messages, str) else [str(message) for message in messages or ()]


def _name(check: Check) -> str:
    return getattr(check, "__name__", None) or type(check).__name__
