"""Regular expressions that an operator writes: accepted only when no text can keep them busy.

A backtracking matcher tries, at worst, every way in which a pattern can be laid over a text. That number is worked out
from the pattern, and a pattern with too many ways is refused before it meets a text. It is an upper bound: some
harmless patterns are refused too, and possessive repeats (``++``) or atomic groups make them acceptable.
"""

from __future__ import annotations

import re
from typing import Final

from hull_sdk.errors import InvalidArgumentError

__all__ = ["MAX_TEXT", "check_pattern"]

#: Longest text that a pattern is tried on; a longer one does not match.
MAX_TEXT: Final = 200
_MAX_PATTERN: Final = 500
_MAX_WAYS: Final = (MAX_TEXT + 1) ** 2
_COUNTED: Final = re.compile(r"\{(\d*)(,?)(\d*)\}")
_FLAGS: Final = re.compile(r"\(\?[aiLmsu]+\)")
#: What may follow an opening parenthesis without being matched itself.
_OPENING: Final = re.compile(r"\((?:\?(?:P<\w+>|<=|<!|[:=!>]|[aiLmsu-]+:))?")

#: Characters in brackets, and outside of them those after a backslash.
_SETS: Final = re.compile(r"\\.|\[\^?(\]?(?:\\.|[^\]\\])*)(?:\]|\\?\Z)", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\.", re.DOTALL)
#: What Python warns of in brackets, since it may come to mean something else there.
_DOUBTFUL: Final = re.compile(r"\[|--|&&|~~|\|\|")

#: Groups that are not tried in another way once they have matched.
_LEFT_FOR_GOOD: Final = frozenset({"(?>", "(?=", "(?!", "(?<=", "(?<!"})


def check_pattern(text: str) -> None:
    """Check a regular expression.

    Args:
        text: For example ``"[0-9]+"``.

    Raises:
        InvalidArgumentError: It is malformed, too long, or could be matched in too many ways.
    """
    if len(text) > _MAX_PATTERN:
        raise InvalidArgumentError(f"the pattern has {len(text)} characters; at most {_MAX_PATTERN} are allowed")
    if any(_DOUBTFUL.search(_ESCAPED.sub("", found[1] or "")) for found in _SETS.finditer(text)):
        raise InvalidArgumentError(
            f"{text!r} has '[', '--', '&&', '~~' or '||' within brackets, which later versions of Python may read in "
            "another way; put backslashes before them"
        )
    try:
        re.compile(text)
    except (re.error, OverflowError, RecursionError) as err:
        raise InvalidArgumentError(f"{text!r} is no regular expression: {err}") from err
    if _Scanner(text).ways() > _MAX_WAYS:
        raise InvalidArgumentError(
            f"{text!r} can be laid over a text in too many ways, which could keep the platform busy; repeat no group "
            "that has repeats or alternatives itself, use at most two open repeats, or make them possessive ('[a-z]++')"
        )


class _Scanner:
    """Counts the ways of a pattern that ``re`` has accepted."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def ways(self) -> int:
        """Return the ways of everything up to the end of the pattern or of the group."""
        total = 0
        while True:
            total = _capped(total + self._sequence())
            if not self._skip("|"):
                return total

    def _sequence(self) -> int:
        ways = 1
        while self._at < len(self._text) and self._text[self._at] not in "|)":
            ways = _capped(ways * self._repeated(self._atom()))
        return ways

    def _atom(self) -> int:
        character = self._text[self._at]
        if character == "[":
            self._class()
        elif character == "(":
            return self._group()
        else:
            self._at += 2 if character == "\\" else 1
        return 1

    def _class(self) -> None:
        self._at += 1
        self._skip("^")
        self._skip("]")
        while self._text[self._at] != "]":
            self._at += 2 if self._text[self._at] == "\\" else 1
        self._at += 1

    def _group(self) -> int:
        flags = _FLAGS.match(self._text, self._at)
        if flags is not None:
            self._at = flags.end()
            return 1
        opening = _OPENING.match(self._text, self._at)
        if opening is None or self._text.startswith("(?", self._at) is (opening[0] == "("):
            self._at = len(self._text)  # comments, conditions, verbose patterns: nobody needs them here
            return _MAX_WAYS + 1
        self._at = opening.end()
        ways = self.ways()
        self._skip(")")
        return 1 if opening[0] in _LEFT_FOR_GOOD and ways <= _MAX_WAYS else ways

    def _repeated(self, ways: int) -> int:
        bounds = self._bounds()
        if bounds is None:
            return ways
        least, most = bounds
        possessive = self._skip("+")
        if not possessive:
            self._skip("?")
        if possessive and ways == 1:
            return 1
        if ways == 1:
            return _capped(min(most, MAX_TEXT) - min(least, MAX_TEXT) + 1)
        return _capped(ways ** min(most, MAX_TEXT))

    def _bounds(self) -> tuple[int, int] | None:
        for sign, bounds in (("*", (0, MAX_TEXT)), ("+", (1, MAX_TEXT)), ("?", (0, 1))):
            if self._skip(sign):
                return bounds
        counted = _COUNTED.match(self._text, self._at)
        if counted is None or counted[0] in {"{}", "{,}"}:
            return None
        self._at = counted.end()
        least = int(counted[1] or 0)
        return least, (least if not counted[2] else int(counted[3] or MAX_TEXT))

    def _skip(self, sign: str) -> bool:
        found = self._text.startswith(sign, self._at)
        self._at += len(sign) if found else 0
        return found


def _capped(ways: int) -> int:
    return min(ways, _MAX_WAYS + 1)
