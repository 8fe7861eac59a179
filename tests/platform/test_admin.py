"""What the operator does over HTTP, and the test controls."""

from __future__ import annotations

import pytest
from delivery_kit import MANIFEST, FakeConnector

from hull_sdk.core.clock import VirtualClock
from hull_sdk.errors import HullError, InvalidArgumentError
from hull_sdk.platform import Platform

ANN = {"email": "ann@acme.test"}
ID = "5a79000000000000000000aa"


def test_the_operator_installs_a_connector(platform, organization, call, admin):
    """The answer holds id and secret, which work at once."""
    fake = FakeConnector()
    platform.runtime.net.mount("crm.test", fake)
    status, made = call(
        "POST", "/api/v1/connectors", {"url": "https://crm.test", "private_settings": {"k": 1}}, **admin
    )
    assert status == 201
    assert (made["name"], made["private_settings"]) == ("Fake", {"k": 1})
    headers = {"Hull_App_Id": made["id"], "Hull_Access_Token": made["secret"]}
    assert call("GET", "/api/v1/app", **headers)[0] == 200
    assert call("DELETE", f"/api/v1/{made['id']}", **headers)[0] == 403
    assert call("DELETE", f"/api/v1/{made['id']}", **admin)[0] == 200
    assert call("GET", "/api/v1/app", **headers) == (404, {"status": 404, "message": "App not found"})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "crm.test"},
        {"url": "https://crm.test/?a=1"},
        {"url": "https://user@crm.test"},
        {"url": "ftp://crm.test"},
        {"url": "https://crm.test", "manifest": {"tags": "x"}},
        {"manifest": {}, "id": "one"},
        {"manifest": {}, "private_settings": [1]},
        {"manifest": {}, "sercet": "x"},
        {"manifest": {}, "name": 5},
        {"manifest": {}, "secret": "line\nfeed"},
        {"manifest": {}, "secret": "é"},
    ],
)
def test_malformed_connectors_are_refused(organization, call, admin, body):
    """The answer is 400 with the rule, and nothing is installed."""
    status, answer = call("POST", "/api/v1/connectors", body, **admin)
    assert status == 400, answer
    assert organization.connectors == {}


def test_ids_are_unique_on_a_server(platform, organization, call, admin):
    """A connector id that another organization uses is refused."""
    platform.create_organization("other.hullapp.test").install(None, manifest={}, id=ID)
    assert call("POST", "/api/v1/connectors", {"manifest": {}, "id": ID}, **admin)[0] == 400


def test_the_operator_creates_segments_and_changes_settings(organization, call, admin):
    """Both kinds of segments by query or predicate; settings are read and written."""
    query = {"term": {"traits_plan.raw": "pro"}}
    status, segment = call("POST", "/api/v1/users_segments", {"name": "Pros", "query": query}, **admin)
    assert (status, segment["type"], segment["query"]) == (201, "users_segment", query)
    body = {"name": "Big", "query": {}}
    assert call("POST", "/api/v1/accounts_segments", body, **admin)[1]["type"] == "accounts_segment"
    for bad in ({}, {"name": "x"}, {"name": "", "query": {}}, {"name": "x", "query": {"dance": {}}}):
        assert call("POST", "/api/v1/users_segments", bad, **admin)[0] == 400
    assert call("PUT", "/api/v1/settings", {"rejected_domains": ["x.test"]}, **admin)[0] == 200
    assert call("GET", "/api/v1/settings", **admin)[1]["rejected_domains"] == ["x.test"]
    assert call("PUT", "/api/v1/settings", {"colour": "red"}, **admin)[0] == 400


def test_a_connector_is_no_operator(call, credentials, send, connector):
    """Connectors' secrets and users' tokens do not open the operator's doors; the operator does not send."""
    for method, path in (
        ("POST", "/connectors"),
        ("POST", "/users_segments"),
        ("GET", "/settings"),
        ("PUT", "/settings"),
    ):
        assert call(method, f"/api/v1{path}", {}, **credentials)[0] == 403
    assert call("POST", "/api/v1/firehose", {"batch": []}, Hull_Access_Token="the operators secret")[0] == 401
    assert call("GET", "/api/v1/app", Hull_Access_Token="the operators secret")[0] == 400
    assert call("GET", f"/api/v1/{connector.id}", Hull_Access_Token="the operators secret")[0] == 200


