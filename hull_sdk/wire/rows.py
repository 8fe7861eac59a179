"""Files of rows: JSON and CSV, cut into rows as they arrive, and written.

Rules: section "Extracts" of ``docs/protocol.md``. Rows are cut out of the bytes and decoded whole, so it makes no
difference where a transfer cuts the file. Memory is bounded by one row and one chunk.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.wire.json_rows import JsonRows, SizedRow, check_size, cut_within

__all__ = [
    "FORMATS",
    "MAX_ROW_BYTES",
    "csv_columns",
    "in_parts",
    "plain_chunks",
    "read_rows",
    "read_sized_rows",
    "write_csv",
    "write_json",
]

#: What a file may hold.
FORMATS: Final = ("json", "csv")

#: Largest row that is read, in bytes.
MAX_ROW_BYTES: Final = 16 * 1024 * 1024

#: Fields whose value is a list; a cell of CSV holds it as JSON.
LIST_FIELDS: Final = frozenset({"anonymous_ids", "segment_ids"})

_CHUNK_BYTES: Final = 65_536
_GZIP_MAGIC: Final = b"\x1f\x8b"
#: Tells zlib to expect a gzip header.
_GZIP_BITS: Final = 16 + zlib.MAX_WBITS
_BOM: Final = b"\xef\xbb\xbf"
_ACCOUNT: Final = "account."

_CELL: Final = re.compile(r'(?:"(?P<quoted>[^"]*(?:""[^"]*)*)"|(?P<plain>[^",]*))(?P<end>,|\Z)')


def plain_chunks(chunks: Iterable[bytes], encoding: str | None = None) -> Iterator[bytes]:
    """Return a file's bytes without compression.

    Args:
        chunks: The file as it arrives.
        encoding: The header ``Content-Encoding``; a file that begins like gzip is decompressed without it too.

    Yields:
        Chunks of at most 65,536 bytes when decompressed.

    Raises:
        InvalidArgumentError: The encoding is unknown, or the file is damaged.
        TransientError: The file ends too early.
    """
    name = "" if encoding is None else encoding.strip().lower()
    if name in {"gzip", "x-gzip"}:
        chunks = _gunzip(chunks)
    elif name not in {"", "identity"}:
        raise InvalidArgumentError(f"the file's Content-Encoding is {name!r}; gzip and none are understood")
    head, rest = _peek(iter(chunks), len(_GZIP_MAGIC))
    whole = chain([head], rest)
    yield from (chunk for chunk in (_gunzip(whole) if head.startswith(_GZIP_MAGIC) else whole) if chunk)


def read_rows(
    chunks: Iterable[bytes], file_format: str, *, max_row_bytes: int = MAX_ROW_BYTES
) -> Iterator[dict[str, Any]]:
    """Cut a file into rows while it arrives.

    Args:
        chunks: The file without compression, cut anywhere.
        file_format: ``"json"``: objects, one a line or one after the other, or one array of them; ``"csv"``: the
            first row names the fields, ``account.`` before a name puts it under ``account``.
        max_row_bytes: Largest row that is read.

    Yields:
        Each row.

    Raises:
        InvalidArgumentError: The format is unknown, or a row is malformed or too large; the message says which.
        TransientError: The file ends within a row.
    """
    return (row for row, _ in read_sized_rows(chunks, file_format, max_row_bytes=max_row_bytes))


def read_sized_rows(
    chunks: Iterable[bytes], file_format: str, *, max_row_bytes: int = MAX_ROW_BYTES
) -> Iterator[SizedRow]:
    """Cut a file into rows, each with its number of bytes in the file; arguments and errors of :func:`read_rows`."""
    if file_format not in FORMATS:
        raise InvalidArgumentError(f"the format is {file_format!r}; use one of {', '.join(FORMATS)}")
    head, rest = _peek(iter(chunks), len(_BOM))
    whole = chain([head.removeprefix(_BOM)], rest)
    if file_format == "csv":
        return _csv_rows(_records(whole, max_row_bytes))
    return JsonRows(max_row_bytes).read(whole)


def in_parts(rows: Iterable[SizedRow], max_rows: int, max_bytes: int) -> Iterator[list[dict[str, Any]]]:
    """Bundle rows, by number and by size, whichever is reached first.

    Args:
        rows: Rows with their sizes; no more of them are read than the part at hand needs.
        max_rows: Most rows in a part.
        max_bytes: A part ends with the row that reaches so many bytes.
    """
    part: list[dict[str, Any]] = []
    size_bytes = 0
    for row, row_bytes in rows:
        part.append(row)
        size_bytes += row_bytes
        if len(part) >= max_rows or size_bytes >= max_bytes:
            yield part
            part, size_bytes = [], 0
    if part:
        yield part


def write_json(rows: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    """Return rows as lines of JSON."""
    return (json.dumps(row) + b"\n" for row in rows)


def csv_columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """Return the fields of all rows in the order of their first coming, those of ``account`` with ``account.``."""
    return list(dict.fromkeys(name for row in rows for name in _flat(row)))


def write_csv(rows: Iterable[Mapping[str, Any]], columns: Sequence[str]) -> Iterator[bytes]:
    """Return rows as CSV: ``null`` is an empty cell, empty text a quoted one, a list or dict is JSON.

    Args:
        rows: Reports; a user's may have an ``account``.
        columns: The header; see :func:`csv_columns`.
    """
    yield _csv_line(columns)
    for row in rows:
        flat = _flat(row)
        yield _csv_line([flat.get(name) for name in columns])


def _peek(chunks: Iterator[bytes], size: int) -> tuple[bytes, Iterator[bytes]]:
    head = b""
    while len(head) < size and (chunk := next(chunks, None)) is not None:
        head += chunk
    return head, chunks


def _gunzip(chunks: Iterable[bytes]) -> Iterator[bytes]:
    reader: Any = None
    for chunk in chunks:
        data = chunk
        while data:
            reader = zlib.decompressobj(_GZIP_BITS) if reader is None or reader.eof else reader
            yield from _inflated(reader, data)
            data = reader.unused_data
    if reader is not None and not reader.eof:
        raise TransientError("the file's gzip ends too early; the transfer was cut")


def _inflated(reader: Any, data: bytes) -> Iterator[bytes]:
    while True:
        try:
            plain = reader.decompress(data, _CHUNK_BYTES)
        except zlib.error as err:
            raise InvalidArgumentError(f"the file is no gzip: {err}") from err
        yield plain
        data = reader.unconsumed_tail
        # A full chunk may leave more inside the reader although nothing is left outside.
        if not data and len(plain) < _CHUNK_BYTES:
            return


def _records(chunks: Iterable[bytes], max_row_bytes: int) -> Iterator[tuple[str, int]]:
    """Cut CSV into records, each with its number of bytes: at each line break that stands outside quotes."""
    buffer, searched, number = bytearray(), 0, 0
    held: list[bytes] = []  # lines of a record whose last quotes are still open
    held_bytes = 0
    for chunk in chunks:
        buffer += chunk
        end = buffer.rfind(b"\n", searched)
        lines = bytes(buffer[:end]).split(b"\n") if end >= 0 else []
        del buffer[: end + 1]
        searched = len(buffer)
        for line in lines:
            odd = line.count(b'"') % 2
            if odd == bool(held):  # no quotes are open at its end
                record = b"\n".join((*held, line)) if held else line
                held, held_bytes = [], 0
                number += 1
                check_size(len(record), max_row_bytes, number)
                yield _text(record, number), len(record)
            else:
                held.append(line)
                held_bytes += len(line) + 1
        check_size(held_bytes + len(buffer), max_row_bytes, number + 1)
    last = b"\n".join((*held, buffer))
    if last.count(b'"') % 2:
        raise cut_within(number + 1)
    yield _text(last, number + 1), len(last)


def _text(data: bytes, number: int) -> str:
    try:
        return data.removesuffix(b"\r").decode()
    except UnicodeDecodeError as err:
        raise InvalidArgumentError(f"row {number} is not UTF-8: {err.reason} at byte {err.start}") from err


def _csv_rows(records: Iterator[tuple[str, int]]) -> Iterator[SizedRow]:
    header: list[str] = []
    flat = False
    for number, (record, size_bytes) in enumerate(records, 1):
        if not record.strip():
            continue
        cells = _quick_cells(record) or _cells(record, number)
        if header:
            if len(cells) != len(header):
                raise InvalidArgumentError(f"row {number} has {len(cells)} cells; the header has {len(header)}")
            yield dict(zip(header, cells, strict=True)) if flat else _nested(header, cells, number), size_bytes
        else:
            header = [cell or "" for cell in cells]
            if not all(header) or len(set(header)) < len(header):
                raise InvalidArgumentError(f"the header {header!r:.200} has an empty or a repeated name")
            flat = not any(name.startswith(_ACCOUNT) or name in LIST_FIELDS for name in header)


def _quick_cells(record: str) -> list[str | None] | None:
    """Return the cells of a record without doubled quotes, many times as fast as :func:`_cells` does.

    Cut at the quotes, every other part is a quoted cell, and between them stand plain ones with a comma at each side.
    ``None`` leaves a record to that function, which also knows what is wrong with it.
    """
    if '"' not in record:
        return [cell or None for cell in record.split(",")]
    parts = record.split('"')
    if '""' in record or len(parts) % 2 == 0:
        return None
    cells: list[str | None] = []
    last = len(parts) - 1
    for place, part in enumerate(parts):
        if place % 2:
            cells.append(part)
        elif part == "," and 0 < place < last:
            pass
        elif part:
            begin, end = int(place > 0), len(part) - int(place < last)
            if (begin and part[0] != ",") or (end < len(part) and part[-1] != ","):
                return None
            cells += [cell or None for cell in part[begin:end].split(",")]
    return cells


def _cells(record: str, number: int) -> list[str | None]:
    cells: list[str | None] = []
    at = 0
    while True:
        match = _CELL.match(record, at)
        if match is None:
            raise InvalidArgumentError(f"row {number} is no CSV: a misplaced quote in cell {len(cells) + 1}")
        quoted = match["quoted"]
        cells.append((match["plain"] or None) if quoted is None else quoted.replace('""', '"'))
        at = match.end()
        if not match["end"]:
            return cells


def _nested(header: list[str], cells: list[str | None], number: int) -> dict[str, Any]:
    row: dict[str, Any] = {}
    account: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        inner = name.removeprefix(_ACCOUNT)
        value = _listed(name, cell, number) if inner in LIST_FIELDS else cell
        (row if inner == name else account)[inner] = value
    if account:
        row["account"] = account if any(value is not None for value in account.values()) else {}
    return row


def _listed(name: str, cell: str | None, number: int) -> list[Any] | None:
    if cell is None:
        return None
    try:
        value = json.loads(cell)
    except ValueError:
        value = None
    if not isinstance(value, list):
        raise InvalidArgumentError(f'row {number} has no list in {name!r}; write one as JSON, such as ["a"]')
    return value


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    account = row.get("account")
    if not isinstance(account, Mapping):
        return dict(row)
    own = {name: value for name, value in row.items() if name != "account"}
    return own | {_ACCOUNT + name: value for name, value in account.items()}


def _csv_line(values: Iterable[Any]) -> bytes:
    return (",".join(map(_cell, values)) + "\r\n").encode(errors="replace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value).decode()
    return text if text and not re.search(r'[",\r\n]|^\s|\s$', text) else '"' + text.replace('"', '""') + '"'
