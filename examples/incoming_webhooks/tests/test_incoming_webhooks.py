"""Any JSON webhook: what the settings name is written, and nothing else."""

from __future__ import annotations

import hashlib
import hmac
import json
from urllib.parse import parse_qs, urlsplit

import pytest
from webhooks_connector.app import create_app
from webhooks_connector.mapping import find

from hull_sdk.testing import Harness

PUBLIC = "https://connector.test"
PAID = {
    "id": "inv-7",
    "paid_at": 1714557600,
    "customer": {"id": 42, "contacts": [{"email": "ann@acme.example"}], "plan": "pro", "seats": 5},
    "company": {"domain": "acme.example", "size": 12},
    "lines": [{"sku": "A1"}],
    "amount": 9.5,
}
SETTINGS = {
    "user_external_id": "customer.id",
    "user_email": "customer.contacts.0.email",
    "user_attributes": {"plan": "customer.plan", "missing": "customer.nothing"},
    "account_domain": "company.domain",
    "account_attributes": {"size": "company.size"},
    "event_name": '"Invoice paid"',
    "event_id": "id",
    "event_time": "paid_at",
    "event_properties": {"amount": "amount", "first_sku": "lines.0.sku"},
}
CASES = {
    "everything": (SETTINGS, PAID),
    "only-a-user": (
        {"user_email": "email", "user_attributes": {"name": "name"}},
        {"email": "b@x.example", "name": "B"},
    ),
    "only-an-account": (
        {"account_external_id": "org", "account_attributes": {"tier": "tier"}},
        {"org": "o", "tier": 1},
    ),
    "no-id": ({**SETTINGS, "event_id": ""}, PAID),
    "operation": (
        {"user_email": "email", "user_attributes": {"visits": "visits"}},
        {"email": "b@x.example", "visits": {"operation": "inc", "value": 9}},
    ),
    "nobody": (SETTINGS, {"id": "inv-8"}),
    "only-who": ({"user_email": "email"}, {"email": "b@x.example"}),
    "no-time": (SETTINGS, {**PAID, "paid_at": "01/05/2026 10 o'clock"}),
    "a-list": ({"user_email": "0.email", "event_name": "0.kind"}, [{"email": "c@x.example", "kind": "Seen"}]),
}


@pytest.fixture
def installed():
    """Install the connector with some settings."""
    open_ones = []

    def install(settings):
        harness = Harness(create_app(host_secret="a secret of the host for tests"), private_settings=settings)
        open_ones.append(harness)
        harness.request("/status")
        harness.run_until_idle()
        return harness

    yield install
    for harness in open_ones:
        harness.close()


def page_of(harness):
    """Return what an operator sees."""
    query = {
        "ship": harness.connector.id,
        "organization": harness.organization.host,
        "secret": harness.connector.secret,
    }
    return harness.app.test_client().get("/admin", query_string=query, base_url=PUBLIC)


@pytest.fixture
def post():
    """Return how a service posts: to the address that the page shows."""

    def call(harness, body, **headers):
        address = page_of(harness).text.partition('value="')[2].partition('"')[0]
        (token,) = parse_qs(urlsplit(address).query)["token"]
        query = {"token": token}
        return harness.request("/webhook", body=body, query=query, headers=headers, credentials=False)

    return call


@pytest.mark.parametrize("name", CASES)
def test_webhook(installed, post, hull_scenario, name):
    """Each webhook with all that it does."""
    settings, body = CASES[name]
    harness = installed(settings)
    page_of(harness)
    with hull_scenario(harness):
        post(harness, body)


@pytest.mark.parametrize("settings", [SETTINGS, {**SETTINGS, "event_id": None}])
def test_a_webhook_that_comes_again_is_one_event(installed, post, settings):
    """With an id of its own or without one, and also when the platform did not answer at first."""
    harness = installed(settings)
    harness.platform.faults.add("drop_after", target="firehose", times=2)
    for _ in range(3):
        assert post(harness, PAID).status == 200
    harness.run_until_idle()
    names = [event["event"] for event in harness.events({"external_id": "42"})]
    assert names.count("Invoice paid") == 1


def test_the_signature_counts_when_there_is_a_secret(installed, post):
    """Only what was signed with it is taken, with or without the name of the method before it."""
    harness = installed({**SETTINGS, "shared_secret": "hush", "signature_header": "X-Hub-Signature-256"})
    body = json.dumps(PAID).encode()
    good = hmac.new(b"hush", body, hashlib.sha256).hexdigest()
    for signature, status in ((good, 200), (f"sha256={good}", 200), ("", 401), (good[:-1], 401)):
        assert post(harness, body, **{"X-Hub-Signature-256": signature}).status == status
    assert post(harness, body.replace(b"42", b"43"), **{"X-Hub-Signature-256": good}).status == 401


@pytest.mark.parametrize(
    ("body", "status"), [(b"{", 400), (b"", 400), (b"[" * 100_000 + b"]" * 100_000, 400), (b" " * 2_000_000, 413)]
)
def test_what_is_no_webhook_is_refused(installed, post, body, status):
    """What is no JSON, or nests too deeply, and what is far too large, is answered at once."""
    assert post(installed(SETTINGS), body).status == status


def test_what_hull_cannot_take_is_refused(installed, post):
    """The answer says what is wrong, so that the service does not repeat it."""
    harness = installed({"user_email": "email", "user_attributes": {"text": "text"}})
    answer = post(harness, {"email": "b@x.example", "text": "x" * 600_000})
    assert (answer.status, b"at most 500000" in answer.body) == (400, True)


def test_strangers_are_refused(installed):
    """Without the token of the address nothing is written, and there is no page."""
    harness = installed(SETTINGS)
    assert harness.request("/webhook", body=PAID, credentials=False).status == 403
    assert harness.app.test_client().get("/admin", base_url=PUBLIC).status_code == 403


def test_a_platform_that_is_away_costs_no_webhook(installed, post):
    """Services repeat what is answered 503."""
    harness = installed(SETTINGS)
    page_of(harness)
    harness.platform.faults.add("error", target="firehose", status=503)
    assert post(harness, PAID).status == 503


def test_the_page_tells_what_is_written_and_no_secret(installed):
    """The places are there, the secrets are not."""
    harness = installed({**SETTINGS, "shared_secret": "hush"})
    page = page_of(harness)
    assert "customer.contacts.0.email" in page.text
    assert "hush" not in page.text
    assert harness.connector.secret not in page.text


@pytest.mark.attack("XSS")
def test_the_page_runs_nothing_that_stands_in_settings(installed):
    """Places are shown as they are written."""
    page = page_of(installed({**SETTINGS, "event_name": "<script>alert(1)</script>"}))
    assert "&lt;script&gt;" in page.text
    assert "<script" not in page.text


def test_the_status_asks_for_an_identifier(installed):
    """Without one no webhook says whom it is about."""
    assert json.loads(installed({}).request("/status").body)["status"] == "setupRequired"
    assert json.loads(installed(SETTINGS).request("/status").body)["status"] == "ok"


@pytest.mark.parametrize(
    ("place", "found"),
    [
        ("customer.plan", "pro"),
        ("lines.0.sku", "A1"),
        ("lines.1.sku", None),
        ("lines.-1.sku", None),
        ("customer.plan.x", None),
        ('"fixed"', "fixed"),
        ('"', None),
        ("", None),
        (None, None),
    ],
)
def test_places(place, found):
    """Names lead through objects, numbers through lists, quotes stand for themselves, and anything else is nothing."""
    assert find(PAID, place) == found
