"""Delivering notifications: from what changed to a connector's answer, at least once and in order.

Rules: sections "Notifications" and "Flow control" of ``docs/protocol.md``. One :class:`Dispatcher` serves one
organization. State is touched under the organization's lock; the lock is never held while a request is under way.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from hull_sdk.core.logs import emit
from hull_sdk.core.retry import parse_retry_after
from hull_sdk.core.runtime import Runtime
from hull_sdk.platform.attempts import Delivery, log_attempt
from hull_sdk.platform.carrier import Carrier, Reply
from hull_sdk.platform.conditions import wanted_part
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.consequences import Tellings
from hull_sdk.platform.dead_letters import DeadLetter, DeadLetters
from hull_sdk.platform.history import History
from hull_sdk.platform.landlord import Host
from hull_sdk.platform.lanes import FAST, NORMAL, Outgoing
from hull_sdk.platform.mailboxes import DELETIONS, UPDATES, Mailboxes, Route
from hull_sdk.platform.notifications import deletion_message, with_message_id
from hull_sdk.platform.packing import pack, restore_state
from hull_sdk.platform.postman import Postman
from hull_sdk.platform.reports import EntityChange
from hull_sdk.platform.store import KINDS
from hull_sdk.platform.verdicts import BACKOFF, Verdict, decide
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.flow_control import Answer

__all__ = ["Dispatcher"]

_log = logging.getLogger(__name__)

#: A pause shorter than this, in seconds, is over: clocks are no more exact.
_TICK_S: Final = 0.001

#: Channels whose messages a subscription may choose from.
_CHOOSABLE: Final = frozenset({*UPDATES.values(), *DELETIONS.values()})


class Dispatcher:
    """Tells the connectors of one organization what happens.

    Args:
        organization: Whom it serves.
        runtime: Clock, ids, tasks and network.
        carrier: Sends what is due.
        next_sequence: Numbers the deliveries of the whole platform.
        history: Deliveries to keep; all when ``None``.
    """

    def __init__(
        self,
        organization: Host,
        *,
        runtime: Runtime,
        carrier: Carrier,
        next_sequence: Callable[[], int],
        history: int | None = None,
    ) -> None:
        self._organization = organization
        self._runtime = runtime
        self._carrier = carrier
        self._postman = Postman(organization, runtime=runtime, carrier=carrier)
        self._next_sequence = next_sequence
        self._boxes = Mailboxes(runtime.tasks, self._step)
        self._closed = False
        #: The latest tries, in order.
        self.deliveries: History[Delivery] = History(history)
        self.dead_letters: DeadLetters = DeadLetters()
        #: Which notification told of which message.
        self.tellings: Tellings = Tellings()

    def entity_changed(self, change: EntityChange) -> None:
        """Take in the change of a user or account, for every connector that wants to know.

        Args:
            change: What happened, as the organization publishes it.
        """
        channel = UPDATES[change.kind]
        with self._organization.lock:
            fast = change.after is not None and self._organization.is_active(change.kind, change.entity_id)
            for connector in self._organization.connectors.values():
                if self._serves(connector, channel):
                    box = self._boxes.open(connector, channel)
                    self.tellings.expect(connector.id, change)
                    self._boxes.wake(connector, box, box.add_change(change, FAST if fast else NORMAL))
            if change.deleted_at is not None and change.before is not None:
                told = deletion_message(change.kind, change.before, change.deleted_at, self._organization.catalog())
                self.object_changed(DELETIONS[change.kind], change.entity_id, told)

    def entity_activated(self, kind: EntityKind, entity_id: str) -> None:
        """Have what waits to be told of a user or account go ahead of the others."""
        channel = UPDATES[kind]
        with self._organization.lock:
            for connector in self._organization.connectors.values():
                box = self._boxes.find(connector, channel)
                if box is not None:
                    self._boxes.wake(connector, box, box.hurry(entity_id))

    def object_changed(self, channel: str, key: str, value: dict[str, Any], only: Connector | None = None) -> None:
        """Take in the newest state of a connector or segment, or the deletion of a user or account.

        Args:
            channel: For example ``"ship:update"``.
            key: Its id.
            value: What is told.
            only: The one connector to tell; all when ``None``.
        """
        with self._organization.lock:
            for connector in self._organization.connectors.values() if only is None else (only,):
                if self._serves(connector, channel):
                    box = self._boxes.open(connector, channel)
                    self._boxes.wake(connector, box, box.add_object(key, value))

    def manifest_changed(self, connector: Connector) -> None:
        """Drop what a connector does not subscribe to (any more) and deliver what waited for its manifest."""
        with self._organization.lock:
            for box in self._boxes.of(connector):
                if connector.may_want(box.channel):
                    self._boxes.wake_all(connector, box)
                else:
                    self._boxes.close(connector, box.channel)

    def forget(self, connector: Connector) -> None:
        """Drop everything that a removed connector was still to be told."""
        with self._organization.lock:
            for box in self._boxes.of(connector):
                self._boxes.close(connector, box.channel)
            self.dead_letters.drop(connector.id)

    def redrive(self, connector: Connector, ids: Iterable[str] | None = None) -> int:
        """Send dead letters again, in new notifications that name the old ones.

        Args:
            connector: Whose.
            ids: Which; all when ``None``.

        Returns:
            How many messages were taken; those of a channel that the connector no longer subscribes to stay.
        """
        with self._organization.lock:
            letters = self._take_letters(connector, ids)
            groups: dict[tuple[str, str, str], list[DeadLetter]] = {}
            for letter in letters:
                lane_name = self._boxes.open(connector, letter.channel).lane_of(letter.key, letter.lane)
                groups.setdefault((letter.channel, lane_name, letter.notification_id), []).append(letter)
            for (channel, lane_name, parent_id), group in groups.items():
                self._redrive_group(connector, channel, lane_name, parent_id, group)
        return len(letters)

    def wake(self) -> None:
        """Look at every lane again, after domain time was moved."""
        with self._organization.lock:
            workers = self._boxes.workers()
        for worker in workers:
            worker.wake()

    def pending(self) -> int:
        """Return how many entities have news that their connector was not told, or are under way."""
        with self._organization.lock:
            return len(self._boxes)

    def packed(self) -> dict[str, Any]:
        """Return what is still to be told, and dead letters, as plain data."""
        return {"boxes": self._boxes.packed(), "dead_letters": pack(self.dead_letters)}

    def restore(self, plain: Mapping[str, Any], shift_s: float) -> None:
        """Take in what was saved, and go on with it.

        Args:
            plain: What :meth:`packed` returned.
            shift_s: What to add to times of the monotonic clock.
        """
        restore_state(self.dead_letters, plain["dead_letters"])
        with self._organization.lock:
            self._boxes.restore(plain["boxes"], self._organization.connectors, shift_s)

    def close(self) -> None:
        """Deliver nothing any more."""
        with self._organization.lock:
            self._closed = True
            self._boxes.close_all()

    def _serves(self, connector: Connector, channel: str) -> bool:
        installed = self._organization.connectors.get(connector.id) is connector
        return installed and not self._closed and connector.may_want(channel)

    def _step(self, route: Route) -> float | None:
        """Deliver what is due on one lane; return the seconds until more is due."""
        with self._carrier.turn() as admitted:
            return self._deliver(route) if admitted else None

    def _deliver(self, route: Route) -> float | None:
        found = self._prepare(route)
        if not isinstance(found, Outgoing):
            return found
        try:
            return self._send(route, found)
        finally:
            with self._organization.lock:
                self._boxes.sent(route)

    def _send(self, route: Route, outgoing: Outgoing) -> float | None:
        now = self._organization.clock.time()
        found = self._postman.send(route.connector, route.box.channel, outgoing)
        if found is None:
            return None
        self._settle(route, outgoing, *found, now)
        return 0.0

    def _prepare(self, route: Route) -> Outgoing | float | None:
        """Return the notification to send now, or how long to wait for the next one."""
        lane, box = route.lane, route.box
        with self._organization.lock:
            if self._boxes.is_closed(route) or not route.connector.ready or not box.has_work(lane):
                return None
            if self._boxes.is_blocked(route):
                return None
            now = self._organization.clock.monotonic()
            wait = lane.due_at - now
            if lane.current is not None:
                wait = min(wait, lane.current.expires_in(now))
            if wait > _TICK_S:
                return wait
            outgoing = self._next(route)
            if outgoing is None:
                return None
            if outgoing.expires_in(now) <= _TICK_S:
                self._expire(route, outgoing)
                return 0.0
            outgoing.first_at = now if outgoing.first_at is None else outgoing.first_at
            outgoing.attempt += 1
            route.sending = True
            return outgoing

    def _next(self, route: Route) -> Outgoing | None:
        box, freeze = route.box, functools.partial(self._freeze, route)
        if route.connector.legacy:
            route.lane.size = 1
        if box.channel not in _CHOOSABLE:
            return box.next_outgoing(route.lane, self._organization.catalog(), freeze)
        choose = functools.partial(wanted_part, route.connector, box.channel)
        return box.next_outgoing(route.lane, self._organization.catalog(), freeze, choose)

    def _freeze(self, route: Route, told: list[tuple[str, dict[str, Any]]]) -> Outgoing:
        notification_id = self._runtime.ids.uuid()
        connector, channel = route.connector, route.box.channel
        messages, encoded, keys = [], [], [key for key, _ in told]
        for key, content in told:
            message, data = with_message_id(content, notification_id)
            self.tellings.told(connector.id, channel, key, notification_id, message["message_id"])
            messages.append(message)
            encoded.append(data)
        return self._postman.frozen(
            connector, channel, messages, keys, notification_id=notification_id, encoded=encoded
        )

    def _settle(self, route: Route, outgoing: Outgoing, reply: Reply, answer: Answer, at: float) -> None:
        """Record what came of a try and do what the answer asks for."""
        outgoing.failures = outgoing.failures + 1 if answer.flow_control is None else 0
        verdict = decide(
            outgoing.message_ids,
            reply.status,
            answer,
            now=self._organization.clock.time(),
            backoff_s=lambda: BACKOFF.delay(outgoing.failures, self._runtime.ids, self._retry_after(reply)),
        )
        with self._organization.lock:
            delivery = self._delivery(route, outgoing, reply, verdict, at)
            self.deliveries.record(delivery)
            if not self._boxes.is_closed(route):
                self._apply(route, outgoing, verdict)
        log_attempt(delivery, answer)

    def _retry_after(self, reply: Reply) -> float | None:
        return parse_retry_after(reply.headers.get("retry-after"), self._runtime.clock)

    def _apply(self, route: Route, outgoing: Outgoing, verdict: Verdict) -> None:
        lane, box = route.lane, route.box
        lane.due_at = self._organization.clock.monotonic() + verdict.delay_s
        lane.size = lane.size if verdict.size is None else verdict.size
        if verdict.again:
            return
        lane.current = None
        by_id = {m["message_id"]: (m, key) for m, key in zip(outgoing.messages, outgoing.keys, strict=True)}
        for message_ids in verdict.parts:
            messages, keys = map(list, zip(*(by_id[each] for each in message_ids), strict=True))
            box.hold(keys, lane.name)
            part = self._postman.frozen(route.connector, box.channel, messages, keys, parent_id=outgoing.id)
            part.first_at = outgoing.first_at
            lane.parts.append(part)
        for message_id, reason in verdict.dead:
            self._bury(route, outgoing, *by_id[message_id], reason)
        self._release(route, outgoing)

    def _expire(self, route: Route, outgoing: Outgoing) -> None:
        route.lane.current = None
        for message, key in zip(outgoing.messages, outgoing.keys, strict=True):
            self._bury(route, outgoing, message, key, "not taken within 24 hours of its first delivery")
        self._release(route, outgoing)

    def _release(self, route: Route, outgoing: Outgoing) -> None:
        route.box.release(outgoing.keys)
        self._boxes.wake_later(route)

    def _bury(self, route: Route, outgoing: Outgoing, message: dict[str, Any], key: str, reason: str) -> None:
        letter = DeadLetter(
            id=self._runtime.ids.object_id(),
            connector_id=route.connector.id,
            channel=route.box.channel,
            lane=route.lane.name,
            key=key,
            notification_id=outgoing.id,
            message=message,
            reason=reason,
            at=self._organization.clock.time(),
        )
        fields = {"connector_id": letter.connector_id, "channel": letter.channel, "entity_id": key, "reason": reason}
        if any(letter.channel == UPDATES[kind] and self._organization.was_deleted(kind, key) for kind in KINDS):
            emit(_log, logging.INFO, "delivery.dropped", fields)  # nobody may be told of who was deleted
            return
        self.dead_letters.add(letter)
        emit(_log, logging.ERROR, "delivery.dead_letter", fields)

    def _take_letters(self, connector: Connector, ids: Iterable[str] | None) -> list[DeadLetter]:
        taken = self.dead_letters.take(connector.id, ids)
        served = [letter for letter in taken if self._serves(connector, letter.channel)]
        kept = {letter.id for letter in taken} - {letter.id for letter in served}
        for letter in taken:
            if letter.id in kept:
                self.dead_letters.add(letter)
        return served

    def _redrive_group(
        self, connector: Connector, channel: str, lane_name: str, parent_id: str, letters: list[DeadLetter]
    ) -> None:
        box = self._boxes.open(connector, channel)
        lane = box.lanes[lane_name]
        for start in range(0, len(letters), lane.size):
            chunk = letters[start : start + lane.size]
            keys = [letter.key for letter in chunk]
            box.hold(keys, lane_name)
            messages = [letter.message for letter in chunk]
            lane.parts.append(self._postman.frozen(connector, channel, messages, keys, parent_id=parent_id))
        self._boxes.wake(connector, box, lane)

    def _delivery(self, route: Route, outgoing: Outgoing, reply: Reply, verdict: Verdict, at: float) -> Delivery:
        return Delivery(
            sequence=self._next_sequence(),
            organization=self._organization.host,
            connector_id=route.connector.id,
            connector_name=route.connector.name,
            channel=route.box.channel,
            lane=route.lane.name,
            notification_id=outgoing.id,
            parent_notification_id=outgoing.parent_id,
            attempt=outgoing.attempt,
            message_ids=outgoing.message_ids,
            body=outgoing.body,
            status=reply.status,
            answer=reply.body,
            error=reply.error,
            outcome=verdict.outcome,
            at=at,
        )
