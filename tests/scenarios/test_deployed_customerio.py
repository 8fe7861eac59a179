"""The connector for Customer.io as an operator deploys it: gunicorn with four processes and Valkey, over real sockets."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from socket import SHUT_RDWR
from threading import Event, Lock, Thread

import pytest
from flask import Flask, request
from running_process import GUNICORN_LISTENS
from werkzeug.serving import WSGIRequestHandler, make_server

from hull_sdk import Client
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.errors import NetworkError

pytestmark = pytest.mark.process

EXAMPLE = Path(__file__).parents[2] / "examples" / "customerio"
KILLS = 20
#: Who bring webhooks and change users at the same time, from the first kill to the last.
SENDERS = 4
PATIENCE_S = 60.0
#: What one in ten calls of Customer.io meets.
STUMBLES = ("429", "500", "taken, then 500", "reset", "taken, then reset")


class Quiet(WSGIRequestHandler):
    def log_request(self, *args):
        """Say nothing."""


class Customerio:
    """A stand-in that stumbles, and keeps persons, and events by their id."""

    def __init__(self) -> None:
        self.customers: dict[str, dict] = {}
        self.events: dict[str, tuple] = {}
        self.received = 0
        self._random = random.Random(3)
        self._lock = Lock()
        app = Flask("customerio")
        app.add_url_rule("/api/v1/customers/<customer_id>", view_func=self._put, methods=["PUT"])
        app.add_url_rule("/api/v1/customers/<customer_id>/events", view_func=self._track, methods=["POST"])
        self._server = make_server("127.0.0.1", 0, app, threaded=True, request_handler=Quiet)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()

    def _put(self, customer_id):
        return self._answer(lambda: self.customers.setdefault(customer_id, {}).update(request.get_json()))

    def _track(self, customer_id):
        event = request.get_json()
        return self._answer(lambda: self.events.setdefault(event["id"], (customer_id, event["data"]["number"])))

    def _answer(self, take):
        with self._lock:
            stumble = self._random.choice(STUMBLES) if self._random.random() < 0.1 else ""
            if not stumble or stumble.startswith("taken"):
                self.received += 1
                take()
        if stumble.endswith("reset"):
            request.environ["werkzeug.socket"].shutdown(SHUT_RDWR)
        return ("no", int(stumble[-3:]), {"Retry-After": "0"}) if stumble[-3:].isdigit() else {}

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Site:
    """The connector, installed on a platform, with Customer.io beside it."""

    def __init__(self, platform, valkey, start_process, customerio) -> None:
        self.platform, self.valkey, self.customerio = platform, valkey, customerio
        environment = {
            "HULL_HOST_SECRET": "the-secret-of-this-host",
            "HULL_REDIS_URL": valkey.url,
            "HULL_ALLOWED_ORGANIZATIONS": "127.0.0.1",
            "CUSTOMERIO_URL": customerio.url,
            "CUSTOMERIO_CALLS_PER_S": "1000",
            "HOST": "127.0.0.1",
            "PORT": "0",
            "PYTHONPATH": os.pathsep.join([str(EXAMPLE), str(EXAMPLE.parents[1])]),
        }
        self.gunicorn = start_process(["gunicorn", "--preload"], env=environment, cwd=EXAMPLE)
        self.url = self.gunicorn.wait_for(GUNICORN_LISTENS)[1]
        self.organization = platform.create_organization("acme.hullapp.test")
        self.connector = self.organization.install(
            self.url,
            private_settings={
                "site_id": "site-1",
                "api_key": "key-1",
                "synchronized_segments": ["ALL"],
                "events_filter": ["Ordered"],
            },
        )
        self.network = HttpNetwork()
        self.killed: list[int] = []
        credentials = {
            "ship": self.connector.id,
            "organization": platform.address,
            "secret": self.connector.secret,
        }
        query = "&".join(f"{name}={value}" for name, value in credentials.items())
        self.webhook = json.loads(self.post(f"{self.url}/credentials?{query}", {}).body)["webhook_url"]

    def post(self, url: str, body: dict):
        """Send JSON."""
        headers = {"Content-Type": "application/json"}
        request = Request(method="POST", url=url, headers=headers, body=json.dumps(body).encode(), timeout_s=20)
        return self.network.send(request)

    def kill_a_worker(self, chance: random.Random) -> None:
        """Kill one of the processes that serve, and have its work come again at once instead of in half a minute."""
        pid = self.gunicorn.process.pid
        children = Path(f"/proc/{pid}/task/{pid}/children")
        alive: list[int] = []
        until = time.monotonic() + PATIENCE_S
        while not alive:
            assert time.monotonic() < until, "there are no workers any more"
            # One that has just been killed is listed until gunicorn has looked at it.
            alive = [int(each) for each in children.read_text(encoding="utf-8").split() if int(each) not in self.killed]
        self.killed.append(chance.choice(alive))
        os.kill(self.killed[-1], signal.SIGKILL)
        self.hurry()

    def hurry(self) -> None:
        """End what a killed process held, and deliver again what failed."""
        self.end_leases()
        self.platform.shift(60)

    def opened(self, number: int) -> int:
        """Bring one webhook once; return the status, 0 when there was no answer."""
        data = {"customer_id": f"u-{number}", "recipient": f"u-{number}@acme.example"}
        body = {"event_id": f"w-{number}", "object_type": "email", "metric": "opened", "timestamp": 1777629600}
        try:
            return self.post(self.webhook, {**body, "data": data}).status
        except NetworkError:
            return 0

    def bring(self, number: int) -> None:
        """Bring a webhook as Customer.io does, until it is answered with success."""
        until = time.monotonic() + PATIENCE_S
        while self.opened(number) != 200:
            assert time.monotonic() < until, f"w-{number} was never taken"

    def end_leases(self) -> None:
        """Have what a killed process held end at once instead of in 30 seconds."""
        with self.valkey.client() as client:
            for key in client.scan_iter("*:notifications:*"):
                if b'"running"' in (client.get(key) or b""):
                    client.pexpire(key, 1)

    def events(self, name: str) -> list[tuple[str, str]]:
        """Return whose events of a name there are, with their ids."""
        state = self.organization.state()
        users = {user["id"]: user["external_id"] for user in state["users"]}
        return [(users[each["user_id"]], each["event_id"]) for each in state["events"] if each["event"] == name]


@pytest.fixture
def site(served_platform, valkey, start_process):
    """The connector in four processes."""
    customerio = Customerio()
    site = Site(served_platform, valkey, start_process, customerio)
    yield site
    site.network.close()
    customerio.close()


@pytest.mark.fault("SIGKILL of a worker of a deployed connector")
def test_twenty_workers_killed_at_random_moments_lose_nothing(site, trials):
    """All users, events and webhooks arrive and each once, though Customer.io stumbles as well."""
    chance = random.Random(5)
    client = Client(id=site.connector.id, secret=site.connector.secret, organization=site.platform.address)
    numbers, over = itertools.count(), Event()

    def bring_some() -> int:
        """Bring webhooks and change users until all kills are over; return the last number."""
        while True:
            number = next(numbers)
            user = client.as_user({"external_id": f"p-{number}", "email": f"p-{number}@acme.example"})
            user.track("Ordered", {"number": number}, {"event_id": f"e-{number}"})
            site.bring(number)
            if over.wait(chance.uniform(0, 0.1)):
                return number

    with ThreadPoolExecutor(SENDERS) as pool:
        brought = [pool.submit(bring_some) for _ in range(SENDERS)]
        try:
            for _ in range(KILLS):
                time.sleep(chance.uniform(0.02, 0.3))
                site.kill_a_worker(chance)
        finally:
            over.set()
        count = 1 + max(each.result(PATIENCE_S) for each in brought)
    assert client.flush(20).pending == 0
    client.close()
    until = time.monotonic() + PATIENCE_S
    while not site.platform.wait_until_idle(0.3) and time.monotonic() < until:
        site.hurry()
    opened = Counter(site.events("Email Opened"))
    ordered = Counter(site.customerio.events.values())
    wanted = [
        (opened, {(f"u-{number}", f"w-{number}") for number in range(count)}),
        (ordered, {(f"p-{number}", number) for number in range(count)}),
        (Counter(site.customerio.customers), {f"{kind}-{number}" for kind in "up" for number in range(count)}),
    ]
    assert len(set(site.killed)) == KILLS
    assert site.organization.dead_letters(site.connector.id) == []
    assert site.customerio.received > len(site.customerio.events)
    trials.count(
        KILLS,
        lost=sum(len(all_of_them - found.keys()) for found, all_of_them in wanted),
        doubled=opened.total() - len(opened) + ordered.total() - len(ordered),
    )
    assert all(found.keys() == all_of_them for found, all_of_them in wanted)
    assert site.gunicorn.stop() == 0


@pytest.mark.parametrize("target", ["firehose", "api"])
def test_a_webhook_is_answered_within_a_second_though_hull_hangs(site, target):
    """Whichever of its doors hangs for three, the answer is 503 in time, and the webhook that comes again is taken."""
    took = []
    for number in range(3):  # a busy machine may be late once
        with site.valkey.client() as store:
            store.flushdb()  # nothing is known of the connector any more
        site.platform.faults.add("timeout_before", target=target, times=4, delay_ms=3000)
        began = time.monotonic()
        assert site.opened(number) == 503
        took.append(time.monotonic() - began)
        site.platform.faults.clear()
    assert min(took) < 1, took
    site.bring(0)
    assert site.events("Email Opened") == [("u-0", "w-0")]
    assert site.gunicorn.stop() == 0
