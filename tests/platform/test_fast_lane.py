"""Active users go ahead of a backlog: their messages, and what connectors are told of them."""

from __future__ import annotations

import gc
from contextlib import contextmanager

import pytest
from ingestion_kit import CONNECTOR, Bench, signed

from hull_sdk.core.runtime import Runtime
from hull_sdk.platform.population import Population

BACKLOG = 2000
ANN = {"external_id": "ann"}


@pytest.fixture
def backlog(send, fake, platform):
    """Many users, each of whom a slow connector is still to be told, and Ann at their end."""
    fake.answer = lambda _n: {"flow_control": {"type": "next", "size": 1, "in": 1000}}
    send.people(BACKLOG)
    send.traits(ANN, {"n": -1})
    platform.runtime.tasks.sleep(3)


@contextmanager
def without_collections():
    """Make very many objects without looking for garbage among them again and again."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def told(fake):
    """Return whom the connector was told of, in order."""
    return [message["user"]["external_id"] for message in fake.messages()]


def test_a_user_who_becomes_active_goes_ahead(platform, backlog, send, fake):
    """The next second tells of her, before thousands who came first."""
    before = len(told(fake))
    send.traits(ANN, {"plan": "pro"}, active=True)
    platform.runtime.tasks.sleep(1)
    assert "ann" in told(fake)[before:]
    assert len(told(fake)) < 10


@pytest.mark.timeout(300)
def test_fifty_thousand_who_came_first_do_not_hold_her_up(platform, organization, connector, fake, send):
    """Her message, segment and account are told within two seconds of the mark; of the others one a second is told."""
    segment = organization.create_segment("user", "Pros", query={"term": {"traits_plan.raw": "pro"}})
    fake.answer = lambda _n: {"flow_control": {"type": "next", "size": 1, "in": 1000}}
    with without_collections():
        for number in range(50_000):
            claims = {"io.hull.asUser": {"external_id": str(number)}}
            organization.ingest({"type": "traits", "body": {"n": number}}, claims, connector.id)
    send.traits(ANN, {"n": -1}, account={"domain": "acme.test"})
    platform.runtime.tasks.sleep(10)
    assert "ann" not in told(fake)
    before, marked_at = len(told(fake)), platform.runtime.clock.time()
    send.traits(ANN, {"plan": "pro"}, active=True)
    while "ann" not in told(fake):
        platform.runtime.tasks.sleep(0.1)
    assert platform.runtime.clock.time() - marked_at <= 1.1
    assert fake.messages()[-1]["changes"]["segments"]["entered"][0]["id"] == segment["id"]
    assert len(told(fake)) - before <= 2
    platform.runtime.tasks.sleep(1)
    assert fake.messages("account:update")[0]["account"]["domain"] == "acme.test"
    platform.runtime.tasks.sleep(60)
    assert 55 <= len(told(fake)) - before <= 65


def test_the_mark_alone_is_enough(platform, backlog, send, fake):
    """A message that changes nothing takes what waits along to the fast lane."""
    before = len(told(fake))
    send.traits(ANN, {}, active=True)
    platform.runtime.tasks.sleep(1)
    assert "ann" in told(fake)[before:]


def test_an_event_can_carry_the_mark(platform, backlog, send, fake):
    """``active`` in a track body does the same."""
    before = len(told(fake))
    send._send(send.message("track", {"event": "Seen", "active": True}, user=ANN))
    platform.runtime.tasks.sleep(1)
    assert "ann" in told(fake)[before:]


def test_without_the_mark_she_waits_her_turn(platform, backlog, send, fake):
    """First in, first out."""
    send.traits(ANN, {"plan": "pro"})
    platform.runtime.tasks.sleep(60)
    assert "ann" not in told(fake)


def test_the_lane_is_left_after_ten_minutes(platform, backlog, send, fake):
    """Within them every change goes ahead, after them none does."""
    send.traits(ANN, {"plan": "pro"}, active=True)
    platform.advance(minutes=9)
    send.traits(ANN, {"plan": "team"})
    platform.runtime.tasks.sleep(2)
    assert told(fake).count("ann") == 2
    platform.advance(minutes=2)
    send.traits(ANN, {"plan": "free"})
    platform.runtime.tasks.sleep(60)
    assert told(fake).count("ann") == 2


def test_messages_of_an_active_user_do_not_wait_for_the_batch_of_another_request():
    """While one request is worked through, those that come meanwhile are applied soon."""
    runtime = Runtime.system()
    organization = Population("acme.hullapp.test", runtime=runtime, clock=runtime.clock)
    bench = Bench()
    bench.runtime = runtime
    batch = [signed(bench, "traits", {"n": n}, user={"external_id": str(n)}) for n in range(3000)]
    urgent = [signed(bench, "traits", {"n": n}, user=ANN, active=True) for n in range(5)]
    behind = []
    future = runtime.tasks.spawn(organization.receive, batch, CONNECTOR)
    while not organization.records:
        runtime.tasks.sleep(0.001)
    for message in urgent:
        before = len(organization.records)
        organization.receive([message], CONNECTOR)
        behind.append(len(organization.records) - before)
    assert not future.done()
    assert sorted(behind)[2] < 100
    runtime.tasks.wait(future, 60)
    assert len(organization.records) == 3005
