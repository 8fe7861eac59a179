"""Finds the tests that carry a mark, such as ``@pytest.mark.shows("Client.alias")``, from the source: nothing has to run."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path

__all__ = ["ROOT", "marks", "misplaced_marks"]

ROOT = Path(__file__).parents[1]
FOLDERS = ("tests", "examples")


def marks(kind: str) -> dict[str, list[str]]:
    """Return the tests that carry a mark, as ``"test_file::test_name"``, by what the mark names.

    Args:
        kind: The name of the mark, for example ``"shows"``.
    """
    found = defaultdict(list)
    for path, function, named in _marked(kind):
        for key in named:
            found[key].append(f"{path.stem}::{function.name}")
    return dict(found)


def misplaced_marks(kind: str) -> list[str]:
    """Return the functions that carry a mark and are no tests, or whose mark names nothing."""
    return [
        f"{path.stem}::{function.name}"
        for path, function, named in _marked(kind)
        if not (named and function.name.startswith("test_") and path.stem.startswith("test_"))
    ]


@cache
def _functions() -> list[tuple[Path, ast.FunctionDef]]:
    paths = [path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py"))]
    return [
        (path, node)
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef) and node.decorator_list
    ]


def _marked(kind: str) -> Iterator[tuple[Path, ast.FunctionDef, list[str]]]:
    for path, function in _functions():
        for decorator in function.decorator_list:
            if ast.unparse(getattr(decorator, "func", decorator)) == f"pytest.mark.{kind}":
                yield path, function, [ast.literal_eval(argument) for argument in getattr(decorator, "args", [])]
