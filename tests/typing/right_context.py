"""Every attribute of the context, with its type."""

from __future__ import annotations

from typing import Any, assert_type

from hull_sdk import Client, Context
from hull_sdk.context import Credentials, Helpers, SmartNotifierResponse
from hull_sdk.core.tasks import Future
from hull_sdk.handlers import run_once
from hull_sdk.infra import Cache, Metric, RateLimit
from hull_sdk.types import LegacyMessage, Notification, Segment


def add(first: int, second: int = 1) -> int:
    """Add two numbers."""
    return first + second


def look(ctx: Context) -> None:
    """Read what a request brings along."""
    assert_type(ctx.request_id, str | None)
    assert_type(ctx.config, Credentials | None)
    assert_type(ctx.token, str | None)
    assert_type(ctx.client, Client)
    assert_type(ctx.ship, Any)
    assert_type(ctx.connector, Any)
    assert_type(ctx.hostname, str)
    assert_type(ctx.options, dict[str, Any])
    assert_type(ctx.connector_config, dict[str, Any])
    assert_type(ctx.segments, list[Segment])
    assert_type(ctx.users_segments, list[Segment])
    assert_type(ctx.accounts_segments, list[Segment])
    assert_type(ctx.service, Any)
    assert_type(ctx.message, LegacyMessage | None)
    assert_type(ctx.notification, Notification | None)
    assert_type(ctx.smart_notifier_response, SmartNotifierResponse)
    assert_type(ctx.attempt, int)
    assert_type(ctx.is_batch, bool)


def use(ctx: Context) -> None:
    """Use what is bound to the context."""
    assert_type(ctx.cache, Cache)
    assert_type(ctx.cache.wrap("lists", lambda: ["a"], ttl_s=60), list[str])
    ctx.cache.set("key", 1, ttl_s=5)
    ctx.cache.delete("key")
    assert_type(ctx.metric, Metric)
    ctx.metric.increment("shop.sold", 2)
    ctx.metric.value("shop.open", 3)
    ctx.metric.event("shop.moved", text="to a new street", properties={"street": "High"})
    assert_type(ctx.helpers, Helpers)
    assert_type(ctx.helpers.update_settings({"last_sync": 1}), dict[str, Any])
    assert_type(ctx.helpers.filter_notification({"user": {}}), bool)
    ctx.helpers.request_extract(segment="5b0000000000000000000001", fields=["email"])
    job = ctx.enqueue("import", {"page": 2}, delay_ms=500, queue_name="slow", priority=-1, ttl_ms=60_000)
    assert_type(job, str)
    assert_type(ctx.rate_limit("crm/7", calls=100, per_s=1), RateLimit)
    assert_type(run_once(ctx, "nightly 2024-01-31", object), bool)
    assert_type(ctx.submit(add, 1, second=2), Future[int])
    ctx.service.crm = object()
