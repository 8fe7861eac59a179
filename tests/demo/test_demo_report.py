"""The comparison finds every difference, and the table shows every figure."""

from __future__ import annotations

import copy

from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core import json
from hull_sdk.demo.dataset import load
from hull_sdk.demo.fold import fold
from hull_sdk.demo.report import Difference, Report, differences

FIGURES = fold(load())


def report(figures=FIGURES, expected=FIGURES):
    """Return a report of a run that came to these figures."""
    return Report(
        mode="virtual",
        sent=878,
        figures=figures,
        expected=expected,
        notifications={"user:update": 41, "account:update": 7},
        deliveries=50,
        writes=200,
        elapsed_s=3.14,
    )


def paths(tree, path=()):
    """Return the path of every leaf."""
    if not isinstance(tree, dict):
        return [path]
    return [leaf for key, value in tree.items() for leaf in paths(value, (*path, key))]


LEAVES = paths(FIGURES)


def test_equal_figures_are_ok():
    """A run that agrees is ok and says so."""
    assert report().ok
    assert report().table().endswith("ok: every figure agrees with a calculation that knows nothing of the platform")


@given(st.sampled_from(LEAVES))
def test_any_single_wrong_figure_is_found(path):
    """Whatever one figure is wrong, it is named."""
    wrong = copy.deepcopy(FIGURES)
    place = wrong
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = "wrong"
    found = differences(FIGURES, wrong)
    assert [each.figure for each in found] == [" / ".join(path)]
    assert not report(wrong).ok


def test_what_only_one_side_has_is_a_difference():
    """A missing and an unexpected figure are both told."""
    found = differences({"a": {"x": 1}}, {"b": 2})
    assert found == [Difference("a", {"x": 1}, "nothing"), Difference("b", "nothing", 2)]


def test_says_which_figures_differ():
    """The verdict names figure, expectation and finding."""
    text = report({**FIGURES, "users": 3}).table()
    assert "not ok: 1 figure differs" in text
    assert f"users: expected {FIGURES['users']}, the platform has 3" in text


def test_a_long_list_of_differences_is_cut():
    """Only the first twenty are printed; the JSON has them all."""
    empty = {**FIGURES, "written": {"users": {}, "accounts": {}}}
    verdict = report(empty).verdict()
    assert "more; --json lists them all" in verdict
    assert len(report(empty).to_dict()["differences"]) == len(FIGURES["written"]["users"]) + 12


def test_the_table_shows_every_figure():
    """Messages, users, accounts, segments, notifications, traits, dead letters and time are there."""
    table = report().table()
    for word in ("Messages in", "Users after merging", "Accounts after merging", "Events", "Qualified leads", "entered", "left",
                 "user:update", "account:update", "Traits written back", "Dead letters", "Elapsed", "3.1 s"):  # fmt: skip
        assert word in table
    assert all(line == line.rstrip() for line in table.splitlines())


def test_the_json_form_is_plain_data():
    """It can be encoded, and holds figures, expectation and verdict."""
    value = json.loads(json.dumps(report().to_dict()))
    assert value["ok"] is True
    assert value["users"] == value["expected"]["users"] == FIGURES["users"]
    assert value["notifications"] == {"user:update": 41, "account:update": 7}
