"""An endpoint that answers at once and hands what it was sent to a function in batches."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from flask import Blueprint, Response, request
from flask.typing import ResponseReturnValue

from hull_sdk.flask_app import request_context
from hull_sdk.handlers.action import request_parts
from hull_sdk.handlers.background import Collector
from hull_sdk.handlers.endpoint import call, check_callable, endpoint
from hull_sdk.middleware.marks import come_again_with, takes_webhooks

__all__ = ["batcher_handler"]


def batcher_handler(
    function: Callable[..., Any], *, max_size: int = 100, max_time_ms: float = 10_000, retry_status: int | None = None
) -> Blueprint:
    """Return a blueprint that collects POSTs and hands them over in batches, one connector at a time.

    Example::

        def on_hits(ctx, messages):
            for message in messages:
                match message["body"]:
                    case {"email": str(email)} if email:
                        ctx.client.as_user({"email": email}).track("Mail opened")

        app.register_blueprint(batcher_handler(on_hits), url_prefix="/webhook")

    Each request is answered ``ok`` at once. The batch gets a context of its own, and succeeds once what it sent was
    accepted. One that fails is tried again with backoff, up to 5 times; then, or after a
    :class:`~hull_sdk.errors.LogicError`, it is dropped with an error in the log: pass over messages that you do not
    expect, as above. What a later try sends again is applied once. What is collected is kept in memory: it is handed
    over before a graceful stop and at the normal end of the process, and is lost in a crash. Use ``ctx.enqueue`` in an
    ``action_handler`` for what must not be lost.

    Args:
        function: ``f(ctx, messages)``, plain or ``async``; a message is ``{"body": ..., "query": ...}``.
        max_size: Most messages in one batch; one with a million bytes is full too.
        max_time_ms: Longest time that a message waits for others, in milliseconds.
        retry_status: Status of the answer while the platform or the store cannot be asked whose request it is, for
            example 503; 400 when ``None``. As for :func:`action_handler`.

    Returns:
        A blueprint; mount it with ``url_prefix``. Tokens of webhook addresses open it. Without credentials it answers
        403, while the connector is being stopped 503.

    Raises:
        InvalidArgumentError: ``function`` is no function, or a number breaks a rule.
    """
    check_callable(function, "the function of batcher_handler")
    collector = Collector(partial(call, function), max_size=max_size, max_time_ms=max_time_ms)
    view = come_again_with(retry_status, partial(_answer, collector))
    return endpoint("hull_batcher", takes_webhooks(view), ["POST"])


def _answer(collector: Collector) -> ResponseReturnValue:
    context = request_context()
    context.credentials()  # before anything of the body is decoded
    collector.add(context, request_parts(), request.content_length or 0)
    return Response("ok", mimetype="text/plain")
