"""How long ninety virtual days with an hourly schedule take, measured against what bare Flask takes.

One run installs a connector on a platform in memory, lets ninety days pass and takes the snapshot: 2,160 calls of the
schedule, each of which asks the platform for its connector, since the cache of a minute has expired. That makes 4,320
requests; the floor is the same number of requests to a Flask view that does nothing. Both take turns in one process, so
their ratio hardly depends on the machine.

Run it by hand, it checks nothing::

    python tests/benchmarks/ninety_days.py [turns]

It prints the medians of the processor times in seconds, and their ratio.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable

from flask import Flask, jsonify

from hull_sdk import Connector
from hull_sdk.core.net import Request, call_wsgi
from hull_sdk.handlers import action_handler
from hull_sdk.testing import Harness

DAYS = 90
CALLS = DAYS * 24
MANIFEST = {"name": "Hourly", "schedules": [{"url": "/sync", "type": "cron", "value": "0 * * * *"}]}


def hourly(syncs: list[str]) -> Flask:
    """Return a connector that notes the name under which each call finds it."""
    app = Flask("hourly")
    app.register_blueprint(action_handler(lambda ctx, _: syncs.append(ctx.connector["name"])), url_prefix="/sync")
    return Connector(host_secret="a secret of the benchmark", manifest=MANIFEST).setup_app(app)


def ninety_days() -> None:
    """Let ninety days pass for a new connector on a new platform."""
    syncs: list[str] = []
    with Harness(hourly(syncs), seed=7) as harness:
        harness.advance(days=DAYS)
        harness.snapshot()
    if syncs != ["Hourly"] * CALLS:
        raise SystemExit(f"the schedule was called {len(syncs)} times instead of {CALLS}; the figures mean nothing")


def bare_flask() -> None:
    """Make the same number of requests to a view that does nothing."""
    app = Flask("bare")
    app.add_url_rule("/view", view_func=lambda: jsonify(ok=True), endpoint="view", methods=["POST"])
    request = Request(method="POST", url="https://bare.test/view?first=1&second=2")
    for _ in range(2 * CALLS):
        call_wsgi(app, request)


def processor_time(work: Callable[[], None]) -> float:
    """Return the seconds of processor time that something takes."""
    started = time.process_time()
    work()
    return time.process_time() - started


def main(turns: int) -> None:
    """Measure both in turns and print what they took."""
    ninety_days()  # the first run of a process also loads and compiles
    figures = [(processor_time(ninety_days), processor_time(bare_flask)) for _ in range(turns)]
    run, floor = (statistics.median(column) for column in zip(*figures, strict=True))
    print(f"ninety days {run:.2f} s, bare Flask {floor:.2f} s, ratio {run / floor:.1f}")  # noqa: T201 - it is a report


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)
