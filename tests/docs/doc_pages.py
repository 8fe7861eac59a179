"""Reads the pages: their code blocks, links and headings."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sybil.document import Document
from sybil.parsers.markdown.lexers import RawFencedCodeBlockLexer

ROOT = Path(__file__).parents[2]
PAGES = ["README.md", *sorted(str(page.relative_to(ROOT)) for page in (ROOT / "docs").rglob("*.md"))]

_INFO = re.compile(r"(?P<info>[^\n]*)\n")
_SAVED_AS = re.compile(r"[Ss]ave this as `(?P<name>[\w./-]+)`(?:(?!\n\n).)*\s*\Z", re.DOTALL)
_HEADING = re.compile(r"^#{1,6} +(?P<title>.+?)\s*$", re.MULTILINE)


def names_of_tests() -> dict[str, set[str]]:
    """Return the names of the functions and cases of all test files, by the file's name, without running any."""
    folders = (ROOT / "tests", ROOT / "examples")
    return {path.stem: _names_in(path) for folder in folders for path in folder.rglob("test_*.py")}


def _names_in(path: Path) -> set[str]:
    return {node.name for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if hasattr(node, "name")}


@dataclass(frozen=True)
class Block:
    """A fenced code block: its language, its other marks, its text, and the file it is to be saved as."""

    language: str
    marks: tuple[str, ...]
    source: str
    line: int
    saved_as: str | None


class Page:
    """One page of the documentation."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.path = ROOT / name
        self.document = Document.parse(str(self.path))

    @property
    def blocks(self) -> list[Block]:
        """The code blocks in their order."""
        return list(self._blocks())

    @property
    def prose(self) -> str:
        """The page without its code blocks."""
        text, end = "", 0
        for region in RawFencedCodeBlockLexer(_INFO)(self.document):
            text += self.document.text[end : region.start]
            end = region.end
        return text + self.document.text[end:]

    @property
    def headings(self) -> set[str]:
        """The titles of its sections."""
        return {match["title"] for match in _HEADING.finditer(self.prose)}

    def _blocks(self) -> Iterator[Block]:
        before = 0
        for region in RawFencedCodeBlockLexer(_INFO)(self.document):
            language, *marks = region.lexemes["info"].split() or [""]
            saved = _SAVED_AS.search(self.document.text[before : region.start])
            line = self.document.text.count("\n", 0, region.start) + 2
            name = saved["name"] if saved else None
            yield Block(language, tuple(marks), str(region.lexemes["source"]), line, name)
            before = region.end
