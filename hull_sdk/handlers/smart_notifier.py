"""The endpoint of smart notifications.

Rules: sections "Notifications", "Flow control" and "Errors and outcomes" of ``docs/protocol.md``. Batch
extracts go through the same functions; see ``hull_sdk.handlers.extract``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from hull_sdk.context import Context
from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError, NotificationError
from hull_sdk.flask_app import CHANNELS_KEY, request_context
from hull_sdk.flask_thread import run_in_time
from hull_sdk.handlers.deduplication import RunningError, Runs
from hull_sdk.handlers.endpoint import AnyFunction, call, check_callable, endpoint, takes_batch
from hull_sdk.handlers.extract import BatchExtracts, BatchFunction
from hull_sdk.handlers.messages import KIND_OF_CHANNEL, Prepare, message_preparer
from hull_sdk.middleware import checked_count, settle
from hull_sdk.middleware.marks import in_one_thread
from hull_sdk.outcomes import notification_body
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.flow_control import (
    DEFAULT_NEXT,
    DEFAULT_RETRY,
    DEFAULT_UNSUPPORTED,
    MAX_SIZE,
    RETRY_MS,
    FlowControl,
    MessageResult,
)
from hull_sdk.wire.notifications import CHANNELS, ENTITY_CHANNELS

__all__ = ["LEGACY_CHANNELS", "Handler", "smart_notifier_handler"]

#: ``f(ctx, messages)`` or ``f(ctx, messages, batch)``; returns nothing, or a list of message results.
Handler = Callable[..., Any]

#: Older names of channels.
LEGACY_CHANNELS: Final = {
    "segment:update": "users_segment:update",
    "segment:delete": "users_segment:delete",
}


@dataclass(frozen=True, slots=True)
class _Registered:
    """A function and whether it has a third parameter, for batch extracts."""

    function: Handler
    takes_batch: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    max_size: int
    group_traits: bool
    segment_filter_setting: str | None
    flow_control: FlowControl


def smart_notifier_handler(
    handlers: Mapping[str, AnyFunction],
    *,
    max_size: int = 100,
    group_traits: bool = False,
    segment_filter_setting: str | None = None,
    flow_control: Mapping[str, Any] | FlowControl | None = None,
) -> Blueprint:
    """Return a blueprint that hands smart notifications to functions.

    Example::

        app.register_blueprint(smart_notifier_handler({"user:update": on_users}), url_prefix="/smart-notifier")

    A function gets the context and the list of messages; messages about users and accounts have ``matches_filter``.
    It may return ``[{"message_id", "status", "reason"}]`` with a status of ``ok``, ``skip``, ``retry`` (only this
    message comes again) or ``error`` (it becomes a dead letter); anything that is no list means that all is done.
    ``async def`` functions are run to their end. A function with a third parameter gets ``None`` there.

    The functions of ``user:update`` and ``account:update`` also handle batch extracts, in jobs and in parts of
    ``max_size``: ``ctx.is_batch`` is then ``True`` and the third parameter is ``{"query", "body"}`` of the call. An
    error, or a result ``retry``, has the job try again from that part.

    Args:
        handlers: Functions by channel, for example ``{"user:update": on_users}``.
        max_size: Messages in one call of a function when a batch extract is handled, 1 to 1000.
        group_traits: ``True`` nests attributes: ``traits_salesforce/status`` becomes
            ``traits["salesforce"]["status"]``.
        segment_filter_setting: Private setting for ``matches_filter``; the connector's when ``None``.
        flow_control: Answer when a function returns and has set none, for example
            ``{"type": "next", "size": 100, "in": 10}``; ``next`` with size 1 in 1000 ms when ``None``.

    Returns:
        A blueprint; mount it with ``url_prefix``.

    Raises:
        InvalidArgumentError: A channel is unknown, a value is no function, or an option breaks a rule.
    """
    functions = _functions(handlers)
    options = _Options(
        max_size=checked_count("max_size", max_size, MAX_SIZE),
        group_traits=group_traits,
        segment_filter_setting=segment_filter_setting,
        flow_control=_default_control(flow_control),
    )
    batches = BatchExtracts(
        functions={channel: _for_batches(functions[channel]) for channel in ENTITY_CHANNELS if channel in functions},
        max_size=options.max_size,
        preparer=partial(_preparer, options),
    )
    view = in_one_thread(partial(_answer, functions, options, batches))
    blueprint = endpoint("hull_smart_notifier", view, ["POST"])
    blueprint.record(lambda state: state.app.extensions.setdefault(CHANNELS_KEY, set()).update(functions))
    return batches.register(blueprint)


def _answer(functions: Mapping[str, _Registered], options: _Options, batches: BatchExtracts) -> ResponseReturnValue:
    context = request_context()
    notification = context.notification
    if notification is None:
        taken = batches.take(context)
        if taken is not None:
            return taken
        raise NotificationError(
            "MISSING_NOTIFICATION", "the request is no smart notification: it lacks the header X-Hull-Smart-Notifier"
        )
    registered = functions.get(notification["channel"])
    if registered is None:
        return _json(notification_body(DEFAULT_UNSUPPORTED))
    return _json(run_in_time(context, partial(_handle_once, registered, options, context)))


def _json(body: dict[str, Any]) -> Response:
    return Response(json.dumps(body), mimetype="application/json")


def _handle_once(registered: _Registered, options: _Options, context: Context) -> dict[str, Any]:
    notification: Any = context.notification
    runs = Runs(context.runs.scoped("notifications"), context.leases)

    def work(attempt: int) -> dict[str, Any]:
        context.attempt = attempt
        return _handle(registered, options, context)

    try:
        return runs.once(notification["notification_id"], work, is_final=_is_next)
    except RunningError:
        return notification_body(DEFAULT_RETRY)


def _is_next(answer: dict[str, Any]) -> bool:
    final: bool = answer["flow_control"]["type"] == "next"
    return final


def _handle(registered: _Registered, options: _Options, context: Context) -> dict[str, Any]:
    batch = (None,) if registered.takes_batch else ()
    messages = _messages(options, context)
    responses = _responses(call(registered.function, context, messages, *batch), messages)
    # What is late is still waited for, so that a finished answer can be stored for the next delivery.
    errors = settle(context, context.timeout_s, here=True)
    if responses is not None and any(result.status == "retry" for result in responses):
        # What failed a moment ago would fail again; the pause between good notifications may be a millisecond.
        context.smart_notifier_response.wait_at_least(RETRY_MS)
    control = context.smart_notifier_response.control(options.flow_control)
    return notification_body(control, errors=errors, responses=responses)


def _messages(options: _Options, context: Context) -> list[Any]:
    notification: Any = context.notification
    kind = KIND_OF_CHANNEL.get(notification["channel"])
    if kind is None:
        return list(notification["messages"])
    return _preparer(options, context, kind)(notification["messages"])


def _for_batches(registered: _Registered) -> BatchFunction:
    def handle(context: Context, messages: list[Any], batch: dict[str, Any]) -> list[MessageResult] | None:
        third = (batch,) if registered.takes_batch else ()
        return _responses(call(registered.function, context, messages, *third), messages)

    return handle


def _preparer(options: _Options, context: Context, kind: EntityKind, *, unfiltered: bool = False) -> Prepare:
    return message_preparer(
        context,
        kind,
        group_traits=options.group_traits,
        segment_filter_setting=options.segment_filter_setting,
        unfiltered=unfiltered,
    )


def _responses(result: Any, messages: list[Any]) -> list[MessageResult] | None:
    if isinstance(result, Mapping):
        raise InvalidArgumentError(
            "a handler returned a dict; return nothing, or a list of {'message_id', 'status', 'reason'}"
        )
    if not isinstance(result, list | tuple):
        return None
    responses = [MessageResult.parse(entry) for entry in result]
    known = {message.get("message_id") for message in messages if isinstance(message, Mapping)}
    for response in responses:
        if response.message_id not in known:
            # Nobody would miss it: the message that was meant would count as done.
            raise InvalidArgumentError(
                f"a message result is about {response.message_id!r:.100}; use the message_id of a message at hand"
            )
    return responses


def _functions(handlers: Mapping[str, Any]) -> dict[str, _Registered]:
    functions: dict[str, _Registered] = {}
    for name, function in handlers.items():
        channel = LEGACY_CHANNELS.get(name, name)
        if channel not in CHANNELS:
            raise InvalidArgumentError(f"{name!r} is no channel; use one of {', '.join((*CHANNELS, *LEGACY_CHANNELS))}")
        if channel in functions:
            raise InvalidArgumentError(
                f"{name!r} is another name of {channel!r}, which has a handler; keep one of them"
            )
        check_callable(function, f"the handler of {name!r}")
        functions[channel] = _Registered(function, takes_batch(function))
    return functions


def _default_control(value: Mapping[str, Any] | FlowControl | None) -> FlowControl:
    if value is None:
        return DEFAULT_NEXT
    return value if isinstance(value, FlowControl) else FlowControl.parse(value)
