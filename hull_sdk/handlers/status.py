"""The endpoint that tells whether a connector is set up and working.

Rules: section "REST" of ``docs/protocol.md`` (``PUT /:id/status``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from flask import Blueprint, jsonify
from flask.typing import ResponseReturnValue

from hull_sdk.context import Context
from hull_sdk.errors import HullError, InvalidArgumentError
from hull_sdk.flask_app import request_context
from hull_sdk.handlers.endpoint import call, check_callable, endpoint
from hull_sdk.middleware import run_within_deadline, settle
from hull_sdk.wire.manifest import CONNECTOR_STATUSES

__all__ = ["status_handler"]

Check = Callable[[Context], Any]


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
            ``error``. One that raises an error of ``hull_sdk.errors`` counts as ``error`` with its message.

    Returns:
        A blueprint for every method; it answers ``{"status", "messages"}`` with the worst status.

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
    results = [_check(check, context) for check in checks]
    worst = max((status for status, _ in results), key=CONNECTOR_STATUSES.index, default="ok")
    answer = {"status": worst, "messages": [message for _, messages in results for message in messages]}
    context.client.put(f"{context.credentials().id}/status", answer)
    settle(context, context.timeout_s)
    return answer


def _check(check: Check, context: Context) -> tuple[str, list[str]]:
    try:
        result = call(check, context)
    except InvalidArgumentError:
        raise
    except HullError as err:
        return "error", [err.message]
    return ("ok", []) if result is None else _read(result)


def _read(result: Any) -> tuple[str, list[str]]:
    if not isinstance(result, Mapping) or result.get("status", "ok") not in CONNECTOR_STATUSES:
        raise InvalidArgumentError(
            f"a check returned {result!r}; return nothing, or a dict with messages and one of the statuses "
            f"{', '.join(CONNECTOR_STATUSES)}"
        )
    messages = result.get("messages", [])
    return result.get("status", "ok"), [messages] if isinstance(messages, str) else [str(m) for m in messages]
