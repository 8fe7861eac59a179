"""Segments are asked only when something changed that they look at, and decide as if they were always asked."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ingestion_kit import Bench

from hull_sdk.platform import segments as segments_module

#: Everything a query may look at, but for events and dates that move by themselves: these are always asked.
QUERIES = {
    "pros": {"term": {"traits_plan.raw": "pro"}},
    "no plan": {"missing": {"field": "traits_plan"}},
    "many seats": {"range": {"traits_seats": {"gte": 3}}},
    "at acme": {"term": {"account.domain": "acme.test"}},
    "rich": {"range": {"account.revenue": {"gt": 10}}},
    "of a large account": {"not": {"filter": {"missing": {"field": "account.segment_ids"}}}},
    "seen": {"exists": {"field": "last_seen_at"}},
    "known visitor": {"term": {"anonymous_ids": "a1"}},
    "with an e-mail": {"wildcard": {"email": "*@acme.test"}},
    "named": {"bool": {"should": [{"exists": {"field": "external_id"}}, {"match": {"name": "ann"}}]}},
    "by id": {"not": {"filter": {"ids": {"values": ["nobody"]}}}},
    "everybody": {},
}

PEOPLE = st.sampled_from(
    [{"external_id": "1"}, {"external_id": "2"}, {"email": "ann@acme.test"}, {"anonymous_id": "a1"},
     {"email": "ann@acme.test", "anonymous_id": "a1"}, {"external_id": "1", "email": "ann@acme.test"}]
)  # fmt: skip
ACCOUNTS = st.sampled_from(
    [None, {"domain": "acme.test"}, {"external_id": "a"}, {"domain": "acme.test", "external_id": "a"}]
)
TRAITS = st.fixed_dictionaries(
    {},
    optional={
        "plan": st.sampled_from(["pro", "free", None]),
        "seats": st.sampled_from([1, 5, "7", None, {"operation": "inc", "value": 2}]),
        "name": st.sampled_from(["Ann", "Bob", None]),
    },
)
REVENUE = st.fixed_dictionaries({"revenue": st.sampled_from([5, 50, None])})
STEPS = st.one_of(
    st.tuples(st.just("traits"), PEOPLE, ACCOUNTS, TRAITS),
    st.tuples(st.just("account"), PEOPLE, ACCOUNTS, REVENUE),
    st.tuples(st.just("track"), PEOPLE, ACCOUNTS, st.just({"event": "Seen"})),
    st.tuples(st.just("alias"), PEOPLE, ACCOUNTS, st.just({"anonymous_id": "a1"})),
    st.tuples(st.just("delete"), PEOPLE, ACCOUNTS, st.just({})),
)


def play(bench, kind, person, account, body):
    """Do one step."""
    if kind == "account":
        bench.send("traits", body, user=person, account=account, subject="account" if account else "user")
    elif kind == "delete":
        found = bench.organization.find_user(person)
        if found is not None:
            bench.organization.delete_entity("user", found.id)
    else:
        bench.send(kind, body, user=person, account=account)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(STEPS, min_size=1, max_size=12))
def test_asking_all_segments_anew_changes_nobody(steps):
    """After any messages, deciding all segments of everybody anew finds everybody where they are."""
    bench = Bench()
    for name, query in QUERIES.items():
        bench.organization.create_segment("user", name, query=query)
    bench.organization.create_segment("account", "large", query={"range": {"revenue": {"gte": 20}}})
    for step in steps:
        play(bench, *step)
        bench.runtime.tasks.sleep(1)
        assert [bench.organization._settle_all(kind, bench.runtime.clock.time()) for kind in ("account", "user")] == [
            0,
            0,
        ]


@pytest.fixture
def asked(monkeypatch):
    """The names of the segments that are asked, as they are asked."""
    found = []

    class Noting(segments_module.SegmentIndex):
        def looking_at(self, changed):
            chosen = super().looking_at(changed)
            found.extend(segment.name for segment in chosen)
            return chosen

    monkeypatch.setattr(segments_module, "SegmentIndex", Noting)
    return found


def test_only_segments_that_look_at_what_changed_are_asked(asked):
    """A message about one attribute asks the segments that name it, however many others there are."""
    bench = Bench()
    for name, query in QUERIES.items():
        bench.organization.create_segment("user", name, query=query)
    bench.traits({"external_id": "1"}, {"plan": "free", "seats": 1})
    bench.traits({"external_id": "1"}, {"seats": 5})
    assert asked == ["many seats"]
    assert "many seats" in bench.names(external_id="1")


@pytest.mark.parametrize(
    "query",
    [
        {"range": {"traits_seen_at": {"gte": "now-1d"}}},
        {"has_child": {"type": "event", "query": {"term": {"event": "Segments changed"}}}},
        {"exists": {"field": "segment_ids"}},
        {"exists": {"field": "updated_at"}},
    ],
)
def test_segments_that_more_than_a_message_decides_are_always_asked(asked, query):
    """Time, events, and what is written after segments were decided can change the answer with any message."""
    bench = Bench()
    bench.organization.create_segment("user", "restless", query=query)
    bench.traits({"external_id": "1"}, {"seats": 1})
    bench.traits({"external_id": "1"}, {"seats": 2})
    assert asked == ["restless"]


def test_a_segment_that_is_changed_is_asked_by_its_new_definition():
    """A changed segment looks at other fields from then on; a removed one is asked no more."""
    bench = Bench()
    created = bench.organization.create_segment("user", "pros", query=QUERIES["pros"])
    bench.traits({"external_id": "1"}, {"plan": "pro"})
    bench.organization.update_segment(created["id"], {"query": QUERIES["many seats"]})
    bench.traits({"external_id": "1"}, {"plan": "free"})
    assert bench.names(external_id="1") == []
    bench.traits({"external_id": "1"}, {"seats": 9})
    assert bench.names(external_id="1") == ["pros"]
    bench.organization.delete_segment(created["id"])
    bench.traits({"external_id": "1"}, {"seats": 10})
    assert bench.user(external_id="1").segment_ids == ()
