"""The kinds of queues that the contract runs over, and how time passes in each."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from typing import Any

from valkey_server import ValkeyServer

from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import LogicError, TransientError
from hull_sdk.infra import Job, MemoryQueue, RQQueue
from hull_sdk.infra.queues import GivenUpError


class MemoryKind:
    """The queue in memory, on a virtual clock."""

    def __init__(self) -> None:
        self.queue = MemoryQueue(Runtime.virtual())
        self.ran: list[dict[str, Any]] = []

    def run(self, seconds: float = 0) -> None:
        """Let time pass, and run the jobs that fall due."""
        self.queue.work(partial(handle, self.ran))
        self.queue.runtime.tasks.sleep(seconds)

    def failed(self) -> list[str]:
        """Return the ids of the jobs that were given up."""
        return [failed.job.id for failed in self.queue.failed]

    def close(self) -> None:
        self.queue.stop(0)


class RQKind:
    """Jobs on Valkey, run by RQ in the process of the test until nothing is left to do."""

    def __init__(self, server: ValkeyServer) -> None:
        self._server = server
        self.queue = RQQueue(server.url)
        self.ran: list[dict[str, Any]] = []

    def run(self, seconds: float = 0) -> None:
        """Let time pass for what is scheduled, and run the jobs that fall due."""
        with self._server.client() as client:
            for key in client.scan_iter("rq:scheduled:*"):
                for job_id, due_at in client.zrange(key, 0, -1, withscores=True):
                    client.zadd(key, {job_id: due_at - seconds})
            for key in client.scan_iter("hull:turn:*"):
                client.delete(key)
        self.queue.work(partial(handle, self.ran))
        self.queue.run_worker(burst=True, fork=False)

    def failed(self) -> list[str]:
        """Return the ids of the jobs that were given up."""
        with self._server.client() as client:
            return [job_id.decode() for job_id in client.zrange("rq:failed:queueApp", 0, -1)]

    def close(self) -> None:
        self.queue.stop()


def handle(ran: list[dict[str, Any]], job: Job) -> None:
    """Note a job, and do what its payload asks for."""
    ran.append(asdict(job))
    asked = job.payload if isinstance(job.payload, dict) else {}
    if asked.get("given_up"):
        raise GivenUpError("never") from LogicError("nobody can mend this")
    if asked.get("fails", 0) >= job.attempt:
        raise TransientError("secret=hunter2 is wrong", retry_after=asked.get("retry_after"))
