"""Settings of installed connectors, held against their manifests."""

from __future__ import annotations

import logging

import pytest
from delivery_kit import FakeConnector

from hull_sdk.core.logs import fields_of
from hull_sdk.errors import InvalidArgumentError

DECLARED = {
    "private_settings": [
        {"name": "api_key", "type": "string"},
        {"name": "every", "type": "integer", "minimum": 1, "default": 60},
    ],
    "schedules": [{"url": "/sync", "type": "interval", "value_from": "private_settings.every"}],
}


def test_an_installation_with_a_wrong_setting_is_refused(organization):
    """Nothing is installed, and the message says place and rule without the value."""
    with pytest.raises(InvalidArgumentError, match=r"\$\.private_settings\.api_key is a number, expected text"):
        organization.install(FakeConnector(DECLARED), private_settings={"api_key": 12345})
    assert organization.connectors == {}


def test_a_change_to_a_wrong_setting_is_refused(organization):
    """The old settings stay; what is not declared and null are free."""
    connector = organization.install(FakeConnector(DECLARED), private_settings={"api_key": "k"})
    with pytest.raises(InvalidArgumentError, match=r"every is a smaller number, expected a number of at least 1"):
        organization.update_connector(connector, {"private_settings": {"api_key": "k", "every": 0}})
    assert connector.private_settings == {"api_key": "k"}
    organization.update_connector(connector, {"private_settings": {"api_key": None, "token": 5}})
    assert connector.private_settings == {"api_key": None, "token": 5}


def test_settings_that_were_there_before_the_manifest_are_warned_about(platform, organization, caplog):
    """A connector whose manifest is read late keeps its settings, and the log names what does not fit."""
    fake = FakeConnector(DECLARED)
    fake.manifest_status = 503
    connector = organization.install(fake, private_settings={"api_key": 5})
    fake.manifest_status = 200
    with caplog.at_level(logging.WARNING):
        platform.advance(minutes=1)
    assert connector.ready
    (reason,) = [fields_of(each)["reason"] for each in caplog.records if each.getMessage() == "settings.invalid"]
    assert "$.private_settings.api_key is a number, expected text" in reason


def test_a_schedule_follows_the_setting_that_it_names(platform, organization):
    """A schedule whose time is a setting is called at the default's pace, and at the new one once it is changed."""
    fake = FakeConnector(DECLARED)
    connector = organization.install(fake)
    platform.advance(hours=2)
    assert len(fake.paths("/sync")) == 2
    organization.update_connector(connector, {"private_settings": {"every": 10}})
    platform.advance(hours=1)
    assert len(fake.paths("/sync")) == 2 + 6
