"""Handlers that leave work to jobs."""

from __future__ import annotations

import pytest

from hull_sdk.errors import TransientError
from hull_sdk.handlers import smart_notifier_handler
from hull_sdk.infra import MemoryQueue


class BrokenQueue(MemoryQueue):
    """A queue whose store is away."""

    def enqueue(self, job_name, _payload, **_options):
        """Take nothing."""
        raise TransientError(f"the store of {job_name!r} cannot be reached", status=503)


@pytest.mark.parametrize(("queue", "kind"), [(MemoryQueue, "next"), (BrokenQueue, "retry")])
def test_a_notification_is_done_only_when_its_job_is_stored(world, queue, kind):
    """A handler that enqueues answers next once the queue has the job, and retry when the queue takes none."""
    connector = world.connector(queue=queue())
    connector.worker({"sync": lambda _ctx, _payload: None})
    app = world.app(
        smart_notifier_handler({"user:update": lambda ctx, messages: ctx.enqueue("sync", len(messages))}), setup=False
    )
    answer = world.notify(world.setup(app, connector)).get_json()
    assert answer["flow_control"]["type"] == kind
    world.runtime.tasks.run_until_idle()
