"""Names of a package that are loaded when they are first used."""

from __future__ import annotations

import sys

import pytest

import hull_sdk
from hull_sdk.lazy import lazy_names


def test_a_name_loads_its_module(monkeypatch):
    """The module of a name is imported when the name is asked for, and not before."""
    monkeypatch.delitem(sys.modules, "colorsys", raising=False)
    load = lazy_names("colours", {"rgb_to_hsv": "colorsys"})
    assert "colorsys" not in sys.modules
    assert load("rgb_to_hsv")(1, 1, 1) == (0.0, 0.0, 1)
    assert "colorsys" in sys.modules


def test_another_name_is_refused_with_those_that_there_are():
    """Whoever mistypes a name reads which ones the package has."""
    with pytest.raises(AttributeError, match=r"module 'hull_sdk' has no attribute 'Clyent'; it has Client, Connector"):
        hull_sdk.Clyent  # noqa: B018 - the access is what is tested
