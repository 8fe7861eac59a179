"""The outbox: what one request sent, and whether it arrived."""

from __future__ import annotations

import gc

import pytest
from client_sinks import HOST, ID, SECRET

from hull_sdk.client import Client, Outbox, SenderPool
from hull_sdk.errors import CredentialsError, RejectedError

ANN = {"email": "ann@acme.test"}


@pytest.fixture
def outbox(runtime):
    """An empty outbox."""
    return Outbox(runtime)


@pytest.fixture
def pool(runtime):
    """Senders to share."""
    return SenderPool(runtime)


@pytest.fixture
def outbox_client(runtime, sink, pool, outbox):
    """A client that shares its sender and fills the outbox."""
    return Client(id=ID, secret=SECRET, organization=HOST, runtime=runtime, senders=pool, outbox=outbox)


def test_settling_sends_at_once(outbox_client, outbox, sink, runtime):
    """It does not wait for flush_after_ms, and counts scoped copies too."""
    outbox_client.as_user(ANN).traits({"n": 1})
    outbox_client.as_user(ANN).account({"domain": "acme.test"}).traits({"n": 2})
    settlement = outbox.settle(5)
    assert (settlement.accepted, settlement.rejected, settlement.failed, settlement.pending) == (2, [], [], 0)
    assert runtime.clock.monotonic() == 0
    assert outbox.settle(5).accepted == 0


def test_only_its_own_messages_count(outbox_client, outbox, sink, runtime, pool):
    """Another client on the same sender is not counted."""
    other = Client(id=ID, secret=SECRET, organization=HOST, runtime=runtime, senders=pool)
    other.as_user(ANN).traits({"n": 1})
    outbox_client.as_user(ANN).traits({"n": 2})
    assert outbox.settle(5).accepted == 1
    assert len(pool) == 1


def test_a_refused_token_is_no_fault_of_the_message(outbox_client, outbox, sink):
    """When a clock or a secret is wrong, a message counts as failed, so that what it was sent for comes again."""
    sink.script = [{"rejected": [{"index": 0, "message_id": None, "code": "BAD_TOKEN", "reason": "check the clocks"}]}]
    outbox_client.as_user(ANN).traits({"n": 1})
    settlement = outbox.settle(5)
    assert (settlement.accepted, settlement.rejected) == (0, [])
    assert "check the clocks" in str(settlement.failed[0])


def test_rejected_and_failed_messages_are_told_apart(outbox_client, outbox, sink):
    """A message refused for good is listed under rejected, a refused batch under failed."""
    sink.script = [{"rejected": [{"index": 0, "message_id": None, "code": "NO_IDENTIFIER", "reason": "r"}]}]
    outbox_client.as_user(ANN).traits({"n": 1})
    outbox_client.as_user(ANN).traits({"n": 2})
    first = outbox.settle(5)
    assert (first.accepted, [e.code for e in first.rejected], first.failed) == (1, ["NO_IDENTIFIER"], [])
    assert isinstance(first.rejected[0], RejectedError)
    sink.script = [401]
    outbox_client.as_user(ANN).traits({"n": 3})
    second = outbox.settle(5)
    assert (second.accepted, second.rejected) == (0, [])
    assert [type(error) for error in second.failed] == [CredentialsError]


def test_what_is_late_is_pending_and_counted_later(outbox_client, outbox, sink, runtime):
    """Settling returns on time; the outcome is in the next settlement."""
    sink.script = [503]
    sink.answer_headers = [("Retry-After", "20")]
    outbox_client.as_user(ANN).traits({"n": 1})
    late = outbox.settle(3)
    assert (late.accepted, late.pending, runtime.clock.monotonic()) == (0, 1, 3)
    assert outbox.settle(60).accepted == 1


def test_settled_futures_are_let_go(outbox_client, outbox, sink):
    """A long-lived outbox keeps counts, not Futures."""
    for _ in range(3):
        for number in range(500):
            outbox_client.as_user(ANN).traits({"n": number})
        outbox_client.flush()
        assert len(outbox) == 0
    assert outbox.settle(0).accepted == 1500
    gc.collect()


def test_settling_nothing_returns_at_once(outbox, runtime):
    """An outbox that nothing went through is settled."""
    assert outbox.settle(60).pending == 0
    assert runtime.clock.monotonic() == 0
