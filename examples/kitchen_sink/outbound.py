"""From Hull to the CRM: users, accounts, segments, and news of the connector itself."""

from __future__ import annotations

from functools import partial
from typing import Any

from hull_sdk import Context
from hull_sdk.errors import LogicError
from hull_sdk.handlers import for_each
from hull_sdk.types import AccountMessage, AttributeOperation, ConnectorObject, RequestParts, Segment, UserMessage
from kitchen_sink.settings import private_settings

__all__ = [
    "connector_changed",
    "forget_segment",
    "learn_segment",
    "legacy_segment",
    "legacy_users",
    "send_users",
    "size_accounts",
]


def send_users(ctx: Context, messages: list[UserMessage], batch: RequestParts | None) -> list[dict[str, Any]]:
    """Send users, four at a time; each message gets a result of its own.

    Args:
        ctx: The context.
        messages: Of a notification, or made from the rows of an extract.
        batch: The call that brought the extract; ``None`` for notifications.
    """
    if batch is None:
        ctx.smart_notifier_response.set_flow_control(type="next", size=200, in_ms=10)
    known = set(ctx.service.crm.fields())
    results = for_each(ctx, messages, partial(_send, ctx, known), limit=4)
    ctx.metric.value("kitchen_sink.batch_size", len(messages))
    return results


def _send(ctx: Context, known: set[str], message: UserMessage) -> str:
    user = message["user"]
    if not message.get("matches_filter"):
        return "skip"
    hull_user = ctx.client.as_user(user)
    if not user.get("email"):
        hull_user.logger.info("outgoing.user.skip", {"reason": "no email"})
        return "skip"
    if user["email"].endswith("@invalid.example"):
        raise LogicError("the CRM refuses this domain for good")
    contact = {name: value for name, value in user.items() if name in known}
    segments = [segment["id"] for segment in message["segments"]]  # both generations of notifications have these
    saved = ctx.service.crm.call("PUT", "/contacts", json={**contact, "segments": segments})
    first: AttributeOperation = {"operation": "setIfNull", "value": ctx.runtime.clock.time()}
    hull_user.traits({"kitchen_sink/id": saved["id"], "kitchen_sink/first_sent_at": first})
    return "ok"


def size_accounts(ctx: Context, messages: list[AccountMessage]) -> None:
    """Write the size of accounts; whoever is not in the selected segments is left out by the helper."""
    large_from = private_settings(ctx)["large_from"]
    for message in messages:
        employees = message["account"].get("employees")
        if employees is not None and ctx.helpers.filter_notification(message):
            size = "large" if employees >= large_from else "small"
            ctx.client.as_account(message["account"]).traits({"kitchen_sink/size": size})


def connector_changed(ctx: Context, messages: list[ConnectorObject]) -> None:
    """Forget what was learnt with the old settings."""
    ctx.cache.delete("fields")
    ctx.metric.increment("kitchen_sink.settings_changed", len(messages))
    ctx.metric.event("kitchen_sink.settings_changed", f"{len(messages)} changes")


def learn_segment(ctx: Context, segments: list[Segment]) -> None:
    """Keep the names of segments at hand."""
    for segment in segments:
        ctx.cache.set(f"segment-{segment['id']}", segment["name"])


def forget_segment(ctx: Context, segments: list[Segment]) -> None:
    """Drop the names of segments that are gone."""
    for segment in segments:
        ctx.cache.delete(f"segment-{segment['id']}")


def legacy_users(ctx: Context, messages: list[UserMessage]) -> list[dict[str, Any]]:
    """Take users of the older generation of notifications: where one is to be tried again, all of them come again."""
    return send_users(ctx, messages, None)


def legacy_segment(ctx: Context, segment: Segment) -> None:
    """Take a segment of the older generation."""
    learn_segment(ctx, [segment])
