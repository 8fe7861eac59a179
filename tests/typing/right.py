"""Code that users write, which type checkers accept."""

from __future__ import annotations

from typing import Any

from flask import Flask

from hull_sdk import Client, Connector, Context
from hull_sdk.errors import RateLimitError, TransientError
from hull_sdk.handlers import action_handler, notif_handler, smart_notifier_handler, takes_state
from hull_sdk.types import AccountMessage, Claims, Segment, UserMessage


def on_user(ctx: Context, messages: list[UserMessage]) -> None:
    """Read a user message and write back."""
    for message in messages:
        email: str = message["user"]["email"]
        names: list[str] = [segment["name"] for segment in message["segments"]]
        ctx.client.as_user(message["user"]).traits({"domain": email.partition("@")[2], "in": names})
    ctx.smart_notifier_response.set_flow_control(type="next", size=100, in_ms=5000)


def on_account(ctx: Context, messages: list[AccountMessage]) -> None:
    """Read an account message."""
    for message in messages:
        account: dict[str, Any] = message["account"]
        ctx.client.as_account(account).traits({"seen": True})
        raise RateLimitError("slow down", retry_after=30)


def sync(ctx: Context, _request: Any) -> str:
    """Answer an action."""
    segments: list[Segment] = ctx.users_segments
    return f"{len(segments)} segments"


def create_app() -> Flask:
    """Put a connector together."""
    app = Flask(__name__)
    handlers = smart_notifier_handler({"user:update": on_user, "account:update": on_account}, max_size=100)
    app.register_blueprint(handlers, url_prefix="/smart-notifier")
    app.register_blueprint(action_handler(sync), url_prefix="/sync")
    return Connector(host_secret="long and random", port=8082, manifest={"name": "Typed"}).setup_app(app)


def on_accounts_of_extracts(ctx: Context, messages: list[AccountMessage], batch: dict[str, Any] | None) -> None:
    """Handle accounts, in extracts too."""
    on_account(ctx, messages)


def refresh(ctx: Context, payload: dict[str, str]) -> int:
    """Do a job."""
    return len(payload)


def create_app_from_tables(connector: Connector) -> Flask:
    """Keep functions of different shapes in variables."""
    app = Flask(__name__)
    handlers = {"user:update": on_user, "account:update": on_accounts_of_extracts}
    app.register_blueprint(smart_notifier_handler(handlers), url_prefix="/smart-notifier")
    legacy = {"user:update": on_user, "account:update": on_accounts_of_extracts}
    app.register_blueprint(notif_handler(legacy), url_prefix="/notify")
    jobs = {"refresh": refresh, "sync": sync}
    connector.worker(jobs)
    return connector.setup_app(app)


@takes_state
def connected() -> str:
    """Come back from an authorization."""
    return "Connected."


def send() -> int:
    """Use a client by itself."""
    client = Client(id="5a7962e2793d3e942a03b29a", secret="secret", organization="acme.hullapp.io", flush_at=10)
    claims: Claims = {"email": "ann@acme.example"}
    ann = client.as_user(claims, create=False)
    ann.traits({"plan": "pro", "visits": {"operation": "inc", "value": 2}})
    ann.track("Ordered", {"sku": "A1"}, {"source": "shop"})
    ann.account({"domain": "acme.example"}).traits({"employees": 12})
    try:
        ann.alias({"anonymous_id": "a-1"}).result(timeout=10)
    except TransientError as err:
        return round(err.retry_after or 0)
    return client.flush(10).sent
