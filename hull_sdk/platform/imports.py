"""Imports: many records from a file, applied in small slices between live messages.

Rules: section "Imports" of ``docs/protocol.md``. Each import is a job of its own: it fetches its file, then applies a
slice, pauses, and gives way while live messages are under way. Lines are applied in order, one unit of work each.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from hull_sdk.core.clock import Clock, iso_millis
from hull_sdk.core.hosts import host_of
from hull_sdk.core.logs import emit
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import RLock, Worker
from hull_sdk.errors import HullError, InvalidArgumentError, NetworkError, TransientError
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.import_files import ImportFile, checked_address, fetch
from hull_sdk.platform.import_jobs import ImportJob, LineError, read_options
from hull_sdk.platform.import_records import DATA_SETS, DataSet, read_record
from hull_sdk.platform.messages import MessageError
from hull_sdk.platform.packing import pack, unpack
from hull_sdk.platform.settings import OrganizationSettings
from hull_sdk.platform.trace import Record
from hull_sdk.platform.verdicts import BACKOFF

__all__ = ["Imports", "Source"]

_log = logging.getLogger(__name__)

#: How often a file is asked for before its import fails.
_MAX_ATTEMPTS: Final = 5
#: Finished imports that are remembered.
_KEPT_JOBS: Final = 1000
#: Most lines of a slice, and the seconds after which it ends.
_SLICE_LINES: Final = 50
_SLICE_S: Final = 0.001
#: Pause after each slice, in seconds: live messages are never kept waiting by a job that comes back at once.
_PAUSE_S: Final = 0.002
#: How often in a row an import gives way to live messages before it takes a slice all the same.
_MOST_WAITS: Final = 20


class Source(Protocol):
    """What imports need of the organization that they write to."""

    host: str
    lock: RLock
    settings: OrganizationSettings

    @property
    def clock(self) -> Clock:
        """Domain time."""
        ...

    @property
    def busy(self) -> bool:
        """``True`` while live messages are being taken in."""
        ...

    def ingest(
        self,
        message: Any,
        claims: Mapping[str, Any],
        connector_id: str | None,
        *,
        notify: bool = True,
        emit_events: bool = True,
    ) -> Record:
        """Apply one message."""
        ...


@dataclass(eq=False, slots=True)
class _Run:
    """A job, who works on it, and its file while that is read."""

    job: ImportJob
    worker: Worker | None = None
    alarm: Worker | None = None
    file: ImportFile | None = None
    lines: Iterator[bytes | None] | None = None
    waits: int = 0
    due_at: float = 0.0


class Imports:
    """The imports of one organization.

    Args:
        source: The organization.
        runtime: Clock, ids, tasks and network.
    """

    def __init__(self, source: Source, *, runtime: Runtime) -> None:
        self._source = source
        self._runtime = runtime
        self._runs: dict[str, _Run] = {}

    def request(self, data_set: DataSet, body: Mapping[str, Any], connector: Connector | None) -> ImportJob:
        """Start an import, or have it start later.

        Args:
            data_set: ``"users"``, ``"accounts"`` or ``"events"``.
            body: ``url``, and options; see the section "Imports".
            connector: Who asks; ``None`` for the operator.

        Returns:
            The job, queued.

        Raises:
            InvalidArgumentError: The address or an option breaks a rule.
        """
        if data_set not in DATA_SETS:
            raise InvalidArgumentError(f"the data set is {data_set!r:.100}; use one of {', '.join(DATA_SETS)}")
        own = [] if connector is None or connector.url is None else [host_of(connector.url)]
        job = ImportJob(
            id=self._runtime.ids.object_id(),
            data_set=data_set,
            connector_id=None if connector is None else connector.id,
            request=checked_address(body.get("url"), [*own, *self._source.settings.import_hosts]),
            options=read_options(body),
            created_at=self._source.clock.time(),
            asked_at=self._runtime.clock.time(),
        )
        self._begin(job)
        return job

    def packed(self) -> list[Any]:
        """Return all jobs as plain data."""
        return [pack(job) for job in self.jobs]

    def restore(self, plain: list[Any]) -> None:
        """Take in jobs that were saved; those that were not over fetch their file again and go on where they were."""
        for saved in plain:
            job: ImportJob = unpack(ImportJob, saved)
            if job.over:
                self._runs[job.id] = _Run(job)
            else:
                job.wait_again()
                self._begin(job)

    def _begin(self, job: ImportJob) -> None:
        run = _Run(job)
        tasks, name = self._runtime.tasks, f"hull-import-{job.id}"
        run.worker = tasks.worker(functools.partial(self._step, run), name=name)
        run.alarm = tasks.worker(functools.partial(self._ring, run), name=f"{name}-alarm", background=True)
        with self._source.lock:
            self._forget_old()
            self._runs[job.id] = run
        run.alarm.wake()

    def get(self, job_id: str) -> ImportJob | None:
        """Return an import, or ``None`` when there is none or it finished long ago."""
        run = self._runs.get(job_id)
        return None if run is None else run.job

    @property
    def jobs(self) -> list[ImportJob]:
        """All imports that are remembered, oldest first."""
        with self._source.lock:
            return [run.job for run in self._runs.values()]

    def pending(self) -> int:
        """Return how many imports are due and not over."""
        now = self._source.clock.time()
        return sum(not job.over and _starts_in(job, now) <= 0 for job in self.jobs)

    def cancel(self, job_id: str) -> bool:
        """Stop an import; what was applied stays.

        Returns:
            ``False`` when there is none, or it is over.
        """
        run = self._runs.get(job_id)
        if run is None or run.job.over:
            return False
        self._end(run, "failed", "it was cancelled")
        return True

    def forget(self, connector_id: str) -> None:
        """Stop the imports of a connector that was removed."""
        for job in self.jobs:
            if job.connector_id == connector_id and not job.over:
                self._end(self._runs[job.id], "failed", "the connector was removed")

    def wake(self) -> None:
        """Look at every import again, after domain time was moved."""
        with self._source.lock:
            alarms = [run.alarm for run in self._runs.values() if run.alarm is not None and run.job.state == "queued"]
        for alarm in alarms:
            alarm.wake()

    def close(self) -> None:
        """Apply nothing any more."""
        for job in self.jobs:
            if not job.over:
                self._end(self._runs[job.id], "failed", "the platform was closed")

    def _ring(self, run: _Run) -> float | None:
        """Wake a job at its time; waiting for that keeps nobody busy."""
        wait = _starts_in(run.job, self._source.clock.time())
        if wait > 0:
            return wait
        if run.worker is not None and not run.job.over:
            run.worker.wake()
        return None

    def _step(self, run: _Run) -> float | None:
        job = run.job
        wait = run.due_at - self._runtime.clock.monotonic()
        if job.over or wait > 0:
            return None if job.over else wait
        try:
            return self._work(run)
        finally:
            if job.over and run.file is not None:
                run.file.close()

    def _work(self, run: _Run) -> float | None:
        job = run.job
        try:
            if run.lines is None:
                self._open(run)
            return self._slice(run)
        except NetworkError as err:
            return self._try_again(run, err)
        except (InvalidArgumentError, TransientError) as err:
            self._end(run, "failed", err.message)
        except Exception as err:  # noqa: BLE001 - whatever it was, the job ends in a state that says so
            if not job.over:  # else its file was closed under it
                emit(_log, logging.ERROR, "import.crashed", {"job_id": job.id, "line": job.number}, exc_info=err)
                self._end(run, "failed", f"internal error: {type(err).__name__}")
        return None

    def _open(self, run: _Run) -> None:
        job = run.job
        job.state, job.attempts = "running", job.attempts + 1
        job.started_at = self._source.clock.time() if job.started_at is None else job.started_at
        run.file = fetch(self._runtime.net, job.request)
        job.reason, run.lines = None, itertools.islice(run.file.lines(), job.number, None)

    def _try_again(self, run: _Run, err: HullError) -> float | None:
        if run.job.attempts >= _MAX_ATTEMPTS:
            self._end(run, "failed", f"the file could not be fetched: {err.message}")
            return None
        run.job.reason = f"tried again after: {err.message}"
        delay = BACKOFF.delay(run.job.attempts, self._runtime.ids, None)
        run.due_at = self._runtime.clock.monotonic() + delay
        return delay

    def _slice(self, run: _Run) -> float | None:
        """Apply some lines; return the pause until the next ones, ``None`` at the end of the file."""
        until = self._runtime.clock.monotonic() + _SLICE_S
        if self._source.busy and run.waits < _MOST_WAITS:
            run.waits += 1
            return _PAUSE_S
        run.waits = 0
        for _ in range(_SLICE_LINES):
            if run.job.over:
                return None
            try:
                line = next(run.lines) if run.lines is not None else None
            except StopIteration:
                self._end(run, "completed")
                return None
            with self._source.lock:  # a snapshot has the line and its number, or neither
                run.job.number += 1
                if line is None or line.strip():
                    self._apply(run.job, run.job.number, line)
            if self._source.busy or self._runtime.clock.monotonic() >= until:
                break
        return _PAUSE_S

    def _apply(self, job: ImportJob, number: int, line: bytes | None) -> None:
        options = job.options
        try:
            message, claims = read_record(
                job.data_set, line, overwrite=options.overwrite, message_id=f"import:{job.id}:{number}"
            )
        except MessageError as err:
            job.count("failed", LineError(number, err.code, err.reason))
            return
        message["timestamp"] = iso_millis(job.asked_at)
        record = self._source.ingest(
            message, claims, job.connector_id, notify=options.notify, emit_events=options.emit_event
        )
        if record.state in {"applied", "merged"}:
            job.count("applied")
            return
        outcome = "skipped" if record.state == "ignored" else "failed"
        job.count(outcome, LineError(number, outcome.upper(), str(record.reason)))

    def _end(self, run: _Run, state: str, reason: str | None = None) -> None:
        job = run.job
        with self._source.lock:
            if job.over:
                return
            job.state, job.reason, job.finished_at = state, reason, self._source.clock.time()
        for worker in (run.worker, run.alarm):
            if worker is not None:
                worker.stop()
        if run.file is not None:
            run.file.close()
        fields = {"job_id": job.id, "organization": self._source.host, "reason": reason, **job.counts}
        emit(_log, logging.INFO if state == "completed" else logging.WARNING, f"import.{state}", fields)

    def _forget_old(self) -> None:
        over = [job_id for job_id, run in self._runs.items() if run.job.over]
        for job_id in over[: max(0, len(over) - _KEPT_JOBS + 1)]:
            del self._runs[job_id]


def _starts_in(job: ImportJob, now: float) -> float:
    return 0.0 if job.options.schedule_at is None else job.options.schedule_at - now
