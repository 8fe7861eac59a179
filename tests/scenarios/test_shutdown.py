"""What a connector has begun when it is told to stop is finished, under the bundled server and under gunicorn."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections import Counter
from datetime import datetime
from pathlib import Path
from urllib.parse import urlencode

import pytest

from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.errors import NetworkError

pytestmark = pytest.mark.process

APPS = Path(__file__).parent / "apps"
BUNDLED = (["python", "stopper.py"], r'"connector\.server\.listen".*"port":(\d+)')


def gunicorn(*options):
    """Return command and line of a gunicorn with options."""
    command = ["gunicorn", "--bind", "127.0.0.1:0", *options, "stopper:app"]
    return command, r"Listening at: http://127\.0\.0\.1:(\d+)"


#: What gunicorn itself may add: idle connections are kept for 2 seconds more, and then it ends.
GUNICORN_S = 3.5
GUNICORN = gunicorn("--threads", "4", "--graceful-timeout", "20")
SERVERS = pytest.mark.parametrize("server", [BUNDLED, GUNICORN], ids=["bundled", "gunicorn"])


class Stopper:
    """A running connector and its organization."""

    def __init__(self, start_process, platform, server, shutdown_s=20) -> None:
        self.organization = platform.create_organization("acme.hullapp.test")
        connector = self.organization.install("http://127.0.0.1:9", manifest={"name": "Stopper"})
        self.query = urlencode({"ship": connector.id, "secret": connector.secret, "organization": platform.address})
        command, listening = server
        environment = {"HULL_ALLOWED_ORGANIZATIONS": "127.0.0.1", "SHUTDOWN_S": str(shutdown_s)}
        self.process = start_process(command, env=environment, cwd=APPS)
        self.url = f"http://127.0.0.1:{self.process.wait_for(listening)[1]}"
        self.network = HttpNetwork()

    def post(self, path, **body):
        """POST JSON and return status and text."""
        headers = {"Content-Type": "application/json"}
        address = f"{self.url}{path}?{self.query}"
        request = Request(method="POST", url=address, headers=headers, body=json.dumps(body).encode(), timeout_s=30)
        answer = self.network.send(request)
        return answer.status, answer.body.decode()

    def begin_slow(self, seconds):
        """Begin a slow request beside the test; returns its thread and the list that gets the answer or the error."""
        answers = []

        def post():
            try:
                answers.append(self.post("/slow", seconds=seconds))
            except NetworkError as err:
                answers.append(type(err))

        thread = threading.Thread(target=post, name="test-post")
        thread.start()
        self.process.wait_for("slow begins")
        return thread, answers

    def events(self):
        """Return how often each event arrived."""
        return dict(Counter(event["event"] for event in self.organization.state()["events"] if event["tracked"]))

    def logged(self, event):
        """Return what the process logged under an event."""
        lines = [json.loads(line) for line in self.process.stdout if line.startswith("{")]
        return [line for line in lines if line["message"] == event]


@pytest.fixture
def start(start_process, served_platform):
    """Return a function that starts a connector and returns it."""
    started = []

    def start(server, **options):
        started.append(Stopper(start_process, served_platform, server, **options))
        return started[-1]

    yield start
    for stopper in started:
        stopper.network.close()


# An interrupt is gunicorn's word for a quick shutdown, which cuts requests off.
@pytest.mark.parametrize(
    ("server", "number", "code"),
    [
        (BUNDLED, signal.SIGTERM, -signal.SIGTERM),
        (BUNDLED, signal.SIGINT, -signal.SIGINT),
        (GUNICORN, signal.SIGTERM, 0),
    ],
    ids=["bundled-SIGTERM", "bundled-SIGINT", "gunicorn-SIGTERM"],
)
def test_what_has_begun_is_finished(start, server, number, code):
    """A slow request is answered, what it sent, a held batch and waiting jobs arrive, and the exit code stays."""
    stopper = start(server)
    assert stopper.post("/hook", n=1) == (200, "ok")
    assert stopper.post("/enqueue", seconds=[0.3, 0.3]) == (200, "ok")
    thread, answers = stopper.begin_slow(1.5)
    assert stopper.process.stop(number) == code
    thread.join(30)
    assert answers == [(200, "ok")]
    assert stopper.events() == {"Slow done": 1, "Batched": 1, "Job done": 2}


@SERVERS
def test_the_stop_is_bounded_and_names_what_is_left(start, server):
    """Jobs that take longer than the deadline are logged by name and id, what else was held arrives, and time is kept."""
    stopper = start(server, shutdown_s=3)
    assert stopper.post("/hook", n=1) == (200, "ok")
    assert stopper.post("/enqueue", seconds=[60, 0]) == (200, "ok")
    before = time.monotonic()
    stopper.process.stop()
    assert time.monotonic() - before < 8
    assert stopper.events() == {"Batched": 1}
    assert [line["job"] for line in stopper.logged("queue.stopped.unfinished")] == ["job", "job"]


def test_a_request_that_takes_too_long_leaves_time_for_the_others(start):
    """A request that outlasts its share is given up, and what was held before still arrives in time."""
    stopper = start(BUNDLED, shutdown_s=4)
    assert stopper.post("/hook", n=1) == (200, "ok")
    thread, answers = stopper.begin_slow(60)
    before = time.monotonic()
    assert stopper.process.stop() == -signal.SIGTERM
    assert time.monotonic() - before < 8
    thread.join(30)
    assert answers == [NetworkError]
    assert stopper.events() == {"Batched": 1}


def test_a_second_signal_stops_the_waiting(start):
    """Whoever asks twice does not wait for requests; what was held still arrives."""
    stopper = start(BUNDLED)
    assert stopper.post("/hook", n=1) == (200, "ok")
    thread, _ = stopper.begin_slow(60)
    os.kill(stopper.process.process.pid, signal.SIGTERM)
    stopper.process.wait_for("connector.server.stopping")
    before = time.monotonic()
    assert stopper.process.stop() == -signal.SIGTERM
    assert time.monotonic() - before < 15
    thread.join(30)
    assert stopper.events() == {"Batched": 1}


@pytest.mark.parametrize(
    "server",
    [gunicorn("--graceful-timeout", "20"), gunicorn("--threads", "4", "--preload", "--graceful-timeout", "20")],
    ids=["sync", "threads-preloaded"],
)
def test_gunicorn_and_what_is_held_share_one_deadline(start, server):
    """Under gunicorn the time counts from the signal: what a long request leaves of it is for all that is held."""
    stopper = start(server, shutdown_s=5)
    assert stopper.post("/hook", n=1) == (200, "ok")
    assert stopper.post("/enqueue", seconds=[60]) == (200, "ok")
    thread, answers = stopper.begin_slow(4)
    before = time.monotonic()
    assert stopper.process.stop() == 0
    assert time.monotonic() - before < 5 + GUNICORN_S
    thread.join(30)
    assert answers == [(200, "ok")]
    assert stopper.events() == {"Slow done": 1, "Batched": 1}
    assert [line["job"] for line in stopper.logged("queue.stopped.unfinished")] == ["job"]
    (stopping,) = stopper.logged("connector.server.stopping")
    assert 5 - GUNICORN_S < stopping["timeout_s"] <= 5
    (unfinished,) = stopper.logged("queue.stopped.unfinished")
    assert seconds_between(stopping, unfinished) < 5


def seconds_between(first, second):
    """Return the time between two lines of the log."""
    begin, end = (datetime.fromisoformat(line["timestamp"]) for line in (first, second))
    return (end - begin).total_seconds()


@pytest.mark.parametrize("threads", ["1", "4"], ids=["sync", "threads"])
def test_a_recycled_worker_has_one_deadline(start, threads):
    """With --max-requests the time counts from the start of the last request."""
    stopper = start(gunicorn("--threads", threads, "--max-requests", "3"), shutdown_s=5)
    assert stopper.post("/hook", n=1) == (200, "ok")
    assert stopper.post("/enqueue", seconds=[60]) == (200, "ok")
    thread, answers = stopper.begin_slow(4)
    before = time.monotonic()
    stopper.process.wait_for("queue.stopped.unfinished")
    assert time.monotonic() - before < 7.5
    thread.join(30)
    assert stopper.process.stop() == 0
    assert answers == [(200, "ok")]
    assert stopper.events() == {"Slow done": 1, "Batched": 1}


def test_what_is_held_is_finished_before_gunicorn_kills(start):
    """A request without end is gunicorn's to kill; what was held has arrived, or was named, before that."""
    stopper = start(gunicorn("--threads", "4", "--graceful-timeout", "5"), shutdown_s=20)
    assert stopper.post("/hook", n=1) == (200, "ok")
    assert stopper.post("/enqueue", seconds=[60]) == (200, "ok")
    thread, answers = stopper.begin_slow(60)
    before = time.monotonic()
    stopper.process.stop()
    assert time.monotonic() - before < 8
    thread.join(30)
    assert answers == [NetworkError]
    assert stopper.events() == {"Batched": 1}
    assert [line["job"] for line in stopper.logged("queue.stopped.unfinished")] == ["job"]
