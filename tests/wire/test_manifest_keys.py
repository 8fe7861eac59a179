"""Every key of a manifest, on every level: what is of the wrong kind is refused at its place, what is right is kept."""

from __future__ import annotations

import pytest

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.manifest import load_manifest

SETTING = {"name": "size", "type": "string"}
SCHEDULE = {"url": "/sync", "type": "interval", "value": "5"}
STATUS = {"url": "/status", "type": "cron", "value": "*/30 * * * *"}


def refusal(manifest):
    """Return what is said about a manifest that is refused."""
    with pytest.raises(InvalidArgumentError) as caught:
        load_manifest(manifest)
    return str(caught.value)


@pytest.mark.parametrize(
    "key",
    ["name", "description", "version", "license", "source", "logo", "picture", "readme", "index", "admin", "type"],
)
@pytest.mark.shows(
    "manifest: name",
    "manifest: description",
    "manifest: version",
    "manifest: license",
    "manifest: source",
    "manifest: logo",
    "manifest: picture",
    "manifest: readme",
    "manifest: index",
    "manifest: admin",
    "manifest: type",
)
def test_texts_of_a_manifest(key):
    """Names, descriptions and paths are texts, and are kept."""
    assert load_manifest({key: "x.html"}) == {key: "x.html"}
    assert f"$.{key} is 5, expected " in refusal({key: 5})


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("tags", ["kraken-exports", "single-install"], "smart-notifier"),
        ("settings", [SETTING], {}),
        ("private_settings", [SETTING], {}),
        ("deployment_settings", [SETTING], {}),
        ("settings_sections", [{}], {}),
        ("subscriptions", [{"url": "/s"}], {}),
        ("batches", [{"url": "/b"}], {}),
        ("schedules", [SCHEDULE], {}),
        ("statuses", [STATUS], {}),
        ("status", STATUS, []),
        ("tabs", [{"url": "/t"}], {}),
        ("html", [{"url": "/h"}], {}),
        ("json", [{"name": "go"}], {}),
        ("incoming", [{"url": "/in"}], {}),
        ("resources", [], {}),
        ("ui", True, "yes"),
        ("mappings", {"contacts": {"incoming": {}}}, []),
    ],
)
@pytest.mark.shows(
    "manifest: tags",
    "manifest tag: kraken-exports",
    "manifest tag: single-install",
    "manifest: settings",
    "manifest: private_settings",
    "manifest: deployment_settings",
    "manifest: settings_sections",
    "manifest: subscriptions",
    "manifest: batches",
    "manifest: schedules",
    "manifest: statuses",
    "manifest: status",
    "manifest: tabs",
    "manifest: html",
    "manifest: json",
    "manifest: incoming",
    "manifest: resources",
    "manifest: ui",
    "manifest: mappings",
)
def test_lists_and_objects_of_a_manifest(key, good, bad):
    """Each key has its kind, and what has it is kept."""
    assert load_manifest({key: good}) == {key: good}
    assert f"$.{key} is " in refusal({key: bad})


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("name", "color", ""),
        ("type", "string", "text"),
        ("title", "Size", 5),
        ("description", "How large.", 5),
        ("format", "hidden", 5),
        ("default", "s", 5),
        ("options", {"placeholder": "s"}, []),
        ("required", True, "yes"),
        ("items", {"type": "string"}, []),
        ("enum", ["s", "m"], []),
        ("url", "/sizes", ""),
        ("handler", "sizes", 5),
        ("minimum", 0, "0"),
        ("maximum", 9.5, "9"),
        ("uniqueItems", True, "yes"),
        ("headerTemplate", "{{ name }}", 5),
        ("properties", {"a": {}}, []),
        ("multipleOf", 0.1, 0),
        ("minItems", 1, -1),
        ("pattern", "^[a-z]+$", 5),
    ],
)
@pytest.mark.shows(
    "manifest setting: name",
    "manifest setting: type",
    "manifest setting: title",
    "manifest setting: description",
    "manifest setting: format",
    "manifest setting: default",
    "manifest setting: options",
    "manifest setting: required",
    "manifest setting: items",
    "manifest setting: enum",
    "manifest setting: url",
    "manifest setting: handler",
    "manifest setting: minimum",
    "manifest setting: maximum",
    "manifest setting: uniqueItems",
    "manifest setting: headerTemplate",
    "manifest setting: properties",
    "manifest setting: multipleOf",
    "manifest setting: minItems",
    "manifest setting: pattern",
)
def test_keys_of_a_setting(key, good, bad):
    """Each key of a setting has its kind, in all three lists of settings."""
    for place in ("settings", "private_settings", "deployment_settings"):
        manifest = {place: [{**SETTING, key: good}]}
        assert load_manifest(manifest) == manifest
        assert f"$.{place}[0].{key} is " in refusal({place: [{**SETTING, key: bad}]})


