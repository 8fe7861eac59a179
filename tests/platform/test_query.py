"""The query language, clause by clause, and predicates compiled to it."""

import time
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.dates import parse_bound
from hull_sdk.platform.fields import Document
from hull_sdk.platform.predicate import OPERATORS, compile_predicate
from hull_sdk.platform.query import CLAUSES, compile_query

NOW = datetime(2024, 3, 31, 12, 0, tzinfo=UTC)
REPORT = {
    "id": "u1",
    "external_id": "42",
    "email": "ann@acme.test",
    "domain": "acme.test",
    "anonymous_ids": ["a1", "shop:7"],
    "segment_ids": ["s1"],
    "name": "Ann Lee-Smith",
    "traits_plan": "Pro Plus",
    "traits_salesforce/status": "Open",
    "traits_seats": 12,
    "traits_score": 0,
    "traits_paying": True,
    "traits_tags": ["VIP", "early bird"],
    "traits_none": None,
    "traits_empty": [],
    "traits_renewed_at": "2024-03-20T00:00:00Z",
    "account": {"domain": "acme.test", "name": "Acme", "employees": 50},
}
EVENTS = [
    {
        "event_id": "e1",
        "event": "Ordered",
        "created_at": "2024-03-30T00:00:00Z",
        "event_source": "shop",
        "properties": {"sku": "A1", "amount": 10},
        "context": {
            "ip": "203.0.113.9",
            "days_since_signup": 3,
            "page": {"url": "https://acme.test/Pricing", "host": "acme.test"},
            "referrer": {"host": "news.test", "campaign": {"source": "mail"}},
        },
    },
    {
        "event_id": "e2",
        "event": "Ordered",
        "created_at": "2024-01-01T00:00:00Z",
        "event_source": "shop",
        "properties": {"sku": "B2", "amount": 90},
    },
    {"event_id": "e3", "event": "Page", "created_at": "2024-03-31T00:00:00Z", "event_source": None, "properties": {}},
]


def matches(query, fields=None, events=EVENTS, now=NOW):
    """Tell whether a query matches the document."""
    return compile_query(query).matches(Document(REPORT if fields is None else fields, lambda: events, now))


