from __future__ import annotations

import pytest
from flask import Flask

from hull_sdk import Connector
from hull_sdk.handlers import action_handler, smart_notifier_handler
from hull_sdk.testing import Harness

MANIFEST = {
    "name": "Scorer",
    "tags": ["smart-notifier"],
    "subscriptions": [{"url": "/smart-notifier"}],
    "schedules": [{"url": "/sync", "type": "cron", "value": "0 * * * *"}],
}


class Recorder:
    """A connector whose handler is whatever the test says."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, list]] = []
        self.syncs = 0
        self.handle = lambda _ctx, _messages: None

    def on(self, channel):
        def handler(ctx, messages):
            self.calls.append((channel, messages))
            return self.handle(ctx, messages)

        return handler

    def sync(self, ctx, _request):
        self.syncs += 1
        return f"sync {self.syncs} of {ctx.connector['name']}"

    def messages(self, channel="user:update"):
        return [message for name, messages in self.calls if name == channel for message in messages]

    def app(self, **options) -> Flask:
        app = Flask("recorder")
        app.register_blueprint(
            smart_notifier_handler({c: self.on(c) for c in ("user:update", "account:update")}),
            url_prefix="/smart-notifier",
        )
        app.register_blueprint(action_handler(self.sync), url_prefix="/sync")
        return Connector(host_secret="a secret of the host for tests", manifest=MANIFEST, **options).setup_app(app)


@pytest.fixture
def recorder():
    """A connector whose handler the test sets."""
    return Recorder()


@pytest.fixture
def harness(recorder):
    """The recorder, installed on a platform of its own."""
    with Harness(recorder.app()) as harness:
        yield harness
