"""Cuts a page of text into its sentences and names each by number and digest.

``python tests/docs/sentences.py 004 PAGE.txt`` prints the lines of ``platform_sentences.txt`` for a page. The rules:

- Each line is one block, without blanks at its ends and without the bullet or the number of a list at its start; lines
  that are empty then are left out.
- The lines of an example (JSON, headers, code) in a row are one block, joined by line breaks. An example's line begins
  with ``>``, ``"``, a closing brace or ``//``, or it has no bullet and ends with ``;``, ``,``, ``{`` or ``{}``. A comment
  that begins with a capital letter stands by itself.
- A block ends a sentence, and so does a full stop, question mark or exclamation mark, other than that of "e.g.", which
  blanks and a capital letter or an opening quotation mark follow. An example is not cut.
- The digest is the first 8 hexadecimal digits of the SHA-256 of the sentence in UTF-8.
"""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

_BULLET = re.compile(r"(?:•|\d+\.(?=\s|$))\s*")
_CODE = re.compile(r'[>"}]|//|.*(?:[;,{]|\{\})$')
_COMMENT = re.compile(r"//\s*[A-Z]")
_END = re.compile(r"(?<=[.?!])(?<!e\.g\.)\s+(?=[A-Z\"\u201c\u2018])")


def keys(topic: str, text: str) -> list[str]:
    """Return a page's keys, for example ``["004 1 b440dc40", ...]``."""
    found = enumerate(sentences(text), 1)
    return [f"{topic} {number} {hashlib.sha256(each.encode()).hexdigest()[:8]}" for number, each in found]


def sentences(text: str) -> Iterator[str]:
    """Yield the sentences of a page."""
    lines = [line.strip() for line in text.splitlines()]
    for is_code, blocks in groupby(filter(None, lines), lambda line: _CODE.match(line) is not None):
        cut = _examples if is_code else _prose
        yield from cut(blocks)


def _prose(blocks: Iterable[str]) -> Iterator[str]:
    for block in blocks:
        yield from filter(None, _END.split(_BULLET.sub("", block, count=1)))


def _examples(lines: Iterable[str]) -> Iterator[str]:
    for is_comment, group in groupby(lines, lambda line: _COMMENT.match(line) is not None):
        found = list(group)
        yield from found if is_comment else ["\n".join(found)]


if __name__ == "__main__":
    print("\n".join(keys(sys.argv[1], Path(sys.argv[2]).read_text(encoding="utf-8"))))  # noqa: T201