def child(query):
    """Return a query for those with such an event."""
    return {"has_child": {"type": "event", "query": query}}


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"match_all": {}},
        {"term": {"traits_plan.raw": "Pro Plus"}},
        {"term": {"traits_plan.exact": "pro plus"}},
        {"term": {"traits_plan": "pro"}},
        {"term": {"traits_plan": {"value": "plus"}}},
        {"term": {"email": "ann@acme.test"}},
        {"term": {"traits_salesforce/status.raw": "Open"}},
        {"term": {"traits_seats": 12}},
        {"term": {"traits_seats.raw": "12"}},
        {"term": {"traits_paying": True}},
        {"term": {"traits_paying.raw": "true"}},
        {"term": {"anonymous_ids.raw": "shop:7"}},
        {"term": {"account.name.exact": "acme"}},
        {"terms": {"segment_ids": ["s9", "s1"]}},
        {"terms": {"traits_tags.raw": ["VIP"]}},
        {"range": {"traits_seats": {"gt": 11, "lte": 12}}},
        {"range": {"traits_score": {"gte": 0}}},
        {"range": {"account.employees": {"lt": 51}}},
        {"range": {"traits_renewed_at": {"gte": "now-30d", "lt": "now"}}},
        {"range": {"traits_renewed_at": {"gte": "2024-03-20", "lte": "2024-03-20"}}},
        {"range": {"name.raw": {"gte": "A", "lt": "B"}}},
        {"exists": {"field": "traits_score"}},
        {"missing": {"field": "traits_none"}},
        {"missing": {"field": "traits_empty"}},
        {"missing": {"field": "account.plan"}},
        {"prefix": {"traits_plan": "pl"}},
        {"prefix": {"traits_plan.raw": "Pro P"}},
        {"wildcard": {"email": "*@acme.t?st"}},
        {"wildcard": {"name.exact": "ann*smith"}},
        {"wildcard": {"name.exact": "*n*e-*th"}},
        {"wildcard": {"name.exact": "ann*?smith*"}},
        {"match": {"name": "smith jones"}},
        {"match": {"name": {"query": "ann smith", "operator": "and"}}},
        {"match_phrase": {"name": "lee smith"}},
        {"ids": {"values": ["u1"]}},
        {"and": [{"match_all": {}}, {"exists": {"field": "email"}}]},
        {"and": {"filters": [{"match_all": {}}]}},
        {"or": {"filters": [{"ids": {"values": []}}, {"match_all": {}}]}},
        {"not": {"filter": {"exists": {"field": "phone"}}}},
        {"not": {"ids": {"values": ["u2"]}}},
        {"constant_score": {"query": {"match_all": {}}, "filter": {"exists": {"field": "email"}}}},
        {"filtered": {"query": {"match_all": {}}, "filter": {"term": {"id": "u1"}}}},
        {"bool": {"must": {"term": {"id": "u1"}}, "must_not": [{"term": {"id": "u2"}}]}},
        {"bool": {"should": [{"term": {"id": "u1"}}, {"term": {"id": "u2"}}]}},
        {"bool": {"filter": [{"match_all": {}}], "should": [{"term": {"id": "u2"}}]}},
        {"bool": {}},
        {"has_child": {"type": "event", "query": {"term": {"event": "Ordered"}}}},
        {"has_child": {"type": "event", "query": {"term": {"event": "Ordered"}}, "min_children": 2}},
        {"has_child": {"type": "event", "filter": {"range": {"properties.amount": {"gt": 50}}}}},
        {"has_child": {"type": "event", "query": {"term": {"props.sku.raw": "A1"}}, "max_children": 1}},
        {"has_child": {"type": "event", "query": {"term": {"source": "shop"}}}},
        child({"term": {"context.page_host": "acme.test"}}),
        child({"term": {"context.page.host": "acme.test"}}),
        child({"term": {"context.page_url.exact": "https://acme.test/pricing"}}),
        child({"term": {"context.referrer_campaign_source": "mail"}}),
        child({"range": {"context.days_since_signup": {"lte": 3}}}),
        child({"exists": {"field": "context.ip"}}),
    ],
)
def test_these_match(query):
    """Each clause finds what it is meant to find."""
    assert matches(query)


