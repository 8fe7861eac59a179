"""Searching reports and events over HTTP."""

from __future__ import annotations

import pytest

PEOPLE = (
    ("1", {"name": "Ann", "plan": "pro", "seats": 3, "salesforce/stage": "open"}),
    ("2", {"name": "Bob", "plan": "free", "seats": 12}),
    ("3", {"name": "Cid", "plan": "pro"}),
    ("4", {"name": "Dot"}),
)


@pytest.fixture
def people(send):
    """Four users, the first two at an account."""
    for number, (external_id, traits) in enumerate(PEOPLE):
        account = {"domain": "acme.test"} if number < 2 else None
        send.traits({"external_id": external_id}, traits, account=account)
    send.account({"domain": "acme.test"}, {"tier": "gold", "raw": {"a": {"b": 1}}})


@pytest.fixture
def search(call, credentials, people):
    """A function that searches and returns the answer."""

    def search(body=None, what="user_reports"):
        status, answer = call("POST", f"/api/v1/search/{what}", {} if body is None else body, **credentials)
        assert status == 200, answer
        return answer

    return search


def names(answer):
    """Return the names of the hits."""
    return [hit["name"] for hit in answer["data"]]


def test_a_hit_is_the_flat_report_with_its_envelope(search, organization):
    """Reports carry their account, and what a search engine adds."""
    hit = search({"query": {"term": {"external_id.raw": "1"}}, "raw": True})["data"][0]
    report = organization.user_report({"external_id": "1"})
    assert {name: hit[name] for name in report} == report
    assert hit["account"]["tier"] == "gold"
    assert (hit["_id"], hit["_type"], hit["doctype"]) == (report["id"], "user_report", "user_report")
    account = search({}, "account_reports")["data"][0]
    assert (account["domain"], account["_type"]) == ("acme.test", "account_report")
    assert search({}, "account_report") == search({}, "account_reports")


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, ["Ann", "Bob", "Cid", "Dot"]),
        ({"term": {"traits_plan.raw": "pro"}}, ["Ann", "Cid"]),
        (
            {"bool": {"filter": [{"exists": {"field": "traits_seats"}}], "must_not": {"term": {"name.exact": "ann"}}}},
            ["Bob"],
        ),
        ({"term": {"account.tier": "gold"}}, ["Ann", "Bob"]),
        ({"constant_score": {"filter": {"missing": {"field": "traits_plan"}}}}, ["Dot"]),
        ({"exists": {"field": "account.raw"}}, []),
        ({"term": {"account.raw.a.b": 1}}, []),
    ],
)
def test_queries_are_those_of_segments(search, query, found):
    """The same clauses find the same people; JSON attributes are not indexed."""
    assert names(search({"query": query})) == found


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ({"traits_seats": "desc"}, ["Bob", "Ann", "Cid", "Dot"]),
        ({"traits_seats": "asc"}, ["Ann", "Bob", "Cid", "Dot"]),
        ([{"traits_plan": {"order": "desc"}}, {"name.raw": "desc"}], ["Cid", "Ann", "Bob", "Dot"]),
        ("name", ["Ann", "Bob", "Cid", "Dot"]),
    ],
)
def test_hits_are_sorted_with_those_without_a_value_last(search, sort, order):
    """Both directions leave hits without a value at the end, in order of creation."""
    assert names(search({"sort": sort})) == order


def test_hits_come_in_pages(search):
    """A page knows its place and the total; one past the end is empty, and of no size counts alone."""
    answer = search({"per_page": 3, "page": 2})
    assert answer["pagination"] == {"total": 4, "page": 2, "pages": 2, "per_page": 3}
    assert names(answer) == ["Dot"]
    assert search({"page": 9})["data"] == []
    assert search({"per_page": 0})["pagination"] == {"total": 4, "page": 1, "pages": 0, "per_page": 0}


def test_fields_are_chosen(search):
    """Only what is included is answered, beside the envelope."""
    hit = search({"include": ["name", "account.tier"], "per_page": 1})["data"][0]
    assert {name: hit[name] for name in hit if not name.startswith("_")} == {
        "name": "Ann",
        "account": {"tier": "gold"},
        "doctype": "user_report",
    }


def test_filters_count_within_the_hits(search):
    """Each aggregation counts the hits that its filter matches."""
    aggs = {"pros": {"filter": {"term": {"traits_plan.raw": "pro"}}}, "all": {"filter": {"match_all": {}}}}
    answer = search({"query": {"exists": {"field": "account.id"}}, "per_page": 0, "aggs": aggs})
    assert answer["aggregations"] == {"pros": {"doc_count": 1}, "all": {"doc_count": 2}}


@pytest.mark.parametrize(
    "body",
    [
        {"query": {"dance": {}}},
        {"query": {"has_parent": {"parent_type": "user_report", "query": {}}}},
        {"page": 0},
        {"page": "1"},
        {"per_page": 1001},
        {"per_page": True},
        {"sort": 5},
        {"sort": {"name": "up"}},
        {"include": "name"},
        {"aggs": {"x": {"terms": {"field": "name"}}}},
        {"aggs": []},
        {"qurey": {}},
    ],
)
def test_malformed_searches_are_refused(call, credentials, body):
    """The answer is 400 and names the value and the rule."""
    status, answer = call("POST", "/api/v1/search/user_reports", body, **credentials)
    assert status == 400
    assert answer["message"]


