"""What a connector's answer means for the notification that it answers: one table, as a pure function.

Rules: sections "Flow control" and "Refused notifications" of ``docs/protocol.md``. The status of the answer
plays no part, except that a 413 has the notification split into single messages, since the same bytes never pass.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from hull_sdk.core.retry import RetryPolicy
from hull_sdk.wire.flow_control import Answer, FlowControl, MessageResult

__all__ = ["BACKOFF", "Verdict", "decide"]

#: Pauses after an answer without valid flow control; what ends the tries is the age of the messages.
BACKOFF: Final = RetryPolicy(base_s=1.0, cap_s=60.0)

_TOO_LARGE: Final = 413


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What becomes of a notification.

    Args:
        outcome: ``"next"``, ``"retry"``, ``"partial"``, ``"split"`` or ``"failed"``.
        delay_s: Pause of the lane, in seconds.
        size: Messages in the next notification; ``None`` keeps what was in force.
        again: ``True`` sends the same notification again.
        parts: Message ids of each new notification that this one is split into.
        dead: Message ids that become dead letters, with the reason.
    """

    outcome: str
    delay_s: float
    size: int | None = None
    again: bool = False
    parts: tuple[tuple[str, ...], ...] = ()
    dead: tuple[tuple[str, str], ...] = ()


def decide(
    message_ids: Sequence[str],
    status: int | None,
    answer: Answer,
    *,
    now: float,
    backoff_s: Callable[[], float],
) -> Verdict:
    """Read a connector's answer.

    Args:
        message_ids: The messages of the notification.
        status: HTTP status, ``None`` when nothing came back.
        answer: What could be understood of it.
        now: Domain time in Unix seconds, for ``at``.
        backoff_s: Called for the pause after a failure, in seconds.

    Returns:
        The verdict.
    """
    control = answer.flow_control
    if status == _TOO_LARGE and len(message_ids) > 1:
        delay = backoff_s() if control is None else control.delay_s(now)
        return Verdict(outcome="split", delay_s=delay, size=1, parts=tuple((each,) for each in message_ids))
    if control is None:
        return Verdict(outcome="failed", delay_s=backoff_s(), again=True)
    results = {result.message_id: result for result in answer.responses}
    if not any(each in results for each in message_ids):
        return Verdict(
            outcome=control.type, delay_s=control.delay_s(now), size=control.size, again=control.type == "retry"
        )
    return _by_message(message_ids, control, results, now)


def _by_message(
    message_ids: Sequence[str], control: FlowControl, results: dict[str, MessageResult], now: float
) -> Verdict:
    silent = "retry" if control.type == "retry" else "ok"
    statuses = {each: results[each].status if each in results else silent for each in message_ids}
    left = tuple(each for each, status in statuses.items() if status == "retry")
    dead = tuple((each, _reason(results[each])) for each, status in statuses.items() if status == "error")
    same = control.type == "retry" and len(left) == len(message_ids)
    return Verdict(
        outcome="retry" if same else "partial" if left else "next",
        delay_s=control.delay_s(now),
        size=control.size,
        again=same,
        parts=(left,) if left and not same else (),
        dead=dead,
    )


def _reason(result: MessageResult) -> str:
    return "the handler reported an error" if result.reason is None else result.reason
