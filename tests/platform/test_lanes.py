"""Lanes: order, one notification under way, and who travels fast."""

from __future__ import annotations

import itertools
from collections import defaultdict

import pytest
from delivery_kit import NEXT
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.platform.lanes import FAST, NORMAL, Mailbox, Outgoing
from hull_sdk.platform.notifications import Catalog
from hull_sdk.platform.reports import EntityChange, View

CATALOG = Catalog((), ())


def change(entity_id, before, after):
    """Return a change of one number."""
    views = [None if value is None else View({"id": entity_id, "n": value}) for value in (before, after)]
    return EntityChange(kind="user", entity_id=entity_id, before=views[0], after=views[1], is_new=before is None)


def freeze(told):
    """Return a notification of messages."""
    return Outgoing(id="n", parent_id=None, messages=[m for _, m in told], keys=[k for k, _ in told], body=b"")


def test_active_users_are_served_first(platform, fake, send):
    """A user that was marked active overtakes the others, in a lane of its own."""
    fake.answer = lambda _n: {"flow_control": {"type": "next", "size": 1, "in": 1000}}
    send.people(4)
    send.traits({"external_id": "fast"}, {"n": 1}, active=True)
    platform.run_until_idle()
    order = [m["user"]["external_id"] for m in fake.messages()]
    assert order.index("fast") <= 1
    lanes = {d.messages[0]["user"]["external_id"]: d.lane for d in platform.deliveries}
    assert lanes == {"0": "normal", "1": "normal", "2": "normal", "3": "normal", "fast": "fast"}


def test_an_active_user_stays_in_its_lane_while_something_of_it_is_under_way(platform, fake, send):
    """A user under way in the normal lane does not appear in the fast one until that is done."""
    answers = iter([{"flow_control": {"type": "retry", "in": 5000}}])
    fake.answer = lambda _n: next(answers, NEXT)
    send.traits({"external_id": "1"}, {"n": 1})
    platform.advance(seconds=1)
    send.traits({"external_id": "1"}, {"n": 2}, active=True)
    platform.run_until_idle()
    send.traits({"external_id": "1"}, {"n": 3}, active=True)
    platform.run_until_idle()
    assert [(d.lane, d.messages[0]["user"]["traits_n"]) for d in platform.deliveries] == [
        ("normal", 1),
        ("normal", 1),
        ("normal", 2),
        ("fast", 3),
    ]


def test_a_dead_letter_comes_again_in_the_lane_its_user_is_in(platform, organization, connector, fake, send):
    """Sent again while the user is under way in the fast lane, a message waits in that lane."""

    def refuse(notification):
        (message,) = notification["messages"]
        return {**NEXT, "responses": [{"message_id": message["message_id"], "status": "error"}]}

    fake.answer = refuse
    send.traits({"external_id": "1"}, {"n": 1})
    platform.run_until_idle()
    fake.answer = lambda _n: {"flow_control": {"type": "retry", "in": 5000}}
    send.traits({"external_id": "1"}, {"n": 2}, active=True)
    platform.advance(seconds=1)
    assert organization.redrive(connector.id) == 1
    platform.advance(seconds=1)
    assert [d.lane for d in platform.deliveries] == ["normal", "fast"]
    fake.answer = lambda _n: NEXT
    platform.run_until_idle()
    told = [(d.lane, d.messages[0]["user"]["traits_n"]) for d in platform.deliveries]
    assert told == [("normal", 1), ("fast", 2), ("fast", 2), ("fast", 1)]


def test_the_fast_lane_is_left_after_ten_minutes(platform, fake, send):
    """Being active ends; then the user is served with the others."""
    send.traits({"external_id": "1"}, {"n": 1}, active=True)
    platform.run_until_idle()
    platform.advance(minutes=11)
    send.traits({"external_id": "1"}, {"n": 2})
    platform.run_until_idle()
    assert [d.lane for d in platform.deliveries] == ["fast", "normal"]


def test_a_mailbox_forgets_who_has_nothing_to_tell():
    """When everything was told, nothing is kept."""
    box = Mailbox("user:update")
    lane = box.add_change(change("a", None, 1), NORMAL)
    outgoing = box.next_outgoing(lane, CATALOG, freeze)
    lane.current = None
    box.release(outgoing.keys)
    assert len(box) == 0


def test_waiting_news_move_to_the_fast_lane_but_not_back():
    """An entity that becomes active moves up with what it has to tell; becoming inactive leaves it there."""
    box = Mailbox("user:update")
    box.add_change(change("a", None, 1), NORMAL)
    assert box.add_change(change("a", 1, 2), FAST) is box.lanes[FAST]
    assert not box.has_work(box.lanes[NORMAL])
    assert box.add_change(change("a", 2, 3), NORMAL) is box.lanes[FAST]


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("change"), st.sampled_from("abcd"), st.sampled_from([FAST, NORMAL])),
            st.tuples(st.just("send"), st.sampled_from([FAST, NORMAL]), st.integers(1, 3)),
            st.tuples(st.sampled_from(["done", "retry", "split"]), st.sampled_from([FAST, NORMAL]), st.just(0)),
        ),
        max_size=60,
    )
)
def test_every_change_is_told_once_and_in_order(steps):
    """Whatever is sent, split, retried and changed, each entity's values arrive in order and the last one arrives."""
    model = _Model()
    for step, first, second in steps:
        if step == "change":
            model.change(first, second)
        elif step == "send":
            model.send(first, second)
        else:
            model.finish(first, step)
    model.drain()
    assert len(model.box) == 0
    for key, value in model.values.items():
        pairs = model.told[key]
        assert [new for _, new in pairs][-1:] == ([value] if value else [])
        assert all(a[1] == b[0] for a, b in itertools.pairwise(pairs))


class _Model:
    """A mailbox, the values of its entities, and what was told of each."""

    def __init__(self):
        self.box = Mailbox("user:update")
        self.values = dict.fromkeys("abcd", 0)
        self.told = defaultdict(list)

    def change(self, key, lane):
        before = self.values[key] or None
        self.values[key] += 1
        self.box.add_change(change(key, before, self.values[key]), lane)

    def send(self, name, size):
        lane = self.box.lanes[name]
        lane.size = size
        if lane.current is None:
            self.box.next_outgoing(lane, CATALOG, freeze)
        held = [key for each in self.box.lanes.values() for outgoing in _under_way(each) for key in outgoing.keys]
        assert len(held) == len(set(held)), "an entity is under way twice"

    def finish(self, name, how):
        lane = self.box.lanes[name]
        outgoing = lane.current
        if outgoing is None or how == "retry":
            return
        lane.current = None
        for message, key in zip(outgoing.messages, outgoing.keys, strict=True):
            if how == "split" and len(outgoing.keys) > 1:
                self.box.hold([key], lane.name)
                lane.parts.append(freeze([(key, message)]))
            else:
                self.told[key].append(message["changes"]["user"]["n"])
        self.box.release(outgoing.keys)

    def drain(self):
        for _ in range(200):
            for name in (FAST, NORMAL):
                self.send(name, 2)
                self.finish(name, "done")


def _under_way(lane):
    return [*([] if lane.current is None else [lane.current]), *lane.parts]


@pytest.mark.parametrize("size", [1, 2, 7])
def test_first_come_first_served(platform, fake, send, size):
    """Within a lane entities are told of in the order in which they first had news."""
    fake.answer = lambda _n: {"flow_control": {"type": "next", "size": size, "in": 0}}
    send.people(9)
    platform.run_until_idle()
    assert [m["user"]["external_id"] for m in fake.messages()] == [str(n) for n in range(9)]
