"""The site: every public module has its page, and every page its place in the contents."""

from __future__ import annotations

import re

import pytest
from doc_pages import ROOT

SURFACE = (ROOT / "tests/public_surface.txt").read_text(encoding="utf-8")
MODULES = re.findall(r"^\[(.+)\]$", SURFACE, re.MULTILINE)
CONTENTS = sorted((ROOT / "docs").rglob("index.md"))
ENTRY = re.compile(r"```\{toctree\}\n(?P<body>.*?)```", re.DOTALL)


def listed() -> set[str]:
    """Return the pages that some table of contents lists, by their path below docs."""
    found = set()
    for page in CONTENTS:
        folder = page.parent
        for body in ENTRY.findall(page.read_text(encoding="utf-8")):
            for entry in (line for line in body.splitlines() if line and not line.startswith(":")):
                found |= {str(path.relative_to(ROOT / "docs")) for path in folder.glob(f"{entry}.md")}
    return found


@pytest.mark.parametrize("module", MODULES)
def test_every_public_module_has_its_page(module):
    """The reference has a page for each public module, made from its docstrings, and lists it."""
    page = (ROOT / f"docs/api/{module}.md").read_text(encoding="utf-8")
    assert f".. automodule:: {module}\n" in page
    assert f"api/{module}.md" in listed()


def test_every_page_is_in_the_contents():
    """No page is left out of the site's contents."""
    pages = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert sorted(pages - listed() - {"index.md"}) == []
