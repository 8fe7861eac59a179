"""The one command of the README: the connector and a platform, as processes of their own."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

FOLDER = Path(__file__).parents[1]


def free_port():
    """Return a port that nobody uses at the moment; the platform has to know it before the connector listens."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def patient():
    """Return a session that asks again for a minute, with growing pauses, while nobody listens."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(connect=64, backoff_factor=0.05, backoff_max=1)))
    return session


@pytest.mark.process
@pytest.mark.shows_secrets("log", reason="the library that opens the address writes it down")
def test_one_command_runs_connector_and_platform(tmp_path):
    """The printed page shows a key; a call with it is an event of a user on the platform; both stop together."""
    environment = {**os.environ, "PORT": str(free_port()), "PYTHONPATH": os.pathsep.join([str(FOLDER), *sys.path])}
    command = [sys.executable, "-m", "segment_connector.local"]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(  # noqa: S603 - our own
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            address = process.stdout.readline().strip()
            page = patient().get(address, timeout=10).text
            key = page.partition('API key <input readonly size="80" value="')[2].partition('"')[0]
            call = {"type": "track", "userId": "u-1", "event": "Ordered", "messageId": "m-1"}
            webhook = address.partition("/admin")[0] + "/segment"
            assert requests.post(webhook, json=call, auth=(key, ""), timeout=30).text == "thanks"
            query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
            headers = {"Hull-App-Id": query["ship"], "Hull-Access-Token": query["secret"]}
            api = f"http://{query['organization']}/api/v1/search/events"
            found = requests.post(api, json={}, headers=headers, timeout=10).json()["data"]
            assert "Ordered" in [event["event"] for event in found]
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
    with pytest.raises(requests.ConnectionError):
        requests.get(f"http://{query['organization']}/", timeout=10)
