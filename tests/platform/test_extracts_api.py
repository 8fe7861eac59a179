"""Extracts on the platform: asking, files at signed addresses, and calls that are repeated."""

from __future__ import annotations

import gzip
from urllib.parse import urlsplit

import pytest
from delivery_kit import FakeConnector

from hull_sdk.core import json

USERS = "/api/v1/extract/user_reports"


@pytest.fixture
def fake():
    """A connector that keeps what it is told of files, and answers as the test says."""
    fake = FakeConnector({"name": "Fake", "tags": ["batch"]})
    fake.notices = []
    fake.statuses = []
    plain = fake.__call__

    def app(environ, start_response):
        if environ["PATH_INFO"] != "/batch":
            return plain(environ, start_response)
        fake.notices.append(json.loads(environ["wsgi.input"].read()))
        status = fake.statuses.pop(0) if fake.statuses else 200
        start_response(f"{status} X", [("Content-Length", "2")])
        return [b"ok"]

    fake.app = app
    return fake


@pytest.fixture
def connector(organization, fake):
    """That connector, installed."""
    return organization.install(fake.app)


@pytest.fixture
def ask(call, credentials, connector):
    """A function that asks for an extract."""

    def ask(path=USERS, **body):
        return call("POST", path, {"url": f"{connector.url}/batch?ship={connector.id}", **body}, **credentials)

    return ask


def fetch(call, notice, method="GET"):
    """Fetch a file at its address."""
    parts = urlsplit(notice["url"])
    return call(method, f"{parts.path}?{parts.query}", host=parts.netloc)


def test_an_extract_is_written_and_brought(platform, call, ask, send, fake):
    """The connector is told where the file lies; GET and POST give it."""
    send.people(2)
    status, answer = ask(format="json", fields=["external_id", "traits_n"], query={"term": {"traits_n": 1}})
    assert status == 200
    assert platform.pending == 1
    platform.run_until_idle()
    (notice,) = fake.notices
    assert notice["notification_id"] == answer["notification_id"] == f"user:extract:{answer['id']}"
    assert (notice["channel"], notice["object_type"], notice["format"]) == ("user:extract", "user_report", "json")
    assert (notice["segments"], notice["account_segments"]) == ([], [])
    assert urlsplit(notice["url"]).path.endswith(f"/extracts/user_report/2024-01-01/{answer['id']}.json")
    for method in ("GET", "POST"):
        assert fetch(call, notice, method) == (200, {"external_id": "1", "traits_n": 1})
    assert [run.outcome for run in platform.extract_runs] == ["done"]
    assert "ship=" not in str(platform.state()["organizations"]["acme.hullapp.test"]["extract_runs"])


def test_accounts_and_csv_in_gzip(platform, call, ask, send, connector, organization):
    """Accounts have an endpoint of their own; CSV has a header, and gzip is said in the headers."""
    send.account({"domain": "acme.example"}, {"tier": 1})
    ask("/api/v1/extract/account_reports", format="csv", fields=["domain", "tier"], gzip=True)
    platform.run_until_idle()
    (path, (file, _)) = next(iter(organization.extracts._files.items()))
    assert path.endswith(".csv")
    assert gzip.decompress(file.data) == b"domain,tier\r\nacme.example,1\r\n"
    assert file.rows == 1


def test_a_call_is_repeated_with_backoff_until_it_is_answered(platform, ask, fake):
    """Anything but 2xx is tried again; each try is recorded."""
    fake.statuses += [503, 400, 200]
    ask()
    platform.run_until_idle()
    runs = platform.extract_runs
    assert [(run.attempt, run.status, run.outcome) for run in runs] == [
        (1, 503, "retry"),
        (2, 400, "retry"),
        (3, 200, "done"),
    ]
    assert runs[0].at < runs[1].at < runs[2].at
    assert platform.pending == 0


def test_calls_end_after_a_day(platform, ask, fake):
    """A connector that never answers is given up after 24 hours."""
    fake.statuses += [500] * 10_000
    ask()
    platform.advance(hours=25)
    assert platform.extract_runs[-1].outcome == "failed"
    assert platform.pending == 0


def test_an_address_expires_and_cannot_be_changed(platform, call, ask, fake):
    """Another path, date or signature is refused, and so is the right one after a day."""
    ask()
    platform.run_until_idle()
    (notice,) = fake.notices
    url = notice["url"]
    for wrong in (
        url[:-1] + ("0" if url[-1] != "0" else "1"),
        url.replace("expires=1", "expires=2"),
        url.replace("user_report", "account_report"),
        url.partition("?")[0],
    ):
        assert fetch(call, {"url": wrong})[0] == 403
    assert fetch(call, notice)[0] == 200
    platform.advance(hours=25)
    assert fetch(call, notice)[0] == 403


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"url": "https://elsewhere.example/batch?secret=hidden"}, "leads away"),
        ({"url": "/batch"}, "absolute"),
        ({"url": 5}, "absolute"),
        ({"format": "xml"}, "json, csv"),
        ({"fields": "email"}, "list"),
        ({"fields": False}, "list"),
        ({"query": {"nonsense": {}}}, "nonsense"),
        ({"gzip": "yes"}, "gzip"),
    ],
)
def test_a_wrong_request_is_refused(platform, ask, fake, body, words):
    """The answer names value and rule, and nobody is called."""
    status, answer = ask(**body)
    assert status == 400
    assert words in answer["message"]
    assert "hidden" not in answer["message"]
    platform.run_until_idle()
    assert fake.notices == []


def test_only_connectors_ask(call, admin, connector):
    """The operator has no endpoint that a file could be brought to."""
    assert call("POST", USERS, {"url": "https://x.test/batch"}, **admin)[0] == 400
    assert call("POST", USERS, {})[0] == 401


def test_an_uninstalled_connector_is_called_no_more(platform, organization, connector, ask, fake):
    """Removing a connector ends its extracts."""
    ask()
    organization.uninstall(connector)
    platform.run_until_idle()
    assert (fake.notices, platform.pending) == ([], 0)


def test_a_segment_of_events_decides_who_is_in_the_file(platform, organization, call, ask, send, fake):
    """Users who did something, or did not, are chosen by their events, whether asked for by segment or by query."""
    send.people(3)
    send.track({"external_id": "1"}, "Ordered")
    leaf = {"event": "Ordered", "within": "30d"}
    buyers = organization.create_segment("user", "Buyers", predicate={"type": "all", "predicates": [leaf]})
    others = {"not": {"filter": {"has_child": {"type": "event", "query": {"term": {"event": "Ordered"}}}}}}
    for query in (buyers["query"], others):
        ask(query=query, fields=["external_id"])
        platform.run_until_idle()
    found = [sorted(json.loads(line)["external_id"] for line in fetch_lines(call, notice)) for notice in fake.notices]
    assert found == [["1"], ["0", "2"]]


def fetch_lines(call, notice):
    """Return the lines of a file."""
    answer = fetch(call, notice, "POST")[1]
    return [json.dumps(answer)] if isinstance(answer, dict) else answer.splitlines()
