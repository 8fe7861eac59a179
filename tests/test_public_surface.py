"""The public surface: every name that developers can rely on, as a text that changes only on purpose.

After a wanted change: ``WRITE_PUBLIC_SURFACE=1 python -m pytest tests/test_public_surface.py``, then look at the
difference and describe it in the changelog.
"""

from __future__ import annotations

import importlib
import inspect
import os
from pathlib import Path

import pytest

SNAPSHOT = Path(__file__).with_name("public_surface.txt")
MODULES = (
    "hull_sdk",
    "hull_sdk.client",
    "hull_sdk.errors",
    "hull_sdk.handlers",
    "hull_sdk.helpers",
    "hull_sdk.infra",
    "hull_sdk.platform",
    "hull_sdk.service",
    "hull_sdk.testing",
    "hull_sdk.types",
)


def public_names(module: str) -> list[str]:
    """Return the public names of a module, sorted."""
    return sorted(importlib.import_module(module).__all__)


def members(value: object) -> list[str]:
    """Return what a class adds to its public face; inherited names count when the package defines them."""
    own = [vars(base) for base in inspect.getmro(value) if base.__module__.startswith("hull_sdk")]
    return sorted({name for names in own for name in names if not name.startswith("_")} | annotations_of(value))


def annotations_of(value: type) -> set[str]:
    """Return the annotated fields of a class: those of dataclasses and typed dictionaries."""
    return {name for name in getattr(value, "__annotations__", {}) if not name.startswith("_")}


def surface() -> str:
    """Return the whole public surface as text: one line per name, members of classes behind it."""
    lines = []
    for module in MODULES:
        lines.append(f"[{module}]")
        for name in public_names(module):
            value = getattr(importlib.import_module(module), name)
            behind = f": {' '.join(members(value))}" if inspect.isclass(value) and members(value) else ""
            lines.append(f"{name}{behind}")
        lines.append("")
    return "\n".join(lines)


def public_objects() -> list[object]:
    """Return one test case for every public class and function of the package."""
    found = {}
    for module in MODULES:
        for name in public_names(module):
            value = getattr(importlib.import_module(module), name)
            if inspect.isclass(value) or inspect.isfunction(value):
                found[f"{module}.{name}"] = value
    return [pytest.param(value, id=name) for name, value in found.items()]


def test_the_public_surface_changes_only_on_purpose():
    """The names of all public modules, and the members of their classes, are those of the snapshot."""
    if os.environ.get("WRITE_PUBLIC_SURFACE"):
        SNAPSHOT.write_text(surface(), encoding="utf-8")
    assert surface().splitlines() == SNAPSHOT.read_text(encoding="utf-8").splitlines()


@pytest.mark.parametrize("module", MODULES)
def test_a_public_module_says_what_is_public(module):
    """A public module has a docstring and a list of distinct names that exist."""
    loaded = importlib.import_module(module)
    assert loaded.__doc__
    assert len(loaded.__all__) == len(set(loaded.__all__))
    assert [name for name in loaded.__all__ if not hasattr(loaded, name)] == []


@pytest.mark.parametrize("value", public_objects())
def test_every_public_class_and_function_is_explained(value):
    """Classes and functions, and the methods that the package gives a class, have docstrings of their own."""
    assert value.__doc__
    if not inspect.isclass(value):
        return
    undocumented = [
        name
        for base in inspect.getmro(value)
        if base.__module__.startswith("hull_sdk")
        for name, member in vars(base).items()
        if not name.startswith("_") and (inspect.isfunction(member) or isinstance(member, property | classmethod))
        if not inspect.getdoc(getattr(base, name))
    ]
    assert undocumented == []


def test_an_unknown_name_gives_the_known_ones():
    """Asking the package for a name that it has not lists those that it has."""
    hull_sdk = importlib.import_module("hull_sdk")
    with pytest.raises(AttributeError, match=r"no attribute 'Conector'; it has .*Connector"):
        _ = hull_sdk.Conector
    with pytest.raises(ImportError):
        exec("from hull_sdk import Conector", {})


def test_the_names_of_the_package_are_listed_before_they_are_loaded():
    """Completion and star imports see the lazy names."""
    hull_sdk = importlib.import_module("hull_sdk")
    assert {"Client", "Connector", "Context", "Middleware", "current_context", "incoming"} <= set(dir(hull_sdk))
