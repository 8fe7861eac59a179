"""A test suite of a user's, spread over many processes, against one platform."""

from __future__ import annotations

import json

import pytest
from running_process import PLATFORM_READY

WORKERS = 8
HOSTS = [f"gw{number}.hullapp.test" for number in range(WORKERS)]

SUITE = '''
import json
import os
from pathlib import Path

import pytest

from hull_sdk import Client

READY = json.loads(Path(os.environ["READY"]).read_text())


@pytest.fixture
def client(worker_id):
    """Act in the organization of this process."""
    (mine,) = [each for each in READY["organizations"] if each["host"].startswith(worker_id + ".")]
    (connector,) = mine["connectors"]
    address = READY["url"].partition("://")[2]
    client = Client(id=connector["id"], secret=connector["secret"], organization=address, protocol="http")
    yield client
    client.close()


@pytest.mark.parametrize("number", range(40))
def test_ann_belongs_to_this_process(client, worker_id, number):
    """Everybody writes the same user, and reads what this process wrote."""
    ann = client.as_user({"external_id": "ann"})
    ann.traits({"worker": worker_id, "number": number}).result(30)
    found = ann.get("me")
    assert (found["traits_worker"], found["traits_number"]) == (worker_id, number)
    assert client.post("search/user_reports", {})["pagination"]["total"] == 1
'''


@pytest.mark.process
def test_eight_processes_of_tests_share_one_platform(start_process, tmp_path):
    """Each has an organization of its own, with the same people in it, and none sees what another one writes."""
    url = "http://127.0.0.1:1"
    organizations = [{"host": host, "connectors": [{"url": url, "manifest": {"name": "Tests"}}]} for host in HOSTS]
    config = tmp_path / "platform.json"
    config.write_text(json.dumps({"organizations": organizations}), encoding="utf-8")
    platform = start_process(["hull", "platform", "--port", "0", "--config", str(config)])
    ready = tmp_path / "ready.json"
    ready.write_text(platform.wait_for(PLATFORM_READY).group(), encoding="utf-8")
    (tmp_path / "test_ann.py").write_text(SUITE, encoding="utf-8")
    command = ["python", "-m", "pytest", "-q", "-p", "xdist", "-n", str(WORKERS), "-p", "no:cacheprovider"]
    suite = start_process(
        [*command, "test_ann.py"], cwd=tmp_path, env={"READY": str(ready), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    )
    suite.wait_for("40 passed")
    assert suite.wait() == 0
