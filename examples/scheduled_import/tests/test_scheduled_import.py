"""A nightly file: what it says is in Hull in the morning, and what it says wrongly is told."""

from __future__ import annotations

import csv
import gzip
import json
from urllib.parse import parse_qs, urlsplit

import pytest

PUBLIC = "https://connector.test"
URL = "https://files.example/people.csv"
PEOPLE = "Id,E-mail,Plan,Seats\n1,ann@acme.example,pro,5\n2,bob@acme.example,free,1\n"
USERS = {
    "url": URL,
    "id_column": "Id",
    "email_column": "E-mail",
    "attributes": {"plan": "Plan", "seats": "Seats"},
    "types": {"Seats": "number"},
    "notify": False,
}
ACCOUNTS = {"url": URL, "data_set": "accounts", "id_column": "Id", "delimiter": ";", "notify": False}
EVENTS = {
    "url": URL,
    "data_set": "events",
    "email_column": "Who",
    "event_column": '"Paid"',
    "time_column": "When",
    "types": {"Amount": "number"},
    "notify": False,
}
PAID = "Who,When,Amount\nann@acme.example,2026-05-01T10:00:00Z,9.5\nann@acme.example,2026-05-02T10:00:00Z,7\n"

#: Settings, and the file.
CASES = {
    "users": (USERS, PEOPLE),
    "accounts": (ACCOUNTS, "Id;name;Größe\nacme;Acme;12\n"),
    "events": (EVENTS, PAID),
    "bad-rows": (USERS, "Id,E-mail,Plan,Seats\n1,a@x.example,pro,many\n,,pro,1\n3,b@x.example\n4,c@x.example,pro,4\n"),
    "no-column": (USERS, "Id,Mail\n1,a@x.example\n"),
    "no-address": ({}, PEOPLE),
    "vanished": (USERS, None),
}


def run(harness, path="/import"):
    """Run the schedule and all that follows; return the answer."""
    answer = harness.request(path).body
    harness.run_until_idle()
    return {} if answer == b"ok" else json.loads(answer)


def settings_of(harness):
    """Return the connector's private settings as the platform has them."""
    return harness.client.get(harness.connector.id)["private_settings"]


def status_of(harness):
    """Return what an operator sees."""
    return json.loads(harness.request("/status").body)


def page_of(harness, path="/admin"):
    """Return a page that somebody with the dashboard's link gets."""
    query = {
        "ship": harness.connector.id,
        "organization": harness.organization.host,
        "secret": harness.connector.secret,
    }
    return harness.app.test_client().get(path, query_string=query, base_url=PUBLIC)


@pytest.mark.parametrize("name", CASES)
def test_run(installed, server, hull_scenario, name):
    """Each run with all that it does."""
    settings, text = CASES[name]
    server.body = None if text is None else text.encode()
    harness = installed(settings)
    with hull_scenario(harness):
        harness.request("/import")


def test_every_night_the_file_is_imported(installed, server):
    """The schedule calls at three o'clock; a file that has changed is imported, one that has not is left alone."""
    harness = installed(nights_only=True)
    harness.advance(days=1)
    assert harness.user({"external_id": "1"})["traits_plan"] == "pro"
    jobs = len(harness.organization.imports.jobs)
    harness.advance(days=2)
    assert len(harness.organization.imports.jobs) == jobs == 1
    server.put(PEOPLE.replace("pro", "gold"), '"v2"')
    harness.advance(days=1)
    assert harness.user({"external_id": "1"})["traits_plan"] == "gold"


def test_all_of_hulls_objects_are_what_the_rows_say(installed, server):
    """Users by id and address, accounts by id, events with their times and properties."""
    harness = installed()
    run(harness)
    assert harness.user({"email": "ann@acme.example"})["external_id"] == "1"
    assert harness.user({"external_id": "1"})["traits_seats"] == 5
    harness = installed(EVENTS)
    server.put(PAID, '"v2"')
    run(harness)
    found = [each for each in harness.events({"email": "ann@acme.example"}) if each["event"] == "Paid"]
    assert [each["properties"]["Amount"] for each in found] == [9.5, 7]
    assert found[0]["created_at"].startswith("2026-05-01T10:00:00")