@pytest.mark.parametrize(
    ("kind", "good", "bad"),
    [
        ("string", "s", 5),
        ("array", ["s"], "s"),
        ("boolean", False, "no"),
        ("number", 0.5, "0.5"),
        ("object", {"a": 1}, "a"),
    ],
)
@pytest.mark.shows(
    "manifest setting type: string",
    "manifest setting type: array",
    "manifest setting type: boolean",
    "manifest setting type: number",
    "manifest setting type: object",
)
def test_types_of_a_setting(kind, good, bad):
    """A default has the type of its setting."""
    manifest = {"private_settings": [{"name": "size", "type": kind, "default": good}]}
    assert load_manifest(manifest) == manifest
    message = refusal({"private_settings": [{"name": "size", "type": kind, "default": bad}]})
    assert "$.private_settings[0].default is " in message


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("title", "Keys", 5),
        ("description", "All keys.", 5),
        ("properties", ["private_settings.api_key"], "api_key"),
        ("step", "mapping", 5),
        ("options", {}, []),
    ],
)
@pytest.mark.shows(
    "manifest: settings_sections.title",
    "manifest: settings_sections.description",
    "manifest: settings_sections.properties",
    "manifest: settings_sections.step",
    "manifest: settings_sections.options",
)
def test_keys_of_a_section(key, good, bad):
    """Each key of a section of the settings page has its kind."""
    manifest = {"settings_sections": [{key: good}]}
    assert load_manifest(manifest) == manifest
    assert f"$.settings_sections[0].{key} is " in refusal({"settings_sections": [{key: bad}]})


@pytest.mark.parametrize("place", ["subscriptions", "batches"])
@pytest.mark.shows(
    "manifest: subscriptions.url",
    "manifest: subscriptions.channels",
    "manifest: subscriptions.channels.channel",
    "manifest: subscriptions.channels.handler",
    "manifest: subscriptions.channels.options",
    "manifest: subscriptions.channels.events-whitelist",
    "manifest: batches.url",
    "manifest: batches.channels",
)
def test_keys_of_what_takes_messages(place):
    """An endpoint has a path and channels, by name or as objects whose further keys are kept."""
    channel = {"channel": "user:update", "handler": "users", "options": {}, "events-whitelist": ["Ordered"]}
    manifest = {place: [{"url": "/s", "channels": [channel, "account:update"]}]}
    assert load_manifest(manifest) == manifest
    assert f"$.{place}[0].url is " in refusal({place: [{"url": ""}]})
    assert f"$.{place}[0].channels is " in refusal({place: [{"url": "/s", "channels": "user:update"}]})
    assert f"$.{place}[0].channels[0] is " in refusal({place: [{"url": "/s", "channels": [{"handler": "h"}]}]})


@pytest.mark.shows("manifest: subscriptions.conditions")
def test_conditions_of_a_subscription():
    """Conditions are an object, and are kept."""
    manifest = {"subscriptions": [{"url": "/s", "conditions": {"channels": {"only": []}}}]}
    assert load_manifest(manifest) == manifest
    assert "$.subscriptions[0].conditions is " in refusal({"subscriptions": [{"url": "/s", "conditions": []}]})


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("url", "/now", ""),
        ("type", "interval", "daily"),
        ("value", "10", []),
        ("value_from", "private_settings.every", 5),
        ("default", "10", "soon"),
        ("handler", "sync", 5),
        ("options", {}, []),
        ("method", "POST", "FETCH"),
    ],
)
@pytest.mark.shows(
    "manifest: schedules.url",
    "manifest: schedules.type",
    "manifest: schedules.value",
    "manifest: schedules.value_from",
    "manifest: schedules.default",
    "manifest: schedules.handler",
    "manifest: schedules.options",
    "manifest: schedules.method",
)
def test_keys_of_a_schedule(key, good, bad):
    """Each key of a schedule has its kind, and times can be read."""
    manifest = {"schedules": [{**SCHEDULE, key: good}]}
    assert load_manifest(manifest) == manifest
    assert f"$.schedules[0].{key} is " in refusal({"schedules": [{**SCHEDULE, key: bad}]})


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("url", "/now", ""),
        ("type", "cron", "daily"),
        ("value", "*/5 * * * *", "soon"),
        ("handler", "check", 5),
        ("initial_value", "setupRequired", "fine"),
    ],
)
@pytest.mark.shows(
    "manifest: statuses.url",
    "manifest: statuses.type",
    "manifest: statuses.value",
    "manifest: statuses.handler",
    "manifest: statuses.initial_value",
)
def test_keys_of_a_status(key, good, bad):
    """Each key of a status has its kind, alone and in the list."""
    assert load_manifest({"statuses": [{**STATUS, key: good}], "status": {**STATUS, key: good}})
    assert f"$.statuses[0].{key} is " in refusal({"statuses": [{**STATUS, key: bad}]})
    assert f"$.status.{key} is " in refusal({"status": {**STATUS, key: bad}})
