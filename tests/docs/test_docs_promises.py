"""What the package promises is shown by tests that exist; what was tried against it is counted by tests."""

from __future__ import annotations

import re

import pytest
from doc_pages import Page, names_of_tests
from marked_tests import marks, misplaced_marks
from trials import PAGES as TRIAL_PAGES
from trials import render_table, rows_of, table_of

SHOWN = re.compile(r"`(?P<file>test_\w+)(?:::(?P<name>test_\w+))?`")

PAGES = ("docs/promises.md", "docs/security.md")


@pytest.fixture(scope="module")
def tests() -> dict[str, set[str]]:
    """The names of all tests, by their file's."""
    return names_of_tests()


def rows() -> list[str]:
    """Return the promises with their tests, a line each."""
    lines = [line for page in PAGES for line in Page(page).prose.splitlines()]
    return [line for line in lines if line.startswith("| ") and not line.startswith(("| Promise", "| ---", "| Attack"))]


def test_every_promise_has_its_tests():
    """No promise stands without a test that would fail if it did not hold."""
    assert len(rows()) > 20
    assert [row for row in rows() if SHOWN.search(row) is None] == []


def test_the_tests_of_promises_exist(tests):
    """A test that was renamed or removed is missed here."""
    named = [match.groups() for row in rows() for match in SHOWN.finditer(row)]
    assert [(file, name) for file, name in named if file not in tests or name not in {None, *tests[file]}] == []


@pytest.mark.parametrize("kind", TRIAL_PAGES)
def test_tables_of_what_was_tried_name_every_marked_test(kind):
    """A table has a row for each name that a mark gives, with its tests; WRITE_TRIALS=1 writes it from a run."""
    assert misplaced_marks(kind) == []
    assert marks(kind)
    assert table_of(kind) == render_table(kind, {}), (
        "run WRITE_TRIALS=1 pytest -m 'attack or fault', see contributing.md"
    )


@pytest.mark.parametrize("kind", TRIAL_PAGES)
def test_everything_named_was_tried_and_did_no_harm(kind):
    """Each attack and fault was tried at least once, and none was let in, lost or doubled anything."""
    numbers = {name: [int(cell.replace(",", "")) for cell in cells[:4]] for name, cells in rows_of(kind).items()}
    assert {name: found for name, found in numbers.items() if found[0] == 0 or any(found[1:])} == {}