@pytest.mark.parametrize(
    "query",
    [
        {"term": {"traits_plan.raw": "pro plus"}},
        {"term": {"traits_plan.exact": "pro"}},
        {"term": {"traits_plan": "gold"}},
        {"term": {"external_id": "4"}},
        {"term": {"traits_paying": "yes"}},
        {"term": {"traits_score": False}},
        {"terms": {"traits_tags.raw": ["vip"]}},
        {"terms": {"id": []}},
        {"range": {"traits_seats": {"gt": 12}}},
        {"range": {"traits_seats": {"gt": "now-1d"}}},
        {"range": {"traits_nothing": {"gte": 0}}},
        {"range": {"traits_renewed_at": {"gte": "now-3d"}}},
        {"range": {"name": {"gte": "now-3d"}}},
        {"exists": {"field": "traits_none"}},
        {"prefix": {"traits_plan.raw": "pro"}},
        {"wildcard": {"email": "acme"}},
        {"wildcard": {"email": "acme*ann*"}},
        {"wildcard": {"email": "*\\*"}},
        {"match": {"name": {"query": "ann jones", "operator": "and"}}},
        {"match_phrase": {"name": "smith lee"}},
        {"match": {"name": "..."}},
        {"or": {"filters": []}},
        {"not": {"match_all": {}}},
        {"bool": {"filter": [{"match_all": {}}], "should": [{"term": {"id": "u2"}}], "minimum_should_match": 1}},
        {"has_child": {"type": "event", "query": {"term": {"event": "ordered"}}}},
        {"has_child": {"type": "event", "query": {"term": {"event": "Ordered"}}, "min_children": 3}},
        {"has_child": {"type": "event", "query": {"term": {"event": "Ordered"}}, "max_children": 1}},
        child({"term": {"context.page_host": "news.test"}}),
        child({"term": {"page_host": "acme.test"}}),
        child({"and": [{"term": {"context.page_host": "acme.test"}}, {"term": {"properties.sku.raw": "B2"}}]}),
    ],
)
def test_these_do_not_match(query):
    """Each clause leaves out what it does not mean."""
    assert not matches(query)


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"fuzzy": {"name": "an"}}, "'fuzzy'"),
        ({"bool": {"must": [{"geo": {}}]}}, "'geo'"),
        ({"bool": {"shoud": []}}, "'shoud'"),
        ({"term": {"a": 1, "b": 2}}, "term"),
        ({"term": {"a": None}}, "missing"),
        ({"terms": {"a": "b"}}, "terms"),
        ({"range": {"a": {}}}, "range"),
        ({"range": {"a": {"above": 1}}}, "'above'"),
        ({"range": {"a": {"gt": "now-thirty"}}}, "now-30d"),
        ({"range": {"a": {"gt": "now-999999y"}}}, "calendar"),
        ({"range": {"a": {"gt": True}}}, "bound"),
        ({"exists": {}}, "exists"),
        ({"term": {"a": 1}, "exists": {"field": "a"}}, "one name"),
        ({"has_child": {"type": "order", "query": {}}}, "order"),
        ({"has_child": {"type": "event", "query": {}, "min_children": -1}}, "min_children"),
        ({"bool": {"should": [], "minimum_should_match": "50%"}}, "50%"),
        ({"and": 7}, "and"),
        ({"ids": {"values": "u1"}}, "ids"),
        ("plan:pro", "plan:pro"),
        (None, "None"),
    ],
)
def test_what_cannot_be_read_is_named(query, named):
    """A clause that is unknown or malformed is refused when it is compiled, by name."""
    with pytest.raises(InvalidArgumentError, match=named):
        compile_query(query)


def test_only_relative_dates_depend_on_time():
    """A query knows whether time alone can change its answer, and whether it looks at events."""
    assert compile_query({"range": {"a_at": {"gt": "now-1d"}}}).relative
    assert not compile_query({"range": {"a_at": {"gt": "2024-01-01"}}}).relative
    assert compile_query({"not": {"has_child": {"type": "event", "query": {}}}}).uses_events
    assert not compile_query({"match_all": {}}).uses_events


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("now", "2024-03-31T12:00:00"),
        ("now-30d", "2024-03-01T12:00:00"),
        ("now+1h", "2024-03-31T13:00:00"),
        ("now-1M", "2024-02-29T12:00:00"),
        ("now-1y/y", "2023-01-01T00:00:00"),
        ("now/d", "2024-03-31T00:00:00"),
        ("now/w", "2024-03-25T00:00:00"),
        ("now-1d+30m/h", "2024-03-30T12:00:00"),
    ],
)
def test_relative_dates_count_and_round_down(text, expected):
    """Steps are added in order, months keep to the calendar, and rounding goes down."""
    assert parse_bound(text, NOW) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from([*CLAUSES, "field", "filter", "filters", "type", "gt"]), inner, max_size=2)
    ),
    max_leaves=12,
)


@settings(max_examples=300, derandomize=True, database=None, deadline=None)
@given(JSON)
def test_any_json_is_compiled_or_refused(value):
    """Whatever is given as a query is either evaluated or refused with our own error."""
    try:
        query = compile_query(value)
    except InvalidArgumentError:
        return
    assert query.matches(Document(REPORT, lambda: EVENTS, NOW)) in {True, False}


