"""Parsers of the platform: whatever comes, only the documented errors are raised, and requests are never answered 5xx."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoiling import broken, encoded, fuzzed, only, spoiled
from werkzeug.test import Client

from hull_sdk.core.clock import VirtualClock
from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.platform import Platform
from hull_sdk.platform.config import check_config, configure
from hull_sdk.platform.door import MessageError
from hull_sdk.platform.fields import Document
from hull_sdk.platform.fixtures import load_fixtures
from hull_sdk.platform.import_files import ImportFile
from hull_sdk.platform.import_records import DATA_SETS, read_record
from hull_sdk.platform.log_queries import LOG_FILTERS, read_log_query
from hull_sdk.platform.patterns import check_pattern
from hull_sdk.platform.predicate import compile_predicate
from hull_sdk.platform.query import compile_query
from hull_sdk.platform.settings import load_settings
from hull_sdk.platform.snapshots import load_snapshot, save_snapshot
from hull_sdk.platform.timers import next_time
from hull_sdk.wire import tokens
from hull_sdk.wire.manifest import load_manifest, schedules

HOST = "acme.hullapp.test"
ANN = {"email": "ann@acme.test"}
NOW = datetime(2024, 4, 1, tzinfo=UTC)
STATES = {"applied", "merged", "ignored", "failed"}
REPORT = {
    "id": "u1",
    "email": "ann@acme.test",
    "created_at": "2024-01-05T10:00:00Z",
    "segment_ids": ["s1"],
    "traits_plan": "Pro Plus",
    "traits_seats": 12,
    "traits_tags": ["VIP", None, 3, {"a": 1}],
    "account": {"domain": "acme.test", "employees": 50},
}
EVENTS = [
    {
        "event_id": "e1",
        "event": "Ordered",
        "created_at": "2024-03-30T00:00:00Z",
        "properties": {"sku": "A1", "amount": 10},
        "context": {"page": {"url": "https://acme.test/"}},
    }
]
QUERIES = [
    {"term": {"traits_plan.raw": "Pro Plus"}},
    {"terms": {"segment_ids": ["s9", "s1"]}},
    {"range": {"traits_seats": {"gt": 11, "lte": 12}}},
    {"range": {"created_at": {"gte": "now-30d/d", "lt": "now"}}},
    {"and": [{"exists": {"field": "email"}}, {"missing": {"field": "traits_none"}}, {"prefix": {"traits_plan": "p"}}]},
    {"or": {"filters": [{"ids": {"values": ["u1"]}}, {"wildcard": {"email": "*@acme.t?st"}}]}},
    {"not": {"filter": {"match": {"name": {"query": "ann smith", "operator": "and"}}}}},
    {"bool": {"must": {"match_phrase": {"name": "ann"}}, "should": [{"match_all": {}}], "minimum_should_match": 1}},
    {"filtered": {"query": {"match_all": {}}, "filter": {"term": {"account.domain": "acme.test"}}}},
    {"has_child": {"type": "event", "query": {"term": {"event.raw": "Ordered"}}, "min_children": 1, "max_children": 3}},
]
LEAF = {
    "property": {"key": "traits_plan", "type": "string", "entity": "user"},
    "operator": "equals",
    "options": {"value": ["a"]},
}
PREDICATES = [
    {"type": "all", "predicates": [LEAF, {"type": "any", "predicates": [{**LEAF, "operator": "contains"}]}]},
    {
        "predicates": [
            {**LEAF, "operator": operator} for operator in ("within", "greater_than", "before", "is_set", "ends_with")
        ]
    },
    {
        "event": "Ordered",
        "operator": "performed",
        "count": {"gte": 1},
        "within": "30d",
        "properties": [{"property": {"key": "sku"}, "operator": "equals", "options": {"value": ["A1"]}}],
    },
]
SETTINGS = [
    {
        "user_external_id_pattern": "^[a-z]{3,10}$",
        "rejected_domains": ["mail.test"],
        "import_hosts": ["files.acme.test", "*.acme.test"],
        "limits": {"attributes": 10, "value_bytes": 100},
        "json_attributes": True,
    }
]
CONFIG = {
    "organizations": [
        {
            "host": HOST,
            "admin_secret": "the operators secret",
            "settings": SETTINGS[0],
            "connectors": [
                {"url": "http://127.0.0.1:9", "id": "5a7962e2793d3e942a03b29a", "secret": "s", "manifest": {}}
            ],
            "users_segments": [{"name": "Buyers", "query": QUERIES[0]}, {"name": "All", "predicate": PREDICATES[0]}],
            "accounts_segments": [{"name": "Big", "query": {}}],
        }
    ]
}
MESSAGES = [
    {"type": "traits", "message_id": "m-1", "body": {"plan": "pro", "seats": {"operation": "inc", "value": 2}}},
    {"type": "traits", "body": {"crm/tags": ["a"], "born_at": "2000-01-01", "address": {"city": "Ulm"}}},
    {"type": "track", "body": {"event": "Ordered", "properties": {"total": 3}, "ip": "203.0.113.9", "created_at": 1}},
    {"type": "alias", "body": {"anonymous_id": "a-1"}},
    {"type": "unalias", "body": {"anonymous_id": "a-1"}},
]
CLAIMS = [
    {"iat": 1, "io.hull.asUser": {"email": "ann@acme.test", "external_id": "1"}, "io.hull.subjectType": "user"},
    {"iat": 1, "io.hull.asAccount": {"domain": "acme.test"}, "io.hull.subjectType": "account", "io.hull.create": False},
    {"iat": 1, "io.hull.asUser": "5a7962e2793d3e942a03b29b", "io.hull.asAccount": {"external_id": "a"}, "sub": "x"},
]
RECORDS = [
    {"userId": "123", "traits": {"email": "ann@acme.test", "plan": "pro", "tags": ["a"]}, "accountId": "a1"},
    {"accountId": "a1", "traits": {"domain": "acme.test", "size": 3}},
    {"userId": "123", "event": "Ordered", "properties": {"sku": 1}, "context": {"ip": "203.0.113.9"}, "eventId": "e"},
]
FIXTURES = [
    {"user": ANN, "traits": {"plan": "pro"}, "account": {"domain": "acme.test"}},
    {"account": {"domain": "acme.test"}, "traits": {"size": 3}},
    {"user": ANN, "event": "Ordered", "properties": {"total": 1}, "context": {"ip": "203.0.113.9"}, "created_at": 5},
]
SCHEDULES = [
    {
        "schedules": [
            {"url": "/sync", "type": "cron", "value": "*/5 1-3 * * 1,2"},
            {"url": "/b", "type": "interval", "value": 5},
        ]
    },
    {
        "schedules": [
            {"url": "/sync", "type": "cron", "value": "@daily"},
            {"url": "/c", "type": "cron", "value": "0 0 L * *"},
        ]
    },
]


class Server:
    """One platform for all examples, asked over its WSGI application."""

    def __init__(self, signing_key: Any) -> None:
        self.platform = Platform(clock=VirtualClock(), seed=0, signing_key=signing_key)
        self.platform.test_controls = True
        self.acme = self.platform.create_organization(HOST, admin_secret="the operators secret")
        self.connector = self.acme.install(None, manifest={"name": "Shop"})
        self.client = Client(self.platform.wsgi_app)
        self.headers = {"Host": HOST, "Hull-App-Id": self.connector.id, "Hull-Access-Token": self.connector.secret}

    def post(self, path: str, body: bytes, method: str = "POST", **headers: str) -> int:
        """Make a request and return the status."""
        sent = {**self.headers, "Content-Type": "application/json", **headers}
        return self.client.open(path, method=method, data=body, headers=sent).status_code

    def token(self, claims: Any) -> str:
        """Sign claims as the connector would, whatever they are."""
        now = int(self.platform.runtime.clock.time())
        mine = {**claims, "iss": self.connector.id, "iat": now} if isinstance(claims, dict) else {"x": claims}
        return tokens.encode(mine, self.connector.secret)


@pytest.fixture(scope="module")
def server(signing_key):
    """A platform with one organization and one connector."""
    server = Server(signing_key)
    yield server
    server.platform.close()


@fuzzed
@given(source=spoiled(QUERIES))
def test_queries(source):
    """A query that compiles can be asked about anybody."""
    query = only(InvalidArgumentError, compile_query, source)
    if query is not None:
        assert query.matches(Document(REPORT, lambda: EVENTS, NOW)) in (True, False)


@fuzzed
@given(tree=spoiled(PREDICATES), kind=st.sampled_from(["user", "account"]))
def test_predicates(tree, kind):
    """A predicate that compiles gives a query that compiles, and can be asked."""
    clause = only(InvalidArgumentError, compile_predicate, tree, kind)
    if clause is not None:
        assert compile_query(clause).matches(Document(REPORT, lambda: EVENTS, NOW)) in (True, False)


@fuzzed
@given(value=spoiled(SETTINGS))
def test_settings_of_organizations(value):
    """Settings that are accepted are of use for every domain and id."""
    settings = only(InvalidArgumentError, load_settings, value)
    if settings is not None:
        settings.external_id_problem("user", "abc")
        settings.domain_problem("acme.test")
        json.dumps(settings.to_wire())


@fuzzed
@given(text=st.one_of(st.text(max_size=30), st.text(alphabet="^$[](){}|*+?\\.,-0a", max_size=30)))
def test_patterns(text):
    """Patterns are refused or can be used."""
    only(InvalidArgumentError, check_pattern, text)


@fuzzed
@given(value=spoiled([CONFIG]))
def test_files_of_configuration(value):
    """A file that is accepted gives a platform, or names what does not fit."""
    config = only(InvalidArgumentError, check_config, value)
    if config is not None:
        platform = Platform(clock=VirtualClock(), seed=0)
        only(InvalidArgumentError, configure, platform, config)
        platform.close()


@fuzzed
@given(
    body=st.one_of(encoded([{"batch": MESSAGES}]), encoded([{"batch": MESSAGES}]).map(gzip.compress)), data=st.data()
)
def test_bodies_of_the_firehose(server, body, data):
    """Bytes that are no batch are refused, with or without gzip, and with any encoding that they claim."""
    encoding = data.draw(st.sampled_from(["identity", "gzip", "gzip", "br", ""]))
    assert server.post("/api/v1/firehose", body, **{"Content-Encoding": encoding}) in (200, 400, 413, 415)


@fuzzed
@given(message=spoiled(MESSAGES), claims=spoiled(CLAIMS))
def test_messages_of_the_firehose(server, message, claims):
    """A message with a good signature and any claims is refused at the door, or ends in one of the final states."""
    if isinstance(message, dict):
        message["headers"] = {"Hull-Access-Token": server.token(claims)}
    before = len(server.acme.records)
    assert server.post("/api/v1/firehose", json.dumps({"batch": [message]}).encode()) in (200, 400)
    server.platform.run_until_idle()
    assert {record.state for record in list(server.acme.records)[before:]} <= STATES


@fuzzed
@given(
    path=st.sampled_from(["search/user_reports", "search/account_reports", "search/events", "extract/user_reports"]),
    body=encoded(
        [
            {"query": query, "page": 1, "per_page": 10, "sort": {"created_at": "desc"}, "include": ["id"]}
            for query in QUERIES
        ]
    ),
)
def test_bodies_of_searches_and_extracts(server, path, body):
    """A search that cannot be understood is refused with a reason."""
    assert server.post(f"/api/v1/{path}", body) in (200, 400, 404, 405, 413)


@fuzzed
@given(
    body=encoded(
        [{"logs": [{"level": "info", "message": "outgoing.user.success", "context": {"user_email": "a@b.c"}}]}]
    ),
    settings=encoded([{"private_settings": {"api_key": "k"}, "settings": {}, "status": "ok"}]),
)
def test_logs_and_settings_of_connectors(server, body, settings):
    """What connectors write about themselves is checked."""
    path = f"/api/v1/{server.connector.id}"
    assert server.post(f"{path}/logs", body) < 500
    assert server.post(path, settings, "PUT") < 500
    assert server.post(f"{path}/status", settings, "PUT") < 500


@fuzzed
@given(
    token=st.text(max_size=60).filter(lambda text: text.isprintable()),
    name=st.sampled_from(["Hull-Access-Token", "Hull-App-Id"]),
)
def test_credentials_in_headers(server, token, name):
    """Headers that are no credentials are refused."""
    assert server.post("/api/v1/firehose", b'{"batch": []}', **{name: quote(token)}) in (200, 400, 401, 404)


@fuzzed
@given(line=encoded(RECORDS), data_set=st.sampled_from(DATA_SETS), overwrite=st.booleans())
def test_rows_of_imports(server, line, data_set, overwrite):
    """A line is refused with a code, or becomes a message that ends in one of the final states."""
    found = only(MessageError, read_record, data_set, line, overwrite=overwrite, message_id="m-1")
    if found is not None:
        message, claims = found
        record = server.acme.ingest({**message, "message_id": hashlib.sha1(line).hexdigest()}, claims, None)
        assert record.state in STATES


LINES = b"\n".join(json.dumps(each).encode() for each in RECORDS)


@fuzzed
@given(data=broken([LINES, gzip.compress(LINES, mtime=0)]), encoding=st.sampled_from([None, "gzip", "br"]))
def test_files_of_imports(data, encoding):
    """A damaged file is refused; its lines are bytes, whatever they hold."""
    only((InvalidArgumentError, TransientError), lambda: list(ImportFile(io.BytesIO(data), encoding).lines()))


@fuzzed
@given(line=encoded(FIXTURES))
def test_seed_data(server, line, tmp_path_factory):
    """A line is applied, or refused with the file's name and its number."""
    path = tmp_path_factory.getbasetemp() / "seed.jsonl"
    path.write_bytes(line)
    only(InvalidArgumentError, load_fixtures, server.platform, path)


