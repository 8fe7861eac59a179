"""How long it takes from posting a message until a connector's handler is called, one message at a time, over HTTP.

Platform, connector and client have their own threads and real sockets in one process; the connector answers with flow
control ``in`` 0, and the next message is posted when the handler was called for the one before. A turn posts many and
tells the median and the 99th percentile. The floor is two requests one within the other to bare Flask applications on
the same server: what HTTP alone costs there and back.

    python tests/benchmarks/round_trip.py [--messages 200]
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable
from typing import Any, Final

from flask import Flask, jsonify
from method import Contender, Contest, Target, Turn, arguments, finish, measure, percentile
from traffic import credentials, message

from hull_sdk import Connector
from hull_sdk.core import json
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.core.runtime import Runtime
from hull_sdk.handlers import smart_notifier_handler
from hull_sdk.platform import Platform
from hull_sdk.platform.server import RunningServer, serve, serve_app

MANIFEST: Final = {
    "name": "Listener",
    "tags": ["smart-notifier"],
    "subscriptions": [{"url": "/smart-notifier", "channels": [{"channel": "user:update"}]}],
}
#: Longest wait for one message, in seconds.
_WAIT_S: Final = 30.0


class RoundTrip:
    """A platform and a connector that listens, both served over HTTP."""

    def __init__(self) -> None:
        self.handled: queue.Queue[float] = queue.Queue()
        self.platform = Platform()
        self.server = serve(self.platform)
        self.listener = serve_app(self._connector(), self.platform.runtime.tasks)
        organization = self.platform.create_organization("acme.hullapp.test")
        self.connector = organization.install(self.listener.url)
        self.net = HttpNetwork()
        self._number = 0

    def _connector(self) -> Flask:
        def update(_ctx: Any, messages: list[Any]) -> None:
            now = time.perf_counter()
            for _ in messages:
                self.handled.put(now)

        app = Flask("listener")
        flow = {"type": "next", "size": 100, "in": 0}
        handler = smart_notifier_handler({"user:update": update}, flow_control=flow)
        app.register_blueprint(handler, url_prefix="/smart-notifier")
        connector = Connector(host_secret="a secret", manifest=MANIFEST, allowed_organizations=["127.0.0.1"])
        return connector.setup_app(app)

    def post(self) -> float:
        """Post one message and return the seconds until the handler was called."""
        self._number += 1
        sender = (self.connector.id, self.connector.secret)
        headers = credentials(*sender)
        body = json.dumps({"batch": [message(*sender, self._number, {"external_id": "1"}, {"visits": self._number})]})
        started = time.perf_counter()
        answer = self.net.send(
            Request(method="POST", url=f"{self.server.url}/api/v1/firehose", headers=headers, body=body)
        )
        if json.loads(answer.body) != {"accepted": 1, "rejected": []}:
            raise SystemExit(f"the message was answered {answer.body!r}; no figures")
        return self.handled.get(timeout=_WAIT_S) - started

    def close(self) -> None:
        """Stop everything."""
        self.platform.close()
        self.listener.close()
        self.server.close()


class TwoRequests:
    """A bare application that calls another one before it answers."""

    def __init__(self) -> None:
        self.net = HttpNetwork()
        runtime = Runtime.system()
        inner, outer = Flask("inner"), Flask("outer")
        inner.add_url_rule("/", view_func=lambda: jsonify(ok=True), endpoint="view", methods=["POST"])
        self.inner: RunningServer = serve_app(inner, runtime.tasks)
        outer.add_url_rule("/", view_func=self._call_inner, endpoint="view", methods=["POST"])
        self.outer: RunningServer = serve_app(outer, runtime.tasks)

    def _call_inner(self) -> Any:
        self._send(self.inner)
        return jsonify(ok=True)

    def _send(self, server: RunningServer) -> None:
        headers = {"Content-Type": "application/json"}
        answer = self.net.send(Request(method="POST", url=server.url, headers=headers, body=b'{"ok":true}'))
        if answer.status != 200:
            raise SystemExit(f"the floor answered {answer.status}; no figures")

    def post(self) -> float:
        """Return the seconds that both requests take."""
        started = time.perf_counter()
        self._send(self.outer)
        return time.perf_counter() - started

    def close(self) -> None:
        """Stop both."""
        self.outer.close()
        self.inner.close()


def turn(post: Callable[[], float], messages: int) -> Turn:
    """Post messages one by one."""
    taken: list[float] = []

    def work() -> int:
        taken.extend(post() for _ in range(messages))
        return len(taken)

    return measure(work, lambda: {"p50_ms": percentile(taken, 50) * 1000, "p99_ms": percentile(taken, 99) * 1000})


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--messages", type=int, default=200, help="messages of a turn")
    options = parser.parse_args()
    trip, floor = RoundTrip(), TwoRequests()
    try:
        contenders = [
            Contender("floor: two bare requests", lambda: turn(floor.post, options.messages), options.messages),
            Contender("round trip", lambda: turn(trip.post, options.messages), options.messages),
        ]
        result = Contest("round trip over HTTP", "message", contenders, ratio_of="p50_ms").run(options.rounds)
    finally:
        trip.close()
        floor.close()
    finish([Target(what="p50 in milliseconds", value=result.median("round trip", "p50_ms"), most=15.0)])


if __name__ == "__main__":
    main()
