"""Tokens of another service with four worker processes and a shared Valkey: they are refreshed once, whoever dies."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlencode

import pytest
from flask import request
from oauth_server import CLIENT_ID, CLIENT_SECRET, LIFETIME_S, OAuthServer, Token
from running_process import GUNICORN_LISTENS
from werkzeug.serving import make_server

from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.errors import NetworkError
from hull_sdk.infra.leases import LEASE_S

pytestmark = pytest.mark.process

APPS = Path(__file__).parent / "apps"
PATIENCE_S = 25.0
CALLS = 40
WORKERS = 4
OLD = {"access_token": "old", "refresh_token": "refresh-old", "expires_in": LIFETIME_S, "scope": "contacts"}


@pytest.fixture
def oauth(monkeypatch):
    """The OAuth server on a free loopback port, which has handed out tokens that are over by now."""
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    oauth = OAuthServer()
    oauth.tokens[OLD["refresh_token"]] = Token(oauth.client, dict(OLD))
    server = make_server("127.0.0.1", 0, oauth.app, threaded=True)
    oauth.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, name="test-oauth", daemon=True)
    thread.start()
    yield oauth
    server.shutdown()
    server.server_close()
    thread.join()


class Site:
    """A connector in four processes that calls the service."""

    def __init__(self, platform, valkey, start_process, oauth, calls: Path) -> None:
        organization = platform.create_organization("acme.hullapp.test")
        settings = {"oauth_tokens": {**OLD, "expires_at": int(time.time()) - 1}}
        self.connector = organization.install(
            "http://127.0.0.1:9", manifest={"name": "Tokens"}, private_settings=settings
        )
        credentials = {"ship": self.connector.id, "secret": self.connector.secret, "organization": platform.address}
        self._calls = calls
        self._calls.touch()
        environment = {
            "AUTHLIB_INSECURE_TRANSPORT": "1",
            "CALLS": str(calls),
            "CLIENT_ID": CLIENT_ID,
            "CLIENT_SECRET": CLIENT_SECRET,
            "HULL_ALLOWED_ORGANIZATIONS": "127.0.0.1",
            "HULL_REDIS_URL": valkey.url,
            "SERVICE": oauth.url,
        }
        # No process takes more calls at once than a share of them, or one might take all.
        share = str(CALLS // WORKERS)
        options = ["--workers", str(WORKERS), "--threads", share, "--worker-connections", share, "--preload"]
        command = ["gunicorn", "--bind", "127.0.0.1:0", *options, "tokens:app"]
        self.gunicorn = start_process(command, env=environment, cwd=APPS)
        self.url = self.gunicorn.wait_for(GUNICORN_LISTENS)[1]
        for _ in range(WORKERS):
            self.gunicorn.wait_for("Booting worker with pid")
        self._address = f"{self.url}/call?{urlencode(credentials)}"
        self.network = HttpNetwork()

    def call(self) -> tuple[int, str]:
        """Have the connector call the service; return status and text."""
        answer = self.network.send(Request(method="POST", url=self._address, timeout_s=30))
        return answer.status, answer.body.decode()

    def pids(self) -> list[int]:
        """Return which process took each call, in order."""
        return [int(line) for line in self._calls.read_text(encoding="utf-8").split()]


@pytest.fixture
def site(served_platform, valkey, start_process, oauth, tmp_path):
    """A connector whose tokens are over."""
    site = Site(served_platform, valkey, start_process, oauth, tmp_path / "calls")
    yield site
    site.network.close()


def ann(answer):
    """Tell whether the service knew the tokens of a call."""
    status, text = answer
    return status == 200 and json.loads(text) == {"name": "Ann"}


def test_many_processes_that_find_a_token_expired_refresh_it_once(site, oauth):
    """Of 40 calls at once to four processes one asks the service, and all go through with what it got."""
    with ThreadPoolExecutor(CALLS) as pool:
        answers = list(pool.map(lambda _: site.call(), range(CALLS)))
    assert [answer for answer in answers if not ann(answer)] == []
    assert oauth.asked == ["refresh_token"]
    assert len(set(site.pids())) > 1
    stored = site.connector.private_settings["oauth_tokens"]
    assert (stored["access_token"], stored["refresh_token"] in oauth.tokens) == (oauth.issued[0], True)
    assert site.gunicorn.stop() == 0


def test_a_killed_refresh_is_done_by_another_process(site, oauth, valkey):
    """After SIGKILL in the middle of a refresh the others wait for the lease, 30 seconds at most, and one refreshes."""
    asked, killed = threading.Event(), threading.Event()

    def hang_once():
        if request.path == "/token" and not asked.is_set():
            asked.set()
            killed.wait(PATIENCE_S)
            return "too late", 503
        return None

    oauth.app.before_request(hang_once)
    with ThreadPoolExecutor(9) as pool:
        broken = pool.submit(site.call)
        assert asked.wait(PATIENCE_S)
        (holder,) = site.pids()
        os.kill(holder, signal.SIGKILL)
        killed.set()
        assert isinstance(broken.exception(PATIENCE_S), NetworkError)
        others = [pool.submit(site.call) for _ in range(8)]
        with valkey.client() as client:
            (key,) = list(client.scan_iter("*refresh"))
            assert 0 < client.pttl(key) <= LEASE_S * 1000
            assert oauth.asked == []
            client.pexpire(key, 1)
        assert [other.result() for other in others if not ann(other.result())] == []
    assert oauth.asked == ["refresh_token"]
    assert site.gunicorn.stop() == 0
