"""Shared senders: one for each connector, and only as many as are busy."""

from __future__ import annotations

import threading

import pytest
from client_sinks import ID, SECRET

from hull_sdk.client import Client, ClientConfig, SenderPool
from hull_sdk.errors import InvalidArgumentError


def config(number: int = 0, **options) -> ClientConfig:
    """Return the configuration of one of many connectors."""
    return ClientConfig(**{"id": f"{number:024x}", "secret": SECRET, "organization": "acme.hullapp.test", **options})


def tracker(pool, runtime, number):
    """Return a scoped client of one of many connectors."""
    client = Client.from_config(config(number), runtime=runtime, senders=pool)
    return client.as_user({"external_id": "1"})


def test_the_same_connector_has_one_sender(runtime):
    """Firehose, organization, id and secret decide; request ids and names do not."""
    pool = SenderPool(runtime)
    sender = pool.get(config())
    assert pool.get(config(request_id="r-1", connector_name="x")) is sender
    others = [
        config(1),
        config(secret="other"),
        config(organization="b.hullapp.test"),
        config(firehose_url="http://x/"),
    ]
    assert all(pool.get(other) is not sender for other in others)


def test_clients_made_apart_do_not_share(make_client):
    """Without a pool each client has a sender of its own; scoped copies share it."""
    one, two = make_client(), make_client()
    assert one._connection._source is not two._connection._source
    assert one.as_user(ID)._connection is one._connection


def test_an_evicted_sender_sends_what_it_has(runtime, sink):
    """The least recently used one is flushed, and let go when it is empty."""
    pool = SenderPool(runtime, max_senders=2)
    for number in range(5):
        tracker(pool, runtime, number).traits({"n": number})
    assert len(pool) == 2
    runtime.tasks.sleep(0)
    assert sorted(sink.values()) == [0, 1, 2]
    tracker(pool, runtime, 9).traits({"n": 9})
    assert len(pool._leaving) == 1
    assert pool.flush(5).sent == 6


def test_a_connector_that_comes_back_keeps_its_order(runtime, sink):
    """An evicted sender that is not empty yet is taken up again."""
    sink.script = [503, 503]
    pool = SenderPool(runtime, max_senders=1)
    tracker(pool, runtime, 1).traits({"n": 1})
    tracker(pool, runtime, 2).traits({"n": 2})
    runtime.tasks.sleep(0)
    tracker(pool, runtime, 1).traits({"n": 3})
    assert pool.flush(60).sent == 3
    assert sink.values().index(1) < sink.values().index(3)
    assert sink.repeated == 0


def test_a_sender_is_let_go_only_when_empty(runtime, sink):
    """close_if_idle leaves one that has messages as it was."""
    pool = SenderPool(runtime)
    tracker(pool, runtime, 1).traits({"n": 1})
    sender = pool.get(config(1))
    assert not sender.close_if_idle()
    sender.flush()
    assert sender.close_if_idle()


def test_closing_a_client_leaves_a_shared_sender_open(runtime, sink):
    """close() of one client flushes; others go on."""
    pool = SenderPool(runtime)
    client = Client.from_config(config(), runtime=runtime, senders=pool)
    client.as_user(ID).traits({"n": 1})
    assert client.close().sent == 1
    client.as_user(ID).traits({"n": 2})
    assert pool.close(5).sent == 1


def test_a_closed_pool_takes_no_more(runtime, sink):
    """close() sends everything and refuses what comes later."""
    pool = SenderPool(runtime)
    users = [tracker(pool, runtime, number) for number in range(3)]
    for number, user in enumerate(users):
        user.traits({"n": number})
    assert pool.close(5).sent == 3
    with pytest.raises(InvalidArgumentError, match="the senders were closed"):
        users[0].traits({"n": 3})


def test_a_pool_needs_room_for_one():
    """A size below one is refused."""
    with pytest.raises(InvalidArgumentError, match="max_senders is 0; pass a whole number from 1"):
        SenderPool(None, max_senders=0)


def test_a_sender_that_was_let_go_in_between_is_replaced(runtime, sink, monkeypatch):
    """However often other threads evict a sender between finding and using it, the message goes through a new one."""
    pool = SenderPool(runtime, max_senders=1)
    user, found = tracker(pool, runtime, 1), pool.get
    evictions = iter(range(5))

    def get(wanted):
        sender = found(wanted)
        if next(evictions, None) is not None:
            found(config(2))
        return sender

    monkeypatch.setattr(pool, "get", get)
    user.traits({"n": 1})
    assert pool.flush(5).sent == 1


def test_a_sender_that_is_given_out_again_is_not_closed(runtime, sink, monkeypatch):
    """A connector that comes back while its sender is being let go gets one that takes messages."""
    pool = SenderPool(runtime, max_senders=1)
    evicted = pool.get(config(1))
    close, given = evicted.close_if_idle, []
    other = threading.Thread(target=lambda: given.append(pool.get(config(1))))

    def close_while_it_comes_back():
        other.start()
        other.join(0.05)
        return close()

    monkeypatch.setattr(evicted, "close_if_idle", close_while_it_comes_back)
    pool.get(config(2))
    other.join(10)
    assert "open" in repr(given[0])
