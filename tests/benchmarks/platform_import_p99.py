"""How long live messages wait while 100,000 rows are imported beside them, against the same without an import.

``hull platform`` runs in a process of its own. Live messages are posted one by one over HTTP with a short pause between
them, and each is timed until its answer, which comes when it is applied. In every other turn an import is running all
the while: it began before the first message and is still going on after the last one. The last turn lets an import run
to its end, and counts what arrived.

    python tests/benchmarks/platform_import_p99.py [--messages 300] [--rows 100000]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final, Self

from method import Contender, Contest, Target, Turn, arguments, finish, percentile, print_line, processor_s
from traffic import SECRET, credentials, message

from hull_sdk.core import json
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.core.runtime import Runtime
from hull_sdk.platform.server import serve_app

ID: Final = "5a7962e2793d3e942a03b29a"
ALONE: Final = "live alone"
BESIDE: Final = "live beside an import"
PAUSE_S: Final = 0.005


class Served:
    """``hull platform`` with one connector, and a server of files to import.

    Args:
        rows: Lines of a file.
    """

    def __init__(self, rows: int) -> None:
        self.rows = rows
        self.net = HttpNetwork()
        self._files = serve_app(self._file, Runtime.system().tasks)
        self._folder = tempfile.TemporaryDirectory()
        config = Path(self._folder.name) / "platform.json"
        organization = {
            "host": "acme.hullapp.test",
            "settings": {"import_hosts": [self._files.address]},
            "connectors": [{"id": ID, "secret": SECRET, "url": "http://127.0.0.1:9", "manifest": {"name": "Writer"}}],
        }
        config.write_bytes(json.dumps({"organizations": [organization]}))
        command = [sys.executable, "-m", "hull_sdk.cli", "platform", "--port", "0", "--log-level", "ERROR"]
        self._process = subprocess.Popen([*command, "--config", str(config)], stdout=subprocess.PIPE)
        ready = self._process.stdout.readline() if self._process.stdout is not None else b""
        self.url: str = json.loads(ready)["url"]
        self.pid: int = self._process.pid
        self._number = 0
        self._imports = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(timeout=30)
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._files.close()
        self._folder.cleanup()

    def _file(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "application/json")])
        name = environ["PATH_INFO"].strip("/")
        return (
            b'{"userId":"%s-%d","traits":{"plan":"pro","seats":%d}}\n' % (name.encode(), row, row % 50)
            for row in range(self.rows)
        )

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Call the platform in the connector's name and return the decoded answer."""
        data, headers = None if body is None else json.dumps(body), credentials(ID, SECRET)
        answer = self.net.send(Request(method=method, url=f"{self.url}/api/v1{path}", headers=headers, body=data))
        if answer.status >= 300:
            raise SystemExit(f"{method} {path} was answered {answer.status}: {answer.body!r}; no figures")
        return json.loads(answer.body)

    def post(self) -> float:
        """Post one message; return the seconds until it was applied and answered."""
        self._number += 1
        user = {"external_id": f"live-{self._number % 1000}"}
        posted = message(ID, SECRET, self._number, user, {"visits": self._number})
        started = time.perf_counter()
        answer = self.call("POST", "/firehose", {"batch": [posted]})
        taken = time.perf_counter() - started
        if answer != {"accepted": 1, "rejected": []}:
            raise SystemExit(f"a message was answered {answer!r}; no figures")
        return taken

    def begin_import(self) -> str:
        """Begin an import and wait until it is under way; return where it is."""
        self._imports += 1
        job = self.call("POST", "/import/users", {"url": f"{self._files.url}/{self._imports}"})
        where = f"/{job['id']}"
        while self.call("GET", where)["progress"]["applied"] < 1:
            time.sleep(PAUSE_S)
        return where


def live(served: Served, messages: int) -> Turn:
    """Post live messages."""
    taken, started, cpu = [], time.perf_counter(), processor_s(served.pid)
    for _ in range(messages):
        taken.append(served.post())
        time.sleep(PAUSE_S)
    figures = {f"p{percent}_ms": percentile(taken, percent) * 1000 for percent in (50, 90, 99)}
    wall, cpu = time.perf_counter() - started, processor_s(served.pid) - cpu
    return Turn(count=len(taken), wall_s=wall, cpu_s=cpu, figures=figures)


def beside(served: Served, messages: int) -> Turn:
    """Post live messages while rows are imported."""
    where = served.begin_import()
    before = served.call("GET", where)["progress"]["applied"]
    turn = live(served, messages)
    job = served.call("GET", where)
    if job["state"] != "running" or job["progress"]["applied"] <= before:
        raise SystemExit(f"the import was {job['state']} after the last message; give it more rows")
    applied = job["progress"]["applied"] - before
    served.call("DELETE", where)
    figures = {**turn.figures, "rows_per_s": applied / turn.wall_s}
    return Turn(count=turn.count, wall_s=turn.wall_s, cpu_s=turn.cpu_s, figures=figures)


def whole_import(served: Served) -> None:
    """Let an import run to its end, and see that each row arrived once."""
    started, where = time.perf_counter(), served.begin_import()
    while (job := served.call("GET", where))["state"] == "running":
        time.sleep(0.1)
    if job["progress"]["applied"] != served.rows:
        raise SystemExit(f"{job['progress']} instead of {served.rows} rows; no figures")
    print_line(f"an import alone takes {served.rows / (time.perf_counter() - started):,.0f} rows a second")


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--messages", type=int, default=300, help="live messages of a turn")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of an import")
    options = parser.parse_args()
    with Served(options.rows) as served:
        contenders = [
            Contender(ALONE, lambda: live(served, options.messages), options.messages),
            Contender(BESIDE, lambda: beside(served, options.messages), options.messages),
        ]
        result = Contest("live messages and an import", "message", contenders, ratio_of="p99_ms").run(options.rounds)
        whole_import(served)
    ratio = result.ratio(BESIDE, ALONE, "p99_ms")
    finish([Target(what="p99 beside an import / p99 alone", value=ratio, most=2.0)])


if __name__ == "__main__":
    main()
