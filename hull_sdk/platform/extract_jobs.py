"""The jobs of extracts: what was asked for, the file that is written for it, and the calls that told of it.

Rules: section "Extracts" of ``docs/protocol.md``.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Protocol

from hull_sdk.core.clock import Clock, iso_millis
from hull_sdk.core.tasks import RLock, Worker
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.fields import Document
from hull_sdk.platform.query import Query
from hull_sdk.platform.reports import View, full_report, with_fields
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.rows import csv_columns, write_csv, write_json

__all__ = ["ExtractFile", "ExtractJob", "ExtractRun", "Source", "write_file"]

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
class ExtractJob:
    """One extract, until a connector was told of it."""

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
        """``"user_report"`` or ``"account_report"``."""
        return f"{self.kind}_report"

    @property
    def notification_id(self) -> str:
        """The id under which a connector is told of it, the same on every try."""
        return f"{self.kind}:extract:{self.id}"


def write_file(job: ExtractJob, source: Source) -> ExtractFile:
    """Write the file of a job, as everything is now.

    Args:
        job: What was asked for.
        source: The organization.
    """
    moment = datetime.fromtimestamp(source.clock.time(), UTC)
    rows = [row for view in source.views(job.kind) if (row := _row(job, source, view, moment)) is not None]
    lines = write_csv(rows, job.fields or csv_columns(rows)) if job.format == "csv" else write_json(rows)
    data = b"".join(lines)
    return ExtractFile(
        path=f"/api/v1/extracts/{job.object_type}/{moment:%Y-%m-%d}/{job.id}.{job.format}",
        data=gzip.compress(data, mtime=0) if job.gzip else data,
        content_type=_TYPES[job.format],
        gzip=job.gzip,
        rows=len(rows),
    )


def _row(job: ExtractJob, source: Source, view: View, moment: datetime) -> dict[str, Any] | None:
    row = full_report(job.kind, view)
    document = Document(row, lambda: source.events(row["id"]), moment)
    return with_fields(row, job.fields) if job.query.matches(document) else None
