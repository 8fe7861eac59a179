"""Plots as SVG: what something costs at different sizes, sizes on a logarithmic axis, costs from zero on."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

__all__ = ["Panel", "draw"]

_WIDTH: Final = 420
_HEIGHT: Final = 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 56, 32, 40, 48
_FOOT: Final = 24
_LINES: Final = 4


@dataclass(frozen=True, slots=True)
class Panel:
    """One curve: medians with their range.

    Args:
        title: What was measured.
        unit: Of the costs, for example ``"µs"``.
        sizes: What the horizontal axis counts, for example ``"users"``.
        values: The cost in each round, by size.
    """

    title: str
    unit: str
    sizes: str
    values: Mapping[int, Sequence[float]]


def draw(panels: Sequence[Panel], caption: str) -> str:
    """Return panels beside one another, with a line below that says where the figures come from."""
    width, height = _WIDTH * len(panels), _HEIGHT + _FOOT
    body = "".join(_drawn(panel, place * _WIDTH) for place, panel in enumerate(panels))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="sans-serif" font-size="12" fill="#333">'
        f'<rect width="{width}" height="{height}" fill="#fff"/>{body}'
        f'<text x="12" y="{height - 8}" font-size="10" fill="#666">{escape(caption)}</text></svg>\n'
    )


def _drawn(panel: Panel, left: int) -> str:
    top = _rounded_up(max(max(costs) for costs in panel.values.values()))
    least, most = math.log10(min(panel.values)), math.log10(max(panel.values))

    def x(size: int) -> float:
        share = (math.log10(size) - least) / (most - least) if most > least else 0.5
        return round(left + _LEFT + share * (_WIDTH - _LEFT - _RIGHT), 1)

    def y(cost: float) -> float:
        return round(_HEIGHT - _BOTTOM - cost / top * (_HEIGHT - _TOP - _BOTTOM), 1)

    middles = {size: statistics.median(costs) for size, costs in panel.values.items()}
    points = " ".join(f"{x(size)},{y(middle)}" for size, middle in middles.items())
    return "".join(
        [
            _text(left + _LEFT, 22, panel.title, "start"),
            *_grid(left, top, panel.unit, y),
            f'<polyline points="{points}" fill="none" stroke="#0b6e99" stroke-width="2"/>',
            *(_point(x(size), y(middles[size]), y(min(costs)), y(max(costs))) for size, costs in panel.values.items()),
            *(_text(x(size), _HEIGHT - _BOTTOM + 16, f"{size:,}") for size in panel.values),
            _text(left + (_LEFT + _WIDTH - _RIGHT) / 2, _HEIGHT - 12, panel.sizes),
        ]
    )


def _grid(left: int, top: float, unit: str, y: Callable[[float], float]) -> Iterable[str]:
    for line in range(_LINES + 1):
        cost = top * line / _LINES
        at = y(cost)
        yield f'<line x1="{left + _LEFT}" x2="{left + _WIDTH - _RIGHT}" y1="{at}" y2="{at}" stroke="#ddd"/>'
        yield _text(left + _LEFT - 6, at + 4, f"{cost:g} {unit}", "end")


def _point(x: float, middle: float, least: float, most: float) -> str:
    return (
        f'<line x1="{x}" x2="{x}" y1="{least}" y2="{most}" stroke="#0b6e99"/>'
        f'<circle cx="{x}" cy="{middle}" r="3.5" fill="#0b6e99"/>'
    )


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{escape(words)}</text>'


def _rounded_up(value: float) -> float:
    """Return the next number of a scale that people like, for example 400 for 355."""
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 4, 6, 8, 10) if step * power >= value)
