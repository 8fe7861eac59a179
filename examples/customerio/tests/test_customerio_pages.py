"""What an operator sees: the page with the address to copy, and the status."""

from __future__ import annotations

import html
import json

import pytest
from flask import Response

PUBLIC = "https://connector.test"
SOME = {"site_id": "site-1", "api_key": "key-1"}
ALL = {**SOME, "synchronized_segments": ["ALL"]}


def page_of(harness):
    """Open the page as the dashboard does."""
    query = {
        "ship": harness.connector.id,
        "organization": harness.organization.host,
        "secret": harness.connector.secret,
    }
    return harness.app.test_client().get("/admin", query_string=query, base_url=PUBLIC)


def test_the_page_shows_what_to_copy(installed):
    """The address opens the webhook; no secret is shown, and the page stays out of caches."""
    harness = installed(**ALL, webhook_signing_key="hush")
    page = page_of(harness)
    address = html.unescape(page.text.partition('readonly size="80" value="')[2].partition('"')[0])
    assert address.startswith("https://connector.test/webhook?token=")
    assert not any(secret in page.text for secret in (harness.connector.secret, "key-1", "hush"))
    assert page.headers["Cache-Control"] == "no-store"
    assert harness.app.test_client().post(address.removeprefix(PUBLIC), json={}).status_code == 401
    open_one = installed()
    page = page_of(open_one)
    address = html.unescape(page.text.partition('readonly size="80" value="')[2].partition('"')[0])
    assert open_one.app.test_client().post(address.removeprefix(PUBLIC), json={}).status_code == 200


@pytest.mark.parametrize("path", ["/admin", "/credentials", "/status", "/batch", "/smart-notifier"])
def test_the_address_opens_nothing_else(installed, path):
    """Its token, which Customer.io has, shows no page and sends nobody."""
    harness = installed(**ALL)
    address = html.unescape(page_of(harness).text.partition('readonly size="80" value="')[2].partition('"')[0])
    client, query = harness.app.test_client(), address.partition("?")[2]
    body = {"url": "https://files.example/x.json", "format": "json", "object_type": "user_report"}
    answers = [client.post(f"{path}?{query}", json=body), client.get(f"{path}?{query}")]
    assert {answer.status_code for answer in answers} <= {400, 401, 403, 405}


def test_a_body_that_is_nested_too_deeply_is_refused(installed):
    """It is no JSON object, like others that are none."""
    harness = installed(**ALL)
    address = html.unescape(page_of(harness).text.partition('readonly size="80" value="')[2].partition('"')[0])
    answer = harness.app.test_client().post(address.removeprefix(PUBLIC), data="[" * 100_000)
    assert answer.status_code == 400


@pytest.mark.parametrize(
    ("private", "words"),
    [
        ({}, ["enter site ID and API key", "Whoever knows the address"]),
        (SOME, ["whitelist segments", "Whoever knows the address"]),
        (ALL, ["Users in the whitelisted segments are sent", "Whoever knows the address"]),
        ({**ALL, "webhook_signing_key": "hush"}, ["are sent", "Only webhooks that are signed"]),
    ],
)
def test_the_page_tells_what_the_settings_do(installed, private, words):
    """It says who is sent, and whose webhooks are taken."""
    text = page_of(installed(**private)).text
    assert all(word in text for word in words)


def test_the_page_is_for_operators(installed):
    """Without credentials there is no address to see."""
    assert installed().app.test_client().get("/admin", base_url=PUBLIC).status_code == 403


@pytest.mark.parametrize(
    ("private", "status", "words"),
    [
        ({}, "ok", ["enter the site ID"]),
        ({"synchronized_segments": ["ALL"]}, "warning", ["enter the site ID"]),
        (SOME, "ok", ["whitelist segments"]),
        (ALL, "ok", []),
        ({**ALL, "api_key": "key-2"}, "error", ["(US) refuses"]),
        ({**ALL, "api_key": "key-1\u200b"}, "error", ["(US) refuses"]),
        ({**ALL, "region": "eu"}, "error", ["nothing is mounted"]),
    ],
)
def test_the_status_tells_what_is_missing_or_wrong(installed, private, status, words):
    """Credentials are tried against the region that the settings name."""
    answer = json.loads(installed(**private).request("/status").body)
    assert answer["status"] == status
    assert len(answer["messages"]) == len(words)
    assert all(word in message for word, message in zip(words, answer["messages"], strict=True))


def test_a_service_that_fails_is_no_matter_of_credentials(installed, customerio):
    """The status then says what Customer.io answered."""
    harness = installed(**ALL)
    customerio.api.view_functions["<lambda>"] = lambda: Response("broken", 500)
    answer = json.loads(harness.request("/status").body)
    assert answer["status"] == "error"
    assert "answered 500: broken" in answer["messages"][0]
