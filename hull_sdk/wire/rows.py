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

__all__ = ["FORMATS", "MAX_ROW_BYTES", "csv_columns", "plain_chunks", "read_rows", "write_csv", "write_json"]

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

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_OUTSIDE_TEXT: Final = re.compile(rb'["{}\[\]]')
_INSIDE_TEXT: Final = re.compile(rb'["\\]')
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
    if file_format not in FORMATS:
        raise InvalidArgumentError(f"the format is {file_format!r}; use one of {', '.join(FORMATS)}")
    head, rest = _peek(iter(chunks), len(_BOM))
    whole = chain([head.removeprefix(_BOM)], rest)
    if file_format == "csv":
        return _csv_rows(_records(whole, max_row_bytes))
    return _Objects(max_row_bytes).read(whole)


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


class _Objects:
    """Cuts JSON into objects: finds the end of each by its brackets, then decodes it whole."""

    def __init__(self, max_row_bytes: int) -> None:
        self._max = max_row_bytes
        self._buffer = bytearray()
        self._number = 0
        self._array: bool | None = None
        self._expects = "value"
        self._start: int | None = None
        self._at = 0
        self._depth = 0
        self._in_text = False

    def read(self, chunks: Iterable[bytes]) -> Iterator[dict[str, Any]]:
        for chunk in chunks:
            self._buffer += chunk
            yield from self._found()
            keep = self._at if self._start is None else self._start
            del self._buffer[:keep]
            self._at -= keep
            self._start = None if self._start is None else 0
        if self._start is not None:
            raise _cut(self._number + 1)
        if self._array and self._expects != "end":
            raise TransientError(f"the file ends within its array, after row {self._number}; the transfer was cut")

    def _found(self) -> Iterator[dict[str, Any]]:
        while self._start is not None or self._begin():
            end = self._end()
            start = 0 if self._start is None else self._start
            _check_size((len(self._buffer) if end is None else end) - start, self._max, self._number + 1)
            if end is None:
                return
            self._number += 1
            yield self._decoded(bytes(self._buffer[start:end]))
            self._start, self._at = None, end
            self._expects = "comma" if self._array else "value"

    def _begin(self) -> bool:
        """Go to the next object; ``False`` when it has not arrived yet."""
        while True:
            self._at = _end_of_space(self._buffer, self._at)
            byte = bytes(self._buffer[self._at : self._at + 1])
            if not byte:
                return False
            if byte == b"{" and self._expects in {"value", "first"}:
                self._array = bool(self._array)
                self._start, self._depth, self._in_text = self._at, 0, False
                return True
            self._punctuate(byte)
            self._at += 1

    def _punctuate(self, byte: bytes) -> None:
        if byte == b"[" and self._array is None:
            self._array, self._expects = True, "first"
        elif byte == b"," and self._expects == "comma":
            self._expects = "value"
        elif byte == b"]" and self._array and self._expects in {"first", "comma"}:
            self._expects = "end"
        else:
            raise InvalidArgumentError(f"after row {self._number} comes {byte!r}; rows are JSON objects")

    def _end(self) -> int | None:
        """Return where the present object ends; ``None`` when that has not arrived yet."""
        while True:
            pattern = _INSIDE_TEXT if self._in_text else _OUTSIDE_TEXT
            match = pattern.search(self._buffer, self._at)
            if match is None:
                # A backslash at the very end has already passed the character that comes next.
                self._at = max(self._at, len(self._buffer))
                return None
            self._at = match.end()
            if self._step(match[0]):
                return self._at

    def _step(self, mark: bytes) -> bool:
        if mark == b"\\":
            self._at += 1
        elif mark == b'"':
            self._in_text = not self._in_text
        else:
            self._depth += 1 if mark in b"{[" else -1
        return self._depth == 0

    def _decoded(self, data: bytes) -> dict[str, Any]:
        try:
            row: dict[str, Any] = json.loads(data)
        except ValueError as err:
            raise InvalidArgumentError(f"row {self._number} is no JSON: {type(err).__name__} in it") from err
        return row


def _end_of_space(buffer: bytearray, at: int) -> int:
    match = _SPACE.match(buffer, at)
    return at if match is None else match.end()


def _records(chunks: Iterable[bytes], max_row_bytes: int) -> Iterator[str]:
    """Cut CSV into records: at each line break that stands outside quotes."""
    buffer = bytearray()
    at, quotes, number = 0, 0, 0
    for chunk in chunks:
        buffer += chunk
        start = 0
        while (end := buffer.find(b"\n", at)) >= 0:
            quotes += buffer.count(b'"', at, end)
            at = end + 1
            if quotes % 2 == 0:
                number += 1
                _check_size(end - start, max_row_bytes, number)
                yield _text(bytes(buffer[start:end]), number)
                start, quotes = at, 0
        quotes += buffer.count(b'"', at)
        del buffer[:start]
        at = len(buffer)
        _check_size(at, max_row_bytes, number + 1)
    if quotes % 2:
        raise _cut(number + 1)
    yield _text(bytes(buffer), number + 1)


def _text(data: bytes, number: int) -> str:
    try:
        return data.removesuffix(b"\r").decode()
    except UnicodeDecodeError as err:
        raise InvalidArgumentError(f"row {number} is not UTF-8: {err.reason} at byte {err.start}") from err


def _csv_rows(records: Iterator[str]) -> Iterator[dict[str, Any]]:
    header: list[str] = []
    for number, record in enumerate(records, 1):
        if not record.strip():
            continue
        cells = _cells(record, number)
        if header:
            if len(cells) != len(header):
                raise InvalidArgumentError(f"row {number} has {len(cells)} cells; the header has {len(header)}")
            yield _nested(header, cells, number)
        else:
            header = [cell or "" for cell in cells]
            if not all(header) or len(set(header)) < len(header):
                raise InvalidArgumentError(f"the header {header!r:.200} has an empty or a repeated name")


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
    known = {name: value for name, value in account.items() if value is not None}
    if account:
        row["account"] = account if known else {}
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


def _check_size(size: int, limit: int, number: int) -> None:
    if size > limit:
        raise InvalidArgumentError(f"row {number} is larger than {limit} bytes")


def _cut(number: int) -> TransientError:
    return TransientError(f"the file ends within row {number}; the transfer was cut")
