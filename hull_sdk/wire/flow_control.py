"""Flow control: what a connector answers to a notification, and how the platform reads it.

Rules: section "Flow control" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from hull_sdk.core.checks import is_number
from hull_sdk.core.clock import parse_time
from hull_sdk.errors import InvalidArgumentError

__all__ = [
    "DEFAULT_NEXT",
    "DEFAULT_RETRY",
    "DEFAULT_UNSUPPORTED",
    "MAX_PAUSE_S",
    "MAX_SIZE",
    "RESULT_STATUSES",
    "RETRY_MS",
    "Answer",
    "FlowControl",
    "MessageResult",
    "parse_answer",
]

FlowType = Literal["next", "retry"]

#: Largest number of messages in one notification, whatever a connector asks for.
MAX_SIZE: Final = 1000

#: Longest pause in seconds, whatever a connector asks for: a year.
MAX_PAUSE_S: Final = 366 * 86_400.0

#: Pause before what failed is tried again, in milliseconds, unless the failure names another.
RETRY_MS: Final = 1000

#: What a handler may say of one message.
RESULT_STATUSES: Final = ("ok", "skip", "retry", "error")


@dataclass(frozen=True, slots=True, kw_only=True)
class FlowControl:
    """When and how the platform sends the next notification.

    Args:
        type: ``"next"``: these messages are done; ``"retry"``: send them again.
        size: Messages in the next notification, at least 1; ``None`` keeps what was in force.
        in_ms: Pause in milliseconds; 0 is a valid pause.
        at: Unix seconds of the next notification, instead of a pause.
        in_time: Accepted and ignored.
    """

    type: FlowType
    size: int | None = None
    in_ms: float | None = None
    at: float | None = None
    in_time: float | None = None

    @classmethod
    def parse(cls, value: Any) -> FlowControl:
        """Read the wire's form.

        Args:
            value: For example ``{"type": "next", "size": 100, "in": 5000}``; ``at`` may be Unix seconds or
                ISO 8601. ``in`` or ``at`` must be there.

        Raises:
            InvalidArgumentError: The value is no valid flow control; the message names the rule.
        """
        if not isinstance(value, Mapping):
            raise InvalidArgumentError(f"flow control is {value!r}; it must be an object with a type")
        kind = value.get("type")
        if kind != "next" and kind != "retry":  # noqa: PLR1714 - the value may be unhashable
            raise InvalidArgumentError(f"flow control type is {kind!r}; it must be 'next' or 'retry'")
        moment = value.get("at")
        if moment is not None:
            parsed = parse_time(moment)
            if parsed is None:
                raise InvalidArgumentError(f"flow control at is {moment!r}; it must be Unix seconds or ISO 8601")
            moment = parsed.timestamp()
        control = cls(
            type=kind,
            size=_size(value.get("size")),
            in_ms=_number("in", value.get("in")),
            at=moment,
            in_time=_number("in_time", value.get("in_time")),
        )
        if control.in_ms is None and control.at is None:
            raise InvalidArgumentError("flow control has neither 'in' (milliseconds) nor 'at' (Unix seconds)")
        return control

    def to_wire(self) -> dict[str, Any]:
        """Return the wire's form, without what is not set."""
        wire = {
            "type": self.type,
            "size": self.size,
            "in": self.in_ms,
            "at": self.at,
            "in_time": self.in_time,
        }
        return {key: value for key, value in wire.items() if value is not None}

    def delay_s(self, now: float) -> float:
        """Return the pause in seconds, never negative and at most :data:`MAX_PAUSE_S`.

        Args:
            now: Unix seconds.
        """
        until = now if self.at is None else self.at
        wanted = until - now if self.in_ms is None else self.in_ms / 1000
        return min(MAX_PAUSE_S, max(0.0, wanted))


#: A handler returned.
DEFAULT_NEXT: Final = FlowControl(type="next", size=1, in_ms=1000)
#: A handler raised.
DEFAULT_RETRY: Final = FlowControl(type="retry", in_ms=RETRY_MS)
#: Nobody handles the channel.
DEFAULT_UNSUPPORTED: Final = FlowControl(type="next", size=10, in_ms=1)


@dataclass(frozen=True, slots=True)
class MessageResult:
    """What a handler says of one message.

    Args:
        message_id: Which message.
        status: ``"ok"``, ``"skip"``, ``"retry"`` (only it comes again) or ``"error"`` (dead letter).
        reason: Why, in words.
    """

    message_id: str
    status: str
    reason: str | None = None

    @classmethod
    def parse(cls, value: Any) -> MessageResult:
        """Read one entry of ``responses``.

        Raises:
            InvalidArgumentError: The entry has no ``message_id`` or an unknown ``status``.
        """
        if not isinstance(value, Mapping) or not isinstance(value.get("message_id"), str):
            raise InvalidArgumentError(f"a message result is {value!r}; it must be an object with a message_id")
        if value.get("status") not in RESULT_STATUSES:
            raise InvalidArgumentError(
                f"a message result has the status {value.get('status')!r}; use one of {', '.join(RESULT_STATUSES)}"
            )
        reason = value.get("reason")
        return cls(value["message_id"], value["status"], None if reason is None else str(reason))

    def to_wire(self) -> dict[str, Any]:
        """Return the wire's form."""
        wire = {"message_id": self.message_id, "status": self.status}
        return wire if self.reason is None else {**wire, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Answer:
    """A connector's answer to a notification.

    Args:
        flow_control: ``None`` when the answer held no valid one, which is a transport failure.
        responses: Results of single messages, if the handler gave some.
        errors: ``{"code", "reason"}`` entries.
    """

    flow_control: FlowControl | None
    responses: tuple[MessageResult, ...] = ()
    errors: tuple[dict[str, Any], ...] = field(default=())


def parse_answer(body: Any) -> Answer:
    """Read the decoded body of an answer, whatever its HTTP status was.

    Args:
        body: The decoded JSON, or anything else.

    Returns:
        What could be understood; an answer with invalid ``responses`` counts as none at all.
    """
    if not isinstance(body, Mapping):
        return Answer(None)
    errors = tuple(error for error in _list(body.get("errors")) if isinstance(error, dict))
    try:
        control = FlowControl.parse(body.get("flow_control"))
        responses = tuple(MessageResult.parse(entry) for entry in _list(body.get("responses")))
    except InvalidArgumentError as err:
        return Answer(None, (), (*errors, {"code": "INVALID_FLOW_CONTROL", "reason": str(err)}))
    return Answer(control, responses, errors)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(name: str, value: Any) -> float | None:
    if value is None:
        return None
    if not is_number(value, 0):
        raise InvalidArgumentError(f"flow control {name} is {value!r}; it must be a number of at least 0")
    return value


def _size(value: Any) -> int | None:
    number = _number("size", value)
    if number is None:
        return None
    if number < 1 or number != int(number):
        raise InvalidArgumentError(f"flow control size is {value!r}; it must be a whole number of at least 1")
    return min(int(number), MAX_SIZE)
