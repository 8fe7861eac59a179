"""Work that several processes begin and one does: schedules of one's own, and calls that come twice."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hull_sdk.context import Context
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.handlers.deduplication import Runs
from hull_sdk.handlers.endpoint import call, check_callable
from hull_sdk.middleware import settle_outbox

__all__ = ["run_once"]


def run_once(ctx: Context, key: str, function: Callable[[], Any]) -> bool:
    """Do something once for a key, in whichever of the processes that share a store.

    Example::

        def nightly(ctx, due_at):  # a timer in each process calls it, with the time for which it was due
            run_once(ctx, f"nightly {due_at:%Y-%m-%d}", lambda: clean_up(ctx))

    It counts as done once the platform has accepted what the function sent, and stays so for 24 hours. When it fails,
    or its process dies (after the lease of 30 seconds), the next one who asks does it again; what it sends through
    ``ctx.client`` then has the ids that it had before, so that the platform applies it once.

    Args:
        ctx: The context; each connector has keys of its own.
        key: What is done, with the time for which it is due, for example ``"nightly 2024-01-31"``. Another key means
            other work, so let it not come from the clock of the host that happens to ask.
        function: Does it, without arguments; plain or ``async``.

    Returns:
        ``True`` when this call did it, ``False`` when it has been done before.

    Raises:
        TransientError: Somebody else is doing it, what it sent was not accepted in time, or the store cannot be reached
            (status 503).
        InvalidArgumentError: The key is empty, or ``function`` is no function.
        Exception: Whatever the function raised.
    """
    if not isinstance(key, str) or not key:
        raise InvalidArgumentError(f"the key of run_once is {key!r}; pass a text such as 'nightly 2024-01-31'")
    check_callable(function, "the function of run_once")
    done = False

    def work(_attempt: int) -> None:
        nonlocal done
        with ctx.collect(f"once/{key}") as outbox:
            call(function)
        settle_outbox(ctx, outbox, ctx.timeout_s)
        done = True

    Runs(ctx.runs.scoped("once"), ctx.leases).once(key, work, is_final=lambda _: True)
    return done
