"""From the lines of a CSV file to rows, one at a time; a row that cannot be read costs no other.

A row may hold line breaks within quotes. Where a quote is opened and the row makes no sense to its end, only the line
with the quote is bad: the ones after it are read as if it were not there.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_ROW_BYTES", "BadRow", "Row", "Table", "TableError"]

#: Hull takes no larger record.
MAX_ROW_BYTES: Final = 500_000
_BOM: Final = b"\xef\xbb\xbf"
#: Beginnings of what is no CSV, and what it is.
_NO_TABLES: Final = {
    b"\xff\xfe": "UTF-16; save it as UTF-8",
    b"\xfe\xff": "UTF-16; save it as UTF-8",
    b"PK\x03\x04": "a ZIP archive or an Excel workbook; save it as CSV",
    b"<": "a web page or XML; look whether the address asks for a login",
    b"{": "JSON; save it as CSV",
}


class TableError(ValueError):
    """A file that is no table with the columns that are needed: none of its rows can be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row: the number of its first line in the file, from 1, and its cells by column."""

    line: int
    cells: dict[str, str]


@dataclass(frozen=True, slots=True)
class BadRow:
    """A row that cannot be read: the number of its line, why, and what stands there."""

    line: int
    reason: str
    text: str


class Table:
    """The rows of a file, to be read once.

    Args:
        lines: The lines with their ends; one that is longer than :data:`MAX_ROW_BYTES` may come in pieces.
        encoding: For example ``"utf-8"``.
        delimiter: For example ``","``.

    Raises:
        TableError: The first row names no columns.
    """

    def __init__(self, lines: Iterable[bytes], *, encoding: str, delimiter: str) -> None:
        self._lines = _whole(lines)
        self._returned: deque[tuple[int, bytes | None]] = deque()
        self._encoding = encoding
        self._delimiter = delimiter
        #: The names in the first row.
        self.columns: list[str] = self._header()

    def rows(self) -> Iterator[Row | BadRow]:
        """Return all rows in their order, good and bad ones; blank lines are none."""
        while (first := self._next()) is not None:
            number, line = first
            if line is None:
                yield BadRow(number, f"the line is longer than {MAX_ROW_BYTES} bytes", "")
            elif line.strip():
                yield self._row(number, line)

    def _row(self, number: int, line: bytes) -> Row | BadRow:
        taken = [(number, line)]
        size, quotes = len(line), line.count(b'"')
        while quotes % 2 and size <= MAX_ROW_BYTES:
            following = self._next()
            if following is None or following[1] is None:
                self._give_back([] if following is None else [following])
                break
            taken.append((following[0], following[1]))
            size += len(following[1])
            quotes += following[1].count(b'"')
        text = b"".join(each for _, each in taken)
        try:
            return Row(number, dict(zip(self.columns, self._cells(text, len(self.columns)), strict=True)))
        except ValueError as err:
            self._give_back(taken[1:])
            return BadRow(number, str(err), line.decode(self._encoding, "backslashreplace").rstrip("\r\n"))

    def _cells(self, text: bytes, expected: int | None = None) -> list[str]:
        try:
            decoded = text.decode(self._encoding)
        except UnicodeDecodeError as err:
            raise ValueError(
                f"byte {err.start + 1} of the row, 0x{text[err.start]:02x}, is not {self._encoding}; "
                "save the file so, or choose its encoding in the settings"
            ) from err
        try:
            (cells,) = csv.reader([decoded.rstrip("\r\n")], delimiter=self._delimiter, strict=True)
        except csv.Error as err:
            raise ValueError(f"it is no CSV: {err}") from err
        if expected is not None and len(cells) != expected:
            raise ValueError(f"it has {len(cells)} cells; the first row names {expected} columns")
        return cells

    def _header(self) -> list[str]:
        first, blank = self._next(), 0
        while first is not None and first[1] is not None and not first[1].removeprefix(_BOM).strip():
            blank += len(first[1])
            if blank > MAX_ROW_BYTES:
                raise TableError(f"the file begins with more than {MAX_ROW_BYTES} bytes of blank lines")
            first = self._next()
        if first is None or first[1] is None:
            raise TableError("the file is empty" if first is None else "the first line is far too long for CSV")
        text = first[1].removeprefix(_BOM)
        for beginning, kind in _NO_TABLES.items():
            if text.startswith(beginning):
                raise TableError(f"the file is {kind}")
        try:
            names = [name.strip() for name in self._cells(text)]
        except ValueError as err:
            raise TableError(f"the first row: {err}") from err
        if not all(names) or len(set(names)) < len(names):
            raise TableError(f"the first row names a column twice or not at all: {names!r:.200}")
        return names

    def _next(self) -> tuple[int, bytes | None] | None:
        return self._returned.popleft() if self._returned else next(self._lines, None)

    def _give_back(self, lines: Iterable[tuple[int, bytes | None]]) -> None:
        self._returned.extendleft(reversed(list(lines)))


def _whole(lines: Iterable[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Number the lines; one that is too long, and comes in pieces, is ``None``."""
    number, skipping = 1, False
    for line in lines:
        ended = line.endswith(b"\n")
        if not skipping:
            skipping = len(line) > MAX_ROW_BYTES
            yield number, None if skipping else line
        if ended:
            number, skipping = number + 1, False
