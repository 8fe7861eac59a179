"""A worker for tests of jobs: ``python rq_jobs.py URL [burst]``; it says on a line of JSON which job it runs.

With ``CLOCK_OFFSET_S`` the host's clock is wrong by so many seconds, for all that RQ reads from it.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from dataclasses import asdict
from datetime import timedelta

import rq.utils

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


def set_clock_wrong(offset_s: float) -> None:
    """Have all of RQ read another time."""
    right = rq.utils.now
    for name, module in list(sys.modules.items()):
        if name.startswith("rq.") and getattr(module, "now", None) is right:
            module.now = lambda: right() + timedelta(seconds=offset_s)


if __name__ == "__main__":
    set_clock_wrong(float(os.environ.get("CLOCK_OFFSET_S", "0")))
    queue = RQQueue(sys.argv[1], lease_s=3)
    queue.work(handle)
    queue.run_worker(burst="burst" in sys.argv, after_job=lambda: say("after job"))
