"""What an error in a handler means: one table, from the error to the answer, the metric and the report.

Rules: section "Errors and outcomes" of ``docs/protocol.md``. The first row whose class fits decides; nothing else
in the package looks at the class of an error to find an answer.
"""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from typing import Any, Final, Literal

from hull_sdk.context import DEFAULT_TIMEOUT_S, Context
from hull_sdk.core.logs import emit
from hull_sdk.core.masking import mask_text
from hull_sdk.errors import CredentialsError, LogicError, NotificationError, RejectedError, TransientError
from hull_sdk.infra import Instrumentation
from hull_sdk.wire.flow_control import MAX_PAUSE_S, RETRY_MS, FlowControl, MessageResult

__all__ = [
    "DEADLINE_STATUS",
    "OUTCOMES",
    "Outcome",
    "Verdict",
    "deadline_passed",
    "judge",
    "not_accepted",
    "notification_body",
    "outcomes_table",
    "report",
]

#: Status of what did not end in time.
DEADLINE_STATUS: Final = 503

#: Statuses that say in ``Retry-After`` when to come again.
_PAUSING: Final = frozenset({429, 503})

_REASON_CHARS: Final = 500
_UNHANDLED_CODE: Final = "HULL_ERR_UNHANDLED"
_UNHANDLED_TEXT: Final = "unhandled-error"
_UNHANDLED_STATUS: Final = 500

#: Tags that say whose request it was.
_WHOSE: Final = frozenset({"organization", "ship", "hull_host"})

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """One row: what a class of errors means.

    Args:
        error: The classes, their subclasses included.
        text: Answer of endpoints other than smart notifiers; ``None`` answers the error's own reason.
        status: HTTP status, unless the error brings its own.
        own: ``True`` lets the error's ``status``, ``retry_after`` and ``size`` win, unless they make no sense: only a
            status from 400 to 599 says that something failed, and a pause is a number of at least 0.
        again: ``True`` asks the caller to come again; the status may then be that of the endpoint.
        message: What it means for the one message that ``for_each`` was handling: ``"retry"`` or ``"error"``.
        reported: ``True`` sends it to Sentry.
        metric: Counter that goes up, if any.
        level: Level of the log line.
        event: Name of the log line.
    """

    error: tuple[type[Exception], ...]
    text: str | None
    status: int
    own: bool = True
    again: bool = False
    message: Literal["retry", "error"] = "retry"
    reported: bool = False
    metric: str | None = None
    level: int = logging.WARNING
    event: str


