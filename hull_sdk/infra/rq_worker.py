"""What runs inside RQ: queues that keep hold of a job, a worker that notices a dead one soon, and the job itself.

Only loaded when jobs are kept on Redis or Valkey, because it needs the extra ``queue``.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import rq
import rq.job
from rq.exceptions import DeserializationError
from rq.registry import StartedJobRegistry
from rq.serializers import JSONSerializer
from rq.utils import now
from rq.worker_registration import clean_worker_registry

from hull_sdk.errors import InvalidArgumentError

__all__ = ["JSON", "PERFORM", "JobQueue", "StoredJob", "current_job", "is_ours", "perform", "run_worker"]

#: How jobs are stored; never as pickle.
JSON: Final = JSONSerializer

#: How long an idle worker waits for the next job before it looks at its other lines, in seconds.
POLL_S: Final = 1

#: How long the turn to line up delayed jobs belongs to one worker, in milliseconds.
_TURN_MS: Final = 500

#: The turn to look for dead workers, likewise.
_LOOK_MS: Final = 1_000

#: RQ adds this to how long a worker counts as alive, in seconds.
_RQ_MARGIN_S: Final = 15

#: Fields of a record that name functions and addresses, which RQ calls after a job.
_AFTERWARDS: Final = (b"success_callback_name", b"failure_callback_name", b"stopped_callback_name", b"webhooks")

#: Runs the stored data of a job; set while a worker of a connector works, also in the processes that it forks.
_runner: ContextVar[Callable[[dict[str, Any]], None] | None] = ContextVar("hull_rq_runner", default=None)


def perform(stored: dict[str, Any]) -> None:
    """Run a job; RQ calls this.

    Args:
        stored: What ``RQQueue`` stored.

    Raises:
        InvalidArgumentError: The worker belongs to no connector.
    """
    runner = _runner.get()
    if runner is None:
        raise InvalidArgumentError(
            "this worker knows no connector, because it was started as `rq worker`; "
            "call Connector.start_worker(queue_name) instead"
        )
    runner(stored)


#: The name under which RQ finds :func:`perform`.
PERFORM: Final = f"{perform.__module__}.{perform.__qualname__}"


def current_job() -> Any:
    """Return RQ's record of the job that runs at present."""
    return rq.get_current_job()


class StoredJob(rq.job.Job):
    """A job of this package: whatever its record names, it is :func:`perform` that runs, and nothing after it.

    RQ imports and calls what the record names, so whoever writes to the store could run any function.
    """

    @property
    def func(self) -> Any:
        """What runs the job.

        Raises:
            InvalidArgumentError: The record names something else.
        """
        if not is_ours(self):
            raise InvalidArgumentError(
                f"the job {self.id} was not stored by ctx.enqueue; it names {self.func_name!r:.200}"
            )
        return perform

    def restore(self, raw_data: Any) -> Any:
        """Read a record, without what RQ would call after the job.

        Args:
            raw_data: Its fields, as they came from the store.
        """
        return super().restore({name: value for name, value in raw_data.items() if name not in _AFTERWARDS})

    @property
    def started_job_registry(self) -> _Running:
        """Where it is noted while it runs."""
        return _Running(self.origin, connection=self.connection, job_class=type(self), serializer=self.serializer)

    def retry(self, queue: Any, pipeline: Any) -> None:
        """Plan the next try, by the server's clock.

        RQ notes the new state apart from the rest, so that a worker that is killed in between loses the job.

        Args:
            queue: Its line.
            pipeline: What else is written at the same moment.
        """
        due_at = _server_time(self.connection) + timedelta(seconds=self.get_retry_interval())
        left: Any = self.retries_left
        self.retries_left = left - 1
        self.set_status(rq.job.JobStatus.SCHEDULED, pipeline=pipeline)
        queue.schedule_job(self, due_at, pipeline=pipeline)


def is_ours(job: rq.job.Job) -> bool:
    """Tell whether a record is that of a job of this package; ``False`` for one that cannot be read.

    Args:
        job: RQ's record.
    """
    try:
        return bool(job.func_name == PERFORM and job.instance is None)
    except DeserializationError:
        return False


class _Running(StartedJobRegistry):
    """The jobs that run, and until when each counts as running if nobody hears of it, by the server's clock.

    By the hosts' own, one whose clock is ahead would begin anew what the others are doing.
    """

    def add_execution(self, execution: Any, pipeline: Any, ttl: int = 0, xx: bool = False) -> Any:  # noqa: FBT001, FBT002 - RQ's form
        """Note a job that begins, or was heard of."""
        return pipeline.zadd(self.key, {execution.composite_key: self._now() + ttl}, xx=xx)

    def cleanup(self, timestamp: float | None = None, *args: Any, **kwargs: Any) -> Any:
        """Plan the next try of those that nobody has heard of for too long."""
        return super().cleanup(self._now() if timestamp is None else timestamp, *args, **kwargs)

    def _now(self) -> float:
        return _server_time(self.connection).timestamp()


