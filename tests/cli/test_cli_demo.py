"""The command ``hull demo``: output, exit codes, and what it keeps to itself."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hull_sdk.cli import main
from hull_sdk.core import json
from hull_sdk.demo.stage import create_organization
from hull_sdk.testing.addresses import ORGANIZATION_HOST
from hull_sdk.testing.harness import virtual_platform

FIGURES = {"messages", "users", "accounts", "events", "segments", "written", "dead_letters"}


@pytest.fixture(autouse=True)
def loggers_as_before():
    """The command leaves logging as it found it."""
    loggers = [logging.getLogger(name) for name in ("hull_sdk", "waitress")]
    before = [(logger, list(logger.handlers), logger.level) for logger in loggers]
    yield
    assert [(logger, list(logger.handlers), logger.level) for logger in loggers] == before


def hull(*args):
    """Run the command in this process."""
    return CliRunner().invoke(main, ["demo", "--virtual", *args])


def test_prints_a_table_and_ends_with_ok():
    """All figures agree: a table on stdout, progress on stderr, exit code 0."""
    result = hull()
    assert result.exit_code == 0
    assert "Users after merging" in result.stdout
    assert result.stdout.splitlines()[-1].startswith("ok: ")
    assert result.stderr.splitlines()[-1] == "delivering notifications"


def test_prints_one_json_object():
    """--json prints figures, expectation and verdict as one line."""
    result = hull("--json")
    (line,) = result.stdout.splitlines()
    value = json.loads(line)
    assert result.exit_code == 0
    assert value["ok"] is True
    assert value["differences"] == []
    assert set(value["expected"]) == FIGURES
    assert {"messages_sent", "notifications", "elapsed_s", *FIGURES} <= set(value)


def test_a_spoilt_data_set_is_not_ok():
    """The differences are listed and the exit code is 1."""
    result = hull("--change", "double:300")
    assert result.exit_code == 1
    assert "not ok: " in result.stdout
    assert "messages / applied: expected" in result.stdout


def test_a_spoilt_data_set_is_not_ok_in_json():
    """The JSON says so too, with every difference."""
    result = hull("--json", "--change", "drop:300")
    value = json.loads(result.stdout)
    assert result.exit_code == 1
    assert value["ok"] is False
    assert {"figure": "messages / applied", "expected": value["expected"]["messages"]["applied"]}.items() <= value[
        "differences"
    ][0].items()


def test_an_unknown_change_is_a_clear_error():
    """What is wrong with an option is said, as text or as JSON."""
    result = hull("--change", "burn:1")
    assert result.exit_code == 1
    assert "'burn:1' is no change of the data set" in result.stderr
    assert json.loads(hull("--json", "--change", "burn:1").stdout)["ok"] is False


def test_agrees_on_a_bad_day():
    """Faults change no figure."""
    assert hull("--bad-day").exit_code == 0


def test_no_secret_is_printed():
    """Neither figures nor logs hold a secret of the organization, its connectors or the application."""
    platform = virtual_platform()
    organization, source = create_organization(platform, ORGANIZATION_HOST)
    secrets = [
        organization.admin_secret,
        source.secret,
        platform.runtime.ids.secret(),
        *(platform.runtime.ids.secret() for _ in range(3)),
    ]
    result = hull("--json", "--verbose")
    assert '"level":"info"' in result.stderr
    assert not [secret for secret in secrets if secret in result.output]


@pytest.mark.process
def test_the_installed_command_works_over_http():
    """A real process: one JSON line on stdout, plain progress on stderr, nothing else, within 15 seconds."""
    command = Path(sys.executable).with_name("hull")
    done = subprocess.run([command, "demo", "--json"], capture_output=True, text=True, timeout=15, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] is True
    assert [line.split()[0] for line in done.stderr.splitlines()] == ["starting", "platform", "sending", "delivering"]
