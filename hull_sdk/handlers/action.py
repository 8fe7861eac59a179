"""An endpoint for schedules, buttons and webhooks: one function, its result as the answer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Blueprint, Response, jsonify, request
from flask.typing import ResponseReturnValue

from hull_sdk.context import Context
from hull_sdk.flask_app import json_body, request_context
from hull_sdk.handlers.endpoint import call, check_callable, endpoint
from hull_sdk.middleware import run_within_deadline, settle

__all__ = ["action_handler", "request_parts"]


def action_handler(function: Callable[..., Any]) -> Blueprint:
    """Return a blueprint that runs a function for each POST.

    Example::

        app.register_blueprint(action_handler(sync), url_prefix="/sync")

    Args:
        function: ``f(ctx, {"body": ..., "query": ...})``, plain or ``async``. Text is answered as it is, a dict or a
            list as JSON, a response as it is; everything else means ``ok``.

    Returns:
        A blueprint; mount it with ``url_prefix``. Without credentials it answers 403.

    Raises:
        InvalidArgumentError: ``function`` is no function.
    """
    check_callable(function, "the function of action_handler")
    return endpoint("hull_action", partial(_answer, function), ["POST"])


def _answer(function: Callable[..., Any]) -> ResponseReturnValue:
    context = request_context()
    context.credentials()
    result = run_within_deadline(context, partial(_run, function, context, request_parts()))
    if isinstance(result, Response):
        return result
    if isinstance(result, dict | list):
        return jsonify(result)
    return Response(result if isinstance(result, str) else "ok", mimetype="text/plain")


def _run(function: Callable[..., Any], context: Context, parts: dict[str, Any]) -> Any:
    result = call(function, context, parts)
    settle(context, context.timeout_s)
    return result


def request_parts() -> dict[str, Any]:
    """Return body and query of the present request."""
    return {"body": _body(), "query": request.args.to_dict()}


def _body() -> Any:
    """Return the decoded JSON, else the form, else an empty dict."""
    body = json_body(request)
    return request.form.to_dict() if body is None else body
