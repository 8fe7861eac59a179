"""Jobs on Redis or Valkey, run by RQ in processes of their own.

A job is stored as JSON, with the encrypted token of its connector and never with credentials. It is in somebody's
hands all the time: in a line, with a worker that renews its lease, in the schedule, or among the failed ones.
"""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from importlib import import_module
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.checks import is_whole
from hull_sdk.core.masking import mask_text
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import HullError, InvalidArgumentError
from hull_sdk.infra.extras import require
from hull_sdk.infra.queues import (
    DEFAULT_QUEUE,
    MAX_ATTEMPTS,
    ExpiredJobError,
    Job,
    JobHandler,
    MemoryQueue,
    Queue,
    cause_of,
    check_job,
    encode_job,
    log_failure,
    pause_after,
)
from hull_sdk.infra.redis_store import TIMEOUT_S, RedisStore

__all__ = ["JobFailedError", "RQQueue", "line_names", "open_queue"]

#: How long a job counts as running after its worker was last heard of, in seconds.
LEASE_S: Final = 30
#: RQ counts in whole seconds, and a worker is heard of three times within a lease.
MIN_LEASE_S: Final = 3
#: How long a failed job is kept, in seconds.
FAILED_S: Final = 30 * 86_400

_NO_LIMIT: Final = -1

_log = logging.getLogger(__name__)


class JobFailedError(HullError):
    """What RQ is told of an error in a job: its kind and its message, secrets masked."""


