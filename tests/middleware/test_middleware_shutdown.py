"""How the time of a stop is shared out, on a virtual clock."""

from __future__ import annotations

import pytest
from connector_world import query

from hull_sdk import current_context
from hull_sdk.handlers import batcher_handler

STAGES = ("requests", "batches", "jobs", "senders")


@pytest.fixture
def stopping(world):
    """Return a function that sets an application up and returns its shutdown."""
    return lambda **options: world.app(**options).extensions["hull"].shutdown


@pytest.mark.parametrize(
    ("total", "shares"), [(30.0, [21, 23, 25, 30]), (60.0, [51, 53, 55, 60]), (3.0, [2.1, 2.3, 2.5, 3])]
)
def test_each_stage_leaves_time_to_those_behind_it(stopping, total, shares):
    """Of 30 seconds requests get 21; of more they get more, of less a share as large."""
    shutdown = stopping(shutdown_timeout_s=total)
    shutdown.begin()
    assert [shutdown.left_s(stage) for stage in STAGES] == pytest.approx(shares)


def test_the_deadline_is_set_once(world, stopping):
    """The time counts from the first call; it never grows, and never falls below nothing."""
    shutdown = stopping(shutdown_timeout_s=10)
    shutdown.begin()
    world.runtime.tasks.sleep(4)
    shutdown.begin(1000)
    assert shutdown.left_s("senders") == pytest.approx(6)
    world.runtime.tasks.sleep(100)
    assert [shutdown.left_s(stage) for stage in STAGES] == [0.0] * 4


def test_a_stop_hands_over_before_it_runs_jobs_and_sends(world):
    """What requests left behind is finished in order: a batch may enqueue a job, whose message is sent at the end."""
    done = []

    def hand_over(ctx, messages):
        done.append("batch")
        ctx.enqueue("job", len(messages))

    def job(ctx, payload):
        done.append(("job", payload))
        ctx.client.as_user({"external_id": "u1"}).track("Done")

    connector = world.connector()
    connector.worker({"job": job})
    app = world.app(batcher_handler(hand_over, max_time_ms=600_000), setup=False)
    client = world.setup(app, connector).test_client()
    assert client.post(f"/b0?{query()}").text == "ok"
    connector.close()
    connector.close()
    assert done == ["batch", ("job", 1)]
    assert len(world.platform.messages) == 1
    assert client.post(f"/b0?{query()}").status_code == 503


def test_a_job_cannot_be_enqueued_after_the_stop(world):
    """When the queue has been stopped, a request that wants to enqueue is told to come again."""
    connector = world.connector()
    app = world.app(setup=False)
    app.add_url_rule("/enqueue", "enqueue", lambda: current_context.enqueue("job"))
    client = world.setup(app, connector).test_client()
    connector.close()
    response = client.get(f"/enqueue?{query()}")
    assert (response.status_code, response.text) == (503, "transient-error")
