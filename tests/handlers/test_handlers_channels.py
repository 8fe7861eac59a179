"""Every channel of smart notifications reaches its function."""

from __future__ import annotations

import pytest
from connector_world import BUYERS, CUSTOMERS, user_message

from hull_sdk.handlers import smart_notifier_handler
from hull_sdk.wire.notifications import CHANNELS

ACCOUNT_MESSAGE = {"message_id": "m-a", "account": {"id": "a1"}, "changes": {}, "account_segments": []}
MESSAGES = {
    "user:update": user_message("u1"),
    "account:update": ACCOUNT_MESSAGE,
    "ship:update": {"id": "5a7962e2793d3e942a03b29a"},
    "users_segment:update": BUYERS,
    "users_segment:delete": BUYERS,
    "accounts_segment:update": CUSTOMERS,
    "accounts_segment:delete": CUSTOMERS,
    "user:delete": {key: value for key, value in user_message("u1").items() if key not in ("events", "changes")},
    "account:delete": {key: value for key, value in ACCOUNT_MESSAGE.items() if key != "changes"},
}


@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.shows(
    "channel: user:update",
    "channel: account:update",
    "channel: ship:update",
    "channel: users_segment:update",
    "channel: users_segment:delete",
    "channel: accounts_segment:update",
    "channel: accounts_segment:delete",
    "channel: user:delete",
    "channel: account:delete",
)
def test_a_channel_reaches_its_function_and_no_other(world, channel):
    """Of functions for all channels the one of the notification's channel is called, with its messages."""
    called = []

    def note(name):
        return lambda ctx, messages: called.append((name, ctx.notification["channel"], messages))

    functions = {name: note(name) for name in CHANNELS}
    app = world.app(smart_notifier_handler(functions))
    answer = world.notify(app, world.notification([MESSAGES[channel]], channel=channel)).get_json()
    assert answer["flow_control"]["type"] == "next"
    ((name, told, messages),) = called
    assert (name, told) == (channel, channel)
    assert MESSAGES[channel].items() <= messages[0].items()


@pytest.mark.parametrize(
    ("older", "channel"), [("segment:update", "users_segment:update"), ("segment:delete", "users_segment:delete")]
)
@pytest.mark.shows("channel: segment:update", "channel: segment:delete")
def test_older_names_of_channels_lead_to_the_same_function(world, older, channel):
    """A function that is registered under the older name of a channel gets its messages."""
    called = []
    app = world.app(smart_notifier_handler({older: lambda _ctx, messages: called.extend(messages)}))
    world.notify(app, world.notification([BUYERS], channel=channel))
    assert called == [BUYERS]
