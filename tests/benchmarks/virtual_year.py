"""How long a virtual year takes: 365 days, three connectors with an hourly schedule each, 10,000 users.

The connectors are told of every user once, as their subscriptions ask; then the year passes: 26,280 calls of schedules,
each of which asks the platform for its connector, since the cache of a minute has expired. The floor is the same number
of requests, two for each call, to a Flask view that does nothing. One application serves the three connectors, as one
does that several organizations have installed.

    python tests/benchmarks/virtual_year.py [--days 365] [--users 10000]
"""

from __future__ import annotations

from typing import Final

from flask import Flask, jsonify
from method import Contender, Contest, Target, Turn, arguments, finish, measure, peak_mb

from hull_sdk import Connector
from hull_sdk.core.net import Request, call_wsgi
from hull_sdk.handlers import action_handler, smart_notifier_handler
from hull_sdk.testing import Harness
from hull_sdk.testing.harness import CONNECTOR_HOST

CONNECTORS: Final = 3
MANIFEST: Final = {
    "name": "Hourly",
    "tags": ["smart-notifier"],
    "schedules": [{"url": "/sync", "type": "cron", "value": "0 * * * *"}],
    "subscriptions": [{"url": "/smart-notifier", "channels": [{"channel": "user:update"}]}],
}


class Counts:
    """What the connectors were called for."""

    def __init__(self) -> None:
        self.syncs = 0
        self.told = 0


def connector(counts: Counts) -> Flask:
    """Return a connector that counts the calls of its schedule and the users that it is told of."""

    def sync(ctx, _request):
        counts.syncs += ctx.connector["name"] == "Hourly"

    def update(_ctx, messages):
        counts.told += len(messages)

    app = Flask("hourly")
    app.register_blueprint(action_handler(sync), url_prefix="/sync")
    flow = {"type": "next", "size": 500, "in": 1}
    app.register_blueprint(
        smart_notifier_handler({"user:update": update}, flow_control=flow), url_prefix="/smart-notifier"
    )
    return Connector(host_secret="a secret of the benchmark", manifest=MANIFEST).setup_app(app)


def virtual_year(days: int, users: int) -> Turn:
    """Install everything anew, let everybody be told of everybody, and the time pass."""
    counts = Counts()

    def year() -> int:
        with Harness(connector(counts), seed=7) as harness:
            for _ in range(CONNECTORS - 1):
                harness.organization.install(f"https://{CONNECTOR_HOST}")
            for number in range(users):
                claims = {"io.hull.asUser": {"external_id": str(number)}}
                harness.organization.ingest({"type": "traits", "body": {"plan": "pro"}}, claims, None)
            harness.advance(days=days)
        return counts.syncs

    turn = measure(year, lambda: {"peak_mb": peak_mb()})
    if counts.told != CONNECTORS * users:
        raise SystemExit(f"{counts.told} users were told instead of {CONNECTORS * users}; no figures")
    return turn


def bare_flask(calls: int) -> int:
    """Make the same number of requests to a view that does nothing."""
    app = Flask("bare")
    app.add_url_rule("/view", view_func=lambda: jsonify(ok=True), endpoint="view", methods=["POST"])
    request = Request(method="POST", url="https://bare.test/view?first=1&second=2")
    return sum(call_wsgi(app, request).status == 200 for _ in range(2 * calls)) // 2


def main() -> None:
    """Measure both and print what they took."""
    parser = arguments(__doc__)
    parser.add_argument("--days", type=int, default=365, help="how much time passes")
    parser.add_argument("--users", type=int, default=10_000, help="how many users there are")
    options = parser.parse_args()
    calls = CONNECTORS * options.days * 24
    contest = Contest(
        f"virtual year ({options.days} days, {CONNECTORS} connectors, {options.users:,} users)",
        "call",
        [
            Contender("bare Flask", lambda: measure(lambda: bare_flask(calls)), calls),
            Contender("virtual year", lambda: virtual_year(options.days, options.users), calls),
        ],
        ratio_of="cpu_s",
    )
    result = contest.run(options.rounds, warm_up=False)
    scale = options.days / 365
    finish([Target(what="seconds for the year", value=result.median("virtual year", "wall_s"), most=20.0 * scale)])


if __name__ == "__main__":
    main()