@pytest.fixture(scope="module")
def snapshot(signing_key, tmp_path_factory):
    """The state of a platform with something of everything."""
    platform = Platform(clock=VirtualClock(), seed=0, signing_key=signing_key)
    acme = platform.create_organization(HOST)
    connector = acme.install(None, manifest={"name": "Shop"}, private_settings={"api_key": "k"})
    acme.create_segment("user", "Buyers", query=QUERIES[0])
    for number, message in enumerate(MESSAGES):
        acme.ingest({**message, "message_id": f"m-{number}"}, CLAIMS[0], connector.id)
    path = tmp_path_factory.mktemp("snapshot") / "state"
    save_snapshot(platform, path)
    platform.close()
    return json.loads(path.read_bytes().split(b"\n")[1])


@pytest.mark.shows_secrets("error", reason="what is drawn in the place of a secret is drawn in other places too")
@fuzzed
@given(data=st.data())
def test_files_of_snapshots(data, snapshot, signing_key, tmp_path_factory):
    """A file with a right digest over a wrong state is refused, or read."""
    body = json.dumps(data.draw(spoiled([snapshot]))).encode()
    header = {"format": "hull-platform-snapshot", "version": 1, "sha256": hashlib.sha256(body).hexdigest()}
    whole = json.dumps(header).encode() + b"\n" + body + b"\n"
    path = tmp_path_factory.getbasetemp() / "spoiled-snapshot"
    path.write_bytes(data.draw(broken([whole])) if data.draw(st.integers(0, 4)) == 0 else whole)
    platform = Platform(clock=VirtualClock(), seed=0, signing_key=signing_key)
    only(InvalidArgumentError, load_snapshot, platform, path)
    platform.close()


