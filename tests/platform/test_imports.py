"""Imports: files of users, accounts and events, applied beside live messages."""

from __future__ import annotations

import gzip

import pytest
from delivery_kit import FakeConnector

from hull_sdk.core import json
from hull_sdk.platform import import_files

URL = "https://files.example.com/1.json"


class FileServer:
    """Serves one file, after as many refusals as a test wants."""

    def __init__(self) -> None:
        self.data = b""
        self.statuses: list[int] = []
        self.headers: list[tuple[str, str]] = []
        self.asked = 0

    def __call__(self, _environ, start_response):
        self.asked += 1
        status = self.statuses.pop(0) if self.statuses else 200
        start_response(f"{status} X", [("Content-Length", str(len(self.data))), *self.headers])
        return [self.data]

    def put(self, *records, raw=()):
        self.data = b"\n".join([*(json.dumps(record) for record in records), *raw])


@pytest.fixture
def files(platform):
    """A server of files at a public address."""
    files = FileServer()
    platform.runtime.net.mount("files.example.com", files)
    return files


@pytest.fixture
def imported(platform, call, credentials, files):
    """A function that imports a file and returns the finished job."""

    def imported(data_set, *records, raw=(), **options):
        if records or raw:
            files.put(*records, raw=raw)
        status, job = call("POST", f"/api/v1/import/{data_set}", {"url": URL, **options}, **credentials)
        assert (status, job["state"]) == (201, "queued"), job
        platform.run_until_idle()
        return call("GET", f"/api/v1/{job['id']}", **credentials)[1]

    return imported


def test_users_are_imported_with_their_accounts(imported, organization):
    """A record needs a userId or an e-mail; accountId links; each line counts."""
    job = imported(
        "users",
        {"userId": "123", "accountId": "456", "traits": {"email": "john@acme.test", "name": "John"}},
        {"traits": {"email": "ann@acme.test", "visits": {"operation": "inc", "value": 2}}},
        size=2,
        name="people",
    )
    assert (job["state"], job["reason"], job["name"]) == ("completed", None, "people")
    assert job["progress"] == {"lines": 2, "applied": 2, "skipped": 0, "failed": 0, "size": 2, "ratio": 1.0}
    john = organization.user_report({"external_id": "123"})
    assert (john["email"], john["name"]) == ("john@acme.test", "John")
    account = organization.find_account({"external_id": "456"})
    assert organization.find_user({"external_id": "123"}).account_id == account.id
    assert organization.user_report({"email": "ann@acme.test"})["traits_visits"] == 2


def test_accounts_and_events_are_imported(imported, organization):
    """Accounts by accountId; events look their user up by userId or e-mail, and create it."""
    assert (
        imported("accounts", {"accountId": "111", "traits": {"domain": "acme.test", "name": "Acme"}})["state"]
        == "completed"
    )
    assert organization.account_report({"domain": "acme.test"})["name"] == "Acme"
    job = imported(
        "events",
        {"event": "Registered", "properties": {"email": "ann@acme.test", "price": 129.0}, "timestamp": 1704448800},
        {"event": "Paid", "userId": "9", "anonymousId": "v1", "eventId": "e1", "timestamp": "2024-01-05T10:00:00Z"},
    )
    assert job["progress"]["applied"] == 2
    tracked = [
        event for event in organization.events() if event["event_source"] is None and event["event"] != "User created"
    ]
    assert [(e["event"], e["created_at"]) for e in tracked] == [
        ("Registered", "2024-01-05T10:00:00Z"),
        ("Paid", "2024-01-05T10:00:00Z"),
    ]
    assert organization.find_user({"anonymous_id": "v1"}).external_id == "9"


def test_an_account_s_record_needs_its_id(imported, organization):
    """A domain among the traits does not name the account, and an anonymous id is refused; the others are taken."""
    job = imported(
        "accounts",
        {"traits": {"domain": "acme.test"}},
        {"accountId": "", "traits": {"domain": "acme.test"}},
        {"accountId": "1", "anonymousId": "x"},
        {"accountId": 2, "traits": {"domain": "acme.test"}},
    )
    assert [(e["line"], e["code"]) for e in job["errors"]] == [
        (1, "NO_IDENTIFIER"),
        (2, "NO_IDENTIFIER"),
        (3, "INVALID_MESSAGE"),
    ]
    assert [(a.external_id, a.handle) for a in organization.entities("account")] == [("2", "acme.test")]


