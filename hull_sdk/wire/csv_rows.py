"""Files of CSV, cut into rows as they arrive: an empty cell is ``None``, a quoted empty one is empty text.

The ``csv`` of the standard library does not tell these two apart, nor a quote in the wrong place from text. So cells
are cut here: those of all the whole records of a chunk at once, or cell by cell where these hold something unusual.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import compress, count, islice, repeat
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.json_rows import SizedRow, check_size, cut_within

__all__ = ["ACCOUNT", "CsvRows"]

#: What the names of an account's fields begin with in the header of a file of users.
ACCOUNT: Final = "account."

#: Fields whose value is a list; a cell holds it as JSON.
LIST_FIELDS: Final = frozenset({"anonymous_ids", "segment_ids"})

#: The cells of a record.
_Cells = Sequence[str | None]

_CELL: Final = re.compile(r'(?:"(?P<quoted>[^"]*(?:""[^"]*)*)"|(?P<plain>[^",]*))(?P<end>,|\Z)')
# A quote stands first in both, which lets them be searched for many times as fast.
_QUOTES: Final = re.compile('""*')
#: A quote with text before or after it.
_MISPLACED: Final = re.compile(r'"(?:(?=[^,\n"])|(?<=[^,\n"]"))')


class CsvRows:
    """Cuts CSV into rows; the first record names the fields.

    Args:
        max_row_bytes: Largest record that is read.
    """

    def __init__(self, max_row_bytes: int) -> None:
        self._max = max_row_bytes
        self._number = 0
        self._header: _Header | None = None

    def read(self, chunks: Iterable[bytes]) -> Iterator[SizedRow]:
        """Cut a file into rows.

        Args:
            chunks: The file, cut anywhere.

        Yields:
            Each row and its number of bytes.

        Raises:
            InvalidArgumentError: A record is malformed or too large, or has another number of cells than the header.
            TransientError: The file ends within a record.
        """
        for block in self._blocks(chunks):
            left = self._after_header(block) if self._header is None else block
            if self._header is not None and left:
                yield from self._rows(left, self._header)

    def _blocks(self, chunks: Iterable[bytes]) -> Iterator[bytes]:
        """Cut a file into whole records, many at once, each with the line break that ends it."""
        held = bytearray()  # what has no end yet
        is_open = 0  # whether quotes are, at its end
        for chunk in chunks:
            end = _end_of_records(chunk, is_open)
            if end:
                yield bytes(held + chunk[:end])
                held.clear()
            held += chunk[end:]
            is_open ^= chunk.count(b'"') % 2
            check_size(len(held), self._max, self._number + 1)
        if is_open:
            raise cut_within(self._number + 1)
        if held:
            yield bytes(held) + b"\n"

    def _after_header(self, block: bytes) -> bytes:
        """Read the header, and return the records behind it."""
        records = iter(_records(block))
        for record in records:
            text = self._text(record)
            if text.strip():
                self._header = _Header([cell or "" for cell in _cells(text, self._number)])
                break
        return b"".join(record + b"\n" for record in records)

    def _rows(self, block: bytes, header: _Header) -> Iterator[SizedRow]:
        table = _table(block, len(header.names)) if len(block) <= self._max else None
        if table is None:
            yield from self._one_by_one(_records(block), header)
        else:
            sizes = map(len, _records(block, len(table)))
            yield from zip(header.rows(table, self._number + 1), sizes, strict=True)
            self._number += len(table)

    def _one_by_one(self, records: Iterable[bytes], header: _Header) -> Iterator[SizedRow]:
        for record in records:
            text = self._text(record)
            if not text.strip():
                continue
            cells, width = _cells(text, self._number), len(header.names)
            if len(cells) != width:
                raise InvalidArgumentError(f"row {self._number} has {len(cells)} cells; the header has {width}")
            for row in header.rows([cells], self._number):
                yield row, len(record)

    def _text(self, record: bytes) -> str:
        self._number += 1
        check_size(len(record), self._max, self._number)
        try:
            return record.removesuffix(b"\r").decode()
        except UnicodeDecodeError as err:
            raise InvalidArgumentError(f"row {self._number} is not UTF-8: {err.reason} at byte {err.start}") from err


class _Header:
    """The names of the fields, and where they go in a row."""

    def __init__(self, names: list[str]) -> None:
        if not all(names) or len(set(names)) < len(names):
            raise InvalidArgumentError(f"the header {names!r:.200} has an empty or a repeated name")
        self.names = names
        self._lists = [at for at, name in enumerate(names) if name.removeprefix(ACCOUNT) in LIST_FIELDS]
        self._is_account = [name.startswith(ACCOUNT) for name in names]
        self._is_own = [not is_account for is_account in self._is_account]
        self._own = [name for name in names if not name.startswith(ACCOUNT)]
        self._account = [name.removeprefix(ACCOUNT) for name in names if name.startswith(ACCOUNT)]

    def rows(self, table: Iterable[_Cells], number: int) -> Iterator[dict[str, Any]]:
        """Return the rows of records; ``number`` is that of the first."""
        if self._account or self._lists:
            return map(self._nested, table, count(number))
        return map(dict, map(zip, repeat(self.names), table))

    def _nested(self, cells: _Cells, number: int) -> dict[str, Any]:
        values: list[Any] = list(cells)
        for at in self._lists:
            values[at] = _listed(self.names[at], values[at], number)
        row = dict(zip(self._own, compress(values, self._is_own), strict=True))
        if self._account:
            account = dict(zip(self._account, compress(values, self._is_account), strict=True))
            row["account"] = account if any(value is not None for value in account.values()) else {}
        return row


def _end_of_records(chunk: bytes, is_open: int) -> int:
    """Return where the last record that ends in a chunk does: after its last line break outside quotes; else 0."""
    is_open = (is_open + chunk.count(b'"')) % 2
    end = len(chunk)
    while (at := chunk.rfind(b"\n", 0, end)) >= 0:
        is_open ^= chunk.count(b'"', at, end) % 2
        if not is_open:
            return at + 1
        end = at
    return 0


def _records(block: bytes, number: int | None = None) -> list[bytes]:
    """Return a block's records without their line breaks; as many lines as there are records need no closer look."""
    lines = block[:-1].split(b"\n")
    if len(lines) == number:
        return lines
    records: list[bytes] = []
    held: list[bytes] = []  # lines of a record whose last quotes are still open
    is_open = 0
    for line in lines:
        held.append(line)
        is_open ^= line.count(b'"') % 2
        if not is_open:
            records.append(b"\n".join(held))
            held.clear()
    return records


