"""What ``hull new`` and ``hull types`` write satisfies linter, formatter and type checkers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from hull_sdk.scaffold.project import MAX_NAME_CHARS, project_names, write_project
from hull_sdk.scaffold.typed_settings import settings_module

PATIENCE_S = 110
ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.process


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a tool in a folder."""
    arguments = [sys.executable, "-m", *command]
    done = subprocess.run(arguments, cwd=folder, capture_output=True, text=True, timeout=PATIENCE_S, check=False)
    sys.stdout.write(done.stdout + done.stderr)
    return done


@pytest.fixture
def connector(tmp_path):
    """A new connector."""
    write_project(project_names("acme-crm"), tmp_path)
    return tmp_path


@pytest.mark.parametrize("name", ["z", "acme-crm", "x" * MAX_NAME_CHARS])
def test_a_new_connector_has_no_fault_of_style(tmp_path, name):
    """The linter and the formatter, with the connector's own configuration, find nothing, whatever its name is."""
    write_project(project_names(name), tmp_path)
    assert run(tmp_path, "ruff", "check", "--no-cache", ".").returncode == 0
    assert run(tmp_path, "ruff", "format", "--no-cache", "--check", ".").returncode == 0


def test_a_new_connector_is_typed(connector):
    """Both type checkers are content."""
    assert run(connector, "mypy").returncode == 0
    assert run(connector, "pyright", "--pythonpath", sys.executable, "acme_crm").returncode == 0


def test_renaming_a_setting_is_found_by_the_type_checker(connector):
    """After the manifest was changed and the types were written anew, the code that uses the old name is named."""
    path = connector / "acme_crm" / "manifest.json"
    path.write_text(path.read_text().replace('"large_from"', '"big_from"'))
    (connector / "acme_crm" / "settings.py").write_text(settings_module(json.loads(path.read_text())))
    done = run(connector, "mypy")
    assert done.returncode == 1
    assert 'acme_crm/accounts.py:18: error: TypedDict "PrivateSettings" has no key "large_from"' in done.stdout


def test_written_types_are_formatted(tmp_path):
    """Long defaults, odd names and long descriptions come out as the formatter would have them."""
    rows = [{"hull": f"traits_group/attribute_{number}", "service": "x" * number} for number in range(5)]
    settings = [
        {"name": "rows", "type": "array", "default": rows, "description": "Which goes where. " * 12},
        {"name": "with-dash", "type": "string", "default": 'say "hello"'},
        {"name": "plan", "type": "string", "enum": [f"a-long-name-{number}" for number in range(20)]},
        {"name": "n" * 60, "type": "object", "default": {"a": [1.5, True, None], "b" * 70: []}},
    ]
    path = tmp_path / "settings.py"
    path.write_text(settings_module({"settings": settings, "private_settings": settings[:1]}))
    assert run(tmp_path, "ruff", "format", "--isolated", "--no-cache", "--diff", ".").returncode == 0
    assert run(ROOT, "mypy", "--strict", str(path)).returncode == 0
