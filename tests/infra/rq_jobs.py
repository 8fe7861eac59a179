"""A worker for tests of jobs: ``python rq_jobs.py URL [burst]``; it says on a line of JSON which job it runs."""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict

from hull_sdk.errors import LogicError, TransientError
from hull_sdk.infra import Job, RQQueue
from hull_sdk.infra.queues import GivenUpError


def say(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def handle(job: Job) -> None:
    """Say which job it is, and do what its payload asks for."""
    say(json.dumps({"ran": asdict(job), "pid": os.getpid()}))
    asked = job.payload if isinstance(job.payload, dict) else {}
    if asked.get("given_up"):
        raise GivenUpError("never") from LogicError("nobody can mend this")
    if asked.get("hangs", 0) >= job.attempt:
        signal.pause()
    if asked.get("fails", 0) >= job.attempt:
        raise TransientError("secret=hunter2 is wrong", retry_after=asked.get("retry_after"))
    if asked.get("tells_its_end"):
        say(json.dumps({"ended": job.id}))


if __name__ == "__main__":
    queue = RQQueue(sys.argv[1], lease_s=3)
    queue.work(handle)
    queue.run_worker(burst="burst" in sys.argv, after_job=lambda: say("after job"))