def _table(block: bytes, width: int) -> list[tuple[str | None, ...]] | None:
    """Return the cells of a block's records, many times as fast as :func:`_cells` does.

    Cut at the quotes, every other part is quoted text; a quote takes its place while the rest is cut into cells.
    ``None`` leaves the block to that function, which also knows what is wrong with it.
    """
    try:
        parts = block.decode().split('"')
    except UnicodeDecodeError:
        return None
    plain, quoted = '"'.join(parts[::2]).replace("\r\n", "\n"), parts[1::2]
    if _MISPLACED.search(plain):
        return None
    if '""' in plain:  # doubled quotes have cut a cell into several parts
        rest = iter(quoted)
        quoted = ['"'.join(islice(rest, len(quotes))) for quotes in _QUOTES.findall(plain)]
        plain = _QUOTES.sub('"', plain)
    plain = plain.removesuffix("\n")
    # A blank line may pass for a record with one cell.
    if width == 1 or set(map(str.count, plain.split("\n"), repeat(","))) != {width - 1}:
        return None
    cells: list[str | None] = [cell or None for cell in plain.replace("\n", ",").split(",")]
    at = -1
    for text in quoted:
        at = cells.index('"', at + 1)
        cells[at] = text
    return list(zip(*[iter(cells)] * width, strict=True))


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