def test_test_controls_are_off_by_default(call, organization):
    """Without the switch nothing below /_platform answers."""
    for method, path in (("GET", "/deliveries"), ("POST", "/reset"), ("POST", "/snapshot"), ("GET", "/idle")):
        assert call(method, f"/_platform{path}")[0] == 404


@pytest.fixture
def controls(platform):
    """Test controls, switched on."""
    platform.test_controls = True


def test_domain_time_is_moved_without_tokens(platform, call, send, fake):
    """Deliveries that wait become due; a token made before is still good."""
    platform.test_controls = True
    token = {"Hull_App_Id": send.connector.id, "Hull_Access_Token": send.token(user=ANN)}
    fake.answer = lambda _n: {"flow_control": {"type": "next", "in": 3_600_000}}
    send.people(2)
    platform.runtime.tasks.sleep(1)
    assert len(fake.bodies) == 1
    now = call("POST", "/_platform/clock", {"advance_ms": 3_600_000})[1]["now"]
    assert now == "2024-01-01T01:00:01.000Z"
    assert call("GET", "/_platform/clock")[1]["now"] == now
    platform.runtime.tasks.sleep(1)
    assert len(fake.bodies) == 2
    assert call("PUT", "/api/v1/me/traits", {"a": 1}, **token)[0] == 200
    for bad in ({}, {"advance_ms": -1}, {"advance_ms": "x"}):
        assert call("POST", "/_platform/clock", bad)[0] == 400


def test_rest_can_be_waited_for(platform, call, controls, send, fake):
    """The answer says whether everything was told, or that time ran out."""
    send.people(3)
    assert call("GET", "/_platform/idle?timeout_ms=5000")[1] == {"idle": True, "pending": 0}
    fake.answer = lambda _n: (500, {})
    send.people(1, start=9)
    assert call("GET", "/_platform/idle?timeout_ms=100")[1] == {"idle": False, "pending": 1}
    assert call("GET", "/_platform/idle?timeout_ms=soon")[0] == 400


def test_deliveries_traces_and_snapshots_can_be_read(platform, call, send, fake, controls):
    """What happened is there to be looked at, by message id too."""
    message = send.message("traits", {"plan": "pro"}, user=ANN)
    send.organization.receive([message], send.connector)
    platform.run_until_idle()
    (delivery,) = call("GET", "/_platform/deliveries")[1]
    assert (delivery["outcome"], delivery["channel"], delivery["attempt"]) == ("next", "user:update", 1)
    assert delivery["messages"] == fake.messages()
    trace = call("GET", f"/_platform/trace/{message['message_id']}")[1]
    assert (trace["state"], trace["organization"]) == ("applied", "acme.hullapp.test")
    assert call("GET", "/_platform/trace/none")[0] == 404
    snapshot = call("POST", "/_platform/snapshot")[1]
    assert list(snapshot["organizations"]) == ["acme.hullapp.test"]
    assert send.connector.secret not in str(snapshot)


def test_identity_can_be_tried_out(organization, call, send, controls):
    """A preview names whom claims lead to, and changes nothing."""
    send.organization.receive([send.message("traits", {"plan": "pro"}, user=ANN)], send.connector)
    before = organization.state()
    status, found = call("POST", "/_platform/identity/preview", {"claims": ANN})
    assert (status, found) == (200, organization.preview("user", ANN))
    assert call("POST", "/_platform/identity/preview", {"claims": {}})[0] == 400
    assert call("POST", "/_platform/identity/preview", {"type": "cat", "claims": ANN})[0] == 400
    assert organization.state() == before


