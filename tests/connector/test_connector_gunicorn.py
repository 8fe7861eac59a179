"""What is seen of gunicorn's workers: when one was told to stop, and how long it has until it is killed."""

from __future__ import annotations

import logging
import math
import os
import signal
import tempfile
from types import SimpleNamespace

import pytest
from connector_world import query

from hull_sdk.connector.gunicorn import GunicornWatch
from hull_sdk.core.logs import fields_of
from hull_sdk.handlers import batcher_handler


@pytest.fixture
def worker():
    """A worker of gunicorn, as far as it is looked at."""
    with tempfile.TemporaryFile() as heartbeat:
        settings = SimpleNamespace(graceful_timeout=20, timeout=40)
        yield SimpleNamespace(alive=True, cfg=settings, tmp=heartbeat)


@pytest.fixture
def handed_over():
    """What the batcher of the application has handed over."""
    return []


@pytest.fixture
def extension(world, handed_over):
    """An application that holds one item of a batch."""
    handler = batcher_handler(lambda _ctx, items: handed_over.extend(items), max_time_ms=600_000)
    app = world.app(handler, shutdown_timeout_s=30)
    assert app.test_client().post(f"/b0?{query()}").text == "ok"
    return app.extensions["hull"]


@pytest.fixture
def watch(world, extension, worker):
    """A watch over that worker, with a request behind it."""
    watch = GunicornWatch(world.runtime, extension.shutdown, lambda: worker)
    watch.on_request()
    world.runtime.tasks.sleep(100)
    yield watch
    os.close(watch.heartbeat)


def test_the_deadline_counts_from_the_moment_the_worker_is_told(world, extension, worker, watch, caplog):
    """Until then it does not count; from then on it is the server's patience, less a second to end in."""
    assert extension.shutdown.left_s("senders") == math.inf
    worker.alive = False
    with caplog.at_level(logging.INFO):
        world.runtime.tasks.sleep(0.25)
    assert extension.shutdown.left_s("senders") == pytest.approx(19, abs=0.25)
    assert [fields_of(record) for record in caplog.records] == [{"timeout_s": 19.0}]


def test_the_connectors_own_deadline_counts_when_it_is_shorter(world, extension, worker, watch):
    """A server that waits longer changes nothing."""
    worker.cfg.graceful_timeout, worker.alive = 90, False
    world.runtime.tasks.sleep(0.25)
    assert extension.shutdown.left_s("senders") == pytest.approx(30, abs=0.25)


def test_what_is_held_is_handed_over_beside_a_long_request(world, extension, worker, watch, handed_over):
    """When requests have had their share, batches go, although the server waits on."""
    worker.alive = False
    world.runtime.tasks.sleep(10)
    assert handed_over == []
    world.runtime.tasks.sleep(5)
    assert len(handed_over) == 1
    assert extension.shutdown.waiting == 0


def test_a_short_patience_keeps_most_of_its_time(worker, watch):
    """Of two seconds a quarter is left to gunicorn, not all but one."""
    worker.cfg.graceful_timeout = 2
    assert watch.patience_s() == 1.5


def test_a_worker_at_its_end_is_not_taken_for_hung(world, worker, watch):
    """The end is a sign of life; from then on gunicorn's timeout counts."""
    os.utime(worker.tmp.fileno(), (0, 0))
    worker.tmp.close()
    assert watch.last_patience_s() == 39
    assert os.fstat(watch.heartbeat).st_mtime == world.runtime.clock.monotonic() == 100
    worker.cfg.timeout = 0
    assert watch.last_patience_s() == math.inf


def test_without_a_worker_nothing_limits_the_time(world, extension):
    """Under another server, and in processes that a worker forks, gunicorn's limits do not count."""
    handler = signal.getsignal(signal.SIGTERM)
    watch = GunicornWatch(world.runtime, extension.shutdown)
    watch.on_request()
    world.runtime.tasks.sleep(1)
    assert (watch.patience_s(), watch.last_patience_s(), watch.heartbeat) == (math.inf, math.inf, None)
    assert signal.getsignal(signal.SIGTERM) is handler
