"""How fast extracts are read: ours, the Node generation's and the least that does the same, each in its own process.

Each reads a file of rows over HTTP in chunks of 100 and counts them, JSON lines of 1.1 KB and CSV of 0.7 KB; text that
has changed on the way is counted too. The floors read 64 KB at a time and split at line breaks, or use `csv.DictReader`.
At the end ours reads some 200 MB and 1 GB, for the memory that this takes.

    python tests/benchmarks/extract.py [--rows 200000] [--formats json,csv] [--without-node]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from method import Contender, Contest, Helper, Result, Target, arguments, finish, print_line

HERE: Final = Path(__file__).parent
NODE_PACKAGES: Final = HERE.parent / "interop" / "node_packages.py"
OURS, OURS_FAST, FLOOR, FLOOR_FAST, NODE = "hull-sdk", "hull-sdk[fast]", "floor", "floor with orjson", "hull 0.13"
#: What the memory is measured at, in bytes of a file.
SMALL_BYTES, LARGE_BYTES = 200_000_000, 1_000_000_000


def main() -> None:
    """Run what the command line asks for."""
    parser = arguments(__doc__)
    parser.add_argument("--rows", type=int, default=200_000, help="rows of a file, whole thousands")
    parser.add_argument("--formats", default="json,csv", help="json, csv or both")
    parser.add_argument("--without-node", action="store_true", help="leave the Node generation out")
    options = parser.parse_args()
    targets: list[Target] = []
    with Helper(HERE / "rows_process.py") as server:
        for file_format in options.formats.split(","):
            result = _contest(server, file_format, options)
            targets += _json_targets(result) if file_format == "json" else _csv_targets(result)
        targets += _memory(server)
    finish(targets)


def _contest(server: Helper, file_format: str, options) -> Result:
    rows, port = str(options.rows), str(server.ready["port"])
    names = [FLOOR, FLOOR_FAST, OURS, OURS_FAST] if file_format == "json" else [FLOOR, OURS]
    with ExitStack() as running:
        helpers = {}
        for name in names:
            helper = Helper(HERE / "extract_process.py", name, file_format, rows, port)
            helpers[name] = running.enter_context(helper)
        if not options.without_node and (environment := _node()) is not None:
            script = HERE / "node" / "extract.js"
            helper = Helper(script, file_format, rows, port, program="node", environment=environment)
            helpers[NODE] = running.enter_context(helper)
        contenders = [Contender(name, helper.take_turn, options.rows) for name, helper in helpers.items()]
        title = f"extract of {options.rows:,} rows, {file_format} of {server.ready['bytes'][file_format]:.0f} bytes"
        return Contest(title, "row", contenders, base=FLOOR).run(options.rounds)


def _node() -> dict[str, str] | None:
    if shutil.which("node") is None or shutil.which("npm") is None:
        print_line("node and npm were not found; the Node generation does not take part")
        return None
    found = subprocess.run([sys.executable, str(NODE_PACKAGES)], stdout=subprocess.PIPE, text=True, check=True)
    return {"NODE_PATH": found.stdout.strip(), "NODE_NO_WARNINGS": "1"}


def _json_targets(result: Result) -> Iterator[Target]:
    for ours, floor, least in ((OURS, FLOOR, 0.85), (OURS_FAST, FLOOR_FAST, 0.8)):
        yield Target(what=f"JSON rows/s of {ours} / {floor}", value=result.ratio(ours, floor, "per_s"), least=least)
    if NODE in result.figures:
        for ours, least in ((OURS, 2.8), (OURS_FAST, 6.0)):
            yield Target(what=f"JSON rows/s of {ours} / {NODE}", value=result.ratio(ours, NODE, "per_s"), least=least)


def _csv_targets(result: Result) -> Iterator[Target]:
    yield Target(what=f"CSV rows/s of {OURS} / {FLOOR}", value=result.ratio(OURS, FLOOR, "per_s"), least=0.8)
    yield Target(what=f"corrupted rows of CSV of {OURS}", value=max(result.values(OURS, "corrupted")), most=0)
    if NODE in result.figures:
        yield Target(what=f"CSV rows/s of {OURS} / {NODE}", value=result.ratio(OURS, NODE, "per_s"), least=4.5)


def _memory(server: Helper) -> Iterator[Target]:
    port, per_row = str(server.ready["port"]), server.ready["bytes"]["json"]
    rows = [round(size / per_row / 1000) * 1000 for size in (SMALL_BYTES, LARGE_BYTES)]
    script = HERE / "extract_process.py"
    with (
        Helper(script, OURS, "json", str(rows[0]), port) as small,
        Helper(script, OURS, "json", str(rows[1]), port) as large,
    ):
        contenders = [Contender("200 MB", small.take_turn, rows[0]), Contender("1 GB", large.take_turn, rows[1])]
        contest = Contest("memory of an extract", "row", contenders, ratio_of="peak_mb")
        result = contest.run(1, warm_up=False)
    yield Target(what="peak memory of 1 GB / 200 MB", value=result.ratio("1 GB", "200 MB", "peak_mb"), most=1.1)
    yield Target(what="peak memory of 1 GB in MB", value=result.median("1 GB", "peak_mb"), most=60)


if __name__ == "__main__":
    main()
