"""What README, docs and docstrings point at exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from doc_pages import ROOT

from hull_sdk.scaffold.project import project_files, project_names

LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
REPOSITORY_PATH = re.compile(
    r"`(?P<path>(?:\.ci|docs|examples|hull_sdk|tests)/[\w./-]*|[\w.-]+\.(?:md|toml)|noxfile\.py|LICENSE)`"
)
MENTION = re.compile(
    r"sections?\s+(?P<titles>\"[^\"]+\"(?:(?:,\s*|\s*,?\s+and\s+)\"[^\"]+\")*)\s+of\s+``docs/protocol\.md``"
)
TITLE = re.compile(r"\"([^\"]+)\"")
WHITESPACE = re.compile(r"\s+")
SOURCES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "hull_sdk").rglob("*.py"))


def anchor(title: str) -> str:
    """Return the anchor that a heading gets."""
    return re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")


def docstrings(path: Path) -> Iterator[str]:
    """Give every docstring of a module."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node)
            if text is not None:
                yield text


def test_relative_links_lead_to_files(page):
    """A relative link names a file of the repository, and an anchor names one of its headings."""
    for target in (match["target"] for match in LINK.finditer(page.prose)):
        if "://" in target:
            continue
        name, _, fragment = target.partition("#")
        path = page.path if name == "" else (page.path.parent / name).resolve()
        assert path.exists(), f"{page.name} links to {target}, which does not exist"
        if fragment:
            headings = re.findall(r"^#+ +(.+?)\s*$", path.read_text(encoding="utf-8"), re.MULTILINE)
            assert fragment in {anchor(title) for title in headings}, f"{page.name}: no heading for {target}"


def test_named_paths_exist(page):
    """A path that a page names in backticks exists: in the repository, in the new connector, or saved by the reader."""
    saved = {block.saved_as for block in page.blocks}
    begun = project_files(project_names("acme-crm")) if page.name == "docs/tutorial.md" else {}
    named = {match["path"] for match in REPOSITORY_PATH.finditer(page.prose)} - saved - begun.keys()
    assert sorted(path for path in named if not (ROOT / path).exists()) == []


@pytest.mark.parametrize("source", SOURCES)
def test_docstrings_cite_sections_that_exist(source, protocol):
    """A docstring that cites a section of the protocol's page names one of its headings."""
    cited = [
        title
        for text in docstrings(ROOT / source)
        for mention in MENTION.finditer(WHITESPACE.sub(" ", text))
        for title in TITLE.findall(mention["titles"])
    ]
    assert [title for title in cited if title not in protocol.headings] == []


@pytest.mark.parametrize("source", SOURCES)
def test_mentions_of_the_protocol_are_checked(source):
    """A docstring mentions the protocol's page only in the form that names sections, so that all are checked."""
    for text in docstrings(ROOT / source):
        flat = WHITESPACE.sub(" ", text)
        assert flat.count("docs/protocol.md") == len(MENTION.findall(flat)), f"{source}: {flat[:120]}"
