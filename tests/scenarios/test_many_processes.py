"""The delivery promises with four worker processes and a shared Valkey: duplicates, kills, and a store that is away."""

from __future__ import annotations

import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest
from platform_side import PATIENCE_S, Notification, PlatformSide, overlaps
from running_process import GUNICORN_LISTENS

from hull_sdk.infra.leases import LEASE_S

pytestmark = pytest.mark.process

APPS = Path(__file__).parent / "apps"


class Site(PlatformSide):
    """A connector in four processes, and the platform's side of it, which delivers what the test says."""

    def __init__(self, platform, valkey, start_process, ledger: Path) -> None:
        super().__init__(platform, ledger)
        self.valkey = valkey
        self._start = start_process
        self._env = self.environ(valkey)
        command = ["gunicorn", "--bind", "127.0.0.1:0", "--workers", "4", "--worker-class", "gthread", "--threads", "4"]
        self.jobs = None
        self.gunicorn = start_process([*command, "--preload", "ledger:app"], env=self._env, cwd=APPS)
        self.url = self.gunicorn.wait_for(GUNICORN_LISTENS)[1]

    def start_jobs(self):
        """Start a process that runs jobs."""
        self.jobs = self._start(["python", "ledger.py"], env=self._env, cwd=APPS)
        return self.jobs

    def deliver(self, notification: Notification) -> tuple[int, str]:
        """Deliver a notification once; return the status and the type of the flow control."""
        return super().deliver(self.url, notification)

    def deliver_until_next(self, notification: Notification) -> tuple[int, str]:
        """Deliver a notification as often as it is answered with retry, as the platform does."""
        until = time.monotonic() + PATIENCE_S
        while (answer := self.deliver(notification))[1] != "next" and time.monotonic() < until:
            pass
        return answer

    def pid_of(self, what: str, work_id: str) -> int:
        """Wait until something was written down, and return the process that did."""
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            for said, named, pid in reversed(self.ledger()):
                if (said, named) == (what, work_id):
                    return int(pid)
        said = "".join(process.describe() for process in (self.gunicorn, self.jobs) if process is not None)
        raise AssertionError(f"{what} {work_id} was never written: {self.ledger()} {said}")

    @contextmanager
    def halted(self, pid: int):
        """Have one of the processes do nothing, so that others answer, on new connections."""
        os.kill(pid, signal.SIGSTOP)
        self.renew_connections()
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)


@pytest.fixture
def open_site(served_platform, start_process, tmp_path):
    """Return a function that starts a connector in four processes on a Valkey."""
    opened = []

    def start(valkey) -> Site:
        opened.append(Site(served_platform, valkey, start_process, tmp_path / "ledger"))
        return opened[-1]

    yield start
    for site in opened:
        site.close()


def test_duplicates_at_once_are_handled_once(open_site, valkey):
    """Of 40 notifications, each delivered four times at once to four processes, each is handled once, by any of them."""
    site = open_site(valkey)
    notifications = [site.notification(number) for number in range(40)]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(site.deliver_until_next, [n for n in notifications for _ in range(4)]))
    again = [site.deliver(notification) for notification in notifications]
    begun = [work_id for what, work_id, _ in site.ledger() if what == "begin"]
    assert set(answers) == set(again) == {(200, "next")}
    assert sorted(begun) == sorted(f"n-{number}" for number in range(40))
    assert overlaps(site.ledger()) == []
    assert site.events() == sorted(f"m-{number}" for number in range(40))
    _, known_to_one, pid = site.ledger()[0]
    with site.halted(int(pid)):
        assert site.deliver(notifications[int(known_to_one.removeprefix("n-"))]) == (200, "next")
        assert site.deliver(site.notification(40)) == (200, "next")
    assert site.pid_of("end", "n-40") != int(pid)
    assert len(site.ledger()) == 82
    assert site.gunicorn.stop() == 0


@pytest.mark.fault("SIGKILL of a process during a notification")
def test_a_killed_run_is_begun_again_once_its_lease_is_over(open_site, valkey):
    """After SIGKILL in the middle of a run nobody begins it until the lease is over; then it is done, and once."""
    site = open_site(valkey)
    notification = site.notification(1, traits_hangs=True)
    with ThreadPoolExecutor(1) as pool:
        broken = pool.submit(site.deliver, notification)
        killed = site.pid_of("hangs", "n-1")
        assert site.deliver(notification) == (200, "retry")
        os.kill(killed, signal.SIGKILL)
        assert broken.exception(PATIENCE_S) is not None
    assert site.deliver(notification) == (200, "retry")
    with valkey.client() as client:
        (key,) = list(client.scan_iter("*:notifications:n-1"))
        assert 0 < client.pttl(key) <= LEASE_S * 1000
        client.pexpire(key, 1)
    assert site.deliver_until_next(notification) == (200, "next")
    assert site.events() == ["m-1"]
    assert [what for what, _, _ in site.ledger()] == ["begin", "hangs", "begin", "end"]
    assert overlaps(site.ledger(), killed=(killed,)) == []
    assert site.gunicorn.stop() == 0


