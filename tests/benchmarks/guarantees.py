"""What guarantees cost: notifications with all of them, and without one of them at a time.

A handler is given notifications of 100 messages and writes about every tenth user, to a sink that accepts everything.
Then one thing is switched off, which no connector can do:

- *de-duplication*: the lease while a notification is handled, and its stored answer;
- *flush before answer*: the answer waits until the platform has accepted what was written;
- *tracing*: the lines of the log from which `hull trace` and people learn what was sent and why (level INFO);
- *metrics*: to an agent of Datadog over UDP.

    python tests/benchmarks/guarantees.py [--notifications 200] [--connections 1]
"""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import Final

from method import Contender, Contest, Helper, Target, Turn, arguments, finish
from notifications import Fleet, Platform

HERE: Final = Path(__file__).parent
ALL: Final = "all guarantees"
GUARANTEES: Final = ("de-duplication", "flush before answer", "tracing", "metrics")


def main() -> None:
    """Run what the command line asks for."""
    parser = arguments(__doc__)
    parser.add_argument("--notifications", type=int, default=200, help="notifications of a turn")
    parser.add_argument("--connections", type=int, default=1, help="connections that they come over")
    options = parser.parse_args()
    with ExitStack() as running:
        platform = running.enter_context(Platform())
        sink = running.enter_context(Helper(HERE / "sink_process.py"))
        contenders = []
        for off in ("", *GUARANTEES):
            fleet = running.enter_context(_fleet(off, sink.ready["port"]))
            turn = _turn(fleet, platform, sink, options)
            contenders.append(Contender(fleet.name, turn, options.notifications))
        title = f"cost of guarantees, {options.connections} connections"
        result = Contest(title, "notification", contenders, base=ALL).run(options.rounds)
    targets = []
    for off in GUARANTEES:
        for figure, what in (("per_s", "speed"), ("cpu_us", "processor time")):
            ratio = result.ratio(ALL, f"without {off}", figure)
            cost = 1 / ratio if figure == "per_s" else ratio
            targets.append(Target(what=f"{what} with {off} / without", value=cost, most=1.1))
    finish(targets)


def _fleet(off: str, port: int) -> Fleet:
    name = f"without {off}" if off else ALL
    environment = {"BENCHMARK_WITHOUT": off, "BENCHMARK_FIREHOSE": f"http://127.0.0.1:{port}/api/v1/firehose"}
    return Fleet.gunicorn(name, "notify_process:sending()", quiet=True, **environment)


def _turn(fleet: Fleet, platform: Platform, sink: Helper, options):
    def take_turn() -> Turn:
        turn = fleet.take_turn(platform, options.notifications, options.connections)
        sink.take_turn()  # or it would keep all that came
        return turn

    return take_turn


if __name__ == "__main__":
    main()