class RQQueue:
    """Jobs on Redis or Valkey; ``Connector.start_worker`` runs them.

    A job that raises is tried again with backoff, :data:`~hull_sdk.infra.queues.MAX_ATTEMPTS` times in all; then RQ
    keeps it among the failed ones for 30 days. A try whose worker was killed counts too: the job begins again within
    about twice ``lease_s``.

    Example::

        connector = Connector(redis_url="redis://127.0.0.1:6379/0")  # uses an RQQueue
        connector.worker({"import-contacts": import_contacts})
        connector.setup_app(app)
        connector.start_worker()  # in the process that runs the jobs

    Args:
        url: Address of the server, as for ``RedisCache``.
        runtime: Ids and tasks; the machine's own by default.
        retry: Pauses between the tries of a failing job; RQ counts in whole seconds.
        timeout_s: How long connecting, and every answer, may take when a job is stored, in seconds.
        lease_s: How long a job counts as running after its worker was last heard of, in whole seconds, at least 3.

    Raises:
        MissingExtraError: rq or redis-py is not installed (extra ``queue``).
        InvalidArgumentError: The address or a limit breaks a rule.
    """

    def __init__(
        self,
        url: str,
        *,
        runtime: Runtime | None = None,
        retry: RetryPolicy | None = None,
        timeout_s: float = TIMEOUT_S,
        lease_s: int = LEASE_S,
    ) -> None:
        require("redis_url", "rq", "queue")
        if not is_whole(lease_s, MIN_LEASE_S):
            raise InvalidArgumentError(f"lease_s is {lease_s!r}; it must be a whole number of at least {MIN_LEASE_S}")
        self.runtime: Runtime = Runtime.system() if runtime is None else runtime
        self._store = RedisStore(url, timeout_s=timeout_s, answer_s=timeout_s)
        self._retry = RetryPolicy(base_s=1.0) if retry is None else retry
        self._lease_s = lease_s
        self._handler: JobHandler | None = None

    def __repr__(self) -> str:
        return f"RQQueue(store={self._store!r})"

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
        """Store a job; see :meth:`Queue.enqueue`.

        RQ has lines, no numbers: all priorities below 0 go before 0, and all above 0 after it.
        """
        check_job(job_name, delay_ms, ttl_ms)
        stored = {"name": job_name, "queue_name": queue_name, **json.loads(encode_job(job_name, payload, context))}
        job_id = self.runtime.ids.uuid()
        options = {
            "args": (stored,),
            "job_id": job_id,
            "description": job_name,
            "retry": self._rq("Retry")(max=MAX_ATTEMPTS - 1, interval=self._intervals()),
            "job_timeout": _NO_LIMIT,
            "result_ttl": 0,
            "failure_ttl": FAILED_S,
        }
        with self._store.reaching():
            if ttl_ms is not None:
                stored["expires_at"] = self._now() + ttl_ms / 1000
            queue = self._line(_line_name(queue_name, priority))
            if delay_ms > 0:
                due_at = datetime.fromtimestamp(self._now() + delay_ms / 1000, UTC)
                queue.enqueue_at(due_at, _worker_module().PERFORM, **options)
            else:
                queue.enqueue(_worker_module().PERFORM, **options)
        return job_id

    def work(self, handler: JobHandler) -> None:
        """Know how jobs are run; :meth:`run_worker` runs them."""
        self._handler = handler

    def run_worker(
        self,
        queue_name: str = DEFAULT_QUEUE,
        *,
        after_job: Callable[[], None] | None = None,
        burst: bool = False,
        fork: bool = True,
    ) -> None:
        """Run jobs in this process, and in processes forked from it, until SIGTERM; the one that runs is finished.

        Args:
            queue_name: Which queue.
            after_job: Called at the end of each process that ran a job, which leaves without the interpreter's exit.
            burst: ``True`` ends when nothing is left to do.
            fork: ``False`` runs jobs in this process itself, as on systems that cannot fork.

        Raises:
            InvalidArgumentError: Nobody has said how jobs are run.
        """
        if self._handler is None:
            raise InvalidArgumentError("nobody runs these jobs; call work(handler) first")
        store = RedisStore(self._store.url, answer_s=None)
        parent = os.getpid()

        def run(stored: dict[str, Any]) -> None:
            try:
                self._run(stored)
            finally:
                if after_job is not None and os.getpid() != parent:
                    after_job()

        try:
            with store.reaching():
                store.client.ping()
            _worker_module().run_worker(
                line_names(queue_name), store.client, run, lease_s=self._lease_s, burst=burst, fork=fork
            )
        finally:
            store.close()

    def stop(self, timeout_s: float = 10.0) -> int:  # noqa: ARG002 - the port's form
        """Close the connections; the jobs stay where they are, so that none is left here."""
        self._store.close()
        return 0

    def _run(self, stored: dict[str, Any]) -> None:
        record, handler = _worker_module().current_job(), self._handler
        job = Job(
            id=record.id,
            name=stored["name"],
            payload=stored["payload"],
            context=stored["context"],
            queue_name=stored["queue_name"],
            attempt=MAX_ATTEMPTS - (record.retries_left or 0),
        )
        try:
            self._check_age(stored)
            if handler is not None:
                handler(job)
        except Exception as err:  # noqa: BLE001 - RQ is told of every failure, in words without secrets
            cause = cause_of(err)
            self._plan_retry(record, job, err)
            raise JobFailedError(mask_text(f"{type(cause).__name__}: {cause}")) from None

    def _check_age(self, stored: dict[str, Any]) -> None:
        expires_at = stored.get("expires_at")
        if expires_at is not None and self._now() > expires_at:
            raise ExpiredJobError(f"the job {stored['name']!r} did not begin within its ttl_ms")

    def _plan_retry(self, record: Any, job: Job, err: Exception) -> None:
        """Tell RQ whether and when the job comes again; it reads this from its record after the error."""
        pause = pause_after(job, err, self._retry, self.runtime.ids)
        delay = None if pause is None else math.ceil(pause)
        log_failure(_log, job, err, delay)
        if delay is None:
            record.retries_left = 0
            return
        record.retry_intervals = [delay] * (MAX_ATTEMPTS - 1)

    def _intervals(self) -> list[int]:
        """Return the pauses that RQ keeps to when a try ended without a word."""
        return [math.ceil(self._retry.delay(attempt, self.runtime.ids)) for attempt in range(1, MAX_ATTEMPTS)]

    def _now(self) -> float:
        """Return the server's time, which all hosts share, in Unix seconds."""
        with self._store.reaching():
            seconds, microseconds = self._store.client.time()
        return int(seconds) + int(microseconds) / 1_000_000

    def _line(self, name: str) -> Any:
        return _worker_module().JobQueue(name, connection=self._store.client, serializer=_worker_module().JSON)

    def _rq(self, name: str) -> Any:
        return getattr(import_module("rq"), name)


def open_queue(redis_url: str | None = None) -> Queue:
    """Return the queue for an address.

    Args:
        redis_url: ``None`` for the queue in memory.

    Raises:
        MissingExtraError: An address was given and the libraries for it are not installed.
        InvalidArgumentError: The address breaks a rule.
    """
    return MemoryQueue() if redis_url is None else RQQueue(redis_url)


def _worker_module() -> Any:
    return import_module("hull_sdk.infra.rq_worker")


def _line_name(queue_name: str, priority: int | None) -> str:
    first, middle, last = line_names(queue_name)
    if priority is None or priority == 0:
        return middle
    return first if priority < 0 else last


def line_names(queue_name: str) -> tuple[str, str, str]:
    """Return the names of RQ's queues for a queue, the first ones first.

    Args:
        queue_name: As of ``ctx.enqueue``.
    """
    return f"{queue_name}:first", queue_name, f"{queue_name}:last"
