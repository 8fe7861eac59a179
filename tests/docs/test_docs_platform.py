"""The page of the reference platform has every sentence of the pages that describe Hull, and tests that exist.

``platform_sentences.txt`` lists the sentences by topic, number and digest, never their text; ``sentences.py`` cuts a page
into them and makes their keys.
"""

from __future__ import annotations

import re

from doc_pages import ROOT, Page, names_of_tests
from sentences import keys, sentences

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
    known = {(file, name) for file, names in names_of_tests().items() for name in names}
    named = {(match["file"], match["name"]) for row in rows() for match in SHOWN.finditer(row["shown"])}
    assert len(named) > 5
    assert named - known == set()


PAGE = """
A page   of two lines. It is short, e.g. For a test!


• A point (e.g. One) is made
2. A second one is 3.5 high. so it goes on
1.
   After it
> Header: 1
  "key": {
    "other": 1

  // First a comment
  // {
  go({});
Then “text” again? “Yes.”
"""


def test_a_page_is_cut_into_its_sentences_and_examples():
    """Lines, points and ends of sentences cut; examples stay whole, but for comments that begin as sentences do."""
    assert list(sentences(PAGE)) == [
        "A page   of two lines.",
        "It is short, e.g. For a test!",
        "A point (e.g. One) is made",
        "A second one is 3.5 high. so it goes on",
        "After it",
        '> Header: 1\n"key": {\n"other": 1',
        "// First a comment",
        "// {\ngo({});",
        "Then “text” again?",
        "“Yes.”",
    ]


def test_a_key_names_page_number_and_digest():
    """A sentence that changes, moves or vanishes has another key."""
    assert keys("007", "One.\nTwo.") == ["007 1 70277bfc", "007 2 1eb32d1e"]
    assert keys("007", "Two. One.")[0] == "007 1 1eb32d1e"
