"""The tests of identity notice mistakes in its rules."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest
import test_identity
from identity_mutants import MUTANTS
from ingestion_kit import Bench

from hull_sdk.platform import identity

SOURCE = Path(identity.__file__).read_text(encoding="utf-8")


def functions(namespace: dict[str, object]) -> Iterator[tuple[str, FunctionType]]:
    """Give the functions of a module's namespace and the methods of its classes, by their full names."""
    for value in list(namespace.values()):
        found = vars(value).values() if isinstance(value, type) else (value,)
        yield from ((each.__qualname__, each) for each in found if isinstance(each, FunctionType))


def rewrite(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the rules of identity do what another text of them says, whoever has imported them."""
    namespace: dict[str, object] = {"__name__": identity.__name__}
    exec(compile(source, identity.__file__, "exec"), namespace)
    new = dict(functions(namespace))
    for name, old in functions(vars(identity)):
        if old.__code__.co_filename == identity.__file__:
            monkeypatch.setattr(old, "__code__", new[name].__code__)


def first_failure() -> str | None:
    """Return the first test of identity that fails."""
    for name, test in vars(test_identity).items():
        wanted = inspect.signature(test).parameters if name.startswith("test_") else {"skipped": None}
        if set(wanted) <= {"bench"}:
            try:
                test(*(Bench() for _ in wanted))
            except Exception:  # noqa: BLE001 - whatever a mistake leads to, it is noticed
                return name
    return None


@pytest.mark.parametrize("name", MUTANTS)
def test_a_mistake_in_the_rules_is_noticed(name, monkeypatch):
    """Each of ten mistakes makes a test of identity fail: no rule stands without a test that misses it."""
    good, bad = MUTANTS[name]
    assert SOURCE.count(good) == 1, f"the mutant {name!r} does not fit the source any more; write it anew"
    rewrite(SOURCE.replace(good, bad), monkeypatch)
    assert first_failure() is not None


def test_without_a_mistake_nothing_fails(monkeypatch):
    """The rules as they are pass, so it is the mistake that is noticed; there are ten."""
    rewrite(SOURCE, monkeypatch)
    assert first_failure() is None
    assert len(MUTANTS) == 10
