"""Warnings about manifests with which no notification ever comes."""

from __future__ import annotations

import logging

import pytest
from flask import Flask

from hull_sdk import Connector
from hull_sdk.core.logs import fields_of
from hull_sdk.handlers import action_handler, smart_notifier_handler

SMART = {"tags": ["smart-notifier"], "subscriptions": [{"url": "/smart-notifier"}]}


@pytest.fixture
def doubts(caplog):
    """Sets an application up and returns the reasons of what it was warned about, by event."""

    def set_up(manifest, *, app=None, handler=None):
        app = Flask("x") if app is None else app
        app.register_blueprint(
            smart_notifier_handler({"user:update": print}) if handler is None else handler,
            url_prefix="/smart-notifier",
        )
        with caplog.at_level(logging.WARNING):
            Connector(host_secret="s", manifest=manifest).setup_app(app)
        return {
            record.getMessage(): fields_of(record)["reason"]
            for record in caplog.records
            if record.getMessage().startswith("connector.manifest.")
        }

    return set_up


def test_a_fitting_manifest_is_not_doubted(doubts):
    """A manifest with the tag and known channels causes no warning."""
    assert doubts(SMART) == {}


def test_a_missing_tag_is_named(doubts):
    """A handler of notifications without the manifest's tag is warned about, with what to add."""
    assert '"smart-notifier"' in doubts({"subscriptions": SMART["subscriptions"]})["connector.manifest.untagged"]


def test_an_unknown_channel_is_named(doubts):
    """A subscription to a channel that does not exist is warned about, with those that do."""
    channels = ["user:update", {"channel": "user:updat"}]
    found = doubts({**SMART, "subscriptions": [{"url": "/smart-notifier", "channels": channels}]})
    assert list(found) == ["connector.manifest.unknown_channel"]
    assert "'user:updat';" in found["connector.manifest.unknown_channel"]


def test_a_misspelt_key_is_named(doubts):
    """A key that is nearly one of the manifest's is warned about; keys of one's own are left alone."""
    found = doubts({**SMART, "schedule": [], "my_own": 5})
    assert list(found) == ["connector.manifest.unknown_key"]
    assert "'schedule' (did you mean 'schedules'?)" in found["connector.manifest.unknown_key"]


def test_a_section_that_shows_no_setting_is_named(doubts):
    """A section of the settings page with a name that is not declared is warned about."""
    sections = [{"properties": ["private_settings.key", "private_settings.kye", "json.go"]}]
    declared = {"private_settings": [{"name": "key"}], "json": [{"name": "go"}], "settings_sections": sections}
    found = doubts({**SMART, **declared})
    assert list(found) == ["connector.manifest.unknown_setting"]
    assert "'private_settings.kye'," in found["connector.manifest.unknown_setting"]


def test_a_missing_manifest_is_named(doubts, tmp_path, monkeypatch):
    """A handler of notifications without any manifest is warned about, unless the application serves its own."""
    monkeypatch.chdir(tmp_path)
    assert "Connector(manifest=...)" in doubts(None)["connector.manifest.missing"]


def test_a_manifest_that_the_application_serves_itself_is_left_alone(doubts, tmp_path, monkeypatch):
    """An application with a view for the manifest of its own is not warned."""
    monkeypatch.chdir(tmp_path)
    app = Flask("x")
    app.get("/manifest.json")(lambda: SMART)
    assert doubts(None, app=app) == {}


def test_a_connector_that_only_acts_needs_no_tag(doubts):
    """Without a handler of notifications nothing is missing."""
    assert doubts({"name": "Acts"}, handler=action_handler(print)) == {}


def test_a_function_for_a_channel_that_is_not_subscribed_is_named(doubts):
    """A function whose channel no subscription has is warned about, since it will never be called."""
    subscriptions = [{"url": "/smart-notifier", "channels": [{"channel": "user:update"}]}]
    handler = smart_notifier_handler({"user:update": print, "account:update": print})
    found = doubts({**SMART, "subscriptions": subscriptions}, handler=handler)
    assert list(found) == ["connector.manifest.not_subscribed"]
    assert "'account:update'" in found["connector.manifest.not_subscribed"]


@pytest.mark.parametrize(
    ("host_secret", "doubted"),
    [
        ("fifteen letters", True),
        ("sixteen letters.", False),
        (["enough letters for a secret", "short"], True),
        (None, False),
    ],
)
def test_a_short_host_secret_is_named_with_the_way_out(caplog, host_secret, doubted):
    """A host secret that can be guessed from a token is warned about at the start, without being shown."""
    Connector(host_secret=host_secret).setup_app(Flask("x"))
    (*found,) = (record for record in caplog.records if record.getMessage() == "connector.host_secret.short")
    assert bool(found) is doubted
    assert all("openssl rand -hex 32" in fields_of(record)["reason"] for record in found)
    assert not found or "fifteen" not in caplog.text
