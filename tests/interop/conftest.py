"""The Node generation: its packages installed once, its client and a connector of its kind run as processes."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from node_packages import SCRIPTS, installed
from running_process import PATIENCE_S, RunningProcess

from hull_sdk.core.net import HttpNetwork, Request

#: What a chain of calls is: ``[["asUser", {...}], ["traits", {...}]]``.
Chain = list[list[Any]]


@pytest.fixture(scope="session")
def node_path() -> Path:
    """Return the folder of the installed npm packages."""
    if shutil.which("npm") is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("npm was not found; install Node 20 with npm")
    return installed()


@pytest.fixture(scope="session")
def node_environment(node_path: Path) -> dict[str, str]:
    """Return the environment in which the scripts find the packages."""
    return {**os.environ, "NODE_PATH": str(node_path), "NODE_NO_WARNINGS": "1"}


@pytest.fixture
def node_scripts() -> Path:
    """Return the folder of the scripts that run on Node."""
    return SCRIPTS


@pytest.fixture(params=["hull-client-1", "hull-client-2"], ids=["1.2.4", "2.0.4"])
def generation(request: pytest.FixtureRequest) -> str:
    """Both versions of the Node client in turn."""
    return request.param


class NodeClient:
    """Runs stages of chains on a client of the Node generation, each time in a process of its own."""

    def __init__(self, package: str, environment: dict[str, str], folder: Path) -> None:
        self._package = package
        self._environment = environment
        self._plan = folder / "plan.json"

    def __call__(self, options: dict[str, Any], *stages: list[Chain]) -> list[list[Any]]:
        """Return the values, stage by stage; every chain must succeed."""
        results = self._run(options, stages)
        errors = [outcome["error"] for stage in results for outcome in stage if "error" in outcome]
        assert errors == []
        return [[outcome.get("value") for outcome in stage] for stage in results]

    def failures(self, options: dict[str, Any], *stages: list[Chain]) -> list[list[dict[str, Any]]]:
        """Return the errors, stage by stage; every chain must fail."""
        return [[outcome["error"] for outcome in stage] for stage in self._run(options, stages)]

    def _run(self, options: dict[str, Any], stages: tuple[list[Chain], ...]) -> list[list[dict[str, Any]]]:
        plan = {"package": self._package, "options": {"flushAfter": 20, **options}, "stages": stages}
        self._plan.write_text(json.dumps(plan), encoding="utf-8")
        command = ["node", str(SCRIPTS / "client.js"), str(self._plan)]
        done = subprocess.run(
            command, env=self._environment, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=True
        )
        return json.loads(done.stdout.strip().splitlines()[-1])["results"]


@pytest.fixture
def run_client(generation: str, node_environment: dict[str, str], tmp_path: Path) -> NodeClient:
    """Return what runs chains of calls on the Node client."""
    return NodeClient(generation, node_environment, tmp_path)


class NodeConnector:
    """A running connector on npm hull; it tells what happened in it."""

    def __init__(self, process: RunningProcess) -> None:
        self.process = process
        ready = json.loads(process.wait_for(r'^\{"event":"ready".*').group())
        self.url = f"http://127.0.0.1:{ready['port']}"

    def facts(self, event: str) -> list[dict[str, Any]]:
        """Return all facts of this kind so far."""
        network = HttpNetwork()
        answer = network.send(Request(method="GET", url=f"{self.url}/facts"))
        network.close()
        return [fact for fact in json.loads(answer.body) if fact["event"] == event]


@pytest.fixture
def start_connector(
    start_process: Callable[..., RunningProcess], node_environment: dict[str, str], tmp_path: Path
) -> Callable[..., NodeConnector]:
    """Return a function that starts a connector on npm hull."""

    def start(**options: Any) -> NodeConnector:
        path = tmp_path / "options.json"
        path.write_text(json.dumps({"flowControl": {"type": "next", "size": 10, "in": 5}, **options}), encoding="utf-8")
        command = ["node", str(SCRIPTS / "connector.js"), str(path)]
        return NodeConnector(start_process(command, env=node_environment, cwd=SCRIPTS))

    return start
