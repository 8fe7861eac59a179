"""Code that users might write by mistake; type checkers refuse each line that ends in a mark, and no other."""

from __future__ import annotations

from flask import Flask

from hull_sdk import Client, Connector, Context
from hull_sdk.errors import TransientError
from hull_sdk.handlers import smart_notifier_handler
from hull_sdk.types import UserMessage


def misread(ctx: Context, message: UserMessage) -> None:
    """Misread a message and the context."""
    _ = message["usr"]  # WRONG: no such field
    _ = message["changes"]["is_now"]  # WRONG: no such field
    ctx.smart_notifer_response.set_flow_control(type="next")  # WRONG: misspelt
    ctx.smart_notifier_response.set_flow_control(type="next", size="many")  # WRONG: a size is a number


def misuse(client: Client) -> None:
    """Misuse a client."""
    Client("5a7962e2793d3e942a03b29a", flush_at="ten")  # WRONG: a number
    client.traits({"plan": "pro"})  # WRONG: only on as_user and as_account
    client.as_user(42)  # WRONG: an identifier is text
    client.as_account({"domain": "acme.example"}).track(5)  # WRONG: an event has a name
    client.as_user({"email": "a@b.example"}).traits("plan")  # WRONG: a mapping
    _: str = client.flush(10).sent  # WRONG: a count


def misconfigure(app: Flask) -> None:
    """Misconfigure a connector."""
    Connector(host_secret="secret", ports=8082).setup_app(app)  # WRONG: no such option
    smart_notifier_handler({"user:update": "on_user"})  # WRONG: a function
    connector_of_jobs = {"sync": 42}
    Connector(host_secret="secret").worker(connector_of_jobs)  # WRONG: functions
    Connector(host_secret="secret").setup_app("app")  # WRONG: a Flask app
    raise TransientError("later", retry_after="soon")  # WRONG: seconds
