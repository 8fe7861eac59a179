"""Rules of the house that no linter checks."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINES = 500
PYTHON_FILES = sorted(
    path
    for folder in ("hull_sdk", "tests", "examples")
    for path in (ROOT / folder).rglob("*.py")
    if "node_modules" not in path.parts
)
TEST_FILES = [path for path in PYTHON_FILES if path.name.startswith("test_")]


def names(paths: list[Path]) -> list[str]:
    """Return paths as they are written in messages."""
    return [str(path.relative_to(ROOT)) for path in paths]


def test_no_file_is_longer_than_a_reader_bears():
    """A file of code or tests has at most 500 lines."""
    lengths = {name: len((ROOT / name).read_text(encoding="utf-8").splitlines()) for name in names(PYTHON_FILES)}
    assert {name: length for name, length in lengths.items() if length > LINES} == {}


def test_the_changelog_begins_with_what_is_unreleased():
    """Unreleased changes stand on top, and the newest release below them is not newer than the package."""
    headings = re.findall(r"^## \[(.+?)\]", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert headings[0] == "Unreleased"
    assert headings[1:2] in ([], [version])


def test_test_files_have_names_of_their_own():
    """Test folders are no packages, so no two test files may share a name."""
    seen: dict[str, Path] = {}
    assert [(path, seen[path.name]) for path in TEST_FILES if seen.setdefault(path.name, path) is not path] == []


@pytest.mark.parametrize("path", TEST_FILES, ids=lambda path: path.stem)
def test_every_test_states_a_behaviour(path):
    """Each test function has a docstring that says in a sentence what holds."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    tests = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert [node.name for node in tests if not (ast.get_docstring(node) or "").rstrip().endswith(".")] == []


def test_arguments_are_never_checked_by_assert():
    """The package has no assert statement: python -O would remove the check."""
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in PYTHON_FILES
        if path.is_relative_to(ROOT / "hull_sdk")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Assert)
    ]
    assert found == []


def test_examples_import_what_is_public():
    """An example imports from the package with at most one dot, as its readers should."""
    deep = [
        f"{path.relative_to(ROOT)}:{node.lineno}: {node.module}"
        for path in PYTHON_FILES
        if path.is_relative_to(ROOT / "examples")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("hull_sdk")
        and node.module.count(".") > 1
    ]
    assert deep == []
