"""What a run came to: the figures, their comparison with the calculation, and how both are shown."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

__all__ = ["Difference", "Report", "differences"]

_ABSENT = "nothing"
_SHOWN_DIFFERENCES = 20


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure on which the run and the calculation do not agree.

    Args:
        figure: Where it stands, for example ``"segments / Qualified leads / entered"``.
        expected: What the calculation says.
        actual: What the platform holds.
    """

    figure: str
    expected: Any
    actual: Any

    def __str__(self) -> str:
        return f"{self.figure}: expected {self.expected!r}, the platform has {self.actual!r}"

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {"figure": self.figure, "expected": self.expected, "actual": self.actual}


def differences(expected: Mapping[str, Any], actual: Mapping[str, Any], where: str = "") -> list[Difference]:
    """Compare two trees of figures.

    Args:
        expected: For example ``{"users": 67, "segments": {"Qualified leads": {"entered": 25, "left": 6}}}``.
        actual: Another of the same form.
        where: What the figures' names begin with.

    Returns:
        Every leaf that differs or that only one of the two has, in the order of ``expected``.
    """
    found = []
    for name in dict.fromkeys([*expected, *actual]):
        figure = f"{where} / {name}" if where else name
        left, right = expected.get(name, _ABSENT), actual.get(name, _ABSENT)
        if isinstance(left, Mapping) and isinstance(right, Mapping):
            found += differences(left, right, figure)
        elif left != right:
            found.append(Difference(figure, left, right))
    return found


@dataclass(frozen=True, kw_only=True)
class Report:
    """The outcome of a run.

    Args:
        mode: ``"http"`` or ``"virtual"``.
        sent: Messages that were sent.
        figures: What the platform holds, in the form of :func:`hull_sdk.demo.fold.fold`.
        expected: What the calculation says.
        notifications: Delivered notifications by channel; they depend on timing and are not compared.
        deliveries: Tries to deliver a notification, repeated ones included; not compared either.
        writes: Messages in which the connector wrote attributes back; not compared either.
        elapsed_s: Real seconds from start to end.
    """

    mode: str
    sent: int
    figures: Mapping[str, Any]
    expected: Mapping[str, Any]
    notifications: Mapping[str, int] = field(default_factory=dict)
    deliveries: int = 0
    writes: int = 0
    elapsed_s: float = 0.0

    @property
    def differences(self) -> list[Difference]:
        """Where the platform and the calculation do not agree."""
        return differences(self.expected, self.figures)

    @property
    def ok(self) -> bool:
        """``True`` when every compared figure agrees."""
        return not self.differences

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON form: the figures at the top level, ``expected`` and ``differences`` beside them."""
        return {
            "ok": self.ok,
            "mode": self.mode,
            "elapsed_s": round(self.elapsed_s, 2),
            "messages_sent": self.sent,
            **self.figures,
            "notifications": dict(self.notifications),
            "deliveries": self.deliveries,
            "writes": self.writes,
            "expected": dict(self.expected),
            "differences": [difference.to_dict() for difference in self.differences],
        }

    def table(self) -> str:
        """Return the figures as text for people."""
        return "\n".join(_aligned(self._rows())) + "\n\n" + self.verdict()

    def verdict(self) -> str:
        """Return whether the figures agree, and where they do not."""
        found = self.differences
        if not found:
            return "ok: every figure agrees with a calculation that knows nothing of the platform"
        lines = [f"not ok: {len(found)} {_plural(len(found), 'figure differs', 'figures differ')}"]
        lines += [f"  {difference}" for difference in found[:_SHOWN_DIFFERENCES]]
        if len(found) > _SHOWN_DIFFERENCES:
            lines.append(f"  ... and {len(found) - _SHOWN_DIFFERENCES} more; --json lists them all")
        return "\n".join(lines)

    def _rows(self) -> Iterator[tuple[str, ...]]:
        figures = self.figures
        messages, written = figures["messages"], figures["written"]
        yield "Messages in", str(self.sent)
        yield "  applied", str(messages["applied"])
        yield "  of them, merging people or companies", str(messages["merged"])
        yield "  ignored, with a reason in the logs", str(messages["ignored"])
        yield "Users after merging", str(figures["users"])
        yield "Accounts after merging", str(figures["accounts"])
        yield "Events", str(figures["events"])
        yield "Segments", "entered", "left"
        for name, counts in figures["segments"].items():
            yield f"  {name}", str(counts["entered"]), f"{counts['left']:>4}"
        yield "Notifications delivered", str(sum(self.notifications.values()))
        for channel, count in self.notifications.items():
            yield f"  {channel}", str(count)
        yield "Traits written back", str(_leaves(written)), f"in {self.writes} messages"
        for kind, entities in written.items():
            yield f"  on {kind}", str(_leaves(entities)), f"{len(entities)} {kind}"
        yield "Dead letters", str(figures["dead_letters"])
        yield "Elapsed", f"{self.elapsed_s:.1f} s"


def _leaves(written: Any) -> int:
    return sum(map(_leaves, written.values())) if isinstance(written, Mapping) else 1


def _plural(count: int, one: str, many: str) -> str:
    return one if count == 1 else many


def _aligned(rows: Iterator[tuple[str, ...]]) -> list[str]:
    table = [(*row, "", "")[:3] for row in rows]
    name, figure = (max(len(row[column]) for row in table) for column in (0, 1))
    return [f"{left:<{name}}  {middle:>{figure}}  {right}".rstrip() for left, middle, right in table]