#: The table, most specific rows first. A deadline that passed is a ``TransientError`` with the status 503; an
#: uncaught ``LogicError`` is an unhandled error, except that ``for_each`` handles it.
OUTCOMES: Final = (
    Outcome(
        error=(NotificationError,),
        text=None,
        status=400,
        metric="connector.invalid_notification",
        event="connector.notification.refused",
    ),
    Outcome(error=(CredentialsError,), text=None, status=401, event="connector.credentials.refused"),
    Outcome(
        error=(TransientError,),
        text="transient-error",
        status=400,
        again=True,
        metric="connector.transient_error",
        event="connector.transient_error",
    ),
    Outcome(
        error=(LogicError, RejectedError),
        text=_UNHANDLED_TEXT,
        status=_UNHANDLED_STATUS,
        own=False,
        message="error",
        reported=True,
        level=logging.ERROR,
        event="connector.unhandled_error",
    ),
    Outcome(
        error=(Exception,),
        text=_UNHANDLED_TEXT,
        status=_UNHANDLED_STATUS,
        own=False,
        reported=True,
        level=logging.ERROR,
        event="connector.unhandled_error",
    ),
)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What to answer to one error.

    Args:
        outcome: The row of the table.
        status: HTTP status.
        text: Answer of endpoints other than smart notifiers.
        retry_after_s: Their ``Retry-After`` in whole seconds: the notifier's pause; ``None`` where the status has none.
        flow_control: Answer to the smart notifier.
        code: For example ``"HULL_ERR_TRANSIENT"``.
        reason: The error's message, secrets masked.
    """

    outcome: Outcome
    status: int
    text: str
    retry_after_s: int | None
    flow_control: FlowControl
    code: str
    reason: str


def outcomes_table(timeout_s: float = DEFAULT_TIMEOUT_S) -> str:
    """Return the table as Markdown, for people.

    Args:
        timeout_s: The deadline of handlers, in seconds.
    """
    head = ("What happened", "Notification", "Message in `for_each`", "Other endpoints", "Status", "Sentry", "Metric")
    returned = ("returned", "`next`", "`ok`", "the result, or `ok`", "200", "no", "")
    late = deadline_passed(timeout_s)
    rows = [returned, *map(_row, OUTCOMES), _row(_outcome(late), f"the deadline passed ({timeout_s:g} s)", late)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (head, ("---",) * len(head), *rows))


def _row(outcome: Outcome, what: str | None = None, error: TransientError | None = None) -> tuple[str, ...]:
    names = ", ".join(f"`{each.__name__}`" for each in outcome.error)
    pause = f"`retry` in {RETRY_MS:g} ms"
    own = outcome.own and error is None
    status = f"{outcome.status if error is None else error.status}"
    if own:
        status += ", its endpoint's `retry_status`, or its `status`" if outcome.again else ", or its `status`"
    return (
        what or ("anything else" if outcome.error == (Exception,) else names),
        f"{pause}, or after its `retry_after`" if own else pause,
        f"`{outcome.message}`",
        "its message" if outcome.text is None else f"`{outcome.text}`",
        status,
        "yes" if outcome.reported else "no",
        "" if outcome.metric is None else f"`{outcome.metric}`",
    )


def _outcome(error: Exception) -> Outcome:
    return next(row for row in OUTCOMES if isinstance(error, row.error))


def judge(error: Exception, *, retry_status: int | None = None) -> Verdict:
    """Return what an error means.

    Args:
        error: Whatever was raised.
        retry_status: How the endpoint asks its callers to come again; as the table says when ``None``.
    """
    outcome = _outcome(error)
    own = vars(error) if outcome.own else {}
    status = _status(outcome, _number(own.get("status"), 400, 599), retry_status)
    in_ms = _pause_ms(_number(own.get("retry_after"), 0.0, math.inf))
    reason = mask_text(str(error))[:_REASON_CHARS] or type(error).__name__
    return Verdict(
        outcome=outcome,
        status=status,
        text=reason if outcome.text is None else outcome.text,
        retry_after_s=math.ceil(in_ms / 1000) if status in _PAUSING else None,
        flow_control=FlowControl(type="retry", in_ms=in_ms, size=own.get("size")),
        code=getattr(error, "code", None) or _UNHANDLED_CODE,
        reason=reason,
    )


def _status(outcome: Outcome, own: float | None, retry_status: int | None) -> int:
    if own is not None:
        return int(own)
    return retry_status if outcome.again and retry_status is not None else outcome.status


def notification_body(
    control: FlowControl,
    *,
    errors: list[dict[str, Any]] | None = None,
    responses: list[MessageResult] | None = None,
) -> dict[str, Any]:
    """Return the body of an answer to the smart notifier.

    Args:
        control: When and how the next notification comes.
        errors: ``{"code", "reason"}`` entries.
        responses: Results of single messages, if the handler gave some.
    """
    body: dict[str, Any] = {
        "flow_control": control.to_wire(),
        "metrics": [],
        "errors": [] if errors is None else errors,
    }
    if responses is not None:
        body["responses"] = [result.to_wire() for result in responses]
    return body


def report(error: Exception, verdict: Verdict, instrumentation: Instrumentation, context: Context | None) -> None:
    """Log an error, count it, and send it to Sentry where the table says so.

    Args:
        error: Whatever was raised.
        verdict: What :func:`judge` said.
        instrumentation: Where it goes.
        context: Whose request it was, if that is known.
    """
    outcome = verdict.outcome
    tags = {} if context is None else context.tags()
    request_id = None if context is None else context.request_id
    fields = {"code": verdict.code, "reason": verdict.reason, "status": verdict.status, "request_id": request_id}
    fields.update(_details(error))
    emit(
        _log,
        outcome.level,
        outcome.event,
        {**fields, "organization": tags.get("organization"), "id": tags.get("ship")},
        exc_info=error if outcome.reported else None,
    )
    if outcome.metric is not None:
        names = {"error_name": _snake(type(error).__name__), "error_message": _snake(verdict.reason)[:100]}
        if _is_strangers(error, context):
            # Each new value of a tag is a series of its own, and anybody could write as many as he likes.
            names["error_message"] = _snake(verdict.code)
            tags = {name: "none" if name in _WHOSE else value for name, value in tags.items()}
        instrumentation.metric(tags).increment(outcome.metric, 1, names)
    if outcome.reported:
        instrumentation.capture_exception(error, fields, tags)


def _is_strangers(error: Exception, context: Context | None) -> bool:
    """Tell whether an error's words, or the credentials of its request, may be anybody's: nobody has verified them."""
    if context is None or context.config is None:
        return isinstance(error, NotificationError)
    return context.ship is None


def _details(error: Exception) -> dict[str, Any]:
    """Return what an error says beside its message, without a ``LogicError``'s payload, which is about people."""
    found = {name: vars(error).get(name) for name in ("extra", "action")}
    return {name: value for name, value in found.items() if value}


def deadline_passed(timeout_s: float) -> TransientError:
    """Return the error for a handler that did not end in time.

    Args:
        timeout_s: The deadline in seconds.
    """
    return TransientError(
        f"the handler did not finish within {timeout_s:g} s; do less at a time, or use ctx.enqueue",
        status=DEADLINE_STATUS,
    )


def not_accepted(pending: int, failures: list[Exception]) -> TransientError:
    """Return the error for messages that the platform has not accepted.

    Args:
        pending: How many were still under way when the time was up.
        failures: Why others failed.
    """
    causes = sorted({str(error) for error in failures})
    parts = [f"{len(failures)} failed: {'; '.join(causes)}"] if failures else []
    parts += [f"{pending} were not accepted in time"] if pending else []
    return TransientError(f"of what was sent through ctx.client, {', '.join(parts)}", status=DEADLINE_STATUS)


def _number(value: Any, least: float, most: float) -> float | None:
    """Return a number that an error brings, ``None`` when it is none or out of range: connectors write them freely."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        return None
    return value


def _pause_ms(pause_s: float | None) -> float:
    return RETRY_MS if pause_s is None else round(min(pause_s, MAX_PAUSE_S) * 1000)


def _snake(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", text).lower()).strip("_")
