"""The module of typed settings: its text, and what its functions return."""

from __future__ import annotations

import ast
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.scaffold.typed_settings import settings_module
from hull_sdk.wire.manifest import load_manifest

GOLDEN = '''"""Settings as manifest.json declares them; written by ``hull types``, do not edit."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict, cast

from hull_sdk import Context

__all__ = ["PrivateSettings", "private_settings"]


_PRIVATE_SETTINGS: Final[dict[str, Any]] = {"large_from": 100, "plan": "pro"}


class PrivateSettings(TypedDict):
    """The connector's private settings."""

    #: Key of the API.
    api_key: str | None
    large_from: float
    plan: Literal["free", "pro"]
    segments: list[str] | None
    rows: list[dict[str, Any]] | None
    counts: list[int] | None


def private_settings(ctx: Context) -> PrivateSettings:
    """Return the private settings of a context's connector."""
    stored = ctx.ship["private_settings"]
    given = {name: value for name, value in stored.items() if value is not None}
    found = {**_PRIVATE_SETTINGS, **given}
    values = {name: found.get(name) for name in PrivateSettings.__annotations__}
    return cast("PrivateSettings", values)
'''

MANIFEST = {
    "private_settings": [
        {"name": "api_key", "type": "string", "description": "Key of\n the API."},
        {"name": "large_from", "type": "number", "default": 100},
        {"name": "plan", "type": "string", "enum": ["free", "pro"], "default": "pro"},
        {"name": "heading", "type": "string", "format": "title"},
        {"name": "segments", "type": "array", "format": "segment"},
        {"name": "rows", "type": "array", "format": "traitMapping"},
        {"name": "counts", "type": "array", "items": {"type": "integer"}},
    ]
}

ODD_NAMES = st.sampled_from(["class", "with-dash", "__hidden", "Any", "é", "quo'te", 'dou"ble', "back\\slash", "plain"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=60),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=20), inner, max_size=4),
    max_leaves=8,
)


def loaded(manifest):
    """Return the namespace of the module that belongs to a manifest."""
    namespace = {"__name__": "settings"}
    exec(compile(settings_module(load_manifest(manifest)), "settings.py", "exec"), namespace)
    return namespace


def test_the_module_is_this_text():
    """Types, choices, defaults and descriptions stand in it; what is shown only does not."""
    assert settings_module(MANIFEST) == GOLDEN


def test_what_is_unset_is_none_or_the_default():
    """Each declared name is there: with its value, its default, or None; what is not declared is left out."""
    ctx = SimpleNamespace(ship={"private_settings": {"large_from": None, "api_key": "k", "token": "t"}})
    assert loaded(MANIFEST)["private_settings"](ctx) == {
        "api_key": "k",
        "large_from": 100,
        "plan": "pro",
        "segments": None,
        "rows": None,
        "counts": None,
    }


@given(defaults=st.dictionaries(ODD_NAMES, VALUES, min_size=1))
def test_any_name_and_any_default_come_back(defaults):
    """Whatever a setting is called and whatever its default is, the module is Python and returns the default."""
    manifest = {"settings": [{"name": name, "default": value} for name, value in defaults.items()]}
    found = loaded(manifest)["settings"](SimpleNamespace(ship={"settings": {}}))
    assert found == defaults


def test_long_defaults_are_broken_and_short_lines_are_not():
    """Lines stay within the width of the formatter wherever they can be broken."""
    manifest = {"settings": [{"name": "words", "default": [["word"] * 10] * 4}, {"name": "one", "default": [1]}]}
    text = settings_module(manifest)
    assert max(map(len, text.splitlines())) <= 88
    assert '"one": [1],' in text
    assert ast.parse(text)


def test_a_manifest_without_settings_is_refused():
    """There is nothing to write, and the message says what to add."""
    with pytest.raises(InvalidArgumentError, match="declares no settings; add some"):
        settings_module({"name": "Bare"})