def test_events_are_found_by_their_user_and_in_their_indexed_form(search, send):
    """A parent's query finds a user's events; the raw form is flat and names a type for each property."""
    context = {"url": "https://acme.test/pricing?utm_source=news", "created_at": "2024-01-01T00:00:01Z"}
    properties = {"sku": "A1", "price": 9.5, "paid": True, "due": "2024-02-01T00:00:00Z", "none": None, "tags": ["x"]}
    body = {"event": "Ordered", "properties": properties, "event_id": "e1", **context}
    send._send(send.message("track", body, user={"external_id": "1"}))
    send.track({"external_id": "2"}, "Ordered")
    parent = {"has_parent": {"parent_type": "user_report", "query": {"term": {"external_id.raw": "1"}}}}
    query = {"bool": {"filter": [parent, {"terms": {"event": ["Ordered"]}}]}}
    answer = search({"query": query, "raw": True, "sort": {"created_at": "desc"}}, "events")
    (event,) = answer["data"]
    assert event["_id"] == "e1"
    assert event["context"]["page_url"] == context["url"]
    assert event["context"]["campaign_source"] == "news"
    assert event["props"] == [
        {"field_name": "sku", "text_value": "A1"},
        {"field_name": "price", "num_value": 9.5},
        {"field_name": "paid", "bool_value": True},
        {"field_name": "due", "date_value": "2024-02-01T00:00:00Z"},
        {"field_name": "tags", "text_value": '["x"]'},
    ]
    for field in ("context.page_host", "context.page.host"):
        assert search({"query": {"term": {field: "acme.test"}}}, "events")["pagination"]["total"] == 1
    assert search({"query": {"range": {"props.price": {"gt": 9}}}, "include": ["event"]}, "events")["data"] == [
        {"event": "Ordered"}
    ]


def test_events_of_a_merged_user_are_found_at_the_survivor(search, send, organization):
    """They belong to the recipient at once, in searches, in its segments, and by its id."""
    predicate = {"event": "Visited", "operator": "performed", "count": {"gte": 2}}
    visitors = organization.create_segment("user", "Twice", predicate={"type": "all", "predicates": [predicate]})
    send.track({"external_id": "1"}, "Visited")
    send.track({"anonymous_id": "v"}, "Visited")
    send.traits({"external_id": "1", "anonymous_id": "v"}, {})
    parent = {"has_parent": {"parent_type": "user_report", "query": {"term": {"external_id.raw": "1"}}}}
    found = search({"query": {"bool": {"filter": [parent, {"term": {"event": "Visited"}}]}}}, "events")["data"]
    report = organization.user_report({"external_id": "1"})
    assert [event["user_id"] for event in found] == [report["id"]] * 2
    assert report["segment_ids"] == [visitors["id"]]


def test_a_segment_cannot_ask_for_a_parent(organization):
    """Only a search of events may; and a parent has no parent."""
    from hull_sdk.errors import InvalidArgumentError
    from hull_sdk.platform.query import compile_query

    parent = {"has_parent": {"parent_type": "user_report", "query": {}}}
    with pytest.raises(InvalidArgumentError, match="has_parent"):
        organization.create_segment("user", "Odd", query=parent)
    with pytest.raises(InvalidArgumentError, match="has_parent"):
        compile_query({"has_parent": {"type": "user", "query": parent}}, on_events=True)
    with pytest.raises(InvalidArgumentError, match="parent_type"):
        compile_query({"has_parent": {"type": "order", "query": {}}}, on_events=True)


def test_what_can_be_searched_is_listed(call, credentials, people, send):
    """Attributes stand in groups by their prefix, events with their properties; hidden attributes are left out."""
    send._send(send.message("track", {"event": "Ordered", "properties": {"sku": 1}}, user={"external_id": "1"}))
    tree = call("GET", "/api/v1/search/user_reports/bootstrap", **credentials)[1]["tree"]
    assert [group["text"] for group in tree] == ["User", "Traits", "Salesforce", "Account"]
    assert tree[2]["children"] == [{"id": "traits_salesforce/stage", "text": "stage", "type": "string"}]
    assert {"id": "email", "text": "email", "type": "string"} in tree[0]["children"]
    accounts = call("GET", "/api/v1/search/account_reports/bootstrap", **credentials)[1]["tree"]
    assert [leaf["id"] for leaf in accounts[1]["children"]] == ["raw", "tier"]
    events = {each["name"]: each for each in call("GET", "/api/v1/search/event/bootstrap", **credentials)[1]}
    assert (events["Ordered"]["properties"], events["Ordered"]["emitted"]) == (["sku"], False)
    assert events["User created"]["emitted"] is True
    path = "/api/v1/settings/user_traits/salesforce/stage"
    assert call("PUT", path, {"visible": False}, **credentials)[0] == 200
    tree = call("GET", "/api/v1/search/user_reports/bootstrap", **credentials)[1]["tree"]
    assert "Salesforce" not in [group["text"] for group in tree]
    schema = {each["key"]: each for each in call("GET", "/api/v1/users/schema", **credentials)[1]}
    assert schema["traits_salesforce/stage"]["visible"] is False
    assert (schema["email"]["configurable"], schema["traits_plan"]["configurable"]) == (False, True)
    assert call("PUT", path, {"visible": "no"}, **credentials)[0] == 400
    assert call("PUT", "/api/v1/settings/account_traits/nothing", {"visible": False}, **credentials)[0] == 404


def test_a_search_stays_within_its_organization(platform, call, credentials, people):
    """People of another organization on the same server are not found."""
    other = platform.create_organization("other.hullapp.test")
    other.ingest({"type": "traits", "body": {"name": "Eve"}}, {"io.hull.asUser": {"external_id": "1"}}, None)
    answer = call("POST", "/api/v1/search/user_reports", {}, **credentials)[1]
    assert "Eve" not in names(answer)
    assert call("POST", "/api/v1/search/user_reports", {}, Hull_Access_Token="guess")[0] == 401
