"""Extracts: files of users or accounts that are written when somebody asks, and brought to a connector.

Rules: section "Extracts" of ``docs/protocol.md``. Each extract is a job of its own, which reads the organization,
writes the file and calls the connector until that has answered 2xx. Files stay in memory until their address expires.
"""

from __future__ import annotations

import functools
import gzip
import hashlib
import hmac
import logging
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Protocol
from urllib.parse import urlencode

from hull_sdk.core import json
from hull_sdk.core.clock import Clock, iso_millis
from hull_sdk.core.logs import emit
from hull_sdk.core.net import Request
from hull_sdk.core.retry import parse_retry_after
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import RLock, Worker
from hull_sdk.platform.carrier import ANSWER_BYTES, TIMEOUT_S, Carrier, Reply
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.extract_options import checked_fields, checked_format, checked_query, checked_url
from hull_sdk.platform.fields import Document
from hull_sdk.platform.history import History
from hull_sdk.platform.packing import pack, pack_state, unpack
from hull_sdk.platform.query import Query
from hull_sdk.platform.reports import View, full_report, with_fields
from hull_sdk.platform.verdicts import BACKOFF
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.extracts import ExtractNotice
from hull_sdk.wire.rows import csv_columns, write_csv, write_json

__all__ = ["ExtractFile", "ExtractRun", "Extracts", "Source"]

_log = logging.getLogger(__name__)

#: How long a file's address is valid, and how long a connector is called, in seconds.
EXPIRES_S: Final = 86_400.0

_TICK_S: Final = 0.001
_LOGGED: Final = ("connector_id", "notification_id", "status", "error", "outcome")
_TYPES: Final = {"json": "application/x-ndjson", "csv": "text/csv; charset=utf-8"}


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractFile:
    """A file and how it is served.

    Args:
        path: Where, for example ``"/api/v1/extracts/user_report/2024-01-05/5a79.json"``.
        data: Its bytes, compressed when ``gzip`` is ``True``.
        content_type: For example ``"text/csv; charset=utf-8"``.
        gzip: Whether it is compressed.
        rows: How many rows it has.
    """

    path: str
    data: bytes
    content_type: str
    gzip: bool
    rows: int

    @property
    def etag(self) -> str:
        """What tells this file from others."""
        return f'"{hashlib.sha256(self.data).hexdigest()[:32]}"'


@dataclass(frozen=True, slots=True, kw_only=True)
class ExtractRun:
    """One call that told a connector of a file.

    Args:
        sequence: Order on the whole platform.
        organization: The organization's host.
        connector_id: Whom it called.
        notification_id: Which extract.
        object_type: ``"user_report"`` or ``"account_report"``.
        format: ``"json"`` or ``"csv"``.
        url: Where the connector was called, without the query, which holds its secret.
        rows: How many rows the file has.
        attempt: From 1.
        status: HTTP status of the answer, ``None`` when nothing came back.
        error: Why nothing came back, or ``None``.
        outcome: ``"done"``, ``"retry"`` or ``"failed"`` (given up).
        at: Domain time, in Unix seconds.
    """

    sequence: int
    organization: str
    connector_id: str
    notification_id: str
    object_type: str
    format: str
    url: str
    rows: int
    attempt: int
    status: int | None
    error: str | None
    outcome: str
    at: float

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON, times as text."""
        return {**asdict(self), "at": iso_millis(self.at)}


class Source(Protocol):
    """What extracts need of the organization that they read."""

    host: str
    lock: RLock
    connectors: dict[str, Any]

    @property
    def clock(self) -> Clock:
        """Domain time."""
        ...

    def views(self, kind: EntityKind) -> list[View]:
        """Return everybody of a kind, oldest first."""
        ...

    def events(self, user_id: str | None = None) -> list[dict[str, Any]]:
        """Return the events of a user."""
        ...

    def users_segments(self) -> list[dict[str, Any]]:
        """Return the segments of users."""
        ...

    def accounts_segments(self) -> list[dict[str, Any]]:
        """Return the segments of accounts."""
        ...


@dataclass(eq=False, slots=True, kw_only=True)
class _Job:
    #: What is saved of it, beside its connector.
    STATE: ClassVar[dict[str, Any]] = {
        "id": str,
        "kind": str,
        "query": Query,
        "format": str,
        "url": str,
        "fields": tuple[str, ...],
        "gzip": bool,
        "since": float,
        "file": ExtractFile | None,
        "attempt": int,
        "due_at": float,
    }

    id: str
    connector: Connector
    kind: EntityKind
    query: Query
    format: str
    url: str
    fields: tuple[str, ...]
    gzip: bool
    since: float
    file: ExtractFile | None = None
    attempt: int = 0
    due_at: float = 0.0
    worker: Worker | None = None

    @property
    def object_type(self) -> str:
        return f"{self.kind}_report"

    @property
    def notification_id(self) -> str:
        return f"{self.kind}:extract:{self.id}"


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
        self._jobs: dict[str, _Job] = {}
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
        job = _Job(
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

    def _begin(self, job: _Job) -> None:
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
            values = {name: unpack(hint, saved[name]) for name, hint in _Job.STATE.items()}
            job = _Job(connector=self._source.connectors[saved["connector"]], **values)
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

    def _step(self, job: _Job) -> float | None:
        with self._carrier.turn() as admitted:
            return self._work(job) if admitted else None

    def _work(self, job: _Job) -> float | None:
        wait = job.due_at - self._source.clock.monotonic()
        if job.id not in self._jobs:
            return None
        if wait > _TICK_S:
            return wait
        if job.file is None:
            job.file = self._write(job)
        job.attempt += 1
        at = self._source.clock.time()
        reply = self._carrier.send(job.connector, self._call(job, job.file))
        return self._settle(job, job.file, reply, at)

    def _settle(self, job: _Job, file: ExtractFile, reply: Reply, at: float) -> float | None:
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

    def _delay(self, job: _Job, reply: Reply) -> float | None:
        """Return the seconds until the next call, ``None`` to give up."""
        wanted = parse_retry_after(reply.headers.get("retry-after"), self._runtime.clock)
        delay = BACKOFF.delay(job.attempt, self._runtime.ids, wanted)
        age = self._source.clock.monotonic() - job.since
        return None if age + delay > EXPIRES_S else delay

    def _end(self, job: _Job) -> None:
        with self._source.lock:
            self._jobs.pop(job.id, None)
        if job.worker is not None:
            job.worker.stop()

    def _call(self, job: _Job, file: ExtractFile) -> Request:
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

    def _write(self, job: _Job) -> ExtractFile:
        moment = datetime.fromtimestamp(self._source.clock.time(), UTC)
        rows = [row for view in self._source.views(job.kind) if (row := self._row(job, view, moment)) is not None]
        lines = write_csv(rows, job.fields or csv_columns(rows)) if job.format == "csv" else write_json(rows)
        data = b"".join(lines)
        return ExtractFile(
            path=f"/api/v1/extracts/{job.object_type}/{moment:%Y-%m-%d}/{job.id}.{job.format}",
            data=gzip.compress(data, mtime=0) if job.gzip else data,
            content_type=_TYPES[job.format],
            gzip=job.gzip,
            rows=len(rows),
        )

    def _row(self, job: _Job, view: View, moment: datetime) -> dict[str, Any] | None:
        row = full_report(job.kind, view)
        document = Document(row, lambda: self._source.events(row["id"]), moment)
        return with_fields(row, job.fields) if job.query.matches(document) else None
