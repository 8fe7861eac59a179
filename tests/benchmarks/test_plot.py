"""Plots: sizes on a logarithmic axis, costs from zero on."""

from __future__ import annotations

from xml.etree import ElementTree as ET

from plot import Panel, draw

SVG = "{http://www.w3.org/2000/svg}"


def drawn(*panels, caption="today"):
    """Return the elements of a plot by their names."""
    root = ET.fromstring(draw(panels, caption))
    return {name: list(root.iter(SVG + name)) for name in ("text", "circle", "line", "polyline")}


def test_medians_stand_at_their_sizes():
    """Each tenfold size is one step to the right, and twice the cost is twice as high; a bar goes from least to most."""
    found = drawn(Panel("Cost", "µs", "users", {1_000: [1.0, 2.0, 9.0], 10_000: [4.0], 100_000: [8.0]}))
    points = [(float(each.get("cx")), float(each.get("cy"))) for each in found["circle"]]
    (left, _), (middle, _), (right, _) = points
    assert right - middle == middle - left > 50
    zero = max(float(line.get("y1")) for line in found["line"] if line.get("x1") != line.get("x2"))
    heights = [zero - y for _, y in points]
    assert [round(height / heights[0], 1) for height in heights] == [1, 2, 4]
    bar = next(line for line in found["line"] if line.get("x1") == line.get("x2"))
    assert round((zero - float(bar.get("y2"))) / (zero - float(bar.get("y1"))), 1) == 9


def test_a_plot_says_what_it_shows():
    """Title, sizes, unit and where the figures come from are written in it, also with characters of markup."""
    words = [each.text for each in drawn(Panel("a < b", "µs", "segments", {1: [355.0]}), caption="x & y")["text"]]
    assert {"a < b", "segments", "1", "400 µs", "0 µs", "x & y"} <= set(words)