def test_an_imported_event_replaces_the_one_with_its_id(imported, organization, send):
    """An id is unique in the organization, whichever way the event came."""
    body = {"event": "Paid", "event_id": "e1", "properties": {"total": 1}}
    send._send(send.message("track", body, user={"external_id": "9"}))
    imported("events", {"event": "Paid", "userId": "8", "eventId": "e1", "properties": {"total": 2}})
    paid = [event for event in organization.events() if event["event"] == "Paid"]
    owner = organization.find_user({"external_id": "8"}).id
    assert [(event["properties"], event["user_id"]) for event in paid] == [({"total": 2}, owner)]


def test_each_bad_line_is_reported_and_spares_the_rest(imported, organization, call, credentials, monkeypatch):
    """Number, code and reason of each; blank lines do not count."""
    monkeypatch.setattr(import_files, "MAX_MESSAGE_BYTES", 400)
    job = imported(
        "users",
        {"userId": "1", "traits": {"a": 1}},
        {"traits": {"email": "no mail"}},
        {"userId": "2", "anonymousId": "x"},
        {"userId": "3", "traits": [1]},
        [1],
        raw=[b"", b"{broken", b'{"userId": "4", "traits": {"a": "' + b"x" * 70_000 + b'"}}', b'{"userId": "5"}', b""],
    )
    assert job["state"] == "completed"
    assert job["progress"] | {"size": None, "ratio": None} == {
        "lines": 8, "applied": 2, "skipped": 0, "failed": 6, "size": None, "ratio": None,
    }  # fmt: skip
    report = call("GET", f"/api/v1/{job['id']}/errors?per_page=4&page=2", **credentials)[1]
    assert report["pagination"] == {"total": 6, "page": 2, "pages": 2, "per_page": 4}
    assert [(e["line"], e["code"]) for e in job["errors"]] == [
        (2, "NO_IDENTIFIER"),
        (3, "INVALID_MESSAGE"),
        (4, "INVALID_MESSAGE"),
        (5, "INVALID_MESSAGE"),
        (7, "INVALID_MESSAGE"),
        (8, "TOO_LARGE"),
    ]
    assert report["data"] == job["errors"][4:]
    assert call("GET", f"/api/v1/{job['id']}/errors?page=0", **credentials)[0] == 400
    assert [user.external_id for user in organization.entities("user")] == ["1", "5"]


@pytest.mark.parametrize("header", [True, False])
def test_gzip_is_known_by_its_header_or_its_first_bytes(imported, files, organization, header):
    """A compressed file is the same file."""
    files.data = gzip.compress(b"\xef\xbb\xbf" + json.dumps({"userId": "1"}))
    files.headers = [("Content-Encoding", "gzip")] if header else []
    assert imported("users")["progress"]["applied"] == 1
    assert organization.find_user({"external_id": "1"}) is not None


def test_a_damaged_file_fails_the_job_with_the_reason(imported, files):
    """What came before the damage stays applied and is counted."""
    files.data = gzip.compress(b"\n".join(json.dumps({"userId": str(n)}) for n in range(9)))[:-12]
    job = imported("users")
    assert job["state"] == "failed"
    assert job["reason"]


def test_without_overwrite_values_stay(imported, organization, send):
    """Plain values fill gaps only; the default overwrites."""
    send.traits({"external_id": "1"}, {"plan": "pro"})
    record = {"userId": "1", "traits": {"plan": "free", "seats": 3}}
    imported("users", record, overwrite=False)
    report = organization.user_report({"external_id": "1"})
    assert (report["traits_plan"], report["traits_seats"]) == ("pro", 3)
    imported("users", record)
    assert organization.user_report({"external_id": "1"})["traits_plan"] == "free"


