"""What an operator sees: the page with the key, the status, and the button "Enable with Segment"."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, request
from segment_connector.app import connect, create_app

from hull_sdk.testing import Harness

PUBLIC = "https://connector.test"
ENABLING = {
    "SEGMENT_AUTHORIZE_URL": "https://login.segment.example/authorize",
    "SEGMENT_TOKEN_URL": "https://login.segment.example/token",
    "SEGMENT_INSTALL_URL": "https://config.segment.example/destinations",
    "SEGMENT_CLIENT_ID": "hull",
    "SEGMENT_CLIENT_SECRET": "hush",
}


def credentials_of(harness):
    """Return what the dashboard puts into the address of the page."""
    return {"ship": harness.connector.id, "organization": harness.organization.host, "secret": harness.connector.secret}


def test_the_page_shows_what_to_copy(installed):
    """The API key opens the webhook, the connector's secret is nowhere, and the page stays out of caches."""
    harness = installed({"write_key": "wk-1"})
    page = harness.app.test_client().get("/admin", query_string=credentials_of(harness), base_url=PUBLIC)
    assert page.status_code == 200
    key = page.text.partition('API key <input readonly size="80" value="')[2].partition('"')[0]
    assert harness.connector.secret not in page.text
    assert "wk-1" not in page.text
    assert "https://connector.test/segment" in page.text
    assert page.headers["Cache-Control"] == "no-store"
    track = {"type": "track", "userId": "u-1", "event": "Ordered"}
    assert harness.app.test_client().post("/segment", json=track, auth=(key, "")).status_code == 200


@pytest.mark.parametrize("path", ["/admin", "/credentials", "/status", "/batch", "/smart-notifier"])
def test_the_api_key_opens_nothing_but_the_webhook(installed, path):
    """Segment has it, and shall neither see the page nor have users sent."""
    harness = installed()
    query = {
        "ship": harness.connector.id,
        "organization": harness.organization.host,
        "secret": harness.connector.secret,
    }
    client = harness.app.test_client()
    key = client.post("/credentials", query_string=query, base_url=PUBLIC).json["api_key"]
    answers = [call(path, query_string={"token": key}, base_url=PUBLIC) for call in (client.get, client.post)]
    assert {answer.status_code for answer in answers} <= {400, 401, 403, 405}


def test_the_page_is_for_operators(installed):
    """Without credentials there is no key to see, and the key of the webhook is none for the page."""
    harness = installed()
    browser = harness.app.test_client()
    assert browser.get("/admin", base_url=PUBLIC).status_code == 403


@pytest.mark.parametrize(
    ("private", "public", "words"),
    [
        ({}, {}, []),
        ({"write_key": "wk", "synchronized_segments": ["ALL"]}, {}, []),
        ({"synchronized_segments": ["ALL"]}, {}, ["the write key is missing"]),
        ({"write_key": "wk"}, {}, ["nobody is sent"]),
        (
            {"write_key": "wk", "synchronized_segments": ["ALL"], "forward_events": True},
            {"public_id_field": "id", "ignore_segment_userId": True},
            ["forwarding is on", "Ids of Hull", "are ignored"],
        ),
    ],
)
def test_the_status_tells_what_does_not_go_together(installed, private, public, words):
    """Each warning is there when its settings are, and no other."""
    answer = json.loads(installed(private, **public).request("/status").body)
    assert answer["status"] == ("warning" if words else "ok")
    assert len(answer["messages"]) == len(words)
    assert all(word in message for word, message in zip(words, answer["messages"], strict=True))


def test_somebody_enables_hull_with_segment(monkeypatch):
    """After the authorization the connector registers its key with Segment, and keeps neither grant nor key."""
    for name, value in ENABLING.items():
        monkeypatch.setenv(name, value)
    installs = []
    login, config = Flask("login"), Flask("config")
    login.add_url_rule("/token", view_func=lambda: {"access_token": "at-1", "token_type": "Bearer"}, methods=["POST"])

    def install():
        installs.append((request.headers["Authorization"], request.get_json()))
        return {"id": "d-1"}

    config.add_url_rule("/destinations", view_func=install, methods=["POST"])
    with Harness(create_app(connect(host_secret="a secret of the host for tests"))) as harness:
        harness.service("login.segment.example", login)
        harness.service("config.segment.example", config)
        query, browser = credentials_of(harness), harness.app.test_client()
        assert "Enable with Segment</a>" in browser.get("/admin", query_string=query, base_url=PUBLIC).text
        sent = browser.get("/enable/login", query_string=query, base_url=PUBLIC)
        state = parse_qs(urlsplit(sent.headers["Location"]).query)["state"][0]
        back = browser.get("/enable/callback", query_string={"state": state, "code": "c-1"}, base_url=PUBLIC)
        assert "You can close this window" in browser.get(back.headers["Location"], base_url=PUBLIC).text
        ((bearer, body),) = installs
        assert bearer == "Bearer at-1"
        assert body["settings"]["endpoint"] == "https://connector.test/segment"
        key = body["settings"]["apiKey"]
        track = {"type": "track", "userId": "u-1", "event": "Ordered"}
        assert browser.post("/segment", json=track, auth=(key, "")).status_code == 200
        assert harness.connector.private_settings["enabled_with_segment"] is True
        assert "at-1" not in str(harness.connector.private_settings)
