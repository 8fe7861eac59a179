"""A new connector: its name, its folder, its files, and that they work."""

from __future__ import annotations

import gc
import logging
import os
import subprocess
import sys
import tomllib
from typing import Any

import pytest
from running_process import GUNICORN_LISTENS

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.scaffold.project import MAX_NAME_CHARS, project_files, project_names, write_project
from hull_sdk.wire.manifest import load_manifest

PATIENCE_S = 60
STOPWATCH = """
import time

def pytest_sessionstart():
    global begun
    begun = time.process_time()

def pytest_unconfigure():
    print(time.process_time() - begun)
"""


@pytest.mark.parametrize("name", ["acme", "acme-crm", "crm2", "a-1", "x" * MAX_NAME_CHARS])
def test_plain_names_will_do(name):
    """Lower-case words with dashes between them are names; the package has underscores instead."""
    names = project_names(name)
    assert (names.name, names.package) == (name, name.replace("-", "_"))


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("Acme CRM", "'acme-crm' would do"),
        ("acme_crm", "'acme-crm' would do"),
        ("1st-crm", "'st-crm' would do"),
        ("../evil", "'evil' would do"),
        ("", "must be lower-case letters"),
        ("-", "must be lower-case letters"),
        ("acme-", "'acme' would do"),
        ("json", "would hide the Python module 'json'; choose another, such as 'json-connector'"),
        ("class", "would hide"),
        ("flask", "would hide"),
        ("hull-sdk", "'hull_sdk'"),
        ("x" * (MAX_NAME_CHARS + 1), f"{MAX_NAME_CHARS} fit"),
    ],
)
def test_other_names_are_refused_with_a_way_out(name, problem):
    """The message names the value, the rule and, where there is one, a name that would do."""
    with pytest.raises(InvalidArgumentError, match=problem):
        project_names(name)


def test_a_folder_that_holds_something_is_left_alone(tmp_path):
    """Nothing is written beside a file of somebody else."""
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(InvalidArgumentError, match="is not empty; name another one with --into"):
        write_project(project_names("acme"), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_a_place_that_cannot_be_written_is_a_clear_error(tmp_path):
    """A file where the folder should be is named."""
    (tmp_path / "acme").write_text("a file")
    with pytest.raises(InvalidArgumentError, match=r"acme: .*; name another folder"):
        write_project(project_names("acme"), tmp_path / "acme")


def test_the_files_belong_together():
    """Manifest, package and packaging agree, and no mark of a template is left in any file."""
    names = project_names("acme-crm")
    texts = project_files(names)
    assert not [path for path, text in texts.items() if "{{" in text or "{%" in text or "PACKAGE" in path]
    assert {"Dockerfile", ".gitignore", "gunicorn.conf.py", "acme_crm/py.typed", "acme_crm/settings.py"} <= set(texts)
    assert tomllib.loads(texts["pyproject.toml"])["project"]["name"] == "acme-crm"
    manifest = load_manifest(json.loads(texts["acme_crm/manifest.json"]))
    paths = [entry["url"] for key in ("subscriptions", "schedules", "incoming", "json") for entry in manifest[key]]
    assert [path for path in paths if f'url_prefix="{path}"' not in texts["acme_crm/app.py"].replace("\n", "")] == []


def test_its_workers_leave_what_is_loaded_out_of_garbage_collections(monkeypatch):
    """The hook of its gunicorn.conf.py has later collections look only at what comes afterwards, and less often."""
    monkeypatch.setattr(logging, "basicConfig", lambda **_: None)
    conf: dict[str, Any] = {}
    exec(project_files(project_names("acme-crm"))["gunicorn.conf.py"], conf)
    gc.unfreeze()
    before = gc.get_threshold()
    try:
        conf["post_worker_init"](object())
        assert gc.get_freeze_count() > 10_000
        assert gc.get_threshold() == (20_000, *before[1:])
    finally:
        gc.set_threshold(*before)


@pytest.mark.process
def test_its_own_tests_pass_in_under_two_seconds(tmp_path):
    """Somebody who runs pytest in a new connector sees all tests pass, without a network, in a moment."""
    write_project(project_names("acme-crm"), tmp_path / "connector")
    # Processor time, from collection to the end, so that a busy machine counts for nothing.
    (tmp_path / "stopwatch.py").write_text(STOPWATCH)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--disable-socket", "-p", "stopwatch"]
    done = subprocess.run(
        command,
        cwd=tmp_path / "connector",
        env=environment,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *_, summary, taken = done.stdout.splitlines()
    assert int(summary.split(" passed")[0]) >= 10
    assert float(taken) < 2


@pytest.mark.process
def test_gunicorn_serves_it(tmp_path, start_process):
    """The command of the Dockerfile serves the connector with the options of the file, and ends cleanly."""
    import urllib.request

    write_project(project_names("acme-crm"), tmp_path)
    environment = {"HOST": "127.0.0.1", "PORT": "0", "HULL_HOST_SECRET": "long and random"}
    gunicorn = start_process(["gunicorn"], env=environment, cwd=tmp_path)
    url = gunicorn.wait_for(GUNICORN_LISTENS)[1]
    with urllib.request.urlopen(f"{url}/manifest.json", timeout=10) as answer:
        assert json.loads(answer.read())["name"] == "Acme Crm"
    assert gunicorn.stop() == 0
