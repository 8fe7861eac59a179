"""Jobs that were given up, as RQ keeps them: to be looked at, and to be run again.

Jobs that other programs store with RQ on the same server are left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from importlib import import_module
from operator import itemgetter
from typing import Any, Final

from hull_sdk.core.clock import iso_millis
from hull_sdk.core.masking import mask, mask_text
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.infra.extras import require
from hull_sdk.infra.queues import MAX_ATTEMPTS
from hull_sdk.infra.redis_store import RedisStore
from hull_sdk.infra.rq_queue import line_names

__all__ = ["FailedJobs"]

#: How many records are read at once.
_PART: Final = 100
#: How long nobody else runs a job again that somebody is about to, in seconds.
_CLAIM_S: Final = 60
_QUEUE_PREFIX: Final = b"rq:queue:"


class FailedJobs:
    """The failed jobs on a Redis or Valkey.

    Args:
        url: Address of the server, as of ``RQQueue``.

    Raises:
        MissingExtraError: rq or redis-py is not installed (extra ``queue``).
        InvalidArgumentError: The address breaks a rule.
    """

    def __init__(self, url: str) -> None:
        require("failed jobs", "rq", "queue")
        self._store = RedisStore(url)
        self._rq: Any = import_module("hull_sdk.infra.rq_worker")

    def summaries(self, queue_name: str | None = None, *, limit: int | None = None) -> list[dict[str, Any]]:
        """Return failed jobs in the order in which they failed.

        With a limit those of the last second that is shown may be others: RQ keeps their order to the second.

        Args:
            queue_name: Of one queue; of all when ``None``.
            limit: How many at most; all when ``None``.

        Returns:
            ``{"id", "queue", "name", "at", "reason"}`` of each, secrets masked.

        Raises:
            NetworkError: The server cannot be reached.
        """
        with self._store.reaching():
            found: list[dict[str, Any]] = []
            for job in self._jobs(queue_name):
                if limit is not None and len(found) >= limit:
                    break
                found.append(_summary(job))
            return sorted(found, key=lambda each: each["at"] or "")

    def count(self, queue_name: str | None = None) -> int:
        """Return how many jobs have failed, also those that are not shown.

        Args:
            queue_name: Of one queue; of all when ``None``.
        """
        with self._store.reaching():
            return sum(self._store.client.zcard(self._registry(line).key) for line in self._lines(queue_name))

    def show(self, job_id: str) -> dict[str, Any]:
        """Return all that is known of a failed job.

        Args:
            job_id: Its id.

        Returns:
            As :meth:`summaries`, and ``payload``, ``hostname``, ``request_id`` and ``error``, secrets masked; its
            encrypted token is left out.

        Raises:
            InvalidArgumentError: There is no failed job of this id.
            NetworkError: The server cannot be reached.
        """
        with self._store.reaching():
            job = self._find(job_id)
            return {**_summary(job), **_details(job)}

    def redrive(self, job_ids: Iterable[str] | None = None, queue_name: str | None = None) -> int:
        """Have failed jobs run again, with as many tries as new ones; a time limit for their begin counts no more.

        Args:
            job_ids: Which; all when ``None``.
            queue_name: All of which queue; of every queue when ``None``.

        Returns:
            How many were lined up; those that somebody else took meanwhile are not counted.

        Raises:
            InvalidArgumentError: There is no failed job of an id; then none is touched.
            NetworkError: The server cannot be reached; some may have been lined up.
        """
        with self._store.reaching():
            if job_ids is None:
                jobs: Iterable[Any] = self._jobs(queue_name)
            else:
                jobs = [self._find(each) for each in dict.fromkeys(job_ids)]
            return sum(self._line_up(job) for job in jobs)

    def close(self) -> None:
        """Close the connections."""
        self._store.close()

    def _line_up(self, job: Any) -> bool:
        """Move one job from the failed ones to its line, at one moment, unless somebody else does."""
        client, registry, claim = self._store.client, self._registry(job.origin), f"hull:redrive:{job.id}"
        if not client.set(claim, 1, nx=True, ex=_CLAIM_S):
            return False
        if client.zscore(registry.key, job.id) is None:
            client.delete(claim)  # it may fail once more before the claim's time is over
            return False
        (stored,) = job.args
        job.args = ({name: value for name, value in stored.items() if name != "expires_at"},)
        job.retries_left = MAX_ATTEMPTS - 1
        job.started_at = job.ended_at = None
        with client.pipeline(transaction=True) as pipeline:
            self._queue(job.origin).enqueue_job(job, pipeline=pipeline)  # the first one: RQ may watch something
            pipeline.zrem(registry.key, job.id)
            pipeline.persist(job.key)
            pipeline.delete(claim)
            pipeline.execute()
        return True

    def _find(self, job_id: str) -> Any:
        for job in self._fetched([job_id]):
            if self._store.client.zscore(self._registry(job.origin).key, job_id) is not None:
                return job
        raise InvalidArgumentError(f"{job_id!r} is no failed job; `hull deadletters list` shows those that there are")

    def _jobs(self, queue_name: str | None) -> Iterator[Any]:
        """Return failed jobs in the order in which they failed, to the second, whichever queue they are of."""
        scored: list[tuple[bytes, float]] = []
        for line in self._lines(queue_name):
            scored += self._store.client.zrange(self._registry(line).key, 0, -1, withscores=True)
        ids = [each.decode() for each, _ in sorted(scored, key=itemgetter(1))]
        for start in range(0, len(ids), _PART):
            yield from self._fetched(ids[start : start + _PART])

    def _fetched(self, job_ids: list[str]) -> Iterator[Any]:
        """Return the jobs of this package among some ids; a record may have gone with its time."""
        jobs = self._rq.StoredJob.fetch_many(job_ids, connection=self._store.client, serializer=self._rq.JSON)
        return (job for job in jobs if job is not None and self._rq.is_ours(job))

    def _lines(self, queue_name: str | None) -> list[str]:
        if queue_name is not None:
            return list(line_names(queue_name))
        keys = self._store.client.smembers("rq:queues")
        return sorted(key.removeprefix(_QUEUE_PREFIX).decode() for key in keys)

    def _queue(self, line: str) -> Any:
        return self._rq.JobQueue(line, connection=self._store.client, serializer=self._rq.JSON)

    def _registry(self, line: str) -> Any:
        return self._queue(line).failed_job_registry


def _summary(job: Any) -> dict[str, Any]:
    (stored,) = job.args
    return {
        "id": job.id,
        "queue": stored["queue_name"],
        "name": stored["name"],
        "at": None if job.ended_at is None else iso_millis(job.ended_at),
        "reason": _reason(_error(job)),
    }


def _details(job: Any) -> dict[str, Any]:
    (stored,) = job.args
    told = {name: stored["context"].get(name) for name in ("hostname", "request_id")}
    return {"payload": mask(stored["payload"]), **mask(told), "error": _error(job)}


def _error(job: Any) -> str:
    result = job.latest_result()
    return mask_text((None if result is None else result.exc_string) or "")


def _reason(error: str) -> str:
    """Return the last line of an error: its kind and message, without the error's own name that RQ is told."""
    lines = error.strip().splitlines()
    return lines[-1].rpartition("JobFailedError: ")[2] if lines else ""
