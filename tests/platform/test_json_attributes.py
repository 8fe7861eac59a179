"""Attributes whose values are objects or lists of objects, and what cannot be done with them."""

from __future__ import annotations

import pytest
from ingestion_kit import Bench

from hull_sdk.platform.attribute_lists import attribute_tree

ANN = {"external_id": "1"}


@pytest.fixture
def bench():
    """Return an empty organization."""
    return Bench()


def value_of(bench, name):
    """Return the stored value of an attribute."""
    return bench.user(**ANN).attributes.get(name)


def test_users_and_accounts_have_objects_and_lists_of_objects(bench):
    """They are kept, reported and told as they were written."""
    body = {"raw": {"a": {"b": [1, {"c": None}]}}, "cards": [{"last4": "4242"}, {"last4": "1111"}]}
    bench.traits(ANN, body)
    bench.account_traits(ANN, body)
    for kind, prefix in (("user", "traits_"), ("account", "")):
        report = next(change.after.report for change in bench.changes if change.kind == kind)
        assert {name: report[prefix + name] for name in body} == body
        assert bench.organization.schema(kind)["cards"]["type"] == "json"


def test_a_list_whose_first_value_is_empty_is_one_of_texts(bench):
    """The format of the first value stays: objects are no texts then, and an empty list stays one of objects."""
    bench.traits(ANN, {"early": [], "late": [{"foo": "bar"}]})
    bench.traits(ANN, {"early": [{"foo": "bar"}], "late": []})
    types = {name: entry["type"] for name, entry in bench.organization.schema("user").items()}
    assert (types["early"], types["late"]) == ("array", "json")
    assert (value_of(bench, "early"), value_of(bench, "late")) == (None, [])
    bench.traits(ANN, {"early": ["a"], "late": [{"foo": "baz"}]})
    assert (value_of(bench, "early"), value_of(bench, "late")) == (["a"], [{"foo": "baz"}])


def test_lists_and_objects_are_replaced_whole(bench):
    """Neither keys nor elements are merged into what is there."""
    bench.traits(ANN, {"foo": ["a", "b"], "bar": {"earth": "mars"}, "cards": [{"n": 1}]})
    bench.traits(ANN, {"foo": ["c"], "bar": {"bar": "bat"}, "cards": [{"n": 2}]})
    assert (value_of(bench, "foo"), value_of(bench, "bar")) == (["c"], {"bar": "bat"})
    assert value_of(bench, "cards") == [{"n": 2}]


@pytest.mark.parametrize(
    "query",
    [
        {"exists": {"field": "traits_raw"}},
        {"exists": {"field": "traits_raw.plan"}},
        {"term": {"traits_raw.plan.raw": "pro"}},
        {"term": {"traits_raw": "pro"}},
        {"term": {"traits_cards.plan.raw": "pro"}},
    ],
)
def test_no_segment_looks_into_objects(bench, query):
    """They can be chosen in the tree of attributes, and no clause finds them; a text of their own is found."""
    bench.organization.create_segment("user", "Within", query=query)
    bench.organization.create_segment("user", "Lifted", query={"term": {"traits_plan.raw": "pro"}})
    bench.traits(ANN, {"raw": {"plan": "pro"}, "cards": [{"plan": "pro"}], "plan": "pro"})
    assert bench.names(**ANN) == ["Lifted"]
    schemas = {kind: bench.organization.schema(kind) for kind in ("user", "account")}
    traits = next(group for group in attribute_tree("user", schemas)["tree"] if group["text"] == "Traits")
    assert {"id": "traits_raw", "text": "raw", "type": "json"} in traits["children"]


def test_operations_know_whole_objects_only(bench):
    """Setting and filling a gap work; counting is refused and leaves the object as it is."""
    bench.traits(ANN, {"raw": {"operation": "setIfNull", "value": {"a": 1}}})
    bench.traits(ANN, {"raw": {"operation": "setIfNull", "value": {"b": 1}}})
    record = bench.traits(ANN, {"raw": {"operation": "inc", "value": 1}})
    assert value_of(bench, "raw") == {"a": 1}
    assert "needs a number" in record.notes[0]
    bench.traits(ANN, {"raw": {"operation": "set", "value": {"b": 1}}})
    assert value_of(bench, "raw") == {"b": 1}


def test_they_can_be_switched_off():
    """Then objects and lists with objects are ignored and noted, and everything else is written."""
    bench = Bench(json_attributes=False)
    record = bench.traits(ANN, {"raw": {"a": 1}, "cards": [{"a": 1}], "mixed": ["a", {}], "tags": ["a"], "n": 1})
    assert (record.state, len(record.notes)) == ("applied", 3)
    assert {"tags": ["a"], "n": 1}.items() <= bench.user(**ANN).attributes.items()
    assert set(bench.organization.schema("user")) == {"created_at", "tags", "n"}
    bench.traits(ANN, {"n": {"operation": "inc", "value": 2}})
    assert value_of(bench, "n") == 3
