"""The HTTP API: credentials, the firehose, objects, and what a user's token may do."""

from __future__ import annotations

import gc
import gzip
import io
import logging
import weakref

import pytest
from delivery_kit import FakeConnector
from werkzeug.test import create_environ

from hull_sdk.core import json
from hull_sdk.core.net import Request, call_wsgi
from hull_sdk.core.wsgi import run_wsgi
from hull_sdk.wire import tokens
from hull_sdk.wire.firehose import MAX_BODY_BYTES, MAX_BODY_MESSAGES

ANN = {"email": "ann@acme.test"}


@pytest.fixture
def records():
    """Every record that the package logs, from the debug level up."""
    kept: list[logging.LogRecord] = []
    handler = logging.Handler(logging.DEBUG)
    handler.emit = kept.append
    logger = logging.getLogger("hull_sdk")
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield kept
    logger.removeHandler(handler)
    logger.setLevel(level)


@pytest.fixture
def other(platform):
    """A second organization on the same platform, with a connector and a segment."""
    other = platform.create_organization("other.hullapp.test", admin_secret="their operator")
    platform.runtime.net.mount("other.hullapp.test", platform.wsgi_app)
    other.install(None, manifest={"name": "Theirs"}, id="feedfeedfeedfeedfeedfeed", secret="theirs")
    other.create_segment("user", "Their segment", query={}, id="their-segment")
    return other


def test_the_firehose_takes_what_is_valid_and_names_the_rest(call, credentials, send, organization):
    """Each refused message is listed with its place, id, code and reason."""
    good = send.message("traits", {"plan": "pro"}, user=ANN)
    bad_token = {**send.message("traits", {}, user=ANN), "headers": {"Hull-Access-Token": "eyJ.x.y"}}
    unknown = send.message("dance", {}, user=ANN)
    status, answer = call("POST", "/api/v1/firehose", {"batch": [good, bad_token, unknown]}, **credentials)
    assert (status, answer["accepted"]) == (200, 1)
    assert [(r["index"], r["code"]) for r in answer["rejected"]] == [(1, "BAD_TOKEN"), (2, "UNKNOWN_TYPE")]
    assert answer["rejected"][1]["message_id"] == unknown["message_id"]
    assert organization.user_report(ANN)["traits_plan"] == "pro"


@pytest.mark.parametrize("path", ["/", "/api/v1/firehose"])
def test_the_firehose_reads_gzip(call, credentials, send, path):
    """A compressed batch is the same batch."""
    raw = gzip.compress(json.dumps({"batch": [send.message("traits", {"plan": "pro"}, user=ANN)]}))
    assert call("POST", path, raw=raw, Content_Encoding="gzip", **credentials)[0] == 200


