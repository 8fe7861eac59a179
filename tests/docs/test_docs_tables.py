"""Tables that the code writes into the pages: ``WRITE_DOCS=1 python -m pytest tests/docs`` writes them anew."""

from __future__ import annotations

import os
import re

from doc_pages import ROOT

from hull_sdk.outcomes import OUTCOMES, outcomes_table

PAGE = ROOT / "docs" / "connector.md"
OUTCOMES_BLOCK = re.compile(r"(?<=<!-- outcomes: begin -->\n).*?(?=<!-- outcomes: end -->)", re.DOTALL)


def test_the_table_of_outcomes_is_the_one_that_decides():
    """The page shows the table as the code has it, with a row for each class of errors."""
    if os.environ.get("WRITE_DOCS"):
        PAGE.write_text(
            OUTCOMES_BLOCK.sub(lambda _: outcomes_table(), PAGE.read_text(encoding="utf-8")), encoding="utf-8"
        )
    assert OUTCOMES_BLOCK.findall(PAGE.read_text(encoding="utf-8")) == [outcomes_table()]
    assert len(outcomes_table().splitlines()) == len(OUTCOMES) + 4
