"""The package as a whole: its modules, its version, what an import costs."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hull_sdk
import hull_sdk.client
import hull_sdk.handlers

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "hull_sdk").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
@pytest.mark.shows("README: utils")
def test_each_module_lists_its_names(path):
    """A module has a docstring, and one with functions or classes lists in ``__all__`` which are meant for others."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert ast.get_docstring(tree)
    if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body):
        names = [
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
        assert "__all__" in names


@pytest.mark.parametrize(
    "package", [hull_sdk, hull_sdk.client, hull_sdk.handlers], ids=lambda package: package.__name__
)
def test_names_are_found_when_they_are_first_used(package):
    """Packages whose names are loaded at their first use list them all, have each of them, and name them to who errs."""
    assert dir(package) == sorted(package.__all__)
    assert all(getattr(package, name) is not None for name in package.__all__)
    with pytest.raises(
        AttributeError, match=rf"module '{package.__name__}' has no attribute 'nothing'; it has [A-Z_a-z, ]+"
    ):
        package.nothing  # noqa: B018 - to see what it raises


def test_the_version_is_the_packages():
    """The version that the module tells is the one that the package is built with."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert hull_sdk.__version__ == project["version"]


@pytest.mark.process
@pytest.mark.parametrize(
    ("statement", "unwanted"),
    [
        ("import hull_sdk", ["flask", "requests", "hull_sdk.platform", "hull_sdk.core"]),
        ("from hull_sdk import Client", ["flask", "hull_sdk.platform"]),
        (
            "from hull_sdk import Connector",
            ["hull_sdk.platform", "hull_sdk.testing", "requests", "marshmallow", "asyncio"],
        ),
        ("from hull_sdk.handlers import smart_notifier_handler", ["requests", "marshmallow", "asyncio"]),
        ("import hull_sdk.testing.plugin", ["flask", "hull_sdk.platform"]),
    ],
)
def test_an_import_loads_only_what_it_needs(statement, unwanted):
    """A process that only sends pays for no web framework, and one that only receives for no platform."""
    question = f"{statement}; import sys; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
