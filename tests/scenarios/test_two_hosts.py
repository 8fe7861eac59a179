"""Two gunicorn masters on two addresses with one Valkey, as two hosts: restarts, kills, a store that is away, wrong clocks.

Every notification is delivered twice, to hosts that chance picks, and again until one of them answers ``next``.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from threading import Lock

import pytest
from platform_side import Notification, PlatformSide, overlaps
from running_process import GUNICORN_LISTENS

from hull_sdk.errors import NetworkError

pytestmark = [pytest.mark.process, pytest.mark.allow_hosts(["127.0.0.1", "127.0.0.2"])]

APPS = Path(__file__).parent / "apps"
ADDRESSES = ("127.0.0.1", "127.0.0.2")
WORKERS = 2
PATIENCE_S = 60.0
#: Deliveries at the same time.
SENDERS = 8
OUTAGE_S = 10.0
CLOCK_OFF_S = 300


class Hosts(PlatformSide):
    """A connector on two hosts, and the platform's side of it."""

    def __init__(self, platform, valkey, start_process, ledger: Path) -> None:
        super().__init__(platform, ledger)
        self.valkey = valkey
        self._start = start_process
        self._random = random.Random(7)
        self._lock = Lock()
        self.masters = {}
        self.urls: dict[str, str] = {}
        self.answers: Counter = Counter()
        self.killed: list[int] = []
        self.waiting: dict[int, Notification] = {}
        self._parts: Counter = Counter()
        self.sent = 0

    def start(self, address: str, **environ: str) -> None:
        """Start a host, at its old port if it had one."""
        port = self.urls.get(address, ":0").rpartition(":")[2]
        command = ["gunicorn", "--bind", f"{address}:{port}", "--workers", str(WORKERS), "--worker-class", "gthread"]
        options = ["--threads", "4", "--preload", "--graceful-timeout", "15", "--keep-alive", "0", "counter:app"]
        self.masters[address] = self._start(
            [*command, *options], env={**self.environ(self.valkey), **environ}, cwd=APPS
        )
        self.urls[address] = self.masters[address].wait_for(GUNICORN_LISTENS)[1]

    def workers(self, address: str) -> list[int]:
        """Return the processes that serve on a host at present."""
        pid = self.masters[address].process.pid
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()]

    def kill_a_worker(self) -> None:
        """Kill one of the processes that serve, whatever it is doing."""
        running = [pid for address in ADDRESSES for pid in self.workers(address)]
        if running:
            self._kill(self._random.choice(running))

    def kill_host(self, address: str) -> None:
        """Kill all processes of a host, the master first, as a power failure does."""
        workers = self.workers(address)
        self.masters[address].stop(signal.SIGKILL)
        for pid in workers:
            self._kill(pid)

    def _kill(self, pid: int) -> None:
        with suppress(ProcessLookupError):  # one that has ended by itself since
            os.kill(pid, signal.SIGKILL)
            self.killed.append(pid)

    def load(self, count: int = 0, *, until=lambda: False, after_each=lambda _done: None) -> None:
        """Deliver so many new notifications, or as many as there is time for until something has come."""
        with ThreadPoolExecutor(SENDERS) as pool:
            for done in range(count or 1_000_000):
                if not count and until():
                    break
                self.sent += 1
                notification = self.notification(self.sent)
                self.waiting[self.sent] = notification
                both = [pool.submit(self.try_one, self.sent, notification) for _ in range(2)]
                if self.sent % (SENDERS // 2) == 0:
                    for each in both:
                        each.result(PATIENCE_S)
                after_each(done)

    def try_one(self, number: int, notification: Notification) -> None:
        """Deliver a notification to one of the hosts; one that has no answer waits for another time."""
        with self._lock:
            url = self._random.choice(list(self.urls.values()))
        try:
            status, body = self.answer(url, notification)
        except NetworkError:
            self.answers["none"] += 1
            return
        kind = body["flow_control"]["type"]
        again = any(result["status"] != "ok" for result in body.get("responses", ()))
        self.answers[f"{status} {kind}{' but the message again' * again}"] += 1
        if kind == "next":
            self._settle(number, notification, again=again)

    def _settle(self, number: int, notification: Notification, *, again: bool) -> None:
        """Forget a notification that is done; a message that is to come again does so in a new one."""
        with self._lock:
            if self.waiting.get(number) != notification:
                return
            if again:
                self._parts[number] += 1
                self.waiting[number] = self.notification(number, part=self._parts[number])
            else:
                del self.waiting[number]

    def finish(self) -> None:
        """Deliver what waits until nothing does; whatever a killed process held ends at once instead of in 30 seconds."""
        until = time.monotonic() + PATIENCE_S
        while self.waiting and time.monotonic() < until:
            self._end_leases_of_the_dead()
            with ThreadPoolExecutor(SENDERS) as pool:
                list(pool.map(self.try_one, *zip(*self.waiting.items(), strict=True)))
        assert not self.waiting, (len(self.waiting), self.answers, self.masters[ADDRESSES[0]].describe())

    def _end_leases_of_the_dead(self) -> None:
        """End all leases; nothing is being delivered, so that no living process holds one."""
        with self.valkey.client() as client:
            for key in client.scan_iter("*:notifications:*"):
                if b'"running"' in (client.get(key) or b""):
                    client.pexpire(key, 1)

    def stop(self) -> None:
        """Stop both hosts as an operator does."""
        running = [master for master in self.masters.values() if master.process.poll() is None]
        for master in running:
            master.process.send_signal(signal.SIGTERM)
        assert {master.wait() for master in running} == {0}

    def judge(self, trials, tried: int) -> None:
        """Count what was lost or took effect twice; none of it may have."""
        self.finish()
        seen = Counter(self.events())
        users = self.organization.state()["users"]
        counted = {user["attributes"].get("times_seen") for user in users}
        begun = {work_id for what, work_id, _ in self.ledger() if what == "begin"}
        everything = {f"m-{number}" for number in range(1, self.sent + 1)}
        assert overlaps(self.ledger(), tuple(self.killed)) == []
        assert {f"n-{number}" for number in range(1, self.sent + 1)} <= begun
        assert (counted, len(users)) == ({1}, self.sent)
        trials.count(tried, lost=len(everything - seen.keys()), doubled=sum(seen.values()) - len(seen))


@pytest.fixture
def hosts(served_platform, start_process, own_valkey, tmp_path):
    """Two hosts that are not started yet, with a Valkey that keeps its data."""
    hosts = Hosts(served_platform, own_valkey(persistent=True), start_process, tmp_path / "ledger")
    yield hosts
    hosts.close()


@pytest.mark.fault("Rolling restart of two hosts under load (HUP, TERM and start)")
def test_a_rolling_restart_under_load_loses_nothing(hosts, trials):
    """One host takes new workers in (HUP), then the other one is stopped and started, while notifications come."""
    for address in ADDRESSES:
        hosts.start(address)
    first, second = ADDRESSES
    old = hosts.workers(first)
    hosts.load(12)
    hosts.masters[first].process.send_signal(signal.SIGHUP)
    hosts.load(until=lambda: hosts.workers(first) and not set(old) & set(hosts.workers(first)))
    hosts.masters[second].process.send_signal(signal.SIGTERM)
    hosts.load(until=lambda: hosts.masters[second].process.poll() is not None)
    assert hosts.masters[second].wait() == 0
    hosts.load(12)
    hosts.start(second)
    hosts.load(12)
    hosts.judge(trials, tried=2)
    hosts.stop()


@pytest.mark.fault("SIGKILL of workers and of a whole host under load")
def test_processes_killed_at_any_moment_lose_and_double_nothing(hosts, trials):
    """Every few notifications a process that serves is killed, at last a whole host, and nothing is lost or counted twice."""
    for address in ADDRESSES:
        hosts.start(address)
    hosts.load(100, after_each=lambda done: hosts.kill_a_worker() if done % 10 == 9 else None)
    hosts.kill_host(ADDRESSES[1])
    hosts.load(12)
    hosts.judge(trials, tried=len(hosts.killed))
    hosts.stop()


@pytest.mark.fault("Valkey killed and restarted, and hanging for 10 s, under load")
def test_a_store_that_is_away_under_load_loses_nothing(hosts, trials):
    """While the store is gone notifications are answered with a retry; runs that had begun are not begun again."""
    for address in ADDRESSES:
        hosts.start(address)
    hosts.load(12)
    hosts.valkey.kill()
    hosts.load(12)
    hosts.valkey.start()
    hosts.load(12)
    hosts.valkey.halt()
    back_at = time.monotonic() + OUTAGE_S
    hosts.load(until=lambda: time.monotonic() > back_at)
    hosts.valkey.go_on()
    hosts.load(12)
    assert hosts.answers["503 retry"] > 0
    assert hosts.answers["none"] == 0
    hosts.judge(trials, tried=2)
    hosts.stop()


@pytest.mark.fault("A host whose clock is 5 minutes off")
@pytest.mark.parametrize("offset_s", [CLOCK_OFF_S, -CLOCK_OFF_S])
def test_a_host_whose_clock_is_wrong_leaves_the_work_to_the_other_one(hosts, trials, offset_s):
    """A host that is behind refuses what comes, and one that is ahead is refused what it sends; both name the difference."""
    right, wrong = ADDRESSES
    hosts.start(right)
    hosts.start(wrong, CLOCK_OFFSET_S=str(offset_s))
    _, told = hosts.answer(hosts.urls[wrong], hosts.notification(0))
    assert re.search(r"(299|300|301) s in the future, leeway 60 s; check the clocks", str(told))
    hosts.load(12)
    hosts.judge(trials, tried=1)
    hosts.stop()
