"""Mistakes in the use of a context; type checkers refuse each line that ends in a mark, and no other."""

from __future__ import annotations

from hull_sdk import Context


def add(first: int, second: int = 1) -> int:
    """Add two numbers."""
    return first + second


def misuse(ctx: Context) -> None:
    """Misuse a context."""
    ctx.enqueue("import", delay=500)  # WRONG: delay_ms
    ctx.enqueue(5)  # WRONG: a name
    ctx.submit(add, "one")  # WRONG: a number
    ctx.submit(add, 1, third=2)  # WRONG: no such argument
    ctx.helpers.update_setting({})  # WRONG: misspelt
    ctx.helpers.filter_notification(ctx, {})  # WRONG: the context is bound
    ctx.metric.increment("sold", "two")  # WRONG: a number
    ctx.cache.set("key", 1, ttl_s="five")  # WRONG: seconds
    _: str = ctx.attempt  # WRONG: a number
    _ = ctx.segments[0]["nam"]  # WRONG: no such field
    _ = ctx.config.id  # WRONG: there may be none
