"""The page of the reference platform has every sentence of the pages that describe Hull, and tests that exist.

``platform_sentences.txt`` lists the sentences by topic, number and the first 8 hexadecimal digits of the SHA-256 of their
text in UTF-8. They are cut like this: each line of the page is one block, without blanks at its ends and without the bullet
at its start; empty lines are left out; a block ends a sentence, and so does a full stop, question mark or exclamation
mark that blanks and a capital letter or an opening quotation mark follow.
"""

from __future__ import annotations

import ast
import re

from doc_pages import ROOT, Page

KEYS = ROOT / "tests/docs/platform_sentences.txt"
ROW = re.compile(
    r"^\| (?P<topic>\d{3})\.(?P<number>\d+) `(?P<digest>[0-9a-f]{8})` \| (?P<told>.+) \| (?P<shown>.+) \|$",
    re.MULTILINE,
)
SHOWN = re.compile(r"`(?P<file>test_\w+)::(?P<name>test_\w+)`")


def rows():
    """Return the rows of the page."""
    return list(ROW.finditer(Page("docs/platform.md").prose))


def test_every_sentence_stands_on_the_page_in_order():
    """None is missing, none was added, and none was changed unseen."""
    found = [f"{row['topic']} {row['number']} {row['digest']}" for row in rows()]
    assert found == KEYS.read_text(encoding="utf-8").splitlines()


def test_every_sentence_has_its_tests_or_a_reason():
    """What stands last in a row is one or the other."""
    assert [row[0] for row in rows() if SHOWN.search(row["shown"]) is None and len(row["shown"]) < 5] == []


def test_the_tests_on_the_page_exist():
    """A test that was renamed or removed is missed here."""
    known = {
        (path.stem, node.name)
        for path in (ROOT / "tests").rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    named = {(match["file"], match["name"]) for row in rows() for match in SHOWN.finditer(row["shown"])}
    assert len(named) > 5
    assert named - known == set()