def test_connectors_are_told_only_on_request(imported, fake, send, organization):
    """By default nobody is notified and no event of the platform's own is made; both can be asked for."""
    organization.create_segment("user", "Pros", query={"term": {"traits_plan.raw": "pro"}})
    imported("users", {"userId": "1", "traits": {"plan": "pro"}})
    assert fake.messages() == []
    assert organization.events() == []
    send.traits({"external_id": "1"}, {"seats": 3})
    imported("users", {"userId": "2", "traits": {"plan": "pro"}}, notify=True, emit_event=True)
    first, second = fake.messages()
    assert first["changes"]["user"] == {"traits_seats": [None, 3]}
    assert (second["user"]["external_id"], second["changes"]["is_new"]) == ("2", True)
    assert [event["event"] for event in second["events"]] == ["User created", "Segments changed"]


def test_a_silent_import_does_not_outdate_what_waits(platform, imported, organization, send, fake):
    """A message that waits while a file changes its user, or merges it, tells of the newest state."""
    fake.answer = lambda _n: {"flow_control": {"type": "next", "size": 10, "in": 60_000}}
    send.traits({"external_id": "0"}, {"a": 1})
    platform.runtime.tasks.sleep(1)
    send.traits({"external_id": "1"}, {"plan": "free"})
    send.traits({"email": "ann@acme.test"}, {"city": "Paris"})
    imported("users", {"userId": "1", "traits": {"plan": "pro", "email": "ann@acme.test"}})
    told = [m["user"] for m in fake.messages()]
    assert [(u["external_id"], u.get("traits_plan")) for u in told] == [("0", None), ("1", "pro")]
    assert platform.pending == 0


def test_an_import_waits_for_its_time(platform, call, credentials, files, organization):
    """A scheduled job is queued until domain time reaches it, and does not count as pending before."""
    files.put({"userId": "1"})
    body = {"url": URL, "schedule_at": "2024-01-01T02:00:00Z"}
    job = call("POST", "/api/v1/import/users", body, **credentials)[1]
    platform.run_until_idle()
    assert (call("GET", f"/api/v1/{job['id']}", **credentials)[1]["state"], files.asked) == ("queued", 0)
    platform.advance(hours=3)
    assert call("GET", f"/api/v1/{job['id']}", **credentials)[1]["state"] == "completed"
    assert [each["id"] for each in call("GET", "/api/v1/imports", **credentials)[1]] == [job["id"]]


def test_a_job_can_be_cancelled_before_and_not_after_its_end(platform, call, credentials, files):
    """A cancelled job fails with that reason and asks for no file."""
    body = {"url": URL, "schedule_at": "2024-01-02T00:00:00Z"}
    job = call("POST", "/api/v1/import/users", body, **credentials)[1]
    assert call("DELETE", f"/api/v1/{job['id']}", **credentials)[0] == 200
    assert call("DELETE", f"/api/v1/{job['id']}", **credentials)[0] == 400
    platform.advance(hours=48)
    assert call("GET", f"/api/v1/{job['id']}", **credentials)[1]["reason"] == "it was cancelled"
    assert files.asked == 0


def test_a_server_that_fails_is_asked_again_and_one_that_refuses_is_not(imported, files):
    """Five tries at most for what may pass; none after a refusal."""
    files.statuses = [503, 500]
    assert imported("users", {"userId": "1"})["attempts"] == 3
    files.statuses = [503] * 9
    job = imported("users")
    assert (job["state"], job["attempts"]) == ("failed", 5)
    assert "503" in job["reason"]
    files.statuses, files.asked = [403], 0
    job = imported("users")
    assert (job["state"], files.asked) == ("failed", 1)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"url": "http://files.example.com/1"},
        {"url": "ftp://files.example.com/1"},
        {"url": "https://user@files.example.com/1"},
        {"url": "http://127.0.0.1:9/1"},
        {"url": "https://localhost/1"},
        {"url": "https://[::1]/1"},
        {"url": URL, "format": "csv"},
        {"url": URL, "notify": "yes"},
        {"url": URL, "schedule_at": "soon"},
        {"url": URL, "size": -1},
        {"url": URL, "colour": "red"},
    ],
)
def test_malformed_imports_are_refused(call, credentials, organization, body):
    """The answer is 400 with the rule; no job is made and nothing is fetched."""
    status, answer = call("POST", "/api/v1/import/users", body, **credentials)
    assert (status, organization.imports.jobs) == (400, []), answer


