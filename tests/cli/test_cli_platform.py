"""The command hull platform."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import urllib.request
from contextlib import contextmanager

import pytest
from click.testing import CliRunner

from hull_sdk.cli import COMMANDS, main

CONFIG = {
    "organizations": [
        {
            "host": "acme.test",
            "connectors": [{"id": "5a7962e2793d3e942a03b29a", "secret": "hush", "url": "http://127.0.0.1:9"}],
        }
    ]
}


@pytest.fixture
def config(tmp_path):
    """A configuration file."""
    path = tmp_path / "platform.json"
    path.write_text(json.dumps(CONFIG))
    return path


@pytest.mark.process
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_prints_one_ready_line_serves_and_stops_cleanly(config, number):
    """Stdout has exactly the ready line, stderr JSON lines without secrets, and a signal ends it with 0."""
    command = [
        sys.executable,
        "-m",
        "hull_sdk.cli",
        "platform",
        "--port",
        "0",
        "--config",
        str(config),
        "--test-controls",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        ready = json.loads(process.stdout.readline())
        request = urllib.request.Request(
            f"{ready['url']}/api/v1/app",
            headers={"Hull-App-Id": "5a7962e2793d3e942a03b29a", "Hull-Access-Token": "hush"},
        )
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert json.load(answer)["source_url"] == "http://127.0.0.1:9"
        with urllib.request.urlopen(f"{ready['url']}/_platform/idle?timeout_ms=0", timeout=10) as answer:
            assert json.load(answer) == {"idle": True, "pending": 0}
        process.send_signal(number)
        out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert out == ""
    assert ready["event"] == "platform.ready"
    assert ready["organizations"][0]["connectors"][0]["name"] == "Connector"
    for line in err.splitlines():
        assert json.loads(line)["logger"].startswith("hull_sdk")
    assert "hush" not in err


@contextmanager
def running(*arguments):
    """Run the command on a free port, give its ready line, and stop it."""
    command = [sys.executable, "-m", "hull_sdk.cli", "platform", "--port", "0", "--test-controls", *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.send_signal(signal.SIGTERM)
            errors = process.communicate(timeout=20)[1]
    assert process.returncode == 0, errors


@pytest.mark.process
def test_it_goes_on_where_it_was_stopped(config, tmp_path):
    """Seed data, secrets and ids are those of the first run; a damaged file is one clear error."""
    data, seed = tmp_path / "state", tmp_path / "seed.jsonl"
    seed.write_text('{"user": {"email": "ann@acme.test"}, "traits": {"plan": "pro"}}\n')
    arguments = ("--config", str(config), "--data", str(data), "--seed-data", str(seed))
    ready = []
    for _ in range(2):
        with running(*arguments) as line:
            ready.append(line["organizations"])
            request = urllib.request.Request(f"{line['url']}/_platform/snapshot", data=b"{}", method="POST")
            with urllib.request.urlopen(request, timeout=10) as answer:
                found = json.load(answer)
        assert found["saved"] == str(data)
        (user,) = found["organizations"]["acme.test"]["users"]
        assert (user["email"], user["attributes"]["plan"]) == ("ann@acme.test", "pro")
    assert ready[0] == ready[1]
    damaged = data.read_bytes()[:-30]
    data.write_bytes(damaged)
    command = [sys.executable, "-m", "hull_sdk.cli", "platform", *arguments, "--port", "0"]
    result = subprocess.run(command, capture_output=True, text=True, check=False, timeout=20)
    assert (result.returncode, "damaged" in result.stderr, "Traceback" in result.stderr) == (1, True, False)
    assert data.read_bytes() == damaged


def test_a_broken_configuration_is_one_clear_error(tmp_path):
    """The command ends with 1 and names file, path and rule, without a traceback."""
    path = tmp_path / "bad.json"
    path.write_text('{"organizations": [{"hots": "acme.test"}]}')
    result = CliRunner().invoke(main, ["platform", "--config", str(path)])
    assert result.exit_code == 1
    assert "bad.json: $.organizations[0].host: Missing data" in result.output
    assert "Traceback" not in result.output


def test_commands_are_loaded_when_they_are_called():
    """Asking for help of the group lists every command; importing the group loads none of them."""
    code = (
        "import sys, hull_sdk.cli; print([m for m in ('flask', 'waitress', 'hull_sdk.platform') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
    assert sorted(COMMANDS) == ["deadletters", "demo", "doctor", "new", "platform", "trace", "types"]
    assert CliRunner().invoke(main, ["nonsense"]).exit_code == 2