class JobQueue(rq.Queue):
    """A queue whose jobs are never in nobody's hands.

    RQ itself moves a job to a second list only when a worker has one queue. Here each line is asked that way, the
    first ones first, so that a worker that is killed between taking a job and beginning it does not lose it.
    """

    job_class = StoredJob

    @property
    def started_job_registry(self) -> _Running:
        """The jobs of this line that run."""
        return _Running(queue=self, job_class=self.job_class, serializer=self.serializer)

    @classmethod
    def dequeue_any(cls, queues: Any, timeout: int | None, *args: Any, **kwargs: Any) -> Any:
        """Return the next job of the first line that has one, with its queue; see RQ."""
        lines = list(queues)
        for line in lines:
            line.bring_due()
        for line in lines:
            found = super().dequeue_any([line], None, *args, **kwargs)
            if found is not None:
                return found
        if timeout is None:
            return None
        return super().dequeue_any([lines[len(lines) // 2]], min(timeout, POLL_S), *args, **kwargs)

    def bring_due(self) -> None:
        """Line up the delayed jobs whose time has come, by the server's clock; one worker at a time does it.

        RQ has a process of its own for this, and for minutes after that was killed nobody takes its place.
        """
        if not self.takes_turn("due", _TURN_MS):
            return
        (now, _) = self.connection.time()
        registry = self.scheduled_job_registry
        for job_id in registry.get_jobs_to_schedule(now):
            job = self.fetch_job(job_id)
            with self.connection.pipeline() as pipeline:
                if job is not None:
                    self.enqueue_job(job, pipeline=pipeline)
                registry.remove(job_id, pipeline=pipeline)
                pipeline.execute()

    def bring_back(self, worker: Any) -> None:
        """Plan the next try of jobs whose worker is gone; one worker at a time does it.

        RQ has a lock for this, and when the worker that holds it is killed nobody does it for a quarter of an hour.

        Args:
            worker: Who does it.
        """
        if self.takes_turn("look", _LOOK_MS):
            self.started_job_registry.cleanup()
            self.failed_job_registry.cleanup()
            clean_worker_registry(self)
            self.intermediate_queue.cleanup(worker, self)

    def takes_turn(self, work: str, for_ms: int) -> bool:
        """Tell whether it is this worker's turn to do something for the line; if so, it is nobody else's for a time.

        Args:
            work: What.
            for_ms: For how long, in milliseconds.
        """
        return bool(self.connection.set(f"hull:turn:{work}:{self.name}", 1, nx=True, px=for_ms))


class _SoonNoticed:
    """A worker whose death is noticed after its lease instead of minutes."""

    lease_s = 30

    def get_heartbeat_ttl(self, *_args: Any, **_kwargs: Any) -> int:
        """Return how long a job counts as running after its worker was last heard of, in seconds."""
        return self.lease_s

    def prepare_job_execution(self, job: Any, *_args: Any, **_kwargs: Any) -> None:
        """Begin a job; whatever the number of lines, it leaves the list of those that were taken and not begun."""
        begin: Any = super()
        begin.prepare_job_execution(job, remove_from_intermediate_queue=True)

    def clean_registries(self) -> None:
        """Look for jobs whose worker is gone; RQ itself goes by the host's clock."""
        worker: Any = self
        for line in worker.queues:
            line.bring_back(worker)
        worker.last_cleaned_at = now()


class _ForkingWorker(_SoonNoticed, rq.Worker):
    pass


class _SimpleWorker(_SoonNoticed, rq.SimpleWorker):
    pass


def run_worker(
    lines: Sequence[str],
    connection: Any,
    runner: Callable[[dict[str, Any]], None],
    *,
    lease_s: int,
    burst: bool,
    fork: bool,
) -> None:
    """Run the jobs of some lines until SIGTERM or an interrupt; the job that runs is finished.

    Args:
        lines: Names of RQ's queues, the first ones first.
        connection: Of redis-py, without a time limit for answers.
        runner: Runs the stored data of a job.
        lease_s: How long a job counts as running after its worker was last heard of, in seconds.
        burst: ``True`` ends when nothing is left to do.
        fork: ``True`` runs each job in a process of its own, where the system can.
    """
    kind: Any = _ForkingWorker if fork and hasattr(os, "fork") else _SimpleWorker
    look_s = max(1, lease_s // 3)
    worker = kind(
        list(lines),
        connection=connection,
        queue_class=JobQueue,
        job_class=StoredJob,
        serializer=JSON,
        job_monitoring_interval=look_s,
        maintenance_interval=look_s,
        worker_ttl=look_s + _RQ_MARGIN_S,
    )
    worker.lease_s = lease_s
    token = _runner.set(runner)
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        worker.work(burst=burst)
    finally:
        _runner.reset(token)
        for number, handler in before.items():
            signal.signal(number, handler)


def _server_time(connection: Any) -> datetime:
    """Return the time that all hosts share."""
    seconds, microseconds = connection.time()
    return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)