def test_the_same_event_in_two_files_is_one(installed, server):
    """Rows without an id of their own are told apart by what they say."""
    harness = installed(EVENTS)
    run(harness)
    server.put(PAID + "bob@acme.example,2026-05-03T10:00:00Z,1\n", '"v2"')
    run(harness, "/import-now")
    counts = [
        len([each for each in harness.events({"email": f"{who}@acme.example"}) if each["event"] == "Paid"])
        for who in ("ann", "bob")
    ]
    assert counts == [2, 1]


@pytest.mark.parametrize("path", ["/import", "/import-now"])
def test_the_same_file_is_imported_once(installed, server, path):
    """However often somebody asks; its ETag tells, or when it was changed."""
    for headers in ({"ETag": '"v1"'}, {"Last-Modified": "Fri, 01 May 2026 10:00:00 GMT"}):
        server.headers = headers
        harness = installed()
        for _ in range(3):
            run(harness, path)
        assert len(harness.organization.imports.jobs) == 1


def test_a_file_without_marks_is_imported_each_night(installed, server):
    """Nothing tells whether it is the same; what it says again changes nothing."""
    server.headers = {}
    harness = installed(nights_only=True)
    harness.advance(days=2)
    assert [job.state for job in harness.organization.imports.jobs] == ["completed"] * 2


def test_a_file_that_vanished_is_imported_when_it_is_back(installed, server):
    """Until then the status says so; a quarter of an hour later it is looked for again."""
    server.body = None
    harness = installed()
    assert run(harness)["state"] == "failed"
    assert status_of(harness)["status"] == "error"
    assert "answers 404" in status_of(harness)["messages"][0]
    harness.advance(minutes=16)
    server.put(PEOPLE, '"v1"')
    harness.advance(minutes=16)
    assert harness.user({"external_id": "1"})["traits_plan"] == "pro"
    assert status_of(harness)["status"] == "ok"


@pytest.mark.parametrize("failure", [408, 429, 500, 503])
def test_a_server_that_fails_is_asked_again(installed, server, failure):
    """A run that its server breaks is begun again within the hour, without the operator."""
    server.failures = [failure]
    harness = installed()
    assert run(harness)["state"] == "failed"
    harness.advance(minutes=16)
    assert harness.user({"external_id": "1"})["traits_plan"] == "pro"


def test_a_look_that_fails_imports_nothing_again(installed, server):
    """The same file is not applied over what has changed in Hull since, and the status is well again."""
    harness = installed()
    run(harness)
    harness.run_until_idle()
    harness.client.as_user({"external_id": "1"}).traits({"plan": "enterprise"})
    harness.advance(minutes=11)
    server.failures = [503]
    assert run(harness)["state"] == "failed"
    harness.advance(minutes=16)
    assert harness.user({"external_id": "1"})["traits_plan"] == "enterprise"
    assert status_of(harness)["status"] == "ok"
    server.put(PEOPLE, '"v2"')
    harness.advance(minutes=11)
    run(harness)
    harness.run_until_idle()
    assert harness.user({"external_id": "1"})["traits_plan"] == "pro"


def test_mended_settings_import_the_same_file_again(installed):
    """Other columns make other records of it; the time of the next look does not."""
    harness = installed()
    run(harness)
    harness.run_until_idle()
    change = harness.organization.update_connector
    for settings, tier in (({"schedule": "0 4 * * *"}, None), ({"attributes": {"tier": "Plan"}}, "pro")):
        private = {**harness.connector.to_wire()["private_settings"], **settings}
        change(harness.connector, {"private_settings": private})
        harness.advance(minutes=11)
        run(harness)
        harness.run_until_idle()
        assert harness.user({"external_id": "1"}).get("traits_tier") == tier


@pytest.mark.parametrize(
    "url",
    [
        "https://bob:pa55word-of-bob@files.example/people.csv",
        "https://files.example:99999/people.csv?X-Sig=pa55word-of-bob",
        "https://[files.example/people.csv?X-Sig=pa55word-of-bob",
    ],
)
def test_what_is_secret_in_an_address_is_not_shown(installed, url):
    """Neither the page, nor the reason of a run, nor the status has the password or the signature."""
    harness = installed({**USERS, "url": url})
    told = run(harness)
    assert told["state"] == "failed"
    assert "pa55word" not in f"{told} {page_of(harness).text} {status_of(harness)} {harness.logs}"