@fuzzed
@given(value=spoiled(SCHEDULES))
def test_schedules(value):
    """A schedule of an accepted manifest has a next time, or none, and never one that is over."""
    manifest = only(InvalidArgumentError, load_manifest, value)
    for schedule in [] if manifest is None else schedules(manifest):
        due = next_time(schedule, 1_704_448_800.0, 0.0)
        assert due is None or due > 1_704_448_800.0


@fuzzed
@given(value=spoiled([{"target": "firehose", "kind": "error", "status": 500, "for_ms": 5000, "retry_after_s": 3}]))
def test_faults(server, value):
    """A fault is added, or named as none."""
    only(InvalidArgumentError, server.platform.faults.add_wire, value)
    server.platform.faults.clear()


@fuzzed
@given(parameters=st.dictionaries(st.sampled_from([*LOG_FILTERS, "x"]), st.text(max_size=20), max_size=3))
def test_queries_of_logs(parameters):
    """Parameters that make no query are named."""
    only(InvalidArgumentError, read_log_query, parameters)


OPERATOR = {"Hull-Access-Token": "the operators secret", "Hull-App-Id": ""}
SEGMENT = {"name": "Buyers", "query": QUERIES[0]}
ADMINISTERED = [
    (
        "POST",
        "/api/v1/connectors",
        {"manifest": {"name": "Shop"}, "settings": {"a": 1}, "private_settings": {"b": "c"}},
    ),
    ("POST", "/api/v1/users_segments", SEGMENT),
    ("POST", "/api/v1/accounts_segments", {"name": "Big", "predicate": PREDICATES[0]}),
    ("POST", "/api/v1/platforms", {"name": "Site", "settings": {}}),
    ("PUT", "/api/v1/settings", SETTINGS[0]),
]
CONTROLS = [
    ("POST", "/_platform/clock", {"advance_ms": 5}),
    ("POST", "/_platform/clock", {"advance_ms": 10**400}),
    ("POST", "/_platform/identity/preview", {"kind": "user", "claims": ANN, "entities": [{"id": "u1", **ANN}]}),
    ("POST", "/_platform/faults", {"target": "firehose", "kind": "error", "status": 500}),
]
WRITTEN = [
    ("PUT", "/api/v1/{id}", {"private_settings": {"api_key": "k"}, "settings": {}}),
    ("PUT", "/api/v1/{id}/traits", {"plan": "pro"}),
    ("POST", "/api/v1/import/users", {"url": "file:///etc/passwd", "format": "json", "overwrite": True}),
    ("POST", "/api/v1/{id}/dead_letters/redrive", {"ids": ["5a79"], "all": False}),
]


@fuzzed
@given(data=st.data())
def test_bodies_of_the_other_routes(server, data):
    """What operators, connectors and tests write is taken or refused, and never an error of the platform."""
    method, path, good = data.draw(st.sampled_from([*ADMINISTERED, *CONTROLS, *WRITTEN]))
    body = data.draw(encoded([good]))
    headers = OPERATOR if (method, path, good) in ADMINISTERED else {}
    assert server.post(path.replace("{id}", server.connector.id), body, method, **headers) < 500
    server.platform.faults.clear()
    for each in list(server.acme.connectors.values())[1:]:
        server.acme.uninstall(each)