def test_what_a_killed_run_counted_under_for_each_counts_once(open_site, valkey):
    """After SIGKILL a run sends its ``inc`` and ``track`` under ``for_each`` again, and each is applied once."""
    site = open_site(valkey)
    notification = site.notification(1, traits_counts=True)
    with ThreadPoolExecutor(1) as pool:
        broken = pool.submit(site.deliver, notification)
        os.kill(site.pid_of("hangs", "m-1"), signal.SIGKILL)
        assert broken.exception(PATIENCE_S) is not None
    with valkey.client() as client:
        (key,) = list(client.scan_iter("*:notifications:n-1"))
        client.pexpire(key, 1)
    assert site.deliver_until_next(notification) == (200, "next")
    assert [what for what, _, _ in site.ledger()] == ["begin", "hangs", "begin", "end"]
    (user,) = site.organization.state()["users"]
    assert (user["attributes"]["times_seen"], site.events()) == (1, ["m-1"])
    assert site.gunicorn.stop() == 0


def test_a_process_that_is_stopped_after_its_answer_has_nothing_left_to_send(open_site, valkey):
    """At the moment of each answer the platform has what the handler sent, so the process may be frozen right then."""
    site = open_site(valkey)
    for number in range(10):
        assert site.deliver(site.notification(number)) == (200, "next")
        with site.halted(site.pid_of("end", f"n-{number}")):
            assert f"m-{number}" in site.events()
    assert site.events() == sorted(f"m-{number}" for number in range(10))
    assert site.gunicorn.stop() == 0


@pytest.mark.fault("Valkey killed or hanging")
@pytest.mark.parametrize("how", ["killed", "hanging"])
def test_a_store_that_is_away_loses_nothing(open_site, own_valkey, how):
    """While Valkey is down or hangs, notifications are answered with a retry; afterwards each is handled once."""
    valkey = own_valkey(persistent=True)
    site = open_site(valkey)
    before, after = site.notification(1), site.notification(2)
    assert site.deliver(before) == (200, "next")
    valkey.kill() if how == "killed" else valkey.halt()
    with ThreadPoolExecutor(4) as pool:
        away = list(pool.map(site.deliver, [before, after, after, after]))
    valkey.start() if how == "killed" else valkey.go_on()
    assert away == [(503, "retry")] * 4
    assert [site.deliver_until_next(n) for n in (before, after)] == [(200, "next")] * 2
    assert [(what, work_id) for what, work_id, _ in site.ledger()] == [
        (what, work_id) for work_id in ("n-1", "n-2") for what in ("begin", "end")
    ]
    assert site.events() == ["m-1", "m-2"]
    assert "HULL_ERR" not in "".join(line for line in site.gunicorn.stderr if "Traceback" in line)
    assert site.gunicorn.stop() == 0


def test_jobs_of_all_processes_run_in_their_worker(open_site, valkey):
    """Jobs that four processes enqueue run once each in a process of their own, and what they send arrives first."""
    site = open_site(valkey)
    jobs = site.start_jobs()
    notifications = [site.notification(number, traits_as_job=True) for number in range(12)]
    with ThreadPoolExecutor(8) as pool:
        answers = set(pool.map(site.deliver, notifications))
    ended = [site.pid_of("end", f"m-{number}") for number in range(12)]
    assert jobs.stop() == 0
    assert answers == {(200, "next")}
    assert len(set(ended)) == 12
    assert site.events() == sorted(f"m-{number}" for number in range(12))
    assert site.gunicorn.stop() == 0


@pytest.mark.fault("SIGKILL of a process during a job")
@pytest.mark.attack("secrets outside their lawful places")
def test_a_killed_job_is_run_again_and_stores_no_secret(open_site, valkey):
    """A job whose process is killed runs again, its event arrives once, and nothing on the store tells a secret."""
    site = open_site(valkey)
    assert site.deliver(site.notification(1, traits_as_job=True, traits_hangs=True)) == (200, "next")
    stored = b"".join(valkey.contents())
    jobs = site.start_jobs()
    os.kill(site.pid_of("hangs", "m-1"), signal.SIGKILL)
    site.pid_of("end", "m-1")
    assert jobs.stop() == 0
    assert site.events() == ["m-1"]
    assert [what for what, _, _ in site.ledger()] == ["begin", "hangs", "begin", "end"]
    assert b"m-1" in stored
    for secret in (site.connector.secret, "the-secret-of-this-host"):
        assert secret.encode() not in stored
    assert site.gunicorn.stop() == 0
