"""What Hull fetches: the file as records, made while it is read, so that nothing is kept anywhere."""

from __future__ import annotations

import csv
import io
import json
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, Final

from flask import Blueprint, Response, abort, request

from hull_sdk import current_context
from hull_sdk.errors import TransientError
from hull_sdk.handlers import takes_webhooks
from import_connector.mapping import check_columns, record
from import_connector.runs import FILE_PATH
from import_connector.settings import private_settings
from import_connector.source import Source, SourceFile
from import_connector.table import MAX_ROW_BYTES, BadRow, Row, TableError

__all__ = ["Report", "files", "packed", "records"]

#: Bad rows that are kept with their reasons, and that are logged; all of them are counted.
KEPT: Final = 50
LOGGED: Final = 1000
_PIECE_BYTES: Final = 65_536
CHANGED: Final = "the file has changed since it was announced; the next run takes it as it is then"

files = Blueprint("files", __name__)


@dataclass(slots=True)
class Report:
    """What became of the rows of a file.

    Args:
        log: Is told of each bad row, up to :data:`LOGGED` of them.
    """

    log: Callable[[dict[str, Any]], Any]
    rows: int = 0
    bad: int = 0
    bad_rows: list[dict[str, Any]] = field(default_factory=list)

    def refuse(self, line: int, reason: str) -> None:
        """Count a bad row."""
        self.bad += 1
        entry = {"line": line, "reason": reason}
        if self.bad <= LOGGED:
            self.log(entry)
        if self.bad <= KEPT:
            self.bad_rows.append(entry)


def records(rows: Iterable[Row | BadRow], settings: dict[str, Any], report: Report) -> Iterator[bytes]:
    """Return the lines that Hull reads; bad rows stand in the report.

    Args:
        rows: Of the file.
        settings: The connector's private settings.
        report: Filled in.
    """
    for row in rows:
        report.rows += 1
        try:
            yield _line(row, settings)
        except ValueError as err:
            report.refuse(row.line, str(err))


def packed(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Return lines as gzip, in pieces.

    Args:
        lines: What to pack.
    """
    packer = zlib.compressobj(1, wbits=16 + zlib.MAX_WBITS)
    waiting = bytearray()
    for line in lines:
        waiting += packer.compress(line)
        if len(waiting) >= _PIECE_BYTES:
            yield bytes(waiting)
            waiting.clear()
    yield bytes(waiting) + packer.flush()


@files.get(FILE_PATH)
@takes_webhooks
def file() -> Response:
    """Serve the records to Hull; a file that is no longer the one that was announced is gone."""
    ctx = current_context
    ctx.credentials()
    settings, logger, update = dict(private_settings(ctx)), ctx.client.logger, ctx.helpers.update_settings
    source, mark = Source(ctx, private_settings(ctx)), request.args.get("mark", "")
    transfer, opened = _opened(source, settings)
    if opened.mark != mark:
        transfer.close()
        abort(410, CHANGED)

    def served() -> Iterator[bytes]:
        report = Report(lambda bad: logger.warning("incoming.row.error", bad))
        yield from records(opened.table.rows(), settings, report)
        if source.mark() != mark:
            # Hull takes a file when it has all of it: one that breaks off here leaves nothing half done.
            raise TransientError(CHANGED)
        told = {"rows": report.rows, "bad": report.bad}
        update({"last_file": {**told, "mark": mark, "bad_rows": report.bad_rows}})
        logger.info("incoming.job.progress", told)

    response = Response(packed(served()), mimetype="application/gzip")
    response.call_on_close(transfer.close)
    return response


@files.get("/bad-rows.csv")
def bad_rows() -> Response:
    """Serve every row of the present file that is left out, with its line and the reason, to be mended."""
    ctx = current_context
    ctx.credentials()
    settings = dict(private_settings(ctx))
    transfer, opened = _opened(Source(ctx, private_settings(ctx)), settings)

    def served() -> Iterator[str]:
        yield _csv(["line", "reason", *opened.table.columns])
        for row in opened.table.rows():
            try:
                _line(row, settings)
            except ValueError as err:
                yield _csv([row.line, str(err), *([row.text] if isinstance(row, BadRow) else row.cells.values())])

    headers = {"Content-Disposition": "attachment; filename=bad-rows.csv", "Cache-Control": "no-store"}
    response = Response(served(), headers=headers, mimetype="text/csv")
    response.call_on_close(transfer.close)
    return response


def _line(row: Row | BadRow, settings: dict[str, Any]) -> bytes:
    if isinstance(row, BadRow):
        raise ValueError(row.reason)  # noqa: TRY004 - the row is wrong, not its type
    line = json.dumps(record(row.cells, settings), ensure_ascii=False).encode() + b"\n"
    if len(line) > MAX_ROW_BYTES:
        raise ValueError(f"it makes a record of {len(line)} bytes; Hull takes {MAX_ROW_BYTES}")
    return line


def _opened(source: Source, settings: dict[str, Any]) -> tuple[ExitStack, SourceFile]:
    with ExitStack() as stack:
        try:
            opened = stack.enter_context(source.open())
            check_columns(opened.table.columns, settings)
        except TableError as err:
            abort(410, str(err))
        return stack.pop_all(), opened
    raise AssertionError("unreachable")


def _csv(cells: Iterable[Any]) -> str:
    line = io.StringIO()
    csv.writer(line).writerow(cells)
    return line.getvalue()
