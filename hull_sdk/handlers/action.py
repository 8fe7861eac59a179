"""An endpoint for schedules, buttons and webhooks: one function, its result as the answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Blueprint, Request, Response, jsonify
from flask.typing import ResponseReturnValue

from hull_sdk.context import Context
from hull_sdk.flask_app import json_body, present_request, request_context
from hull_sdk.handlers.deduplication import Runs
from hull_sdk.handlers.endpoint import call, check_callable, endpoint
from hull_sdk.middleware import checked_seconds, run_within_deadline, settle
from hull_sdk.middleware.marks import answer_within, come_again_with, takes_webhooks

__all__ = ["action_handler", "request_parts"]


def action_handler(
    function: Callable[..., Any],
    *,
    webhook: bool = False,
    once_in_s: float | None = None,
    retry_status: int | None = None,
    timeout_s: float | None = None,
) -> Blueprint:
    """Return a blueprint that runs a function for each POST.

    Example::

        app.register_blueprint(action_handler(sync), url_prefix="/sync")

    Args:
        function: ``f(ctx, {"body": ..., "query": ...})``, plain or ``async``. Text is answered as it is, a dict or a
            list as JSON, a response as it is; everything else means ``ok``.
        webhook: ``True`` lets the tokens of webhook addresses in, ``ctx.token_for("webhook")``, which other services
            have. They open nothing that does not say so.
        once_in_s: For schedules: seconds from the end of a call within which further calls for the same connector count
            as the same and are answered ``ok`` without running it; half of the time between two due times, for
            example 1800 for an hourly one. While one is running, in any process that shares the store, and also
            beyond its deadline, others are answered 503 ``transient-error``. After an error the next call runs.
            ``None``: every call runs.
        retry_status: For webhooks: status of the answer when a later try may succeed (``TransientError``), for example
            503. Other services repeat what is answered so, and give up what is answered 400, which ``None`` means. An
            error's own ``status`` wins; 429 and 503 say in ``Retry-After`` when to come again.
        timeout_s: For callers that wait only so long: seconds, from the beginning of the request, in which the function
            has to end and Hull has to have what it sent; else the answer is 503. The connector's ``timeout_s`` when
            ``None``.

    Returns:
        A blueprint; mount it with ``url_prefix``. Without credentials it answers 403.

    Raises:
        InvalidArgumentError: ``function`` is no function, ``once_in_s`` or ``timeout_s`` is not more than 0, or
            ``retry_status`` is no status of a failure.
    """
    check_callable(function, "the function of action_handler")
    if once_in_s is not None:
        checked_seconds("once_in_s", once_in_s)
    view = come_again_with(retry_status, partial(_answer, function, once_in_s))
    view = answer_within(timeout_s, view)
    return endpoint("hull_action", takes_webhooks(view) if webhook else view, ["POST"])


def _answer(function: Callable[..., Any], once_in_s: float | None) -> ResponseReturnValue:
    context = request_context()
    context.credentials()
    run = partial(_run, function, context, request_parts())
    if once_in_s is not None:
        run = partial(_once, run, context, present_request().path.rstrip("/") or "/", once_in_s)
    result = run_within_deadline(context, run)
    if isinstance(result, Response):
        return result
    if isinstance(result, dict | list):
        return jsonify(result)
    return Response(result if isinstance(result, str) else "ok", mimetype="text/plain")


def _run(function: Callable[..., Any], context: Context, parts: dict[str, Any]) -> Any:
    result = call(function, context, parts)
    settle(context, context.timeout_s)
    return result


def _once(run: Callable[[], Any], context: Context, path: str, keep_s: float) -> Any:
    """Run unless the same was done lately; the answer goes to the one who ran it."""
    results: list[Any] = []
    runs = Runs(context.runs.scoped("actions"), context.leases)
    runs.once(path, lambda _attempt: results.append(run()), is_final=lambda _: True, keep_s=keep_s)
    return results[0] if results else None


def request_parts() -> dict[str, Any]:
    """Return body and query of the present request."""
    present = present_request()
    return {"body": _body(present), "query": present.args.to_dict()}


def _body(present: Request) -> Any:
    """Return the decoded JSON, else the form, else an empty dict."""
    body = json_body(present)
    return present.form.to_dict() if body is None else body
