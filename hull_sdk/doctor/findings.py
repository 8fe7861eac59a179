"""What was found, and how it is shown."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, Literal

__all__ = ["Examination", "Finding", "Seen", "Verdict", "failed", "passed", "untried"]

Verdict = Literal["pass", "fail", "untried"]

_WIDTH: Final = 100


@dataclass(frozen=True, slots=True)
class Seen:
    """What a check saw.

    Args:
        verdict: ``"pass"``, ``"fail"``, or ``"untried"`` when the connector gave it nothing to look at.
        what: In words, for example ``"it answered 401"``.
    """

    verdict: Verdict
    what: str


def passed(what: str) -> Seen:
    """Return that a connector does as it should."""
    return Seen("pass", what)


def failed(what: str) -> Seen:
    """Return that it does not."""
    return Seen("fail", what)


def untried(why: str) -> Seen:
    """Return that this could not be seen, and what would help."""
    return Seen("untried", why)


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check.

    Args:
        name: For example ``"unbound-body"``.
        rule: What must hold, in a sentence.
        seen: What was seen.
        mend: How a fault is mended.
    """

    name: str
    rule: str
    seen: Seen
    mend: str

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form; ``mend`` only where there is something to mend."""
        plain = {"name": self.name, "verdict": self.seen.verdict, "rule": self.rule, "found": self.seen.what}
        return {**plain, "mend": self.mend} if self.seen.verdict == "fail" else plain

    def lines(self) -> Iterator[str]:
        """Return the lines for people."""
        yield f"{self.seen.verdict:<8} {self.name}"
        if self.seen.verdict == "pass":
            return
        yield from _wrapped("found: " if self.seen.verdict == "fail" else "because ", self.seen.what)
        if self.seen.verdict == "fail":
            yield from _wrapped("rule:  ", self.rule)
            yield from _wrapped("mend:  ", self.mend)


@dataclass(frozen=True, slots=True)
class Examination:
    """All that was found.

    Args:
        url: Address of the connector.
        organization: The organization that was played, ``host:port``.
        findings: One for each check, in order.
        elapsed_s: Seconds from start to end.
    """

    url: str
    organization: str
    findings: list[Finding]
    elapsed_s: float = 0.0

    @property
    def ok(self) -> bool:
        """``True`` when no check failed; some may be untried."""
        return not self.names("fail")

    def names(self, verdict: Verdict) -> list[str]:
        """Return the names of the checks with a verdict."""
        return [finding.name for finding in self.findings if finding.seen.verdict == verdict]

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "ok": self.ok,
            "url": self.url,
            "organization": self.organization,
            "elapsed_s": round(self.elapsed_s, 1),
            "checks": [finding.to_dict() for finding in self.findings],
        }

    def table(self) -> str:
        """Return it as text for people."""
        lines = [line for finding in self.findings for line in finding.lines()]
        words: tuple[tuple[Verdict, str], ...] = (("pass", "passed"), ("fail", "failed"), ("untried", "untried"))
        total = ", ".join(f"{len(self.names(verdict))} {word}" for verdict, word in words)
        return "\n".join([*lines, "", f"{'ok' if self.ok else 'not ok'}: {total}, in {self.elapsed_s:.0f} s"])


def _wrapped(label: str, text: str) -> list[str]:
    first = " " * 9 + label
    return textwrap.wrap(text, _WIDTH, initial_indent=first, subsequent_indent=" " * len(first))
