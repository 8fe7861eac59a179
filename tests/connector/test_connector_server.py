"""The bundled server, as a real process."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
from pathlib import Path

import pytest

from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.errors import NetworkError

pytestmark = pytest.mark.process

LISTENING = r'"connector\.server\.listen".*"port":(\d+)'

APP = """
import logging, sys, time
from flask import Flask
from hull_sdk import Connector
from hull_sdk.core.logs import JsonFormatter

handler = logging.StreamHandler(sys.stdout)
handler.setFormatter(JsonFormatter())
logging.basicConfig(level=logging.INFO, handlers=[handler])
app = Flask("served")
connector = Connector(host_secret="s", port=0, manifest={"name": "Served"})

@app.get("/slow")
def slow():
    print("slow begins", flush=True)
    time.sleep(1)
    return "slow ends"

connector.setup_app(app)
connector.start_app(app, host="127.0.0.1")
print("after the server", flush=True)
"""


@pytest.fixture
def served(start_process, tmp_path):
    """Return a served application: its process and address."""
    path = tmp_path / "app.py"
    path.write_text(APP, encoding="utf-8")
    process = start_process([sys.executable, str(path)], env={"PYTHONPATH": str(Path.cwd())})
    match = process.wait_for(LISTENING)
    return process, f"http://127.0.0.1:{match[1]}"


@pytest.fixture
def network():
    """Send requests over real sockets."""
    network = HttpNetwork()
    yield network
    network.close()


def get(network, url):
    """Return status and body of a GET."""
    answer = network.send(Request(method="GET", url=url, timeout_s=10))
    return answer.status, answer.body


@pytest.mark.shows("Connector.startApp", "README: setup-helpers")
def test_the_manifest_is_served_over_http(served, network):
    """start_app listens on a free port and serves the application."""
    _, url = served
    assert get(network, f"{url}/manifest.json") == (200, b'{"name":"Served"}\n')


@pytest.mark.shows("utils.exitHandler")
def test_sigterm_finishes_what_has_begun(served, network):
    """On SIGTERM requests under way are answered, no new ones are taken, and the process ends by the signal."""
    process, url = served
    answers = []
    thread = threading.Thread(target=lambda: answers.append(get(network, f"{url}/slow")))
    thread.start()
    process.wait_for("slow begins")
    os.kill(process.process.pid, signal.SIGTERM)
    thread.join(20)
    assert answers == [(200, b"slow ends")]
    assert process.process.wait(20) == -signal.SIGTERM
    fresh = HttpNetwork()
    with pytest.raises(NetworkError):
        get(fresh, url)
    fresh.close()


def test_an_idle_server_stops_at_once(served):
    """Without requests under way a SIGTERM ends the process without a wait, and stderr stays clean."""
    process, _ = served
    before = time.monotonic()
    os.kill(process.process.pid, signal.SIGTERM)
    assert process.process.wait(20) == -signal.SIGTERM
    assert time.monotonic() - before < 5
    assert process.stderr == []
