"""Manifests: what is checked, what is kept, and what is read out of them."""

from __future__ import annotations

import pytest

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.manifest import (
    Schedule,
    Subscription,
    check_settings,
    is_smart,
    load_manifest,
    schedules,
    setting_defaults,
    subscriptions,
)
from hull_sdk.wire.manifest_schema import known_keys, near_key

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
        ([], r"\$ is \[\], expected an object"),
        (None, r"\$ is null, expected an object"),
        ({"name": 5}, "name is "),
        ({"tags": "crm"}, "tags is "),
        ({"tags": [5]}, r"tags\[0\] is "),
        ({"subscriptions": [{}]}, r"subscriptions\[0\].url is "),
        ({"subscriptions": [{"url": ""}]}, r"subscriptions\[0\].url is "),
        ({"subscriptions": [{"url": "/a", "channels": "user:update"}]}, r"subscriptions\[0\].channels is "),
        (
            {"subscriptions": [{"url": "/a", "channels": [{"name": "user:update"}]}]},
            r"subscriptions\[0\].channels\[0\] is .*user:update",
        ),
        ({"subscriptions": [{"url": "/a", "channels": [5]}]}, r"channels\[0\] is "),
        ({"schedules": [{"url": "/a", "type": "daily", "value": "1"}]}, r"schedules\[0\].type is "),
        ({"schedules": [{"url": "/a", "type": "cron"}]}, r"schedules\[0\].value is "),
        ({"settings": [{"type": "string"}]}, r"settings\[0\].name is "),
        ({"private_settings": [{"name": "a"}, {"name": ""}]}, r"private_settings\[1\].name is "),
    ],
)
def test_what_is_wrong_is_named_with_its_path(value, path):
    """Each broken rule is reported with the place in the manifest."""
    with pytest.raises(InvalidArgumentError, match=path):
        load_manifest(value)


def test_all_faults_are_reported_at_once():
    """A manifest with two faults names both."""
    with pytest.raises(InvalidArgumentError, match=r"name is .*\n.*tags is "):
        load_manifest({"name": 5, "tags": "crm"})


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


def told(value) -> list[str]:
    """Return the lines of the message about a manifest, without the first."""
    with pytest.raises(InvalidArgumentError) as caught:
        load_manifest(value)
    first, *lines = caught.value.message.splitlines()
    assert first == "the manifest is invalid:"
    return [line.strip() for line in lines]


@pytest.mark.parametrize(
    ("manifest", "message"),
    [
        (
            {"schedules": [{"url": "/sync", "type": "daily", "value": "5"}]},
            '$.schedules[0].type is "daily", expected one of cron, interval',
        ),
        (
            {"schedules": [{"url": "/sync", "type": "interval", "value": "soon"}]},
            '$.schedules[0].value is "soon", expected minutes; write minutes from 1 to 527040, such as "5"',
        ),
        (
            {"schedules": [{"url": "/sync", "type": "cron"}]},
            '$.schedules[0].value is missing, expected a cron line; write five fields, such as "*/5 * * * *"',
        ),
        (
            {"subscriptions": [{"channels": ["user:update"]}]},
            '$.subscriptions[0].url is missing, expected a path; write a path on the connector, such as "/sync"',
        ),
        (
            {"subscriptions": [{"url": "/x", "channels": [{"chanel": "user:update"}]}]},
            '$.subscriptions[0].channels[0] is {"chanel":"user:update"}, expected a channel\'s name, or an object that holds it; write "user:update" or {"channel": "user:update"}',
        ),
        (
            {"tags": "smart-notifier"},
            '$.tags is "smart-notifier", expected a list of texts; such as ["smart-notifier"]',
        ),
        ({"version": 1.0}, '$.version is 1.0, expected text; with quotes, such as "1.0.0"'),
        (
            {"private_settings": [{"name": "size", "type": "int"}]},
            '$.private_settings[0].type is "int", expected one of string, number, integer, boolean, array, object',
        ),
        (
            {"private_settings": [{"name": "size", "type": "number", "default": "5"}]},
            '$.private_settings[0].default is "5", expected a number; the default must be a value of the setting itself',
        ),
        (
            {"settings": [{"name": "size", "minimum": 5, "maximum": 1}]},
            "$.settings[0].maximum is 1, expected a number of at least 5, the minimum",
        ),
        (
            {"settings": [{"name": "size"}, {"name": "size"}]},
            "$.settings[1].name is a second 'size', expected a name of its own; rename one of the two",
        ),
        ({"ui": "yes"}, '$.ui is "yes", expected true or false; without quotes'),
        ({"tabs": [{"url": "/a", "size": "huge"}]}, '$.tabs[0].size is "huge", expected one of small, large'),
        (
            {"mappings": {"big one": {"incoming": []}}},
            '$.mappings["big one"].incoming is [], expected an object',
        ),
        ({"statuses": [5]}, "$.statuses[0] is 5, expected an object"),
        (
            {"status": {"url": "/status", "initial_value": "fine"}},
            '$.status.initial_value is "fine", expected one of ok, warning, setupRequired, error',
        ),
        (
            {"json": [{"url": ""}]},
            '$.json[0].url is "", expected a path; write a path on the connector, such as "/sync"',
        ),
        ({"admin": None}, '$.admin is null, expected a path; write a path on the connector, such as "/sync"'),
    ],
)
def test_a_message_says_place_finding_expectation_and_way_out(manifest, message):
    """The messages, word by word."""
    assert told(manifest) == [message]


