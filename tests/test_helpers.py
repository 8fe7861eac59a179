"""The helpers that connectors call with a context."""

from __future__ import annotations

import pytest
from connector_world import BUYERS, CONNECTOR_ID, query, user_message

from hull_sdk import current_context
from hull_sdk.errors import CredentialsError, InvalidArgumentError
from hull_sdk.helpers import filter_notification, update_settings


def raise_again(error):
    """Let an error through to the test."""
    raise error


URL = f"/run?{query()}"


def run(world, function, url=URL, **options):
    """Run a function within a request and return its result."""
    result = []
    app = world.app(setup=False)
    app.config["TESTING"] = True
    app.register_error_handler(Exception, raise_again)
    app.add_url_rule("/run", "run", lambda: (result.append(function()), "ok")[1])
    world.setup(app, **options).test_client().get(url)
    return result[0]


def test_settings_are_merged_and_remembered(world):
    """update_settings changes the given settings only, in the platform, the context and the cache."""
    world.platform.connector["private_settings"] = {"kept": 1, "changed": 1}

    def change():
        before = current_context.ship
        answer = current_context.helpers.update_settings({"changed": 2})
        return before["private_settings"], answer["private_settings"], current_context.ship["private_settings"]

    after = {"kept": 1, "changed": 2}
    assert run(world, change) == ({"kept": 1, "changed": 1}, after, after)
    assert world.platform.connector["private_settings"] == after
    gets = [line for line in world.platform.requests if line == f"GET /api/v1/{CONNECTOR_ID}"]
    assert len(gets) == 1


def test_the_cached_connector_is_replaced(world):
    """A request after update_settings sees the new settings without a fetch."""
    app = world.app(setup=False)
    app.add_url_rule("/set", "set", lambda: update_settings(current_context, {"n": 2}))
    app.add_url_rule("/get", "get", lambda: current_context.ship["private_settings"])
    client = world.setup(app).test_client()
    client.get(f"/set?{query()}")
    world.platform.requests.clear()
    assert client.get(f"/get?{query()}").get_json() == {"n": 2}
    assert world.platform.requests == []


def test_settings_must_be_a_dict(world):
    """Anything but a dict of settings is an error that shows it."""
    with pytest.raises(InvalidArgumentError, match=r"\['a'\]"):
        run(world, lambda: update_settings(current_context, ["a"]))


def test_settings_need_credentials(world):
    """Without credentials there is nothing to update."""
    with pytest.raises(CredentialsError, match="Missing credentials"):
        run(world, lambda: update_settings(current_context, {}), url="/run")


BUYER = user_message("u1", segments=[BUYERS])
NOBODY = user_message("u2")


@pytest.mark.parametrize(
    ("settings", "message", "expected"),
    [
        ({}, NOBODY, True),
        ({"synchronized_segments": []}, BUYER, False),
        ({"synchronized_segments": [BUYERS["id"]]}, BUYER, True),
        ({"synchronized_segments": [BUYERS["id"]]}, NOBODY, False),
        ({"synchronized_segments": ["ALL"]}, NOBODY, True),
        ({"synchronized_segments": ["all_segments"]}, NOBODY, True),
        ({"synchronized_segments": ["other"]}, BUYER, False),
        ({}, {"user": {}, "segments": [BUYERS]}, False),
        ({}, {}, False),
        ({"synchronized_segments": []}, {"account": {"id": "a"}, "account_segments": []}, True),
        ({"synchronized_account_segments": ["s"]}, {"account": {"id": "a"}, "account_segments": [{"id": "s"}]}, True),
        ({"synchronized_account_segments": ["s"]}, {"account": {"id": "a"}, "account_segments": []}, False),
    ],
)
def test_messages_are_filtered_by_segment(world, settings, message, expected):
    """A missing setting means everybody, an empty one nobody, ALL everybody; users and accounts have one each."""
    world.platform.connector["private_settings"] = settings
    assert run(world, lambda: current_context.helpers.filter_notification(message)) is expected


def test_another_setting_may_be_named(world):
    """The setting can be named in the call, and for the whole connector."""
    world.platform.connector["private_settings"] = {"mine": [], "synchronized_segments": [BUYERS["id"]]}
    assert run(world, lambda: filter_notification(current_context, BUYER, "mine")) is False
    assert run(world, lambda: filter_notification(current_context, BUYER), segment_filter_setting="mine") is False
    assert run(world, lambda: filter_notification(current_context, BUYER)) is True
