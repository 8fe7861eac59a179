"""Those who read extracts in the benchmark of extracts, each in a process of its own.

python tests/benchmarks/extract_process.py hull-sdk json 200000 PORT
"""

from __future__ import annotations

import csv
import importlib
import io
import itertools
import sys
from collections.abc import Callable, Iterator
from typing import Any

from method import answer_turns, measure, peak_mb
from rows_process import NOTE

CHUNK = 100
READ_BYTES = 65_536


class Counter:
    """Counts rows, and those whose text has changed on the way."""

    def __init__(self) -> None:
        self.rows = self.corrupted = 0

    def add(self, rows: list[dict[str, Any]]) -> None:
        """Count a chunk."""
        self.rows += len(rows)
        for row in rows:
            if row["note"] != NOTE:
                self.corrupted += 1


def by_hull_sdk() -> Callable[[str, str, Counter], None]:
    """Read with the helper as handlers have it."""
    from hull_sdk.context import Context
    from hull_sdk.helpers import handle_extract
    from hull_sdk.middleware import Extension

    services = Extension.open(environ={}, host_secret="a secret", allowed_organizations=["127.0.0.1"])

    def read(url: str, file_format: str, counter: Counter) -> None:
        handle_extract(Context(services), url=url, format=file_format, on_rows=counter.add, batch_size=CHUNK)

    return read


def by_floor(json_library: str) -> Callable[[str, str, Counter], None]:
    """Return the least that does the same: large reads, split at line breaks, or `csv.DictReader`."""
    import urllib3

    loads = importlib.import_module(json_library).loads
    pool = urllib3.PoolManager()

    def read(url: str, file_format: str, counter: Counter) -> None:
        answer = pool.request("GET", url, preload_content=False)
        rows = _lines(answer, loads) if file_format == "json" else _cells(answer)
        while chunk := list(itertools.islice(rows, CHUNK)):
            counter.add(chunk)
        answer.release_conn()

    return read


def _lines(answer: Any, loads: Callable[[bytes], Any]) -> Iterator[Any]:
    rest = b""
    while data := answer.read(READ_BYTES):
        *lines, rest = (rest + data).split(b"\n")
        yield from map(loads, lines)


def _cells(answer: Any) -> Iterator[Any]:
    answer.auto_close = False
    return csv.DictReader(io.TextIOWrapper(io.BufferedReader(answer, READ_BYTES), "utf-8", newline=""))


def main() -> None:
    """Take turns as the contender that is named."""
    who, file_format, count, port = sys.argv[1:5]
    if who == "hull-sdk":
        sys.modules["orjson"] = None  # type: ignore[assignment] - as if it were not installed
    contenders = {
        "hull-sdk": by_hull_sdk,
        "hull-sdk[fast]": by_hull_sdk,
        "floor": lambda: by_floor("json"),
        "floor with orjson": lambda: by_floor("orjson"),
    }
    read, url = contenders[who](), f"http://127.0.0.1:{port}/{file_format}/{count}"

    def turn() -> Any:
        counter = Counter()

        def work() -> int:
            read(url, file_format, counter)
            return counter.rows

        return measure(work, lambda: {"peak_mb": peak_mb(), "corrupted": counter.corrupted})

    answer_turns(turn)


if __name__ == "__main__":
    main()
