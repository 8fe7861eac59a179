"""The code blocks of README and docs do what they say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sybil.document import Document
from sybil.evaluators.python import PythonEvaluator
from sybil.parsers.markdown.codeblock import CodeBlockParser

LANGUAGES = {"python", "sh", "json", "text", "http", "ini"}
#: What is no code, but builds a page of the site.
DIRECTIVES = {"{toctree}", "{eval-rst}"}
COMMANDS = ("python -m pip install . && hull demo", "python -m pip install nox && nox")


def test_each_block_names_a_known_language(page):
    """A block says what it is, so that none is left untested by a slip."""
    unknown = [
        f"{page.name}:{block.line}: {block.language!r}"
        for block in page.blocks
        if block.language not in LANGUAGES | DIRECTIVES
    ]
    assert unknown == []


def test_python_blocks_compile(page):
    """Every Python block is valid Python, also one that is not run."""
    for block in page.blocks:
        if block.language == "python":
            compile(block.source, f"{page.name}:{block.line}", "exec")


def test_json_blocks_parse(page):
    """Every JSON block is valid JSON."""
    for block in page.blocks:
        if block.language == "json":
            json.loads(block.source)


def test_python_blocks_run(page):
    """The Python blocks of a page run one after the other, but for those saved as files and those marked no-run."""
    saved = {block.line for block in page.blocks if block.saved_as is not None}
    document = Document.parse(str(page.path), CodeBlockParser("python", PythonEvaluator()))
    document.namespace["__name__"] = __name__  # as in a module of one's own
    for example in document.examples():
        if example.line + 1 not in saved:
            example.evaluate()


@pytest.mark.process
def test_files_of_the_readme_pass_their_own_test(readme, tmp_path):
    """Somebody who saves the README's files and runs pytest in an empty folder sees a passing test."""
    files = {block.saved_as: block.source for block in readme.blocks if block.saved_as is not None}
    assert any(name.startswith("test_") for name in files)
    for name, source in files.items():
        (tmp_path / name).write_text(source, encoding="utf-8")
    assert run_pytest(tmp_path).returncode == 0


def run_pytest(folder: Path) -> subprocess.CompletedProcess[str]:
    """Run pytest in a folder with nothing but the installed package."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("HULL_", "PYTEST_"))}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=60, check=False)
    sys.stdout.write(done.stdout + done.stderr)
    return done


def test_platform_configuration_of_the_readme_is_accepted(readme, tmp_path):
    """The configuration file that the README shows is one that the platform's server reads."""
    from hull_sdk.platform import config

    (source,) = [block.source for block in readme.blocks if block.saved_as == "platform.json"]
    path = tmp_path / "platform.json"
    path.write_text(source, encoding="utf-8")
    assert config.read_config(path)["organizations"]


@pytest.mark.parametrize("command", COMMANDS)
def test_readme_shows_the_command(readme, command):
    """The README has the one command that shows the demo, and the one that runs the tests."""
    lines = [line for block in readme.blocks if block.language == "sh" for line in block.source.splitlines()]
    assert command in lines