def leaf(key, operator, value=None, **found):
    """Return a predicate leaf."""
    return {"property": {"key": key, "entity": "user", **found}, "operator": operator, "options": {"value": value}}


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        (leaf("traits_plan", "equals", ["Pro Plus"]), True),
        (leaf("plan", "equals", ["x", "Pro Plus"]), True),
        (leaf("plan", "not_equals", ["Pro Plus"]), False),
        (leaf("plan", "contains", ["plu"]), True),
        (leaf("plan", "contains", ["lus"]), False),
        (leaf("plan", "not_contains", ["plu"]), False),
        (leaf("plan", "starts_with", ["pro p"]), True),
        (leaf("plan", "ends_with", ["PLUS"]), True),
        (leaf("plan", "ends_with", ["*"]), False),
        (leaf("plan", "is_set"), True),
        (leaf("phone", "is_not_set"), True),
        (leaf("seats", "greater_than", 11), True),
        (leaf("seats", "less_than", [12]), False),
        (leaf("seats", "at_least", 12), True),
        (leaf("seats", "at_most", 11), False),
        (leaf("renewed_at", "after", "2024-03-01"), True),
        (leaf("renewed_at", "before", "2024-03-01"), False),
        (leaf("renewed_at", "within", "30d"), True),
        (leaf("renewed_at", "not_within", "3d"), True),
        (leaf("renewed_at", "equals", "2024-03-20", type="date"), True),
        (leaf("name", "equals", "Acme", entity="account"), True),
        (leaf("account.name", "equals", "Acme"), True),
        ({"event": "Ordered"}, True),
        ({"event": "Ordered", "count": {"gte": 3}}, False),
        ({"event": "Ordered", "count": {"eq": 2}}, True),
        ({"event": "Ordered", "count": {"lt": 2}}, False),
        ({"event": "Ordered", "count": {"gte": 2}, "within": "30d"}, False),
        (
            {
                "event": "Ordered",
                "properties": [{"property": {"key": "sku"}, "operator": "equals", "options": {"value": ["A1"]}}],
            },
            True,
        ),
        ({"event": "Ordered", "context": [leaf("page_host", "equals", "acme.test")]}, True),
        ({"event": "Ordered", "context": [leaf("page.url", "ends_with", "/pricing")]}, True),
        ({"event": "Ordered", "context": [leaf("context.referrer_host", "contains", "news")]}, True),
        ({"event": "Ordered", "context": [leaf("days_since_signup", "at_least", 4)]}, False),
        ({"event": "Ordered", "context": [leaf("ip", "is_set")], "count": {"gte": 2}}, False),
        ({"event": "Ordered", "context": [leaf("ip", "is_set")], "properties": [leaf("sku", "equals", "B2")]}, False),
        ({"event": "Ordered", "operator": "not_performed", "context": [leaf("page_host", "equals", "b.test")]}, True),
        ({"event": "Left", "operator": "not_performed"}, True),
        ({"event": "Page", "operator": "not_performed", "within": "7d"}, False),
    ],
)
def test_a_predicate_means_what_it_says(node, expected):
    """Each operator compiles to a query that decides as its name says."""
    assert matches(compile_predicate({"type": "all", "predicates": [node]}, "user")) is expected


def test_groups_nest_and_empty_ones_match_everything():
    """All and any combine, at any depth; a group without nodes says nothing."""
    yes, no = leaf("plan", "is_set"), leaf("phone", "is_set")
    tree = {"type": "all", "predicates": [yes, {"type": "any", "predicates": [no, yes]}]}
    assert matches(compile_predicate(tree, "user"))
    assert not matches(compile_predicate({"type": "all", "predicates": [yes, no]}, "user"))
    for empty in ({}, {"type": "any", "predicates": []}):
        assert matches(compile_predicate(empty, "user"))


def test_equals_and_contains_compile_to_the_wire_form():
    """The compiled query has the form in which segments travel."""
    query = compile_predicate(
        {"type": "any", "predicates": [leaf("plan", "equals", ["a"]), leaf("plan", "contains", ["b"])]}, "user"
    )
    assert query == {
        "constant_score": {
            "query": {"match_all": {}},
            "filter": {
                "or": {
                    "filters": [
                        {"term": {"traits_plan.raw": "a"}},
                        {"or": {"filters": [{"prefix": {"traits_plan": "b"}}, {"prefix": {"traits_plan.exact": "b"}}]}},
                    ]
                }
            },
        }
    }


