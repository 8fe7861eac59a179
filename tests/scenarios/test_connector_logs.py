"""What a connector logs, seen at the platform."""

from __future__ import annotations

import logging

import pytest

from hull_sdk.client import PlatformLogHandler
from hull_sdk.testing import Harness


@pytest.fixture
def handler():
    """A handler at the client's logger, as an application attaches it."""
    logger, handler = logging.getLogger("hull_sdk.client"), PlatformLogHandler()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield handler
    logger.removeHandler(handler)
    logger.setLevel(level)
    handler.close()


@pytest.mark.usefixtures("handler")
def test_what_a_handler_logs_stands_in_the_platform_s_log(harness, recorder):
    """A line of a notification's handler is in the organization's log, once, beside what came in."""

    def handle(ctx, messages):
        for message in messages:
            ctx.client.as_user(message["user"]).logger.info("outgoing.user.success", {"secret": "s", "count": 1})

    recorder.handle = handle
    harness.client.as_user({"email": "ann@acme.example"}).traits({"plan": "pro"})
    harness.run_until_idle()
    (entry,) = [entry for entry in harness.organization.log if entry.event == "outgoing.user.success"]
    assert entry.level == "info"
    assert entry.fields["connector_id"] == harness.connector.id
    assert entry.fields["data"] == {"secret": "***", "count": 1}
    context = entry.fields["context"]
    assert (context["user_email"], context["organization"]) == ("ann@acme.example", harness.organization.host)
    assert context["request_id"].startswith("smart-notifier")


def test_what_a_connector_sends_can_be_captured(harness, recorder):
    """With lists in client_config, messages and lines of handlers are kept, and the notification is answered."""
    events, lines = [], []
    app = recorder.app(client_config={"firehose_events": events, "logs": lines})

    def handle(ctx, messages):
        ctx.client.as_user(messages[0]["user"]).traits({"seen": True})
        ctx.client.logger.info("outgoing.user.success")

    recorder.handle = handle
    with Harness(app) as capturing:
        capturing.client.as_user({"email": "ann@acme.example"}).traits({"plan": "pro"})
        capturing.run_until_idle()
        assert capturing.user({"email": "ann@acme.example"}).get("traits_seen") is None
        assert [delivery.outcome for delivery in capturing.deliveries] == ["next"]
    assert [event["data"]["body"] for event in events] == [{"seen": True}]
    assert [line["message"] for line in lines] == ["outgoing.user.success"]
