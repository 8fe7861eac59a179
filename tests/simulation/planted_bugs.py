"""Bugs on purpose, each planted in one place of the package, for the simulation to find.

A bug is a function that returns what to patch: an object, the name of its attribute, and what to put there.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hull_sdk.client import lane as client_lane
from hull_sdk.client.config import ClientConfig
from hull_sdk.client.delivery import Refused
from hull_sdk.client.outbox import Outbox, Settlement
from hull_sdk.client.sender import Sender
from hull_sdk.core.ids import DerivedIds, SystemIds
from hull_sdk.handlers.deduplication import Runs
from hull_sdk.platform import delivery
from hull_sdk.platform.lanes import FAST, NORMAL, Entry, Mailbox
from hull_sdk.platform.trace import Journal
from hull_sdk.platform.verdicts import Verdict, decide
from hull_sdk.wire.flow_control import FlowControl

Patch = tuple[Any, str, Any]


def no_lease() -> Patch:
    """A second delivery does not see that the first one is being handled."""

    def once(self: Any, run_id: str, work: Any, *, is_final: Any) -> Any:
        found = self._cache.get(run_id)
        if found is not None:
            return found["answer"]
        answer = work(1)
        if is_final(answer):
            self._cache.set(run_id, {"answer": answer})
        return answer

    return Runs, "once", once


def no_deduplication_of_notifications() -> Patch:
    """A connector handles a notification each time that it comes."""
    return Runs, "once", lambda _self, _run_id, work, is_final: work(1)


def no_deduplication_of_messages() -> Patch:
    """The platform applies a message each time that it comes."""
    return Journal, "repeated", lambda *_: None


def no_order_in_the_client() -> Patch:
    """Messages of one user go to whatever worker is next."""
    numbers = itertools.count()
    put = Sender.put
    return Sender, "put", lambda self, message: put(self, replace(message, key=next(numbers)))


def no_order_in_the_platform() -> Patch:
    """News of a user go out while a part with an earlier message waits."""
    take = Mailbox._take

    def take_anything(self: Any, lane: Any, *rest: Any) -> Any:
        held = {key: entry.held for key, entry in self.entries.items()}
        for entry in self.entries.values():
            entry.held = 0
        told = take(self, lane, *rest)
        for key, count in held.items():
            if key in self.entries:
                self.entries[key].held += count
        return told

    return Mailbox, "_take", take_anything


class _Entries(dict[str, Entry]):
    """Entries of which some may be gone when they are let go."""

    def __missing__(self, _key: str) -> Entry:
        return Entry(NORMAL)

    def __delitem__(self, key: str) -> None:
        self.pop(key, None)


def lane_change_in_flight() -> Patch:
    """A user who becomes active moves to the fast lane although a message is on its way in the other."""

    def enter(self: Any, key: str, wanted_lane: str) -> Any:
        self.entries = _Entries(self.entries)
        entry = self._entry(key, wanted_lane)
        if entry.lane != wanted_lane:
            self.lanes[entry.lane].queue.pop(key, None)
            entry = self.entries[key] = Entry(wanted_lane, entry.news)
        self.lanes[entry.lane].queue.setdefault(key, None)
        return entry

    return Mailbox, "_enter", enter


def new_message_id_on_retry() -> Patch:
    """A batch that is sent again has fresh message ids."""
    step = client_lane.Lane._retry

    def retry(self: Any, verdict: Any, batch: Any) -> None:
        for message in batch:
            content = json.loads(message.data)
            message.message_id = content["message_id"] = SystemIds().uuid()
            message.data = json.dumps(content).encode()
        step(self, verdict, batch)

    return client_lane.Lane, "_retry", retry


def fresh_ids_in_for_each() -> Patch:
    """What a handler sends when it runs again has other message ids."""
    return DerivedIds, "uuid", lambda _self, _content: SystemIds().uuid()


def answer_before_flush() -> Patch:
    """A connector answers before what it sent has arrived."""
    return Outbox, "settle", lambda _self, _timeout_s=0.0, **_options: Settlement()


def dropping_on_413() -> Patch:
    """Messages of a notification that was too large are not sent again."""

    def drop(message_ids: Any, status: Any, answer: Any, **options: Any) -> Verdict:
        verdict = decide(message_ids, status, answer, **options)
        return replace(verdict, parts=()) if verdict.outcome == "split" else verdict

    return delivery, "decide", drop


def no_pause() -> Patch:
    """The pause that a connector asks for is ignored."""
    return FlowControl, "delay_s", lambda _self, _now: 0.0


def shared_queue() -> Patch:
    """All organizations of a connector share one queue."""
    return ClientConfig, "sender_key", property(lambda _self: ("", "", "", ""))


def losing_what_is_in_flight() -> Patch:
    """A notification whose connection breaks counts as delivered."""

    def believe(message_ids: Any, status: Any, answer: Any, **options: Any) -> Verdict:
        verdict = decide(message_ids, status, answer, **options)
        return replace(verdict, again=False) if status is None else verdict

    return delivery, "decide", believe


def losing_news_in_flight() -> Patch:
    """What happens to a user while a message about them is on its way is forgotten."""
    release = Mailbox.release

    def forget(self: Any, keys: list[str]) -> None:
        for key in keys:
            self.entries[key].news = None
            for lane in (FAST, NORMAL):
                self.lanes[lane].queue.pop(key, None)
        release(self, keys)

    return Mailbox, "release", forget


def giving_up_at_once() -> Patch:
    """A batch that was not taken the first time is lost."""
    return (
        client_lane.Lane,
        "_retry",
        lambda self, verdict, batch: self._give_up(Refused(verdict.error), batch),
    )


def larger_than_asked_for() -> Patch:
    """The size that a connector asks for is ignored."""
    take = Mailbox._take

    def take_all(self: Any, lane: Any, *rest: Any) -> Any:
        lane.size = 100
        return take(self, lane, *rest)

    return Mailbox, "_take", take_all


def new_content_on_retry() -> Patch:
    """A notification that is sent again has lost its events."""
    prepare = delivery.Dispatcher._prepare

    def change(self: Any, route: Any) -> Any:
        outgoing = prepare(self, route)
        if getattr(outgoing, "attempt", 0) > 1:
            content = json.loads(outgoing.body)
            content["messages"] = [{**message, "events": []} for message in content["messages"]]
            outgoing.body = json.dumps(content).encode()
        return outgoing

    return delivery.Dispatcher, "_prepare", change


def losing_events_in_a_merge() -> Patch:
    """What a connector was still to be told of a visitor is forgotten when the visitor turns out to be a user."""
    leave = Mailbox._take_leave

    def forget(self: Any, key: str) -> None:
        leave(self, key)
        self._orphans.clear()

    return Mailbox, "_take_leave", forget


def deletions_that_do_not_wait() -> Patch:
    """A deletion is told while a message about the same user is on its way."""
    return Mailbox, "_may_go", lambda self, key: not self.entries[key].held


BUGS: tuple[Callable[[], Patch], ...] = (
    no_lease,
    no_deduplication_of_notifications,
    no_deduplication_of_messages,
    no_order_in_the_client,
    no_order_in_the_platform,
    lane_change_in_flight,
    new_message_id_on_retry,
    fresh_ids_in_for_each,
    answer_before_flush,
    dropping_on_413,
    no_pause,
    shared_queue,
    losing_what_is_in_flight,
    losing_news_in_flight,
    giving_up_at_once,
    larger_than_asked_for,
    new_content_on_retry,
    losing_events_in_a_merge,
    deletions_that_do_not_wait,
)
