"""The Node clients write to the platform over HTTP and read back what they wrote."""

from __future__ import annotations

import pytest

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

EMAIL = "ann@acme.example"
ANN = ["asUser", {"email": EMAIL}]
REPORT = [ANN, ["get", "me/user_report"]]


@pytest.fixture
def organization(served_platform):
    """An organization of the platform."""
    return served_platform.create_organization("acme.hullapp.test")


@pytest.fixture
def connector(organization):
    """A connector that only sends."""
    return organization.install("http://127.0.0.1:9", name="Sender", manifest={"name": "Sender"})


@pytest.fixture
def options(served_platform, connector):
    """The options of a Node client; it does not find the firehose of a host and port by itself."""
    return {
        "id": connector.id,
        "secret": connector.secret,
        "organization": served_platform.address,
        "protocol": "http",
        "firehoseUrl": f"http://{served_platform.address}/api/v1/firehose",
    }


def tracked(organization, name):
    """Return the tracked events of this name."""
    return [event for event in organization.state()["events"] if event["event"] == name]


def test_users_are_written_and_read_back(run_client, options):
    """Attributes that a Node client writes stand in the report that it reads."""
    traits = [[ANN, ["traits", {"first_name": "Ann", "plan": "pro"}]]]
    count = [[ANN, ["traits", {"visits": {"operation": "inc", "value": 2}}]]]
    report = run_client(options, traits, count, count, [REPORT])[-1][0]
    read = {name: report[name] for name in ("email", "first_name", "traits_plan", "traits_visits")}
    assert read == {"email": EMAIL, "first_name": "Ann", "traits_plan": "pro", "traits_visits": 4}


@pytest.mark.parametrize("generation", ["hull-client-1"], indirect=True, ids=["1.2.4"])
def test_a_source_becomes_a_prefix(run_client, options):
    """Attributes that the older client writes under a source, which the newer one has not, have it as a prefix."""
    report = run_client(options, [[ANN, ["traits", {"status": "won"}, {"source": "crm"}]]], [REPORT])[-1][0]
    assert report["traits_crm/status"] == "won"


def test_events_are_written(run_client, options, organization):
    """An event that a Node client tracks has its properties, source and time; the same event_id stays one event."""
    context = {"source": "shop", "event_id": "order-1", "created_at": "2024-01-05T10:00:00Z"}
    order = [[ANN, ["track", "Ordered", {"sku": "A1", "amount": 3}, context]]]
    run_client(options, order, order)
    (event,) = tracked(organization, "Ordered")
    assert event["properties"] == {"sku": "A1", "amount": 3}
    assert event["event_source"] == "shop"
    assert event["created_at"].startswith("2024-01-05T10:00:00")


def test_accounts_are_written_linked_and_read_back(run_client, options, organization):
    """An account that a Node client links to a user carries what it writes, by both ways of naming it."""
    linked = [[ANN, ["account", {"domain": "acme.example"}], ["traits", {"employees": 12}]]]
    named = [[["asAccount", {"domain": "acme.example"}], ["traits", {"industry": "anvils"}]]]
    account_of_user = [[ANN, ["account"], ["traits", {"tier": "gold"}]]]
    run_client(options, linked, named, account_of_user)
    account = organization.account_report({"domain": "acme.example"})
    assert {name: account[name] for name in ("employees", "industry", "tier")} == {
        "employees": 12,
        "industry": "anvils",
        "tier": "gold",
    }
    assert run_client(options, [[["get", account["id"]]]])[0][0]["id"] == account["id"]


def test_aliases_merge_an_anonymous_visitor(run_client, options, organization):
    """An alias of a Node client brings the anonymous visitor's attributes and events to the user."""
    visitor = ["asUser", {"anonymous_id": "visitor-1"}]
    visit = [[visitor, ["traits", {"campaign": "spring"}]], [visitor, ["track", "Visited"]]]
    alias = [[ANN, ["alias", {"anonymous_id": "visitor-1"}]]]
    report = run_client(options, visit, alias, [REPORT])[-1][0]
    assert report["traits_campaign"] == "spring"
    assert report["anonymous_ids"] == ["visitor-1"]
    assert [event["user_id"] for event in tracked(organization, "Visited")] == [report["id"]]


def test_unalias_takes_an_anonymous_id_away(run_client, options):
    """After an unalias of a Node client the user no longer has the anonymous id."""
    aliased = [[ANN, ["alias", {"anonymous_id": "visitor-1"}]]]
    unaliased = [[ANN, ["unalias", {"anonymous_id": "visitor-1"}]]]
    report = run_client(options, aliased, unaliased, [REPORT])[-1][0]
    assert report["anonymous_ids"] == []


def test_a_user_named_by_id_alone_is_found(run_client, options, organization):
    """A Node client that names a user by a bare id, in the token's ``sub``, writes to that user."""
    user_id = run_client(options, [[ANN, ["traits", {"plan": "free"}]]], [REPORT])[-1][0]["id"]
    run_client(options, [[["asUser", user_id], ["traits", {"plan": "pro"}]]])
    assert organization.user_report({"email": EMAIL})["traits_plan"] == "pro"


def test_nobody_is_created_when_create_is_off(run_client, options, organization):
    """A Node client that sets ``create`` to false writes to nobody who is not there."""
    run_client(options, [[["asUser", {"email": EMAIL}, {"create": False}], ["traits", {"plan": "pro"}]]])
    assert organization.user_report({"email": EMAIL}) is None


def test_the_connector_and_the_segments_are_read(run_client, options, organization, connector):
    """A Node client reads its connector by ``app`` and by id, and the segments that it sees."""
    segment = organization.create_segment("user", "Everybody", query={"match_all": {}})
    by_name, by_id, segments = run_client(
        options, [[["get", "app"]], [["get", connector.id]], [["get", "users_segments", {"shipId": connector.id}]]]
    )[0]
    assert (by_name["id"], by_id["id"]) == (connector.id, connector.id)
    assert [(item["id"], item["name"], item["type"]) for item in segments] == [
        (segment["id"], "Everybody", "users_segment")
    ]


def test_settings_are_updated(run_client, options):
    """The settings helper of the Node clients merges new private settings into the old ones."""
    stages = run_client(
        options,
        [[["utils.settings.update", {"token": "one", "size": 1}]]],
        [[["utils.settings.update", {"size": 2}]]],
        [[["get", "app"]]],
    )
    assert stages[-1][0]["private_settings"] == {"token": "one", "size": 2}


def test_a_wrong_secret_is_refused(run_client, options):
    """A Node client with a wrong secret is told so: by the firehose, and by the API with a status and a message."""
    wrong = {**options, "secret": "wrong"}
    ((firehose, api),) = run_client.failures(wrong, [[ANN, ["traits", {"plan": "pro"}]], [["get", "app"]]])
    assert firehose["status"] == api["status"] == 401


def test_an_unknown_object_is_not_found(run_client, options):
    """A Node client that asks for an id that nothing has gets the status 404."""
    ((missing,),) = run_client.failures(options, [[["get", "5a7962e2793d3e942a03b29f"]]])
    assert missing["status"] == 404


def test_messages_without_id_are_applied_each_time(run_client, options, organization):
    """Chosen deviation: a message without message_id, as Node sends it, is applied each time and listed as such."""
    visit = [[ANN, ["traits", {"visits": {"operation": "inc", "value": 1}}]]]
    run_client(options, visit, visit)
    assert organization.user_report({"email": EMAIL})["traits_visits"] == 2
    assert [(record.state, record.idempotent) for record in organization.records] == [("applied", False)] * 2