KEYS = {
    "settings": [{}],
    "deployment_settings": [{"name": "_selector", "type": "string", "default": "body"}],
    "settings_sections": [
        {"title": "Keys", "properties": ["private_settings.api_key"], "step": "mapping", "options": {}}
    ],
    "subscriptions": [
        {"url": "/s", "channels": [{"channel": "user:update", "events-whitelist": ["Ordered"]}], "conditions": {}}
    ],
    "batches": [{"url": "/batch", "channels": [{"channel": "user:update", "handler": "h", "options": {}}]}],
    "schedules": [
        {"url": "/sync", "type": "interval", "value_from": "private_settings.every", "default": "5", "method": "post"}
    ],
    "statuses": [{"url": "/status", "type": "cron", "value": "*/30 * * * *", "initial_value": "setupRequired"}],
    "status": {"url": "/status"},
    "tabs": [{"title": "Home", "url": "/home", "size": "small", "setup": True}],
    "html": [{"title": "Home", "url": "/home", "size": "large", "editable": False}],
    "json": [{"name": "go", "url": "/go", "format": "action", "options": {"confirm": {"text": "Sure?"}}}],
    "incoming": [{"url": "/webhook", "handler": "webhook", "description": "Hits", "options": {}}],
    "resources": [],
    "ui": True,
    "mappings": {"contacts": {"incoming": {"mapping": []}, "outgoing": {}}},
    "tags": ["smart-notifier", "oneColumn"],
    **dict.fromkeys(("name", "description", "version", "license", "source", "type"), "x"),
    **dict.fromkeys(("logo", "picture", "readme", "index", "admin"), "x.html"),
    "private_settings": [
        {
            "name": "sizes",
            "type": "array",
            "format": "tags",
            "title": "Sizes",
            "description": "All of them.",
            "items": {"type": "string", "enum": ["s", "m"]},
            "default": ["s"],
            "minItems": 1,
            "uniqueItems": True,
            "required": True,
            "options": {"placeholder": "s"},
        },
        {"name": "ratio", "type": "number", "minimum": 0, "maximum": 1, "multipleOf": 0.1, "default": 0.3},
        {"name": "token", "type": "string", "pattern": "^[a-z]+$", "url": "/auth", "handler": "auth"},
        {"name": "odd", "type": "string", "pattern": "(?<year>\\p{L})", "default": "kept"},
    ],
}
KEYS["settings"] = [
    {"name": "color", "type": "string", "enum": ["red", "blue"], "headerTemplate": "x", "properties": {}}
]


def test_every_key_is_known_and_accepted():
    """A manifest that uses every key passes, and each of those keys is one that has a rule."""
    assert load_manifest(KEYS) == KEYS
    assert set(KEYS) == set(known_keys())


