"""The one command of the README: the connector, a platform and a file's server, over real HTTP."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

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
    """Return a session that asks again for a minute, with growing pauses, while nobody listens or is ready."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(max_retries=Retry(connect=64, backoff_factor=0.05, backoff_max=1)))
    return session


def imported(api, headers):
    """Ask until the platform has applied the file; return its job."""
    session = requests.Session()
    for _ in range(5000):
        (job,) = session.get(f"{api}/imports", headers=headers, timeout=10).json()
        if job["state"] in {"completed", "failed"}:
            return job
    pytest.fail("the import did not end")


@pytest.mark.process
@pytest.mark.shows_secrets("log", reason="the library that opens the address writes it down")
def test_one_command_imports_the_file(tmp_path):
    """The button of the printed page imports the sample; its bad row is told, and the others are users."""
    environment = {**os.environ, "PORT": str(free_port()), "PYTHONPATH": os.pathsep.join([str(FOLDER), *sys.path])}
    command = [sys.executable, "-m", "import_connector.local", str(FOLDER / "people.csv")]
    with (
        (tmp_path / "log").open("w") as log,
        subprocess.Popen(  # noqa: S603 - our own
            command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=log, text=True
        ) as process,
    ):
        try:
            address = process.stdout.readline().strip()
            page = patient().get(address, timeout=10).text
            button = urljoin(address, page.partition('action="')[2].partition('"')[0])
            assert requests.post(button, timeout=30).json()["state"] == "started"
            query = {name: values[0] for name, values in parse_qs(urlsplit(address).query).items()}
            headers = {"Hull-App-Id": query["ship"], "Hull-Access-Token": query["secret"]}
            job = imported(f"http://{query['organization']}/api/v1", headers)
            assert (job["state"], job["progress"]["applied"]) == ("completed", 3)
            page = requests.get(address, timeout=10).text
            assert "4 rows were read, 1 of them left out" in page
            assert "line 4: &#39;Seats&#39; is &#39;many&#39;" in page
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(60)
