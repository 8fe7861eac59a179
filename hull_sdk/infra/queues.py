"""Jobs that run after the answer: the port that every queue implements, and the queue in memory.

The queue in memory keeps its jobs in the process: a crash loses them, a graceful stop finishes them or logs
which ones it could not finish. Payload and context travel as JSON, as they would through a store.
"""

from __future__ import annotations

import heapq
import logging
import math
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, runtime_checkable

from hull_sdk.core import json
from hull_sdk.core.forks import watch_forks
from hull_sdk.core.ids import Ids
from hull_sdk.core.logs import emit
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Future, Lock, Worker
from hull_sdk.errors import HullError, InvalidArgumentError, TransientError

__all__ = [
    "DEFAULT_QUEUE",
    "MAX_ATTEMPTS",
    "ExpiredJobError",
    "FailedJob",
    "GivenUpError",
    "Job",
    "JobHandler",
    "MemoryQueue",
    "Queue",
    "cause_of",
    "check_job",
    "encode_job",
    "log_failure",
    "pause_after",
]

#: Name of the queue that jobs go to unless they are told otherwise.
DEFAULT_QUEUE: Final = "queueApp"
#: How often a job is tried before it counts as failed.
MAX_ATTEMPTS: Final = 3
#: How many failed jobs the queue in memory remembers.
MAX_FAILED: Final = 1000

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One piece of work.

    Args:
        id: Its id, the same in every attempt.
        name: Which function runs it, for example ``"import-contacts"``.
        payload: JSON-like data for the function.
        context: JSON-like data from which the context is built again, for example an encrypted token.
        queue_name: The queue it belongs to.
        attempt: Which try this is, from 1.
    """

    id: str
    name: str
    payload: Any
    context: dict[str, Any]
    queue_name: str = DEFAULT_QUEUE
    attempt: int = 1


@dataclass(frozen=True, slots=True)
class FailedJob:
    """A job that was given up, and why."""

    job: Job
    error: Exception


class GivenUpError(HullError):
    """Raised from an error that no further try can mend; the job is kept among the failed ones."""


class ExpiredJobError(TransientError):
    """Raised for a job that waited longer than its ``ttl_ms``."""


#: Runs one job; an exception asks for another try, except :class:`GivenUpError`.
JobHandler = Callable[[Job], Any]


@runtime_checkable
class Queue(Protocol):
    """What a queue does, wherever it keeps its jobs."""

    def enqueue(
        self,
        job_name: str,
        payload: Any,
        *,
        context: Mapping[str, Any],
        delay_ms: float = 0,
        queue_name: str = DEFAULT_QUEUE,
        priority: int | None = None,
        ttl_ms: float | None = None,
    ) -> str:
        """Store a job; when this returns, the job will run at least once.

        Args:
            job_name: Which function runs it, for example ``"import-contacts"``.
            payload: JSON-like data for the function.
            context: JSON-like data from which the context is built again.
            delay_ms: Earliest start, in milliseconds from now.
            queue_name: Whose workers run it.
            priority: Among jobs that could start now the lowest number goes first; ``None`` is 0.
            ttl_ms: Give the job up when it has not begun within this time, in milliseconds; ``None``: never.

        Returns:
            The job's id.

        Raises:
            InvalidArgumentError: Payload or context cannot travel as JSON, or a number is not allowed.
            TransientError: The queue cannot take the job now.
        """
        ...

    def work(self, handler: JobHandler) -> None:
        """Know how jobs are run; a queue that needs no other process runs them from now on.

        Args:
            handler: Receives each :class:`Job`.
        """

    def run_worker(self, queue_name: str = DEFAULT_QUEUE, *, after_job: Callable[[], None] | None = None) -> None:
        """Run jobs in this process until it is told to stop; return at once when it does so anyway.

        Args:
            queue_name: Which queue.
            after_job: Called at the end of each process that ran a job and leaves without the interpreter's exit.
        """

    def stop(self, timeout_s: float) -> int:
        """Take no more jobs and finish what can be finished.

        Args:
            timeout_s: Longest wait in seconds.

        Returns:
            How many jobs were left.
        """
        ...


@dataclass(frozen=True, slots=True, eq=False)
class _Entry:
    """A job in line, its data as they would be stored."""

    job: Job
    body: bytes
    priority: int
    expires_at: float | None


class MemoryQueue:
    """Jobs in memory, one after the other in the order of arrival, on a worker of the runtime.

    A job that raises is tried again with backoff, :data:`MAX_ATTEMPTS` times in all, while others go on; then
    it is kept in :attr:`failed` and logged.

    Args:
        runtime: Clock, ids and tasks; the machine's own by default. May be assigned before the first job.
        retry: Pauses between the tries of a failing job.
    """

    def __init__(self, runtime: Runtime | None = None, *, retry: RetryPolicy | None = None) -> None:
        self.runtime: Runtime = Runtime.system() if runtime is None else runtime
        #: The jobs that were given up, newest last; at most :data:`MAX_FAILED`.
        self.failed: deque[FailedJob] = deque(maxlen=MAX_FAILED)
        self._retry = RetryPolicy(base_s=1.0) if retry is None else retry
        self._lock = Lock()
        self._sequence = 0
        self._ready: list[tuple[int, int, _Entry]] = []  # by priority
        self._later: list[tuple[float, int, _Entry]] = []  # by the earliest start
        self._running: _Entry | None = None
        self._handler: JobHandler | None = None
        self._worker: Worker | None = None
        self._stopped = False
        self._drain: tuple[float, Future[Any]] | None = None
        watch_forks(self)

    def after_fork(self) -> None:
        """Start empty in a child process: the parent runs the jobs that it took."""
        self._lock = Lock()
        self._ready, self._later = [], []
        self._running = self._worker = self._drain = None

    def __len__(self) -> int:
        return len(self._ready) + len(self._later) + (self._running is not None)

    def enqueue(
        self,
        job_name: str,
        payload: Any,
        *,
        context: Mapping[str, Any],
        delay_ms: float = 0,
        queue_name: str = DEFAULT_QUEUE,
        priority: int | None = None,
        ttl_ms: float | None = None,
    ) -> str:
        """Store a job; see :meth:`Queue.enqueue`."""
        check_job(job_name, delay_ms, ttl_ms)
        body = encode_job(job_name, payload, context)
        job = Job(id=self.runtime.ids.uuid(), name=job_name, payload=None, context={}, queue_name=queue_name)
        now = self.runtime.clock.monotonic()
        expires_at = None if ttl_ms is None else now + ttl_ms / 1000
        entry = _Entry(job, body, 0 if priority is None else priority, expires_at)
        with self._lock:
            if self._stopped:
                raise TransientError(f"the queue has been stopped; the job {job_name!r} was not taken", status=503)
            self._line_up(entry, now + delay_ms / 1000)
        self._wake()
        return job.id

    def work(self, handler: JobHandler) -> None:
        """Run jobs with a handler from now on, those that wait already included."""
        self._handler = handler
        # Without jobs no thread begins: an application may be set up before its server forks.
        if len(self):
            self._wake()

    def run_worker(
        self,
        queue_name: str = DEFAULT_QUEUE,
        *,
        after_job: Callable[[], None] | None = None,  # noqa: ARG002 - the shape of Queue; no process ends here
    ) -> None:
        """Return at once: the jobs of every name run in this process already."""
        reason = "jobs in memory run in the process that took them; for a worker set redis_url (or HULL_REDIS_URL)"
        emit(_log, logging.WARNING, "queue.worker.unneeded", {"queue": queue_name, "reason": reason})

    def stop(self, timeout_s: float = 10.0) -> int:
        """Take no more jobs, finish those that fall due in time, and log the others by name and id.

        Args:
            timeout_s: Longest wait in seconds.

        Returns:
            How many jobs were left.
        """
        done = self.runtime.tasks.future()
        with self._lock:
            self._stopped = True
            self._drain = (self.runtime.clock.monotonic() + timeout_s, done)
        if self._worker is not None:
            if len(self):
                self._finish(done, timeout_s)
            self._worker.stop()
        return self._log_unfinished()

    def _finish(self, done: Future[Any], timeout_s: float) -> None:
        try:
            self._wake()
        except RuntimeError:  # while the interpreter ends no thread begins, and none runs the step
            while not done.done():
                self.runtime.tasks.sleep(self._step() or 0.0)
        else:
            self.runtime.tasks.wait(done, timeout_s)

    def _line_up(self, entry: _Entry, due_at: float) -> None:
        self._sequence += 1
        if due_at <= self.runtime.clock.monotonic():
            heapq.heappush(self._ready, (entry.priority, self._sequence, entry))
        else:
            heapq.heappush(self._later, (due_at, self._sequence, entry))

    def _wake(self) -> None:
        with self._lock:
            if self._handler is None:
                return
            if self._worker is None:
                self._worker = self.runtime.tasks.worker(self._step, name="hull-queue")
            worker = self._worker
        worker.wake()

    def _step(self) -> float | None:
        with self._lock:
            self._running = entry = self._take()
        retry_in_s = None if entry is None else self._run(entry)
        with self._lock:
            self._running = None
            if entry is not None and retry_in_s is not None:
                again = replace(entry, job=replace(entry.job, attempt=entry.job.attempt + 1))
                self._line_up(again, self.runtime.clock.monotonic() + retry_in_s)
            pause = self._pause()
            drained = self._drained(pause)
        if drained is not None and not drained.done():
            drained.set_result(None)
        return pause

    def _take(self) -> _Entry | None:
        now = self.runtime.clock.monotonic()
        while self._later and self._later[0][0] <= now:
            _, sequence, entry = heapq.heappop(self._later)
            heapq.heappush(self._ready, (entry.priority, sequence, entry))
        return heapq.heappop(self._ready)[2] if self._ready else None

    def _pause(self) -> float | None:
        if self._ready:
            return 0.0
        return max(0.0, self._later[0][0] - self.runtime.clock.monotonic()) if self._later else None

    def _drained(self, pause: float | None) -> Future[Any] | None:
        """Return whom to tell that nothing more will fall due in time."""
        if self._drain is None:
            return None
        until, done = self._drain
        return done if pause is None or self.runtime.clock.monotonic() + pause > until else None

    def _run(self, entry: _Entry) -> float | None:
        """Run one job; return the seconds until its next try, or ``None`` when it is over."""
        stored = json.loads(entry.body)
        job = replace(entry.job, payload=stored["payload"], context=stored["context"])
        handler = self._handler
        try:
            if entry.expires_at is not None and self.runtime.clock.monotonic() > entry.expires_at:
                raise ExpiredJobError(f"the job {job.name!r} did not begin within its ttl_ms")
            if handler is not None:
                handler(job)
        except Exception as err:  # noqa: BLE001 - a failed job is tried again, then kept and logged
            return self._fail(job, err)
        return None

    def _fail(self, job: Job, err: Exception) -> float | None:
        delay = pause_after(job, err, self._retry, self.runtime.ids)
        if delay is None:
            self.failed.append(FailedJob(job, cause_of(err)))
        log_failure(_log, job, err, delay)
        return delay

    def _log_unfinished(self) -> int:
        with self._lock:
            left = [] if self._running is None else [self._running]
            left += [entry for _, _, entry in sorted(self._ready)] + [entry for _, _, entry in sorted(self._later)]
        for entry in left:
            emit(_log, logging.WARNING, "queue.stopped.unfinished", {"job": entry.job.name, "id": entry.job.id})
        return len(left)


def check_job(job_name: str, delay_ms: float, ttl_ms: float | None) -> None:
    """Refuse a job that breaks a rule, with an ``InvalidArgumentError``; see :meth:`Queue.enqueue`."""
    if not job_name:
        raise InvalidArgumentError("the job has no name; pass the name that worker(jobs) knows it by")
    if not 0 <= delay_ms < math.inf:
        raise InvalidArgumentError(f"delay_ms is {delay_ms!r}; it must be a number of at least 0")
    if ttl_ms is not None and not ttl_ms > 0:
        raise InvalidArgumentError(f"ttl_ms is {ttl_ms!r}; it must be more than 0, or None for no limit")


def encode_job(job_name: str, payload: Any, context: Mapping[str, Any]) -> bytes:
    """Return a job's data as JSON, or refuse it with an ``InvalidArgumentError``."""
    try:
        return json.dumps({"payload": payload, "context": dict(context)})
    except (TypeError, ValueError) as err:
        raise InvalidArgumentError(f"the job {job_name!r} cannot be stored as JSON: {err}") from err


def pause_after(job: Job, err: Exception, retry: RetryPolicy, ids: Ids) -> float | None:
    """Return the seconds until a job that raised is tried again; ``None`` when it is given up."""
    if job.attempt >= MAX_ATTEMPTS or isinstance(err, ExpiredJobError | GivenUpError):
        return None
    return retry.delay(job.attempt, ids, err.retry_after if isinstance(err, TransientError) else None)


def cause_of(err: Exception) -> Exception:
    """Return what went wrong in a job: what a :class:`GivenUpError` was raised from, else the error itself."""
    cause = err.__cause__ if isinstance(err, GivenUpError) else None
    return cause if isinstance(cause, Exception) else err


def log_failure(logger: logging.Logger, job: Job, err: Exception, retry_in_s: float | None) -> None:
    """Log that a job raised, and in how many seconds it is tried again, or with ``None`` that it is given up."""
    fields = {"job": job.name, "id": job.id, "attempt": job.attempt}
    if retry_in_s is None:
        emit(logger, logging.ERROR, "queue.job.failed", fields, exc_info=err)
    else:
        emit(logger, logging.WARNING, "queue.job.retry", {**fields, "retry_in_s": round(retry_in_s, 3)}, exc_info=err)