def test_an_organization_can_be_switched_off(call, admin, credentials, send):
    """Its connectors are answered 402, with a secret or a token, until the operator switches it on again."""
    token = {"Hull_App_Id": send.connector.id, "Hull_Access_Token": send.token(user=ANN)}
    assert call("PUT", "/api/v1/settings", {"disabled": True}, **admin)[1]["disabled"] is True
    assert call("GET", "/api/v1/app", **credentials)[0] == 402
    assert call("POST", "/api/v1/firehose", {"batch": []}, **credentials)[0] == 402
    assert call("PUT", "/api/v1/me/traits", {"a": 1}, **token)[0] == 402
    assert call("GET", "/api/v1/app", Hull_App_Id=send.connector.id, Hull_Access_Token="wrong")[0] == 401
    assert call("PUT", "/api/v1/settings", {"disabled": "yes"}, **admin)[0] == 400
    assert call("PUT", "/api/v1/settings", {"disabled": False}, **admin)[0] == 200
    assert call("GET", "/api/v1/app", **credentials)[0] == 200


def test_faults_are_added_and_cleared_over_http(call, controls, credentials):
    """A fault in JSON works as one in Python."""
    body = {"kind": "error", "target": "api", "status": 502, "times": 1}
    assert call("POST", "/_platform/faults", body)[0] == 201
    assert call("GET", "/_platform/faults")[1] == [{**body, "retry_after_s": None}]
    assert call("GET", "/api/v1/app", **credentials)[0] == 502
    assert call("GET", "/api/v1/app", **credentials)[0] == 200
    assert call("POST", "/_platform/faults", {"kind": "rain"})[0] == 400
    call("POST", "/_platform/faults", {"kind": "error", "target": "api"})
    assert call("DELETE", "/_platform/faults")[1] == []
    assert call("GET", "/api/v1/app", **credentials)[0] == 200


def test_a_reset_keeps_who_is_there_and_forgets_the_rest(platform, call, credentials, send, fake):
    """Organizations, connectors and segments stay with their ids; data, deliveries and faults go."""
    platform.test_controls = True
    segment = send.organization.create_segment("user", "All", query={})
    send.people(2)
    platform.run_until_idle()
    platform.faults.add("error", target="delivery")
    assert call("POST", "/_platform/reset")[0] == 200
    new = platform.organizations["acme.hullapp.test"]
    assert platform.deliveries == []
    assert new.entities("user") == []
    assert [s["id"] for s in call("GET", "/api/v1/users_segments", **credentials)[1]] == [segment["id"]]
    assert call("GET", "/api/v1/settings", Hull_Access_Token="the operators secret")[0] == 200
    new.receive([send.message("traits", {"plan": "pro"}, user=ANN)], new.connectors[send.connector.id])
    platform.run_until_idle()
    assert fake.messages()[-1]["user"]["email"] == "ann@acme.test"


def test_a_waiting_platform_on_real_time_gives_up_with_names(signing_key):
    """When a manifest never comes, waiting for rest ends with the connector's name."""
    platform = Platform(signing_key=signing_key)
    organization = platform.create_organization("acme.hullapp.test")
    connector = organization.install("http://127.0.0.1:9", name="Absent", wait=False)
    organization.ingest({"type": "traits", "body": {}}, {"io.hull.asUser": ANN}, connector.id)
    with pytest.raises(HullError, match="no manifest yet from Absent"):
        platform.run_until_idle(timeout_s=0.05)
    platform.close()
    platform.runtime.net.close()


@pytest.mark.parametrize("host", ["https://acme.test", "", "a b", "acme.test/x"])
def test_malformed_hosts_are_refused(host):
    """An organization's host is a host."""
    with pytest.raises(InvalidArgumentError, match="no host"):
        Platform(clock=VirtualClock()).create_organization(host)


def test_hosts_are_unique(platform, organization):
    """Two organizations cannot have one host."""
    with pytest.raises(InvalidArgumentError, match="exists already"):
        platform.create_organization("ACME.hullapp.test")


def test_a_wsgi_application_is_called_on_real_time_too(signing_key):
    """A connector handed over as an application needs no socket."""
    platform = Platform(signing_key=signing_key)
    organization = platform.create_organization("acme.hullapp.test")
    connector = organization.install(FakeConnector())
    assert connector.manifest == MANIFEST
    platform.close()
