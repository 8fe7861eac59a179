"""The package as a whole: its public names, its version, what an import costs."""

from __future__ import annotations

import ast
import importlib
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import hull_sdk

ROOT = Path(__file__).parents[1]
MODULES = sorted((ROOT / "hull_sdk").rglob("*.py"))
LONGEST_FILE = 600

#: What connectors rely on; a name leaves this list only with a major version.
PUBLIC = {
    "hull_sdk": ["Client", "Connector", "Context", "Middleware", "current_context", "incoming"],
    "hull_sdk.errors": [
        "ConfigurationError",
        "ConnectorNotFoundError",
        "CredentialsError",
        "HullError",
        "LogicError",
        "NotificationError",
        "OrganizationDisabledError",
        "RateLimitError",
        "RecoverableError",
        "TransientError",
    ],
    "hull_sdk.handlers": ["action_handler", "for_each", "smart_notifier_handler"],
    "hull_sdk.helpers": ["filter_notification", "update_settings"],
    "hull_sdk.infra": ["Batcher", "Cache", "Clock", "Instrumentation", "Queue"],
    "hull_sdk.platform": ["Platform"],
    "hull_sdk.service": ["ServiceSession"],
    "hull_sdk.testing": ["Harness"],
    "hull_sdk.types": ["AccountMessage", "Claims", "Notification", "Segment", "UserMessage"],
}


@pytest.mark.parametrize("module", sorted(PUBLIC))
def test_public_names_are_there(module):
    """Every name that connectors rely on is there, and the module says that it is public."""
    loaded = importlib.import_module(module)
    assert [name for name in PUBLIC[module] if not hasattr(loaded, name) or name not in loaded.__all__] == []


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_each_module_lists_its_names(path):
    """A module with code has a docstring and a sorted ``__all__``, and stays short enough to be read."""
    source = path.read_text(encoding="utf-8")
    tree = ast.parse(source)
    assert ast.get_docstring(tree)
    assert len(source.splitlines()) <= LONGEST_FILE
    if any(isinstance(node, ast.FunctionDef | ast.ClassDef) for node in tree.body):
        names = [
            target.id
            for node in tree.body
            if isinstance(node, ast.Assign)
            for target in node.targets
            if isinstance(target, ast.Name)
        ]
        assert "__all__" in names


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
        ("from hull_sdk import Connector", ["hull_sdk.platform", "hull_sdk.testing"]),
        ("import hull_sdk.testing.plugin", ["flask", "hull_sdk.platform"]),
    ],
)
def test_an_import_loads_only_what_it_needs(statement, unwanted):
    """A process that only sends pays for no web framework, and one that only receives for no platform."""
    question = f"{statement}; import sys; print([name for name in {unwanted!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", question], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