def test_the_token_in_a_job_opens_the_file_only(installed):
    """Whoever sees the address of a job's file can neither see the page nor begin a run."""
    harness = installed()
    tokens = []
    run(harness)
    harness.run_until_idle()
    for asked in harness.exchanges:
        query = parse_qs(urlsplit(asked.request.url).query)
        tokens += query.get("token", [])
    call = harness.app.test_client().open
    for method, path in (("GET", "/admin"), ("GET", "/bad-rows.csv"), ("GET", "/status"), ("POST", "/import-now")):
        answer = call(path, method=method, query_string={"token": tokens[0]}, base_url="https://connector.test")
        assert answer.status_code in {401, 403}


@pytest.mark.parametrize("request_number", [2, 3])
def test_a_file_that_changes_is_imported_as_one(installed, server, request_number):
    """Whether it changes before Hull fetches it or while that reads: nothing of a mixture is applied."""
    harness = installed()

    def change(number):
        if server.requests == before + number == before + request_number:
            server.put("Id,E-mail,Plan,Seats\n1,ann@acme.example,gold,6\n", '"v2"')

    before = server.requests
    server.before = lambda total: change(total - before)
    run(harness)
    (job,) = harness.organization.imports.jobs
    assert (job.state, job.counts["applied"]) == ("failed", 0)
    assert status_of(harness)["status"] == "error"
    harness.advance(minutes=16)
    assert harness.user({"external_id": "1"})["traits_plan"] == "gold"
    assert harness.user({"external_id": "2"}) is None


def test_bad_rows_cost_no_others_and_can_be_had(installed, server):
    """The good ones are imported; the page tells the first bad ones, and a file has all of them as they stand."""
    rows = [f"{n},u{n}@acme.example,pro,{'x' if n % 10 == 0 else n}" for n in range(1, 1001)]
    rows.append('1001,"a quote that nobody closes,pro,1')
    rows.append("1002,u1002@acme.example,pro,1")
    server.body = "\n".join(["Id,E-mail,Plan,Seats", *rows]).encode()
    harness = installed()
    run(harness)
    (job,) = harness.organization.imports.jobs
    assert job.counts == {"applied": 901, "skipped": 0, "failed": 0}
    file = settings_of(harness)["last_file"]
    assert (file["rows"], file["bad"], len(file["bad_rows"])) == (1002, 101, 50)
    assert file["bad_rows"][0] == {"line": 11, "reason": "'Seats' is 'x'; write a number such as 12 or 9.5"}
    assert status_of(harness) == {
        "status": "warning",
        "messages": ["101 of 1002 rows were not taken; the connector's page has them."],
    }
    assert "line 11:" in page_of(harness).text
    found = list(csv.reader(page_of(harness, "/bad-rows.csv").text.splitlines()))
    assert found[0][:2] == ["line", "reason"]
    assert len(found) == 102
    assert found[-1][0] == "1002"
    assert found[-1][2].startswith('1001,"a quote')


@pytest.mark.attack("XSS")
def test_the_page_runs_nothing_that_stands_in_the_file(installed, server):
    """Whoever writes the file writes into the reasons that the page shows."""
    script = "<script>alert(1)</script>"
    server.body = f"Id,E-mail,Plan,Seats\n1,a@acme.example,pro,{script}\n".encode()
    harness = installed()
    run(harness)
    text = page_of(harness).text
    assert "&lt;script&gt;" in text
    assert "<script" not in text


def test_rows_that_hull_refuses_are_told_too(installed, server, monkeypatch):
    """What the platform says about a record stands on the page and in the status."""
    server.put("Id,E-mail,Plan,Seats\n1,ann@acme.example,pro,5\n", '"v1"')
    monkeypatch.setattr("import_connector.files.record", lambda _cells, _settings: {"traits": {"plan": "pro"}})
    harness = installed()
    run(harness)
    assert status_of(harness)["status"] == "warning"
    assert "record 1:" in page_of(harness).text


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("https://127.0.0.1/people.csv", "not public"),
        ("https://10.1.2.3/people.csv", "not public"),
        ("https://localhost/people.csv", "not public"),
        ("http://files.example/people.csv", "https"),
        ("file:///etc/passwd", "absolute https URL"),
        ("nonsense", "cannot be asked"),
        ("https://", "cannot be asked"),
    ],
)
def test_addresses_in_the_operators_network_are_refused(installed, url, reason):
    """Whoever writes the settings learns nothing about it, and the status says why."""
    harness = installed({**USERS, "url": url})
    assert reason in run(harness)["reason"]
    assert harness.outgoing == []
    assert status_of(harness)["status"] == "error"


