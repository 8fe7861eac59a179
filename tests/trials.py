"""Counts what tests try: attacks and faults, how often, and what was let in, lost or doubled.

A test says what it tries by a mark, ``@pytest.mark.attack("replay of a notification")`` or ``@pytest.mark.fault(...)``.
Each case that ran counts as one try, unless the test counts itself:

    def test_replays(trials, ...):
        trials.count(tried=500, let_in=len(answered_by_the_function))

What was let in, lost or doubled fails the test. The pages hold a table of each kind between two comments,
``<!-- attack: begin -->`` and ``<!-- attack: end -->``; ``WRITE_TRIALS=1 pytest -m "attack or fault"`` writes the rows
whose tests all ran, with the numbers of that run, and leaves the others as they are.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import astuple, dataclass

import pytest
from marked_tests import ROOT, marks

__all__ = ["PAGES", "Trials", "TrialsPlugin", "render_table", "rows_of", "table_of"]

#: Which page holds the table of a kind.
PAGES: Mapping[str, str] = {"attack": "docs/security.md", "fault": "docs/deploying.md"}
COLUMNS = ("Tried", "Let in", "Lost", "Doubled")


@dataclass
class Trials:
    """How often something was tried, and how often it did harm."""

    tried: int = 0
    let_in: int = 0
    lost: int = 0
    doubled: int = 0

    def count(self, tried: int = 1, *, let_in: int = 0, lost: int = 0, doubled: int = 0) -> None:
        """Add to the numbers.

        Args:
            tried: How many tries there were.
            let_in: How many of them reached what they must not reach.
            lost: How much was lost by them.
            doubled: How much took effect twice.
        """
        self.tried += tried
        self.let_in += let_in
        self.lost += lost
        self.doubled += doubled

    def add(self, other: Trials) -> None:
        """Add the numbers of others."""
        self.count(other.tried, let_in=other.let_in, lost=other.lost, doubled=other.doubled)

    @property
    def harm(self) -> tuple[int, int, int]:
        """What was let in, lost and doubled."""
        return (self.let_in, self.lost, self.doubled)


class TrialsPlugin:
    """Keeps the numbers of a run by test, and writes them into the pages when it is asked to."""

    def __init__(self) -> None:
        self._by_test: dict[str, Trials] = defaultdict(Trials)
        self._own: dict[str, Trials] = {}

    @pytest.fixture
    def trials(self, request: pytest.FixtureRequest) -> Iterator[Trials]:
        """Counts the tries of a test that makes more than one; fails it if any of them did harm."""
        trials = self._own[request.node.nodeid] = Trials()
        yield trials
        if any(trials.harm):
            pytest.fail(f"let in, lost, doubled: {trials.harm} in {trials.tried} tries")

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item, call: pytest.CallInfo[None]):
        """Count a case that ran."""
        report = yield
        if report.when == "call" and not report.skipped and any(item.get_closest_marker(kind) for kind in PAGES):
            own = self._own.pop(item.nodeid, Trials())
            counted = own if own.tried else Trials(tried=1, let_in=int(report.failed))
            self._by_test[f"{item.path.stem}::{item.function.__name__}"].add(counted)
        return report

    def pytest_sessionfinish(self) -> None:
        """Write the tables, if the environment says so."""
        if os.environ.get("WRITE_TRIALS"):
            for kind in PAGES:
                _write(kind, render_table(kind, self._numbers(kind)))

    def _numbers(self, kind: str) -> dict[str, Trials]:
        return {
            name: _sum(self._by_test[test] for test in tests)
            for name, tests in marks(kind).items()
            if all(test in self._by_test for test in tests)
        }


def render_table(kind: str, numbers: Mapping[str, Trials]) -> str:
    """Return the table of a kind: a row for each name that a mark gives.

    Args:
        kind: ``"attack"`` or ``"fault"``.
        numbers: What a run counted, by name; other rows keep what the page says.
    """
    old, shown = rows_of(kind), marks(kind)
    head = (kind.capitalize(), *COLUMNS, "Shown by")
    lines = [head, ("---", *["---:"] * len(COLUMNS), "---")]
    for name in sorted(shown):
        kept = old.get(name, ("0", "0", "0", "0"))
        counted = [f"{number:,}" for number in astuple(numbers[name])] if name in numbers else kept[:4]
        lines.append((name, *counted, _names(shown[name])))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def rows_of(kind: str) -> dict[str, tuple[str, ...]]:
    """Return what the page says of a kind: the numbers and the tests, by name."""
    lines = [line.strip("| ").split(" | ") for line in table_of(kind).splitlines()[2:]]
    return {name: tuple(cells) for name, *cells in lines}


def table_of(kind: str) -> str:
    """Return the table of a kind as the page has it; empty if the page has none."""
    match = _place(kind).search((ROOT / PAGES[kind]).read_text(encoding="utf-8"))
    return "" if match is None else match[0]


def _write(kind: str, table: str) -> None:
    page = ROOT / PAGES[kind]
    page.write_text(_place(kind).sub(lambda _: table, page.read_text(encoding="utf-8")), encoding="utf-8")


def _place(kind: str) -> re.Pattern[str]:
    return re.compile(rf"(?<=<!-- {kind}: begin -->\n).*?(?=<!-- {kind}: end -->)", re.DOTALL)


def _names(tests: list[str]) -> str:
    return ", ".join(f"`{test}`" for test in sorted(tests))


def _sum(all_trials: Iterator[Trials]) -> Trials:
    total = Trials()
    for trials in all_trials:
        total.add(trials)
    return total
