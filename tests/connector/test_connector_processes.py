"""How many processes a server was told to start."""

from __future__ import annotations

import logging

import pytest
from flask import Flask

from hull_sdk import Connector
from hull_sdk.connector.processes import worker_processes

GUNICORN = "/usr/bin/gunicorn"


@pytest.mark.parametrize(
    ("environ", "argv", "expected"),
    [
        ({}, ["pytest"], 1),
        ({"WEB_CONCURRENCY": "4"}, ["gunicorn", "app:app"], 4),
        ({"WEB_CONCURRENCY": "x"}, [], 1),
        ({}, ["/usr/bin/gunicorn", "-w", "3", "app:app"], 3),
        ({}, ["gunicorn", "-w3", "app:app"], 3),
        ({}, ["gunicorn", "--workers=8", "app:app"], 8),
        ({}, ["gunicorn", "--workers", "2", "app:app"], 2),
        ({"GUNICORN_CMD_ARGS": "--bind :80 --workers=5"}, ["gunicorn", "app:app"], 5),
        ({}, ["other", "-w", "3"], 1),
        ({}, ["/lib/python/gunicorn/__main__.py", "-w", "3"], 3),
        ({}, ["gunicorn", "--worker-class", "gthread", "--threads", "8", "app:app"], 1),
    ],
)
def test_the_number_of_processes_is_found(monkeypatch, tmp_path, environ, argv, expected):
    """Gunicorn's options and WEB_CONCURRENCY say how many processes there are."""
    monkeypatch.chdir(tmp_path)
    assert worker_processes(environ, argv) == expected


@pytest.mark.parametrize(
    ("text", "environ", "expected"),
    [
        ("workers = 2", {}, 2),
        ("workers: int = 3", {}, 3),
        ("workers = 1", {"WEB_CONCURRENCY": "4"}, 1),
        ("workers = 4", {"GUNICORN_CMD_ARGS": "--workers 1"}, 1),
        ("import os\nworkers = 2 * os.cpu_count() + 1", {}, 2),
        ("import os\nworkers = int(os.environ['WEB_CONCURRENCY'])", {"WEB_CONCURRENCY": "1"}, 1),
        ("if True:\n    workers = 6\nelse:\n    workers = 1", {}, 6),
        ("bind = ':8082'", {}, 1),
        ("bind = ':8082'", {"WEB_CONCURRENCY": "5"}, 5),
        ("raise SystemExit('this file is read, not run')\nworkers = 2", {}, 2),
        ("workers = = 2", {}, 1),
    ],
)
def test_gunicorns_configuration_file_is_read(monkeypatch, tmp_path, text, environ, expected):
    """The file in the working directory says how many; the command line goes first; a computed number counts as two."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gunicorn.conf.py").write_text(text)
    assert worker_processes(environ, [GUNICORN, "app:app"]) == expected
    assert worker_processes({}, ["pytest"]) == 1


@pytest.mark.parametrize(
    ("options", "environ"),
    [
        (["-c", "conf/many.py"], {}),
        (["--config", "conf/many.py"], {}),
        (["--config=file:conf/many.py"], {}),
        ([], {"GUNICORN_CMD_ARGS": "-c conf/many.py"}),
    ],
)
def test_a_configuration_file_can_be_named(monkeypatch, tmp_path, options, environ):
    """A file that the command line names is read instead of the one in the working directory."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "many.py").write_text("workers = 7")
    (tmp_path / "gunicorn.conf.py").write_text("workers = 1")
    assert worker_processes(environ, [GUNICORN, *options, "app:app"]) == 7
    assert worker_processes({}, [GUNICORN, "-c", "missing.py", "app:app"]) == 1


def test_workers_of_a_configuration_file_are_warned_about(monkeypatch, tmp_path, caplog):
    """With two workers in gunicorn.conf.py and a cache in memory, setup_app warns."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    monkeypatch.setattr("sys.argv", [GUNICORN, "app:app"])
    (tmp_path / "gunicorn.conf.py").write_text("workers = 2")
    with caplog.at_level(logging.WARNING):
        Connector(host_secret="s").setup_app(Flask("x"))
    assert "connector.cache.unshared" in caplog.messages