@pytest.mark.parametrize(
    ("node", "kind", "named"),
    [
        (leaf("plan", "like", "x"), "user", "'like'"),
        (leaf("plan", "equals", []), "user", "equals"),
        (leaf("plan", "is_set", entity="robot"), "user", "robot"),
        (leaf("plan", "is_set"), "account", "users"),
        ({"event": "x"}, "account", "no events"),
        ({"event": ""}, "user", "event"),
        ({"event": "x", "operator": "did"}, "user", "'did'"),
        ({"event": "x", "count": {"about": 1}}, "user", "count"),
        ({"event": "x", "within": "a while"}, "user", "a while"),
        ({"event": "x", "properties": [7]}, "user", "7"),
        ({"type": "none", "predicates": []}, "user", "'none'"),
        ({"type": "all", "predicates": {}}, "user", "list"),
        ({"operator": "equals"}, "user", "property.key"),
        ("plan", "user", "plan"),
    ],
)
def test_a_predicate_that_cannot_be_read_is_named(node, kind, named):
    """A wrong node is refused by a message that names it."""
    with pytest.raises(InvalidArgumentError, match=named):
        compile_predicate({"type": "all", "predicates": [node]}, kind)


@pytest.mark.parametrize("tree", [[], "x", 7, None])
def test_a_predicate_is_an_object(tree):
    """Anything but an object is refused."""
    with pytest.raises(InvalidArgumentError, match="object"):
        compile_predicate(tree, "user")


NODE_KEYS = [
    "type",
    "predicates",
    "event",
    "operator",
    "options",
    "value",
    "property",
    "key",
    "entity",
    "count",
    "gte",
    "within",
    "properties",
]
NODES = st.recursive(
    st.sampled_from([None, True, 0, "all", "equals", "performed", "user", "plan", "30d"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NODE_KEYS), inner, max_size=4),
    max_leaves=15,
)


@settings(max_examples=500, derandomize=True, database=None, deadline=None)
@given(NODES)
def test_any_tree_is_compiled_or_refused(tree):
    """Whatever is given as a predicate either becomes a query or is refused with our own error."""
    try:
        query = compile_predicate({"type": "all", "predicates": [tree]}, "user")
    except InvalidArgumentError:
        return
    assert matches(query) in {True, False}


def test_every_operator_compiles():
    """Each documented operator can be used on an attribute."""
    for operator in OPERATORS:
        value = "3d" if operator.endswith("within") else "2024-01-01"
        compile_predicate({"type": "all", "predicates": [leaf("seen_at", operator, value, type="date")]}, "user")


def test_many_stars_take_no_noticeable_time():
    """A pattern of many stars reads a long text once, whether it matches or not."""
    query = {"wildcard": {"name.exact": "*a" * 30 + "*b"}}
    began = time.perf_counter()
    assert not matches(query, {"name": "a" * 20_000})
    assert matches(query, {"name": "a" * 20_000 + "b"})
    assert time.perf_counter() - began < 5


def nested(wrap, levels):
    """Return a query or a predicate inside so many others."""
    found = {}
    for _ in range(levels):
        found = wrap(found)
    return found


@pytest.mark.parametrize("levels", [120, 100_000])
def test_bottomless_definitions_are_refused(levels):
    """Queries and predicates that nobody could evaluate are refused when they are made."""
    with pytest.raises(InvalidArgumentError, match="levels deep"):
        compile_query(nested(lambda query: {"not": query}, levels))
    with pytest.raises(InvalidArgumentError, match="levels deep"):
        compile_predicate(nested(lambda tree: {"type": "all", "predicates": [tree]}, levels), "user")


def test_deep_definitions_are_compiled():
    """Forty levels of clauses are no problem."""
    assert matches(nested(lambda query: {"and": [query]}, 40))
    compile_predicate(nested(lambda tree: {"type": "all", "predicates": [tree] if tree else []}, 10), "user")
