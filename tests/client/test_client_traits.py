"""Grouping and normalizing attributes."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.client import group_traits, normalize_traits


@pytest.mark.shows("Client.utils.groupTraits", "Client.utils.traits.group")
def test_a_report_becomes_nested_groups(client):
    """traits_x goes under traits, a/b under a, the rest stays."""
    report = {
        "id": "1",
        "email": "a@b.test",
        "traits_plan": "pro",
        "traits_crm/stage": "won",
        "crm/deals/0": 3,
        "traits_list/0": "zero",
    }
    assert client.utils.traits.group(report) == {
        "id": "1",
        "email": "a@b.test",
        "traits": {"plan": "pro"},
        "crm": {"stage": "won", "deals": {"0": 3}},
        "list": {"0": "zero"},
    }


def test_traits_is_always_there():
    """An empty report has an empty group."""
    assert group_traits({}) == {"traits": {}}


def test_a_group_wins_over_a_value_of_its_name():
    """In either order, and a JSON value keeps its own keys beside the group's."""
    assert group_traits({"a": 1, "a/b": 2}) == group_traits({"a/b": 2, "a": 1}) == {"traits": {}, "a": {"b": 2}}
    assert group_traits({"a": {"x": 1}, "a/b": 2})["a"] == {"x": 1, "b": 2}
    assert group_traits({"a/b": 2, "a": {"x": 1, "b": 9}})["a"] == {"x": 1, "b": 2}


NAMES = st.text("ab/_", min_size=1, max_size=5) | st.sampled_from(["traits_a", "traits_a/b", "traits"])


@given(
    st.dictionaries(
        NAMES, st.integers() | st.dictionaries(st.text("ab", max_size=1), st.integers(), max_size=2), max_size=6
    )
)
def test_grouping_never_changes_the_report(report):
    """Any report can be grouped, and stays as it was."""
    before = copy.deepcopy(report)
    assert isinstance(group_traits(report)["traits"], dict)
    assert report == before


@pytest.mark.shows("Client.utils.traits.normalize")
def test_everything_becomes_an_operation(client):
    """Plain values, lists and JSON objects are set; operations stay; nothing is changed in place."""
    attributes = {
        "plan": "pro",
        "none": None,
        "tags": ["a"],
        "wrapped": {"value": 1},
        "json": {"value": 1, "unit": "m"},
        "n": {"operation": "inc", "value": 2},
    }
    before = copy.deepcopy(attributes)
    assert client.utils.traits.normalize(attributes) == {
        "plan": {"operation": "set", "value": "pro"},
        "none": {"operation": "set", "value": None},
        "tags": {"operation": "set", "value": ["a"]},
        "wrapped": {"operation": "set", "value": 1},
        "json": {"operation": "set", "value": {"value": 1, "unit": "m"}},
        "n": {"operation": "inc", "value": 2},
    }
    assert attributes == before
    assert normalize_traits(normalize_traits(attributes)) == normalize_traits(attributes)
