"""How fast messages are sent: ours, the Node generation's and the least that does the same, each in its own process.

Each sends ``traits`` for as many different users, each with a token of its own, to a sink that accepts everything and
counts afterwards; a turn ends when all are acknowledged. A message that is missing or came twice ends the benchmark.

``--delay-ms 50`` has the sink answer late, as a real network does; then the connections decide. Without it ours sends
twenty times as many in one loop at the end, for the memory that this takes.

    python tests/benchmarks/send.py [--count 20000] [--delay-ms 0] [--workers 4] [--without-node]
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from method import Contender, Contest, Helper, Result, Target, Turn, arguments, finish, print_line

HERE: Final = Path(__file__).parent
NODE_PACKAGES: Final = HERE.parent / "interop" / "node_packages.py"
OURS, OURS_FAST, FLOOR, FLOOR_FAST, NODE = "hull-sdk", "hull-sdk[fast]", "floor", "floor with orjson", "hull-client-2"
#: Messages in a batch when nothing more waits.
FLUSH_AT: Final = 50
#: How many times as many messages are sent for the memory that they take.
MANY: Final = 20


def main() -> None:
    """Run what the command line asks for."""
    parser = arguments(__doc__)
    parser.add_argument("--count", type=int, default=20_000, help="messages of a turn")
    parser.add_argument("--delay-ms", type=float, default=0.0, help="between a request and the sink's answer")
    parser.add_argument("--workers", type=int, default=4, help="connections of ours")
    parser.add_argument("--without-node", action="store_true", help="leave the Node generation out")
    options = parser.parse_args()
    with ExitStack() as running:
        sink = running.enter_context(Helper(HERE / "sink_process.py", "--delay-ms", str(options.delay_ms)))
        scripts = [] if options.without_node else list(_node())
        scripts += [(name, Helper) for name in (FLOOR, FLOOR_FAST, OURS, OURS_FAST)]
        contenders = []
        for name, start in scripts:
            arguments_of = (name, str(options.count), str(sink.ready["port"]), str(options.workers))
            script = "node/send.js" if name == NODE else "send_process.py"
            helper = running.enter_context(start(HERE / script, *arguments_of))
            contenders.append(Contender(name, _counted(helper, sink), options.count))
        what = f"send {options.count:,} messages, answers after {options.delay_ms:g} ms"
        result = Contest(what, "message", contenders, base=FLOOR).run(options.rounds)
        targets = list(_targets(result, options.delay_ms, options.workers))
        if not options.delay_ms:
            targets.append(_memory(sink, options.count))
    finish(targets)


def _memory(sink: Helper, count: int) -> Target:
    port, script = str(sink.ready["port"]), HERE / "send_process.py"
    with Helper(script, OURS, str(count), port, "4") as few, Helper(script, OURS, str(count * MANY), port, "4") as many:
        contenders = [
            Contender("at once", _counted(few, sink), count),
            Contender(f"{MANY} times as many", _counted(many, sink), count * MANY),
        ]
        contest = Contest("send in one loop", "message", contenders, ratio_of="peak_mb")
        result = contest.run(1, warm_up=False)
    value = result.ratio(contenders[1].name, contenders[0].name, "peak_mb")
    return Target(what=f"peak memory of {count * MANY:,} messages / {count:,}", value=value, most=1.3)


def _node() -> Iterator[tuple[str, type[Helper]]]:
    if shutil.which("node") is None or shutil.which("npm") is None:
        print_line("node and npm were not found; the Node generation does not take part")
        return
    found = subprocess.run([sys.executable, str(NODE_PACKAGES)], stdout=subprocess.PIPE, text=True, check=True)

    # Without the longer timeout it repeats, under load, what was only slow.
    environment = {"NODE_PATH": found.stdout.strip(), "BATCH_TIMEOUT": "120000"}

    class NodeHelper(Helper):
        def __init__(self, script, *options) -> None:
            super().__init__(script, *options, program="node", environment=environment)

    yield NODE, NodeHelper


def _counted(sender: Helper, sink: Helper):
    def take_turn() -> Turn:
        turn, arrived = sender.take_turn(), sink.take_turn()
        if arrived.figures["messages"] != arrived.count:
            raise SystemExit(f"{arrived.figures['messages']:,} messages came, {arrived.count:,} different ones")
        figures = {**turn.figures, **arrived.figures}
        return Turn(count=arrived.count, wall_s=turn.wall_s, cpu_s=turn.cpu_s, figures=figures)

    return take_turn


def _targets(result: Result, delay_ms: float, workers: int) -> Iterator[Target]:
    connections = max(result.values(OURS, "at_once"))
    yield Target(what="connections / workers", value=connections / workers, most=1.0)
    if delay_ms:
        most = workers * FLUSH_AT / delay_ms * 1000
        share = 0.9 if workers <= 4 else 0.75
        value = result.median(OURS, "per_s") / most
        yield Target(what=f"messages/s / ({workers} x {FLUSH_AT} / {delay_ms:g} ms)", value=value, least=share)
        return
    pairs = [(OURS, FLOOR, 0.55), (OURS_FAST, FLOOR_FAST, 0.65)]
    for ours, floor, least in pairs:
        yield Target(what=f"messages/s of {ours} / {floor}", value=result.ratio(ours, floor, "per_s"), least=least)
        yield Target(what=f"CPU of {ours} / {floor}", value=result.ratio(ours, floor, "cpu_us"), most=2.2)
    if NODE in result.figures:
        for ours, least in ((OURS, 1.8), (OURS_FAST, 2.5)):
            yield Target(what=f"messages/s of {ours} / {NODE}", value=result.ratio(ours, NODE, "per_s"), least=least)


if __name__ == "__main__":
    main()
