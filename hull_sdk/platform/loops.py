"""Runs that never come to rest: how one is noticed early, and what is said about it.

Nothing here ends a run; :class:`~hull_sdk.platform.platform.Platform` asks and raises.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from hull_sdk.platform.attempts import Delivery

__all__ = ["MAX_ATTEMPTS", "LoopWatch"]

#: Tries of one message after which a run counts as stuck, unless it says otherwise.
MAX_ATTEMPTS: Final = 30

#: How many of the last deliveries are looked at to tell what a loop is about.
_WINDOW: Final = 200
_REASON_CHARS: Final = 500


class LoopWatch:
    """Counts deliveries from now on, in all and of each message.

    Args:
        deliveries: Returns the lists of deliveries, one for each organization, each with the latest ones last.
        max_deliveries: Deliveries after which the run counts as a loop.
        max_attempts: Tries of one message after which it counts as stuck.
    """

    def __init__(
        self, deliveries: Callable[[], list[list[Delivery]]], *, max_deliveries: int, max_attempts: int
    ) -> None:
        self._deliveries = deliveries
        self._max_deliveries = max_deliveries
        self._max_attempts = max_attempts
        self._read = [_last_sequence(found) for found in deliveries()]
        self._count = 0
        self._attempts: Counter[str] = Counter()
        self._stuck: Delivery | None = None

    def caught(self) -> bool:
        """Tell whether the run is a loop by now."""
        lists = self._deliveries()
        self._read += [0] * (len(lists) - len(self._read))
        for index, found in enumerate(lists):
            for delivery in _after(self._read[index], found):
                self._read[index] = delivery.sequence
                self._take(delivery)
        return self._stuck is not None or self._count > self._max_deliveries

    def describe(self, deliveries: list[Delivery]) -> str:
        """Say who keeps whom busy.

        Args:
            deliveries: All of them, in order.
        """
        if self._stuck is not None:
            return _describe_stuck(self._stuck, self._max_attempts)
        return f"more than {self._max_deliveries} deliveries without coming to rest: {_describe_loop(deliveries)}"

    def _take(self, delivery: Delivery) -> None:
        self._count += 1
        if delivery.outcome == "next":
            return
        self._attempts.update(delivery.message_ids)
        if any(self._attempts[message_id] > self._max_attempts for message_id in delivery.message_ids):
            self._stuck = delivery


def _last_sequence(deliveries: list[Delivery]) -> int:
    return deliveries[-1].sequence if deliveries else 0


def _after(sequence: int, deliveries: list[Delivery]) -> list[Delivery]:
    newest_first = itertools.takewhile(lambda delivery: delivery.sequence > sequence, reversed(deliveries))
    return list(newest_first)[::-1]


def _describe_stuck(last: Delivery, max_attempts: int) -> str:
    return (
        f"the connector {last.connector_name!r} ({last.connector_id}) was sent the same {last.channel} "
        f"message more than {max_attempts} times; {_last_answer(last)}. If it is meant to take that long, let "
        "time pass with advance()"
    )


def _describe_loop(deliveries: list[Delivery]) -> str:
    """Name connector, entity and attribute that come up most in the last deliveries."""
    recent = deliveries[-_WINDOW:]
    last = Counter((d.connector_name, d.connector_id, d.outcome) for d in recent).most_common(1)[0][0]
    changes = Counter(
        (message.get("user", message.get("account", message)).get("id"), kind, attribute)
        for delivery in recent
        for message in delivery.messages
        for kind in ("user", "account")
        for attribute in message.get("changes", {}).get(kind, {})
    )
    if last[2] != "next" or not changes:
        return (
            f"the connector {last[0]!r} ({last[1]}) keeps answering {last[2]!r}; {_last_answer(recent[-1])}. "
            "Advance the clock in smaller steps"
        )
    (entity, kind, attribute), times = changes.most_common(1)[0]
    return (
        f"the connector {last[0]!r} ({last[1]}) writes back what it is told about; the {kind} {entity} changed "
        f"{attribute!r} {times} times in the last {len(recent)} deliveries. Write it only when the value differs"
    )


def _last_answer(delivery: Delivery) -> str:
    if delivery.status is None:
        return f"the last time nothing came back: {delivery.error}"
    return f"its last answer had status {delivery.status}{_reason(delivery)}"


def _reason(delivery: Delivery) -> str:
    answer: Any = delivery.answer
    errors = answer.get("errors") if isinstance(answer, dict) else None
    reasons = [f"{e.get('code')}: {e.get('reason')}" for e in errors or [] if isinstance(e, dict)]
    results = answer.get("responses") if isinstance(answer, dict) else None
    reasons += [str(r["reason"]) for r in results or [] if isinstance(r, dict) and r.get("reason")]
    if reasons:
        return f" and said {'; '.join(reasons)[:_REASON_CHARS]}"
    if delivery.status == 404:
        return ": nothing answers at the subscription's url; mount the handler with that url_prefix"
    return ""