@pytest.mark.attack("SSRF through files of extracts and imports")
def test_only_hosts_that_are_ours_are_asked_beyond_public_ones(platform, organization):
    """The network connects to public addresses only, except on the connector's host and those the operator named."""
    from hull_sdk.errors import InvalidArgumentError
    from hull_sdk.platform.import_files import checked_address

    assert checked_address("https://files.example.com/1", []).public_only
    assert not checked_address("http://127.0.0.1:9000/1", ["127.0.0.1:9000"]).public_only
    with pytest.raises(InvalidArgumentError, match="https"):
        checked_address("http://127.0.0.1:9001/1", ["127.0.0.1:9000"])
    connector = organization.install("http://127.0.0.1:8082", manifest={})
    assert organization.request_import("users", {"url": "http://127.0.0.1:8082/f"}, connector).state == "queued"
    organization.update_settings({"import_hosts": ["*.internal.test"]})
    job = organization.request_import("users", {"url": "https://files.internal.test/f"}, None)
    assert not job.request.public_only
    with pytest.raises(InvalidArgumentError, match="host"):
        organization.update_settings({"import_hosts": ["https://x"]})


def test_the_address_of_a_file_is_not_shown(imported, call, credentials):
    """It may hold a signature, and stands neither in the job nor in the list."""
    job = imported("users", {"userId": "1"}, url=URL + "?signature=abc")
    assert "abc" not in json.dumps(job).decode()


def test_the_connector_goes_and_its_import_with_it(platform, organization, files):
    """An import of a removed connector ends as failed; nothing of it is applied later."""
    files.put({"userId": "1"})
    connector = organization.install(FakeConnector())
    job = organization.request_import("users", {"url": URL}, connector)
    organization.uninstall(connector)
    platform.run_until_idle()
    assert (job.state, organization.entities("user")) == ("failed", [])


def test_a_large_file_runs_in_slices_between_live_messages(platform, organization, files, send):
    """Live messages that come while a file is imported are applied at once, and nothing of the file is lost."""
    files.put(*({"userId": str(number)} for number in range(3000)))
    job = organization.request_import("users", {"url": URL}, None)
    seen = []
    for number in range(5):
        platform.runtime.tasks.sleep(0.01)
        send.traits({"email": f"{number}@live.test"}, {"n": number})
        seen.append(job.lines)
    assert 0 < seen[0] < seen[-1] < 3000
    platform.run_until_idle()
    assert (job.state, job.counts["applied"]) == ("completed", 3000)


def test_an_import_gives_way_but_not_for_ever(organization, platform, files, monkeypatch):
    """While messages are being taken in it waits, yet takes a slice now and then."""
    monkeypatch.setattr(type(organization), "busy", property(lambda _self: True))
    files.put(*({"userId": str(number)} for number in range(3)))
    job = organization.request_import("users", {"url": URL}, None)
    platform.runtime.tasks.sleep(0.02)
    assert job.lines == 0
    platform.run_until_idle()
    assert job.state == "completed"


def test_an_import_runs_on_threads_too(signing_key):
    """On real time the file comes over HTTP from the connector's own host, and a platform that closes ends the job."""
    from hull_sdk.core.tasks import ThreadTasks
    from hull_sdk.platform import Platform
    from hull_sdk.platform.server import serve_app

    files = FileServer()
    files.put(*({"userId": str(number)} for number in range(200)))
    platform = Platform(signing_key=signing_key)
    server = serve_app(files, ThreadTasks())
    organization = platform.create_organization("acme.hullapp.test", {"import_hosts": [server.address]})
    job = organization.request_import("users", {"url": f"{server.url}/f"}, None)
    platform.run_until_idle()
    assert (job.state, job.counts["applied"]) == ("completed", 200)
    later = organization.request_import("users", {"url": f"{server.url}/f", "schedule_at": 4_000_000_000}, None)
    platform.close()
    assert (later.state, later.reason) == ("failed", "the platform was closed")
    server.close()
