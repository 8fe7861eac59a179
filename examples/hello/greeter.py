from flask import Flask
from hull_sdk import Connector
from hull_sdk.handlers import for_each, smart_notifier_handler

MANIFEST = {
    "name": "Greeter",
    "tags": ["smart-notifier"],
    "subscriptions": [{"url": "/smart-notifier", "channels": [{"channel": "user:update"}]}],
}


def on_user(ctx, message):
    changes, person = message["changes"]["user"], ctx.client.as_user(message["user"])
    if changes.get("first_name"):
        person.traits({"greeting": f"Hello {message['user']['first_name']}"})
    if "traits_plan" in changes:
        old, new = changes["traits_plan"]
        person.traits({"plan_changes": {"operation": "inc", "value": 1}})
        person.track("Plan changed", {"from": old, "to": new})


def create_app():
    handle = smart_notifier_handler(
        {"user:update": lambda ctx, messages: for_each(ctx, messages, lambda message: on_user(ctx, message))},
        flow_control={"type": "next", "size": 100, "in": 100},
    )
    app = Flask(__name__)
    app.register_blueprint(handle, url_prefix="/smart-notifier")
    return Connector(host_secret="change me: any long random text", manifest=MANIFEST).setup_app(app)
