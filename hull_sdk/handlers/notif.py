"""The endpoint of legacy notifications: one message per request, in an envelope that SNS signed.

Rules: section "Legacy notifications" of ``docs/protocol.md``. The envelope was verified before the view runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, cast

from flask import Blueprint, Response
from flask.typing import ResponseReturnValue

from hull_sdk.context import Context
from hull_sdk.core.net import Request
from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.flask_app import app_extension, request_context
from hull_sdk.handlers.background import Collector
from hull_sdk.handlers.deduplication import Runs
from hull_sdk.handlers.endpoint import AnyFunction, call, check_callable, endpoint, takes_batch
from hull_sdk.handlers.extract import BatchExtracts
from hull_sdk.handlers.messages import KIND_OF_CHANNEL, Prepare, message_preparer
from hull_sdk.middleware import check_sns_url, run_within_deadline, settle
from hull_sdk.outcomes import DEADLINE_STATUS
from hull_sdk.wire.notifications import ENTITY_CHANNELS
from hull_sdk.wire.sns import (
    CONFIRMATION,
    HANDLER_NAMES,
    REMOVAL,
    LegacyMessage,
    empty_message,
    handler_name,
    invalid_message,
    legacy_notification,
)

__all__ = ["notif_handler"]

#: ``f(ctx, messages)`` for users, ``f(ctx, payload)`` for everything else; a third parameter is for batch extracts.
Handler = Callable[..., Any]

_BATCHED: Final = "user:update"
#: What tells of a user for the last time is handled after what was collected before.
_LAST: Final = "user:delete"
_CONFIRM_TIMEOUT_S: Final = 10.0
_CONFIRM_MAX_BYTES: Final = 65_536
_SUCCESS: Final = range(200, 300)


def notif_handler(
    handlers: Mapping[str, AnyFunction | Sequence[AnyFunction]],
    *,
    on_subscribe: Callable[[Context], Any] | None = None,
    max_size: int = 100,
    max_time_ms: float = 10_000,
    group_traits: bool = False,
    segment_filter_setting: str | None = None,
) -> Blueprint:
    """Return a blueprint that hands legacy notifications to functions; new connectors use ``smart_notifier_handler``.

    Example::

        def on_users(ctx, messages): ...
        def on_segment(ctx, segment): ...

        handlers = {"user:update": on_users, "segment:update": on_segment}
        app.register_blueprint(notif_handler(handlers), url_prefix="/notify")

    Messages of ``user:update`` are collected for each connector and answered ``ok`` at once; the function gets a list
    of them, each with ``matches_filter``, and a context without ``message`` and ``notification``. A batch that fails is
    tried again with backoff, up to 5 times; then, or after a :class:`~hull_sdk.errors.LogicError`, it is dropped with
    an error in the log. A result ``retry``, as of ``for_each``, has the whole batch tried again too; other results are
    passed over. What is collected is kept in memory: it is handed over before a graceful stop and at the
    normal end of the process, and is lost in a crash.

    Every other function gets the payload as it is, runs within the deadline, and decides about the answer; meanwhile
    ``ctx.message`` is the envelope and ``ctx.notification`` ``{"subject", "message", "timestamp"}``. A message that
    was handled is not handled again when SNS repeats it.

    Batch extracts are served too, in jobs: the functions of ``user:update`` and ``account:update`` get lists of at most
    ``max_size`` messages, and ``{"query", "body"}`` as their third parameter if they have one.

    Args:
        handlers: A function or several by name or subject, for example ``{"user:update": on_users}``;
            ``user_report:update``, ``account_report:update`` and ``users_segment:update`` are other names of
            ``user:update``, ``account:update`` and ``segment:update``. ``async def`` functions are run to their end.
        on_subscribe: ``f(ctx)``, called once a subscription has been confirmed.
        max_size: Most messages of ``user:update`` in one call; one with a million bytes is full too.
        max_time_ms: Longest time that one of them waits for others, in milliseconds.
        group_traits: ``True`` nests attributes, as in ``smart_notifier_handler``.
        segment_filter_setting: Private setting for ``matches_filter``; the connector's when ``None``.

    Returns:
        A blueprint; mount it with ``url_prefix``.

    Raises:
        InvalidArgumentError: A name is unknown, a value is no function, or an option breaks a rule.
    """
    functions = _functions(handlers)
    if on_subscribe is not None:
        check_callable(on_subscribe, "on_subscribe")
    preparer = partial(message_preparer, group_traits=group_traits, segment_filter_setting=segment_filter_setting)
    users = Collector(partial(_run_users, functions, preparer), max_size=max_size, max_time_ms=max_time_ms)
    batches = BatchExtracts(
        functions={name: partial(_run_batch, functions[name]) for name in ENTITY_CHANNELS if name in functions},
        max_size=max_size,
        preparer=preparer,
    )
    legacy = _Legacy(functions, preparer, users, batches, on_subscribe)
    return batches.register(endpoint("hull_notif", legacy.answer, ["POST"]))


class _Legacy:
    """Answers the requests of one endpoint."""

    def __init__(
        self,
        functions: Mapping[str, list[Handler]],
        preparer: Callable[..., Prepare],
        users: Collector,
        batches: BatchExtracts,
        on_subscribe: Callable[[Context], Any] | None,
    ) -> None:
        self._functions = functions
        self._preparer = preparer
        self._users = users
        self._batches = batches
        self._on_subscribe = on_subscribe

    def answer(self) -> ResponseReturnValue:
        context = request_context()
        context.credentials()
        message: LegacyMessage | None = context.message
        if message is None:
            return self._take_batch(context)
        if message["Type"] == CONFIRMATION:
            return self._confirm(context, message)
        if message["Type"] != REMOVAL:
            run_within_deadline(context, partial(_once, context, message, partial(self._handle, context, message)))
        return Response("ok", mimetype="text/plain")

    def _take_batch(self, context: Context) -> ResponseReturnValue:
        taken = self._batches.take(context)
        if taken is None:
            raise empty_message()
        return taken

    def _confirm(self, context: Context, message: LegacyMessage) -> ResponseReturnValue:
        url = message.get("SubscribeURL")
        if url is None:
            raise invalid_message()
        check_sns_url(url, app_extension().trust, "SubscribeURL")
        request = Request(method="GET", url=url, timeout_s=_CONFIRM_TIMEOUT_S, max_bytes=_CONFIRM_MAX_BYTES)
        status = context.runtime.net.send(request).status
        if status not in _SUCCESS:
            raise TransientError(f"the subscription could not be confirmed: its address answered {status}")
        if self._on_subscribe is not None:
            run_within_deadline(context, partial(_run, [self._on_subscribe], context))
        return Response("subscribed", mimetype="text/plain")

    def _handle(self, context: Context, message: LegacyMessage) -> None:
        notification = legacy_notification(message)
        # The attribute's type is that of smart notifications, which new connectors get.
        context.notification = cast("Any", notification)
        name, payload = handler_name(notification["subject"]), notification["message"]
        functions = self._functions.get(name, [])
        if isinstance(payload, dict) and name in KIND_OF_CHANNEL:  # each has an id, for for_each and for results
            payload = {"message_id": message.get("MessageId") or context.runtime.ids.uuid(), **payload}
        if name == _BATCHED and functions:
            if not isinstance(payload, dict):
                raise invalid_message()
            self._users.add(context, payload, len(message.get("Message", "")))
        elif functions:
            if isinstance(payload, dict) and name in KIND_OF_CHANNEL:
                payload = self._preparer(context, KIND_OF_CHANNEL[name])([payload])[0]
            if name == _LAST:
                self._users.drain(context)
            _run(functions, context, payload)


def _once(context: Context, message: LegacyMessage, work: Callable[[], None]) -> None:
    """Handle a message unless that has been done or is being done; only verified ones have ids to rely on."""
    message_id = message.get("MessageId")
    if message_id is None or app_extension().skip_signature_validation:
        return work()
    runs = Runs(context.runs.scoped("legacy"), context.leases)
    return runs.once(message_id, lambda _attempt: work(), is_final=lambda _answer: True)


def _run_users(
    functions: Mapping[str, list[Handler]],
    preparer: Callable[..., Prepare],
    context: Context,
    messages: list[dict[str, Any]],
) -> None:
    # Copies, since a try that fails shall leave the messages to the next one as they came.
    _call(functions[_BATCHED], context, preparer(context, "user")(map(dict, messages)))


def _run_batch(functions: list[Handler], context: Context, messages: list[Any], batch: dict[str, Any]) -> None:
    _call(functions, context, messages, batch=batch)


def _run(functions: list[Handler], context: Context, *payload: Any) -> None:
    _call(functions, context, *payload)
    settle(context, context.timeout_s)


def _call(functions: list[Handler], context: Context, *payload: Any, batch: dict[str, Any] | None = None) -> None:
    for function in functions:
        third = (batch,) if takes_batch(function) else ()
        _check(call(function, context, *payload, *third))


def _check(returned: Any) -> None:
    """Have all come again when some is to: nobody else is told the results of single messages."""
    results = [each for each in returned if isinstance(each, Mapping)] if isinstance(returned, list) else []
    again = [each.get("reason") for each in results if "message_id" in each and each.get("status") == "retry"]
    if again:
        raise TransientError(f"{len(again)} messages are to be tried again: {again[0]}", status=DEADLINE_STATUS)


def _functions(handlers: Mapping[str, Any]) -> dict[str, list[Handler]]:
    functions: dict[str, list[Handler]] = {}
    for key, value in handlers.items():
        name = handler_name(key)
        if name not in HANDLER_NAMES:
            raise InvalidArgumentError(f"{key!r} is no legacy notification; use one of {', '.join(HANDLER_NAMES)}")
        given: list[Any] = list(value) if isinstance(value, Sequence) and not isinstance(value, str) else [value]
        for function in given:
            check_callable(function, f"the handler of {key!r}")
        functions.setdefault(name, []).extend(given)
    return functions
