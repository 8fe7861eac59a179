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
from hull_sdk.wire.csv_rows import ACCOUNT, CsvRows
from hull_sdk.wire.json_rows import JsonRows, SizedRow

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

_CHUNK_BYTES: Final = 65_536
_GZIP_MAGIC: Final = b"\x1f\x8b"
#: Tells zlib to expect a gzip header.
_GZIP_BITS: Final = 16 + zlib.MAX_WBITS
_BOM: Final = b"\xef\xbb\xbf"


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
        return CsvRows(max_row_bytes).read(whole)
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


def _flat(row: Mapping[str, Any]) -> dict[str, Any]:
    account = row.get("account")
    if not isinstance(account, Mapping):
        return dict(row)
    own = {name: value for name, value in row.items() if name != "account"}
    return own | {ACCOUNT + name: value for name, value in account.items()}


def _csv_line(values: Iterable[Any]) -> bytes:
    return (",".join(map(_cell, values)) + "\r\n").encode(errors="replace")


def _cell(value: Any) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else json.dumps(value).decode()
    return text if text and not re.search(r'[",\r\n]|^\s|\s$', text) else '"' + text.replace('"', '""') + '"'
