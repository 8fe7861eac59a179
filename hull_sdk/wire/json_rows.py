"""Files of JSON objects: lines, one object after the other, or one array, cut into rows as they arrive."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError, TransientError

__all__ = ["JsonRows", "SizedRow", "check_size", "cut_within"]

#: A row and its number of bytes in the file.
SizedRow = tuple[dict[str, Any], int]

_SPACE: Final = re.compile(rb"[ \t\r\n]*")
_OUTSIDE_TEXT: Final = re.compile(rb'["{}\[\]]')
_INSIDE_TEXT: Final = re.compile(rb'["\\]')

#: Longest piece of a line that is kept in the hope of its end, in bytes; what is longer is read by its brackets.
MAX_UNENDED_BYTES: Final = 262_144


class JsonRows:
    """Cuts JSON into objects: lines of their own are tried first, else the end is found by the brackets.

    Args:
        max_row_bytes: Largest object that is read.
    """

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

    def read(self, chunks: Iterable[bytes]) -> Iterator[SizedRow]:
        """Cut a file into objects.

        Args:
            chunks: The file, cut anywhere.

        Yields:
            Each object and its number of bytes.

        Raises:
            InvalidArgumentError: An object is malformed or too large.
            TransientError: The file ends within an object or its array.
        """
        left = iter(chunks)
        self._buffer += yield from self._whole_lines(left)
        for chunk in chain((b"",), left):
            self._buffer += chunk
            yield from self._found()
            keep = self._at if self._start is None else self._start
            del self._buffer[:keep]
            self._at -= keep
            self._start = None if self._start is None else 0
        if self._start is not None:
            raise cut_within(self._number + 1)
        if self._array and self._expects != "end":
            raise TransientError(f"the file ends within its array, after row {self._number}; the transfer was cut")

    def _found(self) -> Iterator[SizedRow]:
        while self._start is not None or self._begin():
            found = self._object()
            if found is None:
                return
            yield found
            self._start = None
            self._expects = "comma" if self._array else "value"

    def _whole_lines(self, chunks: Iterable[bytes]) -> Generator[SizedRow, None, bytes]:
        """Find the objects of lines of their own, as most files have them: many times as fast as looking for an end.

        The first line that is no object, or too long for one, ends this for the whole file.

        Returns:
            What was taken from the chunks and is no such line.
        """
        rest = b""
        for chunk in chunks:
            *lines, rest = (rest + chunk).split(b"\n")
            for place, line in enumerate(lines):
                size_bytes = len(line)
                try:
                    row = json.loads(line) if size_bytes <= self._max else None
                except ValueError:
                    row = None
                if isinstance(row, dict):
                    self._number += 1
                    yield row, size_bytes
                elif line.strip(b" \t\r"):
                    return b"\n".join((*lines[place:], rest))
            if len(rest) > min(MAX_UNENDED_BYTES, self._max):
                break
        return rest

    def _object(self) -> SizedRow | None:
        """Return the object that begins here, wherever its lines end; ``None`` when its end has not arrived yet."""
        start = 0 if self._start is None else self._start
        end = self._end()
        check_size((len(self._buffer) if end is None else end) - start, self._max, self._number + 1)
        if end is None:
            return None
        self._number += 1
        self._at = end
        return self._decoded(bytes(self._buffer[start:end])), end - start

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


def check_size(size: int, limit: int, number: int) -> None:
    """Refuse a row that is larger than ``limit`` bytes; ``number`` is for the message."""
    if size > limit:
        raise InvalidArgumentError(f"row {number} is larger than {limit} bytes")


def cut_within(number: int) -> TransientError:
    """Return the error for a file that ends within a row."""
    return TransientError(f"the file ends within row {number}; the transfer was cut")
