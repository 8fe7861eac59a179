"""Manifests: what is checked, what is kept, and what is read out of them."""

from __future__ import annotations

import pytest

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.manifest import (
    Schedule,
    Subscription,
    is_smart,
    load_manifest,
    schedules,
    setting_defaults,
    subscriptions,
)

MANIFEST = {
    "name": "crm",
    "version": "1.0.0",
    "tags": ["smart-notifier", "crm"],
    "subscriptions": [
        {"url": "/smart-notifier", "channels": ["user:update", {"channel": "account:update", "more": 1}]}
    ],
    "schedules": [
        {"url": "/status", "type": "interval", "value": 5},
        {"url": "/sync", "type": "cron", "value": " */5 * * * * "},
    ],
    "settings": [{"name": "color", "type": "string", "default": "red"}, {"name": "size"}],
    "private_settings": [{"name": "api_key", "type": "string", "default": None, "format": "password"}],
    "unknown": {"kept": True},
}


def test_a_manifest_is_kept_as_it_is():
    """Checking changes nothing: unknown keys stay on every level."""
    assert load_manifest(MANIFEST) == MANIFEST
    assert load_manifest({}) == {}


@pytest.mark.parametrize(
    ("value", "path"),
    [
        ([], "must be a JSON object"),
        (None, "NoneType"),
        ({"name": 5}, "name: "),
        ({"tags": "crm"}, "tags: "),
        ({"tags": [5]}, r"tags\[0\]: "),
        ({"subscriptions": [{}]}, r"subscriptions\[0\].url: "),
        ({"subscriptions": [{"url": ""}]}, r"subscriptions\[0\].url: "),
        ({"subscriptions": [{"url": "/a", "channels": "user:update"}]}, r"subscriptions\[0\].channels: "),
        (
            {"subscriptions": [{"url": "/a", "channels": [{"name": "user:update"}]}]},
            r"subscriptions\[0\].channels\[0\]: .*user:update",
        ),
        ({"subscriptions": [{"url": "/a", "channels": [5]}]}, r"channels\[0\]: "),
        ({"schedules": [{"url": "/a", "type": "daily", "value": "1"}]}, r"schedules\[0\].type: "),
        ({"schedules": [{"url": "/a", "type": "cron"}]}, r"schedules\[0\].value: "),
        ({"settings": [{"type": "string"}]}, r"settings\[0\].name: "),
        ({"private_settings": [{"name": "a"}, {"name": ""}]}, r"private_settings\[1\].name: "),
    ],
)
def test_what_is_wrong_is_named_with_its_path(value, path):
    """Each broken rule is reported with the place in the manifest."""
    with pytest.raises(InvalidArgumentError, match=path):
        load_manifest(value)


def test_all_faults_are_reported_at_once():
    """A manifest with two faults names both."""
    with pytest.raises(InvalidArgumentError, match=r"name: .*tags: ") as caught:
        load_manifest({"name": 5, "tags": "crm"})
    assert caught.value.__cause__ is not None


def test_subscriptions_name_their_channels():
    """Channels are names or objects that hold one; without channels all of them are wanted."""
    (subscription,) = subscriptions(MANIFEST)
    assert subscription == Subscription("/smart-notifier", frozenset({"user:update", "account:update"}))
    assert subscription.wants("user:update")
    assert not subscription.wants("ship:update")
    (everything,) = subscriptions({"subscriptions": [{"url": "/all"}]})
    assert everything.wants("anything:new")
    (nothing,) = subscriptions({"subscriptions": [{"url": "/none", "channels": []}]})
    assert not nothing.wants("user:update")


def test_schedules_are_read_as_text():
    """Values of schedules come out as trimmed text, whether written as a number or as text."""
    assert schedules(MANIFEST) == [Schedule("/status", "interval", "5"), Schedule("/sync", "cron", "*/5 * * * *")]


@pytest.mark.parametrize(
    ("tags", "smart"), [(["smart-notifier"], True), (["kraken"], True), (["crm"], False), ([], False), (None, False)]
)
def test_either_tag_asks_for_smart_delivery(tags, smart):
    """Two tags mean the same; without one of them delivery is not smart."""
    assert is_smart({"tags": tags}) is smart
    assert not is_smart({})


def test_defaults_of_settings():
    """Settings with a default give it by name, a null default included; those without one are absent."""
    assert setting_defaults(MANIFEST, "settings") == {"color": "red"}
    assert setting_defaults(MANIFEST, "private_settings") == {"api_key": None}
    assert setting_defaults({}, "settings") == {}


def test_an_empty_manifest_asks_for_nothing():
    """Missing and null lists count as empty."""
    for manifest in ({}, {"subscriptions": None, "schedules": None, "settings": None}):
        assert (subscriptions(manifest), schedules(manifest), setting_defaults(manifest, "settings")) == ([], [], {})
