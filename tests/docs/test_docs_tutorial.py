"""The tutorial, step by step, exactly as it is printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from doc_pages import Block, Page

#: Seconds that one step may take.
PATIENCE_S = 110

pytestmark = [pytest.mark.process, pytest.mark.timeout(600)]


class Shell:
    """Runs steps one after the other, each in the folder that the one before it ended in.

    Args:
        folder: Where the first one begins.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._note = folder / ".folder"
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("HULL_", "PYTEST_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), kept.get("PATH", "")])
        self._environment = {**kept, "PATH": path, "NO_COLOR": "1", "COLUMNS": "200"}

    def run(self, step: Block) -> str:
        """Run a step and return what it prints; it fails when its block says so, and only then."""
        script = f"set -e\ntrap 'pwd > {self._note}' EXIT\n{step.source}"
        done = subprocess.run(
            ["bash", "-c", script],
            cwd=self.folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_S,
            check=False,
        )
        self.folder = Path(self._note.read_text(encoding="utf-8").strip())
        assert (done.returncode != 0) is ("fails" in step.marks), f"line {step.line}:\n{done.stdout}"
        return done.stdout

    def save(self, step: Block) -> None:
        """Save a file."""
        (self.folder / str(step.saved_as)).write_text(step.source, encoding="utf-8")


def as_pattern(printed: str) -> str:
    """Return a pattern for what the page prints: ``...`` stands for a part of a line, or alone for some lines."""
    lines = printed.splitlines()
    return "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(line).replace(r"\.\.\.", ".*") + r"\n" for line in lines
    )


def test_the_tutorial_does_what_it_says(tmp_path):
    """Every command gives what is printed below it, every file is saved, and what should fail fails."""
    shell, output = Shell(tmp_path), None
    steps = Page("docs/tutorial.md").blocks
    assert len([step for step in steps if step.saved_as is not None]) == 2
    for step in steps:
        if step.language == "sh" and "no-run" not in step.marks:
            output = shell.run(step)
        elif step.saved_as is not None:
            shell.save(step)
        elif step.language == "text":
            assert output is not None
            assert re.fullmatch(as_pattern(step.source), output), f"line {step.line}: {output}"
