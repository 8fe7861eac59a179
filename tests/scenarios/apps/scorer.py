"""A connector that scores users by their visits: ``gunicorn scorer:app``."""

from __future__ import annotations

from flask import Flask

from hull_sdk import Connector
from hull_sdk.handlers import smart_notifier_handler

MANIFEST = {
    "name": "Scorer",
    "tags": ["smart-notifier"],
    "subscriptions": [{"url": "/smart-notifier", "channels": [{"channel": "user:update"}]}],
}


def score(ctx, messages):
    """Write ten points for each visit."""
    for message in messages:
        ctx.client.as_user(message["user"]).traits({"score": 10 * (message["user"].get("traits_visits") or 0)})
    ctx.smart_notifier_response.set_flow_control(type="next", size=100, in_ms=1)


app = Flask(__name__)
app.register_blueprint(smart_notifier_handler({"user:update": score}), url_prefix="/smart-notifier")
Connector(host_secret="a secret of the host for tests", manifest=MANIFEST).setup_app(app)
