"""What counts the tries of attacks and faults: a run with tests that hold, fail, count and are left out."""

from __future__ import annotations

import pytest
import trials
from trials import Trials, TrialsPlugin, render_table, rows_of

pytest_plugins = ["pytester"]

TESTS = """
import pytest

@pytest.mark.attack("knocking")
@pytest.mark.parametrize("door", [1, 2, 3])
def test_knocks(door):
    assert door != 3

@pytest.mark.attack("ringing")
def test_rings(trials):
    trials.count(40)
    trials.count(2, doubled=1)

@pytest.mark.attack("waiting")
def test_waits():
    pytest.skip("no door")

@pytest.mark.fault("fire")
def test_burns():
    pass

def test_without_a_mark():
    pass
"""
TOLD = {
    "knocking": ["test_doors::test_knocks"],
    "ringing": ["test_doors::test_rings"],
    "waiting": ["test_doors::test_waits"],
}


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A page of its own, with old numbers of what a run leaves out."""
    page = tmp_path / "page.md"
    page.write_text("# Page\n\n<!-- attack: begin -->\n<!-- attack: end -->\n\nEnd.\n", encoding="utf-8")
    monkeypatch.setattr(trials, "PAGES", {"attack": str(page)})
    monkeypatch.setattr(trials, "marks", lambda _: TOLD)
    trials._write("attack", render_table("attack", dict.fromkeys(TOLD, Trials(tried=1_007))))
    return page


def run(pytester):
    """Run the tests above under a plugin of their own."""
    pytester.makeini("[pytest]\nmarkers =\n  attack(name): a\n  fault(name): b\n")
    pytester.makepyfile(test_doors=TESTS)
    return pytester.inline_run("-p", "no:randomly", "-p", "no:cacheprovider", plugins=[TrialsPlugin()])


def test_each_case_counts_and_harm_fails_the_test(pytester, page, monkeypatch):
    """A case is a try, a failed one was let in, own counts replace both; what was left out keeps its numbers."""
    monkeypatch.setenv("WRITE_TRIALS", "1")
    outcome = run(pytester)
    assert {name: cells[:4] for name, cells in rows_of("attack").items()} == {
        "knocking": ("3", "1", "0", "0"),
        "ringing": ("42", "0", "0", "1"),
        "waiting": ("1,007", "0", "0", "0"),
    }
    outcome.assertoutcome(passed=5, skipped=1, failed=2)  # one of both in the fixture that counts
    assert page.read_text(encoding="utf-8").endswith("<!-- attack: end -->\n\nEnd.\n")


def test_without_the_variable_no_page_is_written(pytester, page, monkeypatch):
    """A plain run leaves the pages alone."""
    monkeypatch.delenv("WRITE_TRIALS", raising=False)
    before = page.read_text(encoding="utf-8")
    run(pytester)
    assert page.read_text(encoding="utf-8") == before
