"""How fast notifications are handled: ours, the Node generation's and the least that does the same.

Each serves in one worker process: the Python ones under gunicorn with eight threads and what `hull new` configures,
its hook for workers included. All verify the signature; ours and the floor also the digest of the body. A handler
counts the messages that it is given; one that is missing or comes twice ends the benchmark. The floor is one Flask view
under the same gunicorn that verifies, decodes with the same library and counts.

With `--pinned` the worker of each Python one has a processor of its own, as the page about deploying shows.

    python tests/benchmarks/notify.py [--notifications 400] [--connections 1,8] [--without-node] [--pinned]
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from gunicorn_process import PINNED
from method import Contender, Contest, Result, Target, Turn, arguments, finish, print_line
from notifications import Fleet, Platform, fast, stdlib_json

HERE: Final = Path(__file__).parent
NODE_PACKAGES: Final = HERE.parent / "interop" / "node_packages.py"
OURS, OURS_FAST, FLOOR, FLOOR_FAST, NODE = "hull-sdk", "hull-sdk[fast]", "floor", "floor with orjson", "hull 0.13"
#: Processes of each contender.
COPIES: Final = 3
#: What each of them is sent before the first round, over so many connections.
WARM_UP, CROWD = 80, 8


def main() -> None:
    """Run what the command line asks for."""
    parser = arguments(__doc__)
    parser.add_argument("--notifications", type=int, default=400, help="notifications of a turn")
    parser.add_argument("--connections", default="1,8", help="numbers of connections, each measured by itself")
    parser.add_argument("--without-node", action="store_true", help="leave the Node generation out")
    parser.add_argument("--pinned", action="store_true", help="give each Python worker a processor of its own")
    options = parser.parse_args()
    pinned = {PINNED: "1"} if options.pinned else {}
    targets: list[Target] = []
    with ExitStack() as running:
        platform = running.enter_context(Platform())
        print_line(f"a notification has {platform.size_bytes:,} bytes")
        fleets = [running.enter_context(fleet) for fleet in _fleets(pinned, options.without_node)]
        strangers = {fleet.name for fleet in fleets if not platform.is_verified(fleet.port, digest=fleet.name != NODE)}
        if strangers:
            raise SystemExit(f"{', '.join(strangers)} took a notification with a wrong signature; no figures")
        for fleet in fleets:
            fleet.take_turn(platform, WARM_UP, CROWD)
        for connections in map(int, options.connections.split(",")):
            turns = {
                name: partial(_next_turn, copies, platform, options.notifications, connections)
                for name, copies in _by_name(fleets).items()
            }
            contenders = [Contender(name, turn, options.notifications) for name, turn in turns.items()]
            title = f"notify, {connections} connections"
            result = Contest(title, "notification", contenders, base=FLOOR).run(options.rounds)
            targets += _targets(result, connections)
    finish(targets)


def _by_name(fleets: Iterable[Fleet]) -> dict[str, Iterator[Fleet]]:
    """Return the processes of each contender, one after the other, for ever."""
    names = dict.fromkeys(fleet.name for fleet in fleets)
    return {name: itertools.cycle([fleet for fleet in fleets if fleet.name == name]) for name in names}


def _next_turn(copies: Iterator[Fleet], platform: Platform, notifications: int, connections: int) -> Turn:
    return next(copies).take_turn(platform, notifications, connections)


def _fleets(pinned: dict[str, str], without_node: bool) -> Iterator[Fleet]:
    slow, quick = ({**environment, **pinned} for environment in (stdlib_json(), fast()))
    for _ in range(COPIES):
        yield Fleet.gunicorn(FLOOR, "notify_process:floor()", quiet=False, **slow)
        yield Fleet.gunicorn(FLOOR_FAST, "notify_process:floor()", quiet=False, **quick)
        yield Fleet.gunicorn(OURS, "notify_process:ours()", quiet=False, **slow)
        yield Fleet.gunicorn(OURS_FAST, "notify_process:ours()", quiet=False, **quick)
    if without_node:
        return
    if shutil.which("node") is None or shutil.which("npm") is None:
        print_line("node and npm were not found; the Node generation does not take part")
        return
    found = subprocess.run([sys.executable, str(NODE_PACKAGES)], stdout=subprocess.PIPE, text=True, check=True)
    environment = {"NODE_PATH": found.stdout.strip(), "NODE_ENV": "production", "NODE_NO_WARNINGS": "1"}
    for _ in range(COPIES):
        yield Fleet(NODE, ["node", "node/notify.js", "{fd}"], environment)


def _targets(result: Result, connections: int) -> Iterator[Target]:
    at = f"at {connections} connections"
    for ours, floor in ((OURS, FLOOR), (OURS_FAST, FLOOR_FAST)):
        value = result.ratio(ours, floor, "per_s")
        yield Target(what=f"notifications/s of {ours} / {floor} {at}", value=value, least=0.85)
    if NODE in result.figures:
        wanted = {OURS: 1.9, OURS_FAST: 3.0} if connections == 1 else {OURS: 1.5}
        for ours, least in wanted.items():
            value = result.ratio(ours, NODE, "per_s")
            yield Target(what=f"notifications/s of {ours} / {NODE} {at}", value=value, least=least)
    if connections == 1:
        for ours in (OURS, OURS_FAST):
            value = result.median(ours, "p99_ms") / result.median(ours, "p50_ms")
            yield Target(what=f"p99 / p50 of {ours} {at}", value=value, most=3.0)


if __name__ == "__main__":
    main()
