"""The Segment connector in four processes on a shared Valkey, of which one after the other is killed."""

from __future__ import annotations

import http.server
import itertools
import json
import os
import random
import signal
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from running_process import GUNICORN_LISTENS

from hull_sdk import Client
from hull_sdk.infra.leases import LEASE_S

pytestmark = pytest.mark.process

FOLDER = Path(__file__).parents[2] / "examples" / "segment"
#: Calls in each direction.
CALLS = 200
KILLS = 20
#: Seconds until everything has arrived.
PATIENCE_S = 60.0


class Segment(http.server.ThreadingHTTPServer):
    """Keeps what its batch endpoint takes."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Batch)
        self.received: Counter[str] = Counter()
        self.changed = threading.Condition()
        self.thread = threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.server_address[1]}/v1"

    def close(self) -> None:
        """Answer no more."""
        self.shutdown()
        self.server_close()
        self.thread.join()


class _Batch(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        batch = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["batch"]
        with self.server.changed:
            self.server.received.update(call["messageId"] for call in batch if call["type"] == "track")
            self.server.changed.notify_all()
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_args: object) -> None:
        """Stay silent."""


class Killer:
    """Kills one of the processes at random moments of the work.

    Args:
        gunicorn: Their parent.
        valkey: Where the leases of the killed are ended, which would last half a minute.
        pieces: How many pieces of work there are.
    """

    def __init__(self, gunicorn, valkey, pieces: int) -> None:
        self._gunicorn = gunicorn
        self._valkey = valkey
        self._source = random.Random(1)
        self._moments = set(self._source.sample(range(5, pieces), KILLS))
        self._done = itertools.count()
        self._lock = threading.Lock()
        self.killed: list[int] = []

    def did(self) -> None:
        """Be told of a piece of work that was done."""
        with self._lock:
            if next(self._done) in self._moments:
                self.killed.append(self._kill())

    def _kill(self) -> int:
        children = Path(f"/proc/{self._gunicorn.process.pid}/task/{self._gunicorn.process.pid}/children")
        # A child that has just been killed is listed until gunicorn has looked at it.
        alive = [int(pid) for pid in children.read_text().split() if int(pid) not in self.killed]
        while not alive:
            alive = [int(pid) for pid in children.read_text().split() if int(pid) not in self.killed]
        pid = self._source.choice(alive)
        os.kill(pid, signal.SIGKILL)
        return pid

    def end_leases(self) -> None:
        """Let nobody wait for those who were killed."""
        with self._valkey.client() as client:
            for key in client.scan_iter("*:notifications:*"):
                if 0 < client.pttl(key) <= LEASE_S * 1000:
                    client.pexpire(key, 1)


@pytest.fixture
def segment():
    """Segment."""
    server = Segment()
    yield server
    server.close()


@pytest.mark.fault("SIGKILL of a worker of a deployed connector")
def test_killed_processes_lose_nothing(served_platform, valkey, start_process, segment, trials):
    """Of 4 processes one is killed at 20 random moments: each call arrives, in both directions, and counts once."""
    organization = served_platform.create_organization("acme.hullapp.test")
    env = {
        "HULL_REDIS_URL": valkey.url,
        "HULL_HOST_SECRET": "a long random text of this host",
        "HULL_ALLOWED_ORGANIZATIONS": "127.0.0.1",
        "SEGMENT_API_URL": segment.url,
    }
    gunicorn = start_process(["gunicorn", "--bind", "127.0.0.1:0", "--preload"], env=env, cwd=FOLDER)
    url = gunicorn.wait_for(GUNICORN_LISTENS)[1]
    connector = organization.install(url, private_settings={"write_key": "wk-1", "synchronized_segments": ["ALL"]})
    query = {"ship": connector.id, "secret": connector.secret, "organization": served_platform.address}
    key = requests.post(f"{url}/credentials", params=query, timeout=20).json()["api_key"]
    client = Client(id=connector.id, secret=connector.secret, organization=served_platform.address)
    killer = Killer(gunicorn, valkey, CALLS)

    def both_ways(number: int) -> None:
        call = {"type": "track", "userId": f"u-{number % 20}", "event": "In", "messageId": f"in-{number}"}
        client.as_user({"external_id": f"u-{number % 20}"}).track("Out", {}, {"event_id": f"out-{number}"})
        while not _taken(url, call, key):
            pass
        killer.did()

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(both_ways, range(CALLS)))
    client.close()
    killer.end_leases()
    wanted = {f"out-{number}" for number in range(CALLS)}
    with segment.changed:
        segment.changed.wait_for(lambda: wanted <= segment.received.keys(), PATIENCE_S)
    arrived = Counter(event["event_id"] for event in organization.state()["events"] if event["event"] == "In")
    lost = len(wanted - segment.received.keys()) + CALLS - len(arrived)
    trials.count(KILLS, lost=lost, doubled=arrived.total() - len(arrived))
    assert len(killer.killed) == KILLS
    assert organization.dead_letters(connector.id) == []
    assert gunicorn.stop() == 0


def _taken(url: str, call: dict[str, str], key: str) -> bool:
    """Send a call as Segment does; tell whether it was taken, or has to be sent again."""
    try:
        answer = requests.post(f"{url}/segment", json=call, auth=(key, ""), timeout=20)
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError):  # killed before or within its answer
        return False
    assert answer.status_code == 200 or answer.status_code >= 500, answer.text
    return answer.status_code == 200
