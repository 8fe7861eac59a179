"""Extracts: files of users or accounts that are written when somebody asks, and brought to a connector.

Rules: section "Extracts" of ``docs/protocol.md``. Each extract is a job of its own, which reads the organization,
writes the file and calls the connector until that has answered 2xx. Files stay in memory until their address expires.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from typing import Any, Final
from urllib.parse import urlencode

from hull_sdk.core import json
from hull_sdk.core.logs import emit
from hull_sdk.core.net import Request
from hull_sdk.core.retry import parse_retry_after
from hull_sdk.core.runtime import Runtime
from hull_sdk.platform.carrier import ANSWER_BYTES, TIMEOUT_S, Carrier, Reply
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.extract_jobs import ExtractFile, ExtractJob, ExtractRun, Source, write_file
from hull_sdk.platform.extract_options import checked_fields, checked_format, checked_query, checked_url
from hull_sdk.platform.history import History
from hull_sdk.platform.packing import pack, pack_state, unpack
from hull_sdk.platform.verdicts import BACKOFF
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.extracts import ExtractNotice

__all__ = ["Extracts"]

_log = logging.getLogger(__name__)

#: How long a file's address is valid, and how long a connector is called, in seconds.
EXPIRES_S: Final = 86_400.0

_TICK_S: Final = 0.001
_LOGGED: Final = ("connector_id", "notification_id", "status", "error", "outcome")


class Extracts:
    """Writes the files of one organization and brings them to its connectors.

    Args:
        source: The organization.
        runtime: Clock, ids, tasks and network.
        carrier: Sends the calls.
        file_url: Returns the address of a path at which the organization is dialled.
        file_key: Returns the platform's key for addresses.
        next_sequence: Numbers the calls of the whole platform.
        history: Calls to keep; all when ``None``.
    """

    def __init__(
        self,
        source: Source,
        *,
        runtime: Runtime,
        carrier: Carrier,
        file_url: Callable[[str], str],
        file_key: Callable[[], bytes],
        next_sequence: Callable[[], int],
        history: int | None = None,
    ) -> None:
        self._source = source
        self._runtime = runtime
        self._carrier = carrier
        self._file_url = file_url
        self._file_key = file_key
        self._next_sequence = next_sequence
        self._jobs: dict[str, ExtractJob] = {}
        self._files: dict[str, tuple[ExtractFile, float]] = {}
        #: The latest calls, in order.
        self.runs: History[ExtractRun] = History(history)

    def request(
        self,
        connector: Connector,
        kind: EntityKind,
        *,
        url: str,
        query: Any = None,
        file_format: str = "json",
        fields: Any = (),
        compress: bool = False,
    ) -> dict[str, Any]:
        """Have a file written and brought to a connector.

        Args:
            connector: Who asks, and who is called.
            kind: Whom the file is about.
            url: Where the connector is called; on its own host.
            query: Who is in the file; everybody when ``None`` or ``{}``.
            file_format: ``"json"`` (an object a line) or ``"csv"``.
            fields: Report fields; all when empty. ``account.`` before a name means the user's account.
            compress: ``True`` for a file in gzip.

        Returns:
            ``{"id", "notification_id", "object_type"}``.

        Raises:
            InvalidArgumentError: An argument breaks a rule.
        """
        job = ExtractJob(
            id=self._runtime.ids.object_id(),
            connector=connector,
            kind=kind,
            query=checked_query(kind, query),
            format=checked_format(file_format),
            url=checked_url(connector, url),
            fields=checked_fields(fields),
            gzip=compress is True,
            since=self._source.clock.monotonic(),
        )
        self._begin(job)
        return {"id": job.id, "notification_id": job.notification_id, "object_type": job.object_type}

    def _begin(self, job: ExtractJob) -> None:
        worker = self._runtime.tasks.worker(functools.partial(self._step, job), name=f"hull-extract-{job.id}")
        with self._source.lock:
            job.worker = worker
            self._jobs[job.id] = job
        worker.wake()

    def file(self, path: str, expires: str, signature: str) -> ExtractFile | None:
        """Return the file at a signed address.

        Args:
            path: The path.
            expires: The parameter ``expires``: Unix seconds.
            signature: The parameter ``signature``.

        Returns:
            The file; ``None`` when there is none, the signature is wrong or the address has expired.
        """
        if not hmac.compare_digest(signature.encode(), self._sign(path, expires).encode()):
            return None
        if not expires.isdigit() or int(expires) <= self._runtime.clock.time():
            return None
        with self._source.lock:
            found = self._files.get(path)
        return None if found is None else found[0]

    def packed(self) -> dict[str, Any]:
        """Return files, and who is still to be told of one, as plain data."""
        jobs = [{**pack_state(job), "connector": job.connector.id} for job in self._jobs.values()]
        return {"jobs": jobs, "files": pack(self._files)}

    def restore(self, plain: Mapping[str, Any], shift_s: float) -> None:
        """Take in what was saved, and go on with it.

        Args:
            plain: What :meth:`packed` returned.
            shift_s: What to add to times of the monotonic clock.
        """
        self._files = unpack(dict[str, tuple[ExtractFile, float]], plain["files"])
        for saved in plain["jobs"]:
            values = {name: unpack(hint, saved[name]) for name, hint in ExtractJob.STATE.items()}
            job = ExtractJob(connector=self._source.connectors[saved["connector"]], **values)
            job.since, job.due_at = job.since + shift_s, job.due_at + shift_s
            self._begin(job)

    def pending(self) -> int:
        """Return how many extracts a connector was not told of yet."""
        return len(self._jobs)

    def forget(self, connector_id: str) -> None:
        """Stop the extracts of a connector that was removed."""
        with self._source.lock:
            jobs = [job for job in self._jobs.values() if job.connector.id == connector_id]
        for job in jobs:
            self._end(job)

    def wake(self) -> None:
        """Look at every extract again, after domain time was moved."""
        with self._source.lock:
            workers = [job.worker for job in self._jobs.values() if job.worker is not None]
        for worker in workers:
            worker.wake()

    def close(self) -> None:
        """Write and call nothing any more."""
        with self._source.lock:
            jobs = list(self._jobs.values())
        for job in jobs:
            self._end(job)

    def _step(self, job: ExtractJob) -> float | None:
        with self._carrier.turn() as admitted:
            return self._work(job) if admitted else None

    def _work(self, job: ExtractJob) -> float | None:
        wait = job.due_at - self._source.clock.monotonic()
        if job.id not in self._jobs:
            return None
        if wait > _TICK_S:
            return wait
        if job.file is None:
            job.file = write_file(job, self._source)
        job.attempt += 1
        at = self._source.clock.time()
        reply = self._carrier.send(job.connector, self._call(job, job.file))
        return self._settle(job, job.file, reply, at)

    def _settle(self, job: ExtractJob, file: ExtractFile, reply: Reply, at: float) -> float | None:
        done = reply.status is not None and 200 <= reply.status < 300
        delay = None if done else self._delay(job, reply)
        outcome = "done" if done else "failed" if delay is None else "retry"
        run = ExtractRun(
            sequence=self._next_sequence(),
            organization=self._source.host,
            connector_id=job.connector.id,
            notification_id=job.notification_id,
            object_type=job.object_type,
            format=job.format,
            url=job.url.partition("?")[0],
            rows=file.rows,
            attempt=job.attempt,
            status=reply.status,
            error=reply.error,
            outcome=outcome,
            at=at,
        )
        with self._source.lock:
            self.runs.record(run)
        fields = {name: getattr(run, name) for name in _LOGGED}
        emit(_log, logging.DEBUG if done else logging.WARNING, "extract.called", fields)
        if delay is None:
            self._end(job)
            return None
        job.due_at = self._source.clock.monotonic() + delay
        return delay

    def _delay(self, job: ExtractJob, reply: Reply) -> float | None:
        """Return the seconds until the next call, ``None`` to give up."""
        wanted = parse_retry_after(reply.headers.get("retry-after"), self._runtime.clock)
        delay = BACKOFF.delay(job.attempt, self._runtime.ids, wanted)
        age = self._source.clock.monotonic() - job.since
        return None if age + delay > EXPIRES_S else delay

    def _end(self, job: ExtractJob) -> None:
        with self._source.lock:
            self._jobs.pop(job.id, None)
        if job.worker is not None:
            job.worker.stop()

    def _call(self, job: ExtractJob, file: ExtractFile) -> Request:
        notice: ExtractNotice = {
            "url": self._address(file),
            "format": job.format,
            "object_type": job.object_type,
            "channel": f"{job.kind}:extract",
            "notification_id": job.notification_id,
            "segments": self._source.users_segments(),
            "account_segments": self._source.accounts_segments(),
        }
        return Request(
            method="POST",
            url=job.url,
            headers={"Content-Type": "application/json"},
            body=json.dumps(notice),
            timeout_s=TIMEOUT_S,
            max_bytes=ANSWER_BYTES,
        )

    def _address(self, file: ExtractFile) -> str:
        """Return a fresh address of a file, and drop the files whose addresses have all expired."""
        now = self._runtime.clock.time()
        expires = int(now + EXPIRES_S)
        with self._source.lock:
            self._files = {path: each for path, each in self._files.items() if each[1] > now}
            self._files[file.path] = (file, expires)
        query = {"expires": str(expires), "signature": self._sign(file.path, str(expires))}
        return f"{self._file_url(file.path)}?{urlencode(query)}"

    def _sign(self, path: str, expires: str) -> str:
        return hmac.new(self._file_key(), f"{path}\n{expires}".encode(), hashlib.sha256).hexdigest()