@pytest.mark.parametrize(
    ("raw", "headers", "status"),
    [
        (b"{", {}, 400),
        (b"[]", {}, 400),
        (b'{"batch": {}}', {}, 400),
        (b'{"batch": [NaN]}', {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"", {}, 400),
        (b"not gzip", {"Content_Encoding": "gzip"}, 400),
        (gzip.compress(b'{"batch": []}', mtime=0)[:-9], {"Content_Encoding": "gzip"}, 400),
        (gzip.compress(b" " * (MAX_BODY_BYTES + 1), mtime=0), {"Content_Encoding": "gzip"}, 413),
        (b" " * (MAX_BODY_BYTES + 1), {}, 413),
        (b'{"batch": [' + b"0," * MAX_BODY_MESSAGES + b"0]}", {}, 413),
        (b"{}", {"Content_Encoding": "br"}, 415),
    ],
)
@pytest.mark.attack("bodies of 20 MB and more")
def test_malformed_and_oversized_bodies_are_refused(call, credentials, raw, headers, status):
    """The answer is an error in the one shape, and nothing is applied."""
    found, answer = call("POST", "/api/v1/firehose", raw=raw, **headers, **credentials)
    assert found == status
    assert answer["status"] == status
    assert answer["message"]


@pytest.mark.attack("another organization's connector id and secret")
def test_credentials_are_checked(call, connector, send, other):
    """Missing or wrong ones are 401, an unknown connector 404, another connector's secret 401."""

    def get(**headers):
        return call("GET", "/api/v1/app", **headers)[0]

    assert get() == 401
    assert get(Hull_App_Id=connector.id) == 401
    assert get(Hull_App_Id=connector.id, Hull_Access_Token="wrong") == 401
    assert get(Hull_App_Id=connector.id, Hull_Access_Token="theirs") == 401
    assert get(Hull_App_Id="ffffffffffffffffffffffff", Hull_Access_Token=connector.secret) == 404
    assert get(Hull_App_Id=connector.id, Hull_Access_Token=connector.secret) == 200
    token = tokens.encode({"iss": connector.id, "exp": 1}, connector.secret)
    assert get(Hull_Access_Token=token) == 401


@pytest.mark.shows_secrets("address", reason="credentials in a query, as it says")
def test_credentials_may_stand_in_the_query(call, connector):
    """The older form is understood, with either name of the connector's id."""
    for query in (
        f"ship={connector.id}&secret={connector.secret}",
        f"app_id={connector.id}&access_token={connector.secret}",
    ):
        assert call("GET", f"/api/v1/app?{query}")[0] == 200


@pytest.mark.attack("a token of one connector at another")
def test_a_token_of_another_issuer_is_refused(call, connector, organization):
    """A token signed with one connector's secret does not open another one's door."""
    second = organization.install(None, manifest={})
    token = tokens.encode({"iss": second.id}, second.secret)
    assert call("GET", "/api/v1/me", Hull_App_Id=connector.id, Hull_Access_Token=token)[0] == 401
    forged = tokens.encode({"iss": second.id}, connector.secret)
    assert call("GET", "/api/v1/me", Hull_App_Id=connector.id, Hull_Access_Token=forged)[0] == 401


@pytest.mark.attack("another organization's connector id and secret")
def test_organizations_are_told_apart(call, connector, credentials, other):
    """The connector names its organization; another one in the header is refused, an unknown one not found."""
    assert call("GET", "/api/v1/", **credentials)[1]["domain"] == "acme.hullapp.test"
    assert call("GET", "/api/v1/", host="other.hullapp.test", **credentials)[1]["domain"] == "acme.hullapp.test"
    assert call("GET", "/api/v1/", Hull_Organization="acme.hullapp.test", **credentials)[0] == 200
    assert call("GET", "/api/v1/", Hull_Organization="acme.hullapp.test:443", **credentials)[0] == 200
    assert call("GET", "/api/v1/", Hull_Organization="other.hullapp.test", **credentials)[0] == 401
    assert call("GET", "/api/v1/", Hull_Organization="nobody.test", Hull_Access_Token="the operators secret")[0] == 404
    header = {"Hull_Organization": "other.hullapp.test"}
    assert call("GET", "/api/v1/", Hull_Access_Token="their operator", **header)[1]["domain"] == "other.hullapp.test"
    assert call("GET", "/api/v1/", Hull_Access_Token="their operator")[0] == 401


def test_the_servers_own_address_names_no_organization(platform, call, credentials):
    """Served over HTTP, the address in the header is neutral, by any name of this machine."""
    platform.address = "127.0.0.1:3000"
    for header in ("127.0.0.1:3000", "localhost:3000"):
        assert call("GET", "/api/v1/", Hull_Organization=header, **credentials)[0] == 200
    assert call("GET", "/api/v1/", Hull_Organization="localhost:4000", **credentials)[0] == 401


@pytest.mark.attack("another organization's connector id and secret")
def test_nothing_of_another_organization_is_visible(call, credentials, other, send):
    """Its connectors, segments and users are answered as if they did not exist."""
    their_user = other.ingest({"type": "traits", "body": {}}, {"io.hull.asUser": ANN}, None).entity_id
    for object_id in ("feedfeedfeedfeedfeedfeed", "their-segment", their_user):
        for method in ("GET", "PUT", "DELETE"):
            assert call(method, f"/api/v1/{object_id}", {} if method == "PUT" else None, **credentials)[0] == 404
    assert call("GET", "/api/v1/feedfeedfeedfeedfeedfeed/dead_letters", **credentials)[0] == 404
    assert call("GET", "/api/v1/users_segments", **credentials)[1] == []


def test_a_connector_reads_and_changes_itself(platform, call, connector, credentials, fake):
    """Settings come with the manifest's defaults, without the secret, and a change is told."""
    fake.manifest = {**fake.manifest, "private_settings": [{"name": "limit", "default": 5}]}
    assert call("POST", f"/api/v1/{connector.id}/update_manifest", **credentials)[0] == 200
    status, app = call("GET", "/api/v1/app", **credentials)
    assert (status, app["private_settings"], "secret" in app) == (200, {"limit": 5}, False)
    assert call("PUT", f"/api/v1/{connector.id}", {"private_settings": {"limit": 7}}, **credentials)[0] == 200
    assert call("GET", f"/api/v1/{connector.id}", **credentials)[1]["private_settings"] == {"limit": 7}
    platform.run_until_idle()
    assert [m["private_settings"]["limit"] for m in fake.messages("ship:update")][-1] == 7
    assert call("PUT", "/api/v1/app", {"private_settings": []}, **credentials)[0] == 400


def test_a_manifest_that_breaks_a_rule_leaves_the_old_one(call, connector, credentials, fake):
    """The error says what is wrong; an unreachable manifest is a bad gateway."""
    old, fake.manifest = fake.manifest, {"subscriptions": [{"url": "https://elsewhere.test/steal"}]}
    status, answer = call("POST", f"/api/v1/{connector.id}/update_manifest", **credentials)
    assert (status, "leads away" in answer["message"]) == (400, True)
    assert connector.manifest == old
    fake.manifest_status = 404
    assert call("POST", f"/api/v1/{connector.id}/update_manifest", **credentials)[0] == 502


@pytest.mark.parametrize("path", ["/api/v1/app/status", "/api/v1/{id}/status"])
def test_a_connector_reports_its_status(call, connector, credentials, path):
    """The status is stored and shown; an unknown one is refused."""
    body = {"status": "warning", "messages": ["no key"]}
    assert call("PUT", path.format(id=connector.id), body, **credentials) == (200, body)
    assert call("GET", "/api/v1/app", **credentials)[1]["status"] == body
    assert call("PUT", path.format(id=connector.id), {"status": "fine"}, **credentials)[0] == 400
    assert call("PUT", path.format(id=connector.id), {"status": "ok", "messages": "x"}, **credentials)[0] == 400


def test_users_and_accounts_are_read_written_and_deleted(organization, call, credentials, send):
    """An entity answers under its id; writing goes the way of the firehose."""
    send.traits(ANN, {"plan": "pro"}, account={"domain": "acme.test"})
    user, account = organization.find_user(ANN).id, organization.find_account({"domain": "acme.test"}).id
    assert call("GET", f"/api/v1/{user}", **credentials)[1]["account"]["domain"] == "acme.test"
    assert call("PUT", f"/api/v1/{account}/traits", {"Plan": "team"}, **credentials)[1]["plan"] == "team"
    assert call("PUT", f"/api/v1/{user}", {"plan": "free"}, **credentials)[1]["traits_plan"] == "free"
    assert call("DELETE", f"/api/v1/{account}", **credentials)[0] == 200
    assert call("GET", f"/api/v1/{user}", **credentials)[1]["account"] == {}
    assert call("DELETE", f"/api/v1/{user}", **credentials)[0] == 200
    assert call("GET", f"/api/v1/{user}", **credentials)[0] == 404
    assert organization.events() == []


def test_segments_are_listed_changed_and_deleted(organization, call, credentials, send):
    """Lists and single segments have the same shape; members are listed per user."""
    segment = organization.create_segment("user", "Pros", query={"term": {"traits_plan.raw": "pro"}})
    send.traits(ANN, {"plan": "pro"})
    user = organization.find_user(ANN).id
    listed = call("GET", "/api/v1/users_segments?shipId=x", **credentials)[1]
    assert [s["id"] for s in listed] == [segment["id"]]
    assert call("GET", "/api/v1/segments", **credentials)[1] == listed
    assert call("GET", f"/api/v1/{segment['id']}", **credentials)[1] == listed[0]
    assert [s["name"] for s in call("GET", f"/api/v1/{user}/segments", **credentials)[1]] == ["Pros"]
    assert call("PUT", f"/api/v1/{segment['id']}", {"name": "Paying"}, **credentials)[1]["name"] == "Paying"
    assert call("DELETE", f"/api/v1/{segment['id']}", **credentials)[0] == 200
    assert call("GET", f"/api/v1/{user}/segments", **credentials)[1] == []
    assert call("GET", "/api/v1/accounts_segments", **credentials) == (200, [])


def test_schemas_and_attribute_trees(call, credentials, send):
    """Attributes are listed with their types, as a list and as a tree."""
    send.traits(ANN, {"plan": "pro", "name": "Ann"}, account={"domain": "acme.test"})
    send.account({"domain": "acme.test"}, {"seats": 5})
    schema = {entry["key"]: entry["type"] for entry in call("GET", "/api/v1/users/schema", **credentials)[1]}
    assert schema["traits_plan"] == "string"
    assert {e["key"]: e["type"] for e in call("GET", "/api/v1/accounts/schema", **credentials)[1]}["seats"] == "number"
    tree = call("GET", "/api/v1/search/user_reports/bootstrap", **credentials)[1]
    assert tree["version"] == "new"
    assert tree["tree"][1] == {"text": "Traits", "children": [{"id": "traits_plan", "text": "plan", "type": "string"}]}
    assert tree["tree"][2]["children"][-1]["children"] == [{"id": "account.seats", "text": "seats", "type": "number"}]


def test_a_users_token_reads_and_writes_that_user_only(organization, call, connector, send):
    """It gives access to /me and nothing else; reading creates nobody."""
    token = {"Hull_App_Id": connector.id, "Hull_Access_Token": send.token(user=ANN)}
    assert call("GET", "/api/v1/me", **token)[0] == 404
    assert organization.entities("user") == []
    assert call("PUT", "/api/v1/me/traits", {"plan": "pro"}, **token)[0] == 200
    assert call("POST", "/api/v1/me/traits", {"name": "visits", "operation": "inc", "value": 2}, **token)[0] == 200
    assert call("POST", "/api/v1/t", {"event": "Ordered", "properties": {"sku": "A1"}}, **token)[0] == 200
    assert call("POST", "/api/v1/me/alias", {"anonymous_id": "visitor"}, **token)[0] == 200
    report = call("GET", "/api/v1/me/user_report", **token)[1]
    assert (report["traits_plan"], report["traits_visits"], report["anonymous_ids"]) == ("pro", 2, ["visitor"])
    assert call("GET", "/api/v1/me/segments", **token) == (200, [])
    assert organization.tracked_events() == 1
    assert call("POST", "/api/v1/t", {"event": ""}, **token)[0] == 400
    for path in ("/api/v1/app", "/api/v1/users_segments", f"/api/v1/{report['id']}"):
        assert call("GET", path, **token)[0] == 401


@pytest.mark.parametrize("scopes", [{"scopes": ["admin"]}, {"io.hull.scope": ["admin"]}, {"io.hull.scope": "admin"}])
def test_a_token_with_the_scope_admin_has_the_rights_of_its_secret(platform, call, connector, send, scopes):
    """It speaks for its user and opens what the secret opens, but not the operator's doors; other scopes open nothing."""
    send.traits(ANN, {"plan": "pro"})

    def headers(**extra):
        now = platform.runtime.clock.time()
        claims = tokens.build_claims(issuer=connector.id, issued_at=now, subject_type="user", user=ANN)
        token = tokens.encode({**claims, **extra}, connector.secret)
        return {"Hull_App_Id": connector.id, "Hull_Access_Token": token}

    assert call("GET", "/api/v1/app", **headers(**scopes))[1]["id"] == connector.id
    assert call("GET", "/api/v1/me", **headers(**scopes))[1]["email"] == "ann@acme.test"
    assert call("GET", "/api/v1/settings", **headers(**scopes))[0] == 403
    for other in ({}, {"scopes": ["read"]}, {"scopes": [["admin"]]}, {"scopes": {"admin": True}}):
        assert call("GET", "/api/v1/app", **headers(**other))[0] == 401


def test_a_secret_acts_for_a_user_that_a_header_names(organization, call, credentials, send):
    """Hull-User-Id makes /me that user, and takes no right away."""
    send.traits(ANN, {"plan": "pro"})
    user_id = organization.find_user(ANN).id
    assert call("GET", "/api/v1/me", Hull_User_Id=user_id, **credentials)[1]["email"] == "ann@acme.test"
    assert call("GET", "/api/v1/me", **credentials)[0] == 401
    assert call("GET", "/api/v1/app", Hull_User_Id=user_id, **credentials)[0] == 200


def test_connectors_send_their_logs(organization, call, connector, credentials):
    """Lines are kept with the connector's name; another connector's are refused."""
    line = {"message": "outgoing.user.success", "level": "info", "data": {"token": "x"}, "context": {"user_id": "1"}}
    assert call("POST", f"/api/v1/{connector.id}/logs", {"logs": [line]}, **credentials) == (200, {"accepted": 1})
    entry = organization.log[-1]
    assert (entry.event, entry.fields["connector_id"], entry.fields["data"]) == (
        "outgoing.user.success",
        connector.id,
        {"token": "***"},
    )
    second = organization.install(None, manifest={})
    assert call("POST", f"/api/v1/{second.id}/logs", {"logs": [line]}, **credentials)[0] == 403
    assert call("POST", f"/api/v1/{connector.id}/logs", {"logs": ["x"]}, **credentials)[0] == 400


def test_dead_letters_are_listed_and_sent_again(platform, call, credentials, fake, send):
    """A list, a redelivery of some or all, and an error for an unknown id."""
    fake.answer = lambda n: {
        "flow_control": {"type": "next", "in": 0},
        "responses": [{"message_id": m["message_id"], "status": "error", "reason": "bad"} for m in n["messages"]],
    }
    send.people(2)
    platform.run_until_idle()
    letters = call("GET", f"/api/v1/{send.connector.id}/dead_letters", **credentials)[1]
    assert [letter["reason"] for letter in letters] == ["bad", "bad"]
    path = f"/api/v1/{send.connector.id}/dead_letters/redrive"
    fake.answer = lambda _n: {"flow_control": {"type": "next", "in": 0}}
    assert call("POST", path, {"ids": [letters[0]["id"]]}, **credentials)[1] == {"redriven": 1}
    assert call("POST", path, {"ids": ["nope"]}, **credentials)[0] == 400
    assert call("POST", path, **credentials)[1] == {"redriven": 1}
    platform.run_until_idle()
    assert call("GET", f"/api/v1/{send.connector.id}/dead_letters", **credentials)[1] == []
    assert [m["message_id"] for m in fake.messages()][2:] == [letter["message_id"] for letter in letters]


def test_unknown_paths_and_methods_have_the_error_shape(call, credentials):
    """Every error is {status, message}."""
    assert call("GET", "/nowhere", **credentials)[1]["status"] == 404
    assert call("PATCH", "/api/v1/app", **credentials)[1]["status"] == 405
    assert call("GET", "/api/v1/notification_keys/none")[1]["status"] == 404


def test_what_a_path_can_be_asked_for_is_told(platform, organization, call):
    """OPTIONS names the methods of a path, and HEAD is answered as GET without a body."""
    options = Request(method="OPTIONS", url="https://acme.hullapp.test/api/v1/app")
    assert call_wsgi(platform.wsgi_app, options).headers["allow"] == "DELETE, GET, HEAD, OPTIONS, PUT"
    assert call("OPTIONS", "/nowhere")[0] == 404
    head = call_wsgi(platform.wsgi_app, Request(method="HEAD", url="https://acme.hullapp.test/openapi.json"))
    assert (head.status, head.body) == (200, b"")
    assert int(head.headers["content-length"]) > 10_000


def test_two_slashes_in_a_row_lead_to_one(platform):
    """An address that was put together from parts with a slash each is sent on, with its query."""
    request = Request(method="GET", url="https://acme.hullapp.test//api//v1/app?a=1")
    answer = call_wsgi(platform.wsgi_app, request)
    assert (answer.status, answer.headers["location"]) == (308, "https://acme.hullapp.test/api/v1/app?a=1")


def test_a_request_within_another_leaves_it_as_it_is(organization, call, credentials, monkeypatch):
    """A view that asks the API on its way goes on with its own request, and reads the body of that."""
    segment = organization.create_segment("user", "Old", query={})
    plain = organization.segment

    def asks_itself(object_id):
        assert call("POST", "/api/v1/search/user_reports", {"name": "Of another"}, **credentials)[0] == 400
        return plain(object_id)

    monkeypatch.setattr(organization, "segment", asks_itself)
    assert call("PUT", f"/api/v1/{segment['id']}", {"name": "New"}, **credentials)[1]["name"] == "New"


@pytest.mark.parametrize("path", ["/api/v1/firehose", "/nowhere", "/api//v1/firehose"])
def test_a_request_is_gone_once_it_is_answered(platform, organization, path):
    """Its body, of up to ten megabytes, does not wait for the garbage collector."""
    body = io.BytesIO(b'{"batch": []}')
    environ = create_environ(path, "https://acme.hullapp.test", method="POST", input_stream=body, content_length=13)
    waiting = weakref.ref(body)
    gc.disable()
    try:
        assert run_wsgi(platform.wsgi_app, environ).status[:3] in {"401", "404", "308"}
        del body, environ
        assert waiting() is None
    finally:
        gc.enable()


def test_an_unexpected_failure_says_nothing_of_its_inside(platform, organization, call, credentials, monkeypatch):
    """A bug is a 500 without details; the log has them."""

    def bug(*_args):
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(organization, "users_segments", bug)
    status, answer = call("GET", "/api/v1/users_segments", **credentials)
    assert status == 500
    assert "detail" not in answer["message"]


@pytest.mark.shows_secrets("address", reason="credentials in a query, of which no log may tell")
@pytest.mark.attack("secrets outside their lawful places")
def test_no_secret_is_logged(platform, call, fake, send, records):
    """Neither the query of a request nor that of a schedule, nor a notification, leaves a secret in the log."""
    organization, connector = send.organization, send.connector
    call("GET", f"/api/v1/app?ship={connector.id}&secret={connector.secret}")
    fake.manifest = {**fake.manifest, "schedules": [{"url": "/s", "type": "interval", "value": "1"}]}
    organization.update_manifest(connector)
    send.traits(ANN, {"plan": "pro"})
    organization.install("https://down.test", secret="the other secret", manifest=fake.manifest)
    platform.advance(minutes=3)
    text = "\n".join(f"{record.getMessage()} {record.__dict__}" for record in records)
    assert "api.request" in text
    for secret in (connector.secret, "the other secret", organization.admin_secret):
        assert secret not in text
    assert connector.secret not in repr(connector)


@pytest.mark.attack("SSRF through an installed connector")
def test_only_the_connectors_own_host_is_called(platform, organization):
    """Whatever a manifest says, notifications and schedules go to the configured address."""
    hostile = FakeConnector({"tags": ["smart-notifier"], "subscriptions": [{"url": "@evil.test/x"}], "schedules": []})
    connector = organization.install(hostile)
    assert connector.url_of("@evil.test/x").startswith(f"{connector.url}/@evil.test")
    assert connector.url_of("//evil.test/x") == f"{connector.url}/evil.test/x"