@pytest.mark.parametrize(
    ("address", "failures"),
    [
        ("https://files.example/people.csv", [503]),
        ("https://files.example/people.csv", [401]),
        ("https://files.example/people.csv", [404]),
        ("https://nobody.example/people.csv", []),
        ("https://10.1.2.3/people.csv", []),
        ("http://files.example/people.csv", []),
        ("files.example/people.csv", []),
        ("https://[files.example/people.csv", []),
    ],
)
def test_what_an_address_is_signed_with_is_told_nowhere(installed, server, address, failures):
    """Whatever its service calls it, and whatever is wrong: page, status, settings and log name the path at most."""
    harness = installed({**USERS, "url": f"{address}?v=1&rlkey=s1gned-so&x='s1gned-so"})
    server.failures = failures
    run(harness)
    status_of(harness)
    told = [settings_of(harness)["last_run"], page_of(harness).text, status_of(harness)]
    lines = [line for line in harness.logs if line["level"] != "debug"]
    assert "failed" in str(told)
    assert "s1gned-so" not in f"{told} {lines}"


def test_a_file_that_ends_while_it_is_read_tells_no_signature(installed, monkeypatch):
    """Neither does the reason name it."""
    monkeypatch.setenv("IMPORT_MAX_BYTES", "20")
    reason = run(installed({**USERS, "url": f"{URL}?rlkey=s1gned-so"}))["reason"]
    assert "larger than 20 bytes" in reason
    assert "s1gned-so" not in reason


def test_the_operator_may_allow_hosts(installed, server, monkeypatch):
    """Hosts of ``IMPORT_TRUSTED_HOSTS`` may be anywhere."""
    monkeypatch.setenv("IMPORT_TRUSTED_HOSTS", "nas.lan, 10.1.2.3")
    harness = installed({**USERS, "url": "https://10.1.2.3/people.csv"})
    harness.service("10.1.2.3", server.app)
    assert run(harness)["state"] == "started"
    assert harness.user({"external_id": "1"})["traits_plan"] == "pro"


def test_the_authorization_is_sent_and_shown_nowhere(installed):
    """The server gets it; neither page nor log do."""
    harness = installed({**USERS, "authorization": "Bearer f1le-s3rver-key"})
    run(harness)
    assert harness.outgoing[0].request.headers["Authorization"] == "Bearer f1le-s3rver-key"
    assert "Bearer" not in page_of(harness).text
    refused = installed({**USERS, "authorization": "Bearer n0t-the-key"})
    assert "check the credentials" in run(refused)["reason"]


def test_a_packed_file_is_imported_too(installed, server):
    """Whether its header says so or its first bytes do; one that ends too early leaves nothing behind."""
    whole = gzip.compress(PEOPLE.encode() + b"".join(b"%d,u%d@x.example,p,1\n" % (n, n) for n in range(3, 2000)))
    server.body = whole
    harness = installed()
    run(harness)
    assert harness.organization.imports.jobs[0].counts["applied"] == 1999
    server.put(whole[:-200], '"v2"')
    harness = installed()
    run(harness)
    assert harness.organization.imports.jobs[0].state == "failed"
    assert harness.user({"external_id": "1"}) is None


def test_a_file_beyond_the_limit_is_refused(installed, server, monkeypatch):
    """The operator bounds what is read."""
    monkeypatch.setenv("IMPORT_MAX_BYTES", "100")
    server.body = (PEOPLE * 3).encode()
    assert run(installed())["state"] == "failed"


def test_strangers_get_nothing(installed):
    """Without credentials there is no file, no page and no run."""
    harness = installed()
    for path, method in (("/file", "GET"), ("/bad-rows.csv", "GET"), ("/admin", "GET"), ("/import-now", "POST")):
        assert harness.request(path, method=method, credentials=False).status == 403


def test_the_button_starts_a_run(installed):
    """The page's form leads where a run begins, with a token that the browser has anyway."""
    harness = installed()
    page = page_of(harness).text
    address = page.partition('action="')[2].partition('"')[0]
    assert harness.app.test_client().post(address, base_url=PUBLIC).get_json()["state"] == "started"


def test_the_status_asks_for_an_address(installed):
    """Without one nothing can be imported."""
    assert status_of(installed({}))["status"] == "setupRequired"