@pytest.mark.parametrize("key", sorted(set(KEYS) - {"resources"}))
def test_every_key_has_a_rule(key):
    """A value of a wrong kind is refused under each key."""
    assert told({key: 5})[0].startswith(f"$.{key} is 5, expected ")


def test_a_misspelt_key_is_recognized():
    """A key that is nearly one of the manifest's leads to it; a key of one's own leads nowhere."""
    assert near_key("subscriptons") == "subscriptions"
    assert near_key("private_setting") == "private_settings"
    assert near_key("deployment") is None


def test_schedules_are_read_as_text():
    """Values of schedules come out as trimmed text, whether written as a number or as text."""
    assert schedules(MANIFEST) == [Schedule("/status", "interval", "5"), Schedule("/sync", "cron", "*/5 * * * *")]


@pytest.mark.parametrize(
    ("tags", "smart"), [(["smart-notifier"], True), (["kraken"], True), (["crm"], False), ([], False), (None, False)]
)
@pytest.mark.shows("manifest tag: kraken", "manifest tag: smart-notifier")
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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"sizes": "s"}, "$.private_settings.sizes is text, expected a list; as the manifest declares it"),
        ({"sizes": []}, "$.private_settings.sizes is a list of 0, expected a list of at least 1"),
        (
            {"sizes": ["s", "s"]},
            "$.private_settings.sizes is a list that holds a value twice, expected each value once",
        ),
        ({"sizes": ["s", "xl"]}, "$.private_settings.sizes[1] is another text, expected one of s, m"),
        (
            {"ratio": True},
            "$.private_settings.ratio is true or false, expected a number; as the manifest declares it",
        ),
        (
            {"ratio": 10**400},
            (
                "$.private_settings.ratio is a number that no float can hold, expected a number; "
                "as the manifest declares it"
            ),
        ),
        ({"ratio": 2}, "$.private_settings.ratio is a larger number, expected a number of at most 1"),
        ({"ratio": -1}, "$.private_settings.ratio is a smaller number, expected a number of at least 0"),
        ({"ratio": 0.25}, "$.private_settings.ratio is another number, expected a multiple of 0.1"),
        (
            {"token": "S3CRET"},
            "$.private_settings.token is text of 6 characters, expected text that matches ^[a-z]+$",
        ),
    ],
)
def test_settings_are_held_against_the_manifest(values, message):
    """A value that the manifest does not allow is refused, and the message keeps the value to itself."""
    with pytest.raises(InvalidArgumentError) as caught:
        check_settings(KEYS, "private_settings", values)
    assert caught.value.message == f"the installation is invalid:\n  {message}"


def test_settings_that_are_unset_or_undeclared_are_fine():
    """Null, other names, values that fit and patterns of other languages pass."""
    check_settings(
        KEYS, "private_settings", {"sizes": None, "access_token": 5, "ratio": 0.3, "odd": "x", "token": "abc"}
    )
    check_settings(KEYS, "settings", {"color": "red"})
    check_settings({}, "settings", {"color": 5})


def test_times_may_be_settings():
    """A schedule that names a setting takes its value, else its own, else its default, else it is none."""
    manifest = load_manifest(
        {
            "schedules": [
                {"url": "/a", "type": "interval", "value_from": "private_settings.every", "default": "5"},
                {"url": "/b", "type": "interval", "value_from": "every"},
            ]
        }
    )
    assert schedules(manifest) == [Schedule("/a", "interval", "5")]
    every = {"private_settings": {"every": 20}, "settings": {}}
    assert schedules(manifest, every) == [Schedule("/a", "interval", "20"), Schedule("/b", "interval", "20")]
    assert schedules(manifest, {"private_settings": {"every": "soon"}}) == [Schedule("/a", "interval", "5")]


def test_a_status_with_a_time_is_called_too():
    """Statuses with a time are schedules, once each; one without is none."""
    timed = {"url": "/status", "type": "interval", "value": "5"}
    assert schedules(load_manifest({"statuses": [timed, {"url": "/other"}], "schedules": [timed]})) == [
        Schedule("/status", "interval", "5")
    ]
