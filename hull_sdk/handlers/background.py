"""Work that goes on after its request was answered: contexts made again, and batches collected for a connector.

What is collected is kept in memory: it outlives a graceful stop, not a crash.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from hull_sdk.context import Context, Credentials
from hull_sdk.core.checks import is_number
from hull_sdk.core.ids import SystemIds
from hull_sdk.core.logs import emit
from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.flask_app import app_extension
from hull_sdk.infra import Batcher
from hull_sdk.middleware import (
    DEFAULT_MIDDLEWARE,
    Arrival,
    Extension,
    Incoming,
    RequestFacts,
    checked_count,
    settle,
    settle_outbox,
)
from hull_sdk.outcomes import judge, report

__all__ = ["MAX_TRIES", "Collector", "complete_context"]

#: How often a batch is tried before it is dropped.
MAX_TRIES: Final = 5
#: How long a batch may take, in seconds, for those who ask ``ctx.remaining_s()``.
BATCH_TIMEOUT_S: Final = 300.0
#: How long a batch waits until what it sent is accepted, in seconds.
BATCH_SETTLE_S: Final = 60.0

_log = logging.getLogger(__name__)


def complete_context(extension: Extension, context: Context, config: Credentials) -> None:
    """Fill in a context that belongs to no request: credentials, connector, segments and ``Connector.use``.

    Args:
        extension: What the application shares.
        context: The context; it should be the current one.
        config: Whose context it is.

    Raises:
        CredentialsError: The organization is not allowed any more, or the platform refuses the credentials.
        TransientError: The platform could not be asked.
    """
    facts = RequestFacts(header=lambda _name: None)
    arrival = Arrival(facts=facts, incoming=Incoming(config=config), extension=extension, context=context)
    for step in DEFAULT_MIDDLEWARE:
        step(arrival)
    for use in extension.uses:
        use(context)


class Collector:
    """Collects what comes to an endpoint, and hands it over in batches for each connector.

    A batch that fails is tried again with backoff, everything behind it waits; after :data:`MAX_TRIES` tries, or after
    a :class:`~hull_sdk.errors.LogicError`, it is dropped with an error in the log. What it sends again is applied once.

    Args:
        function: ``f(ctx, items)``, plain.
        max_size: Most items in one batch.
        max_time_ms: Longest time that an item waits for others, in milliseconds.

    Raises:
        InvalidArgumentError: A limit breaks a rule.
    """

    def __init__(self, function: Callable[[Context, list[Any]], Any], *, max_size: int, max_time_ms: float) -> None:
        self._function = function
        self._max_size = checked_count("max_size", max_size)
        self._max_time_ms = _checked_time(max_time_ms)
        self._id = SystemIds().object_id()

    def add(self, context: Context, item: Any, size_bytes: int) -> None:
        """Take an item.

        Args:
            context: Whose it is; the batch gets a context of its own for the same connector.
            item: Anything.
            size_bytes: Its size; a batch ends with a million bytes even when it has not ``max_size`` items.

        Raises:
            CredentialsError: The request came without credentials.
            TransientError: Too much waits already, or the connector is being stopped.
        """
        extension, credentials = app_extension(), context.credentials()
        taken = _Taken(item, context.request_id, context.hostname)
        make = partial(self._batcher, extension, credentials)
        extension.batches.add((self._id, credentials.namespace), taken, make, size_bytes)

    def drain(self, context: Context) -> None:
        """Have everything that was taken for a connector handed over.

        Args:
            context: Whose.

        Raises:
            TransientError: That was not done within the deadline.
        """
        key = (self._id, context.credentials().namespace)
        if not app_extension().batches.drain(key, context.remaining_s()):
            raise TransientError("earlier messages could not be handed over in time", status=503)

    def _batcher(self, extension: Extension, credentials: Credentials) -> Batcher[_Taken]:
        return Batcher(
            _Flush(self._function, extension, credentials),
            max_size=self._max_size,
            max_age_ms=self._max_time_ms,
            name=f"hull-batcher-{credentials.id}",
            runtime=extension.runtime,
        )


@dataclass(frozen=True, slots=True)
class _Taken:
    item: Any
    request_id: str | None
    hostname: str


class _Flush:
    """Hands the batches of one connector over; a batcher calls it for one batch at a time."""

    def __init__(
        self, function: Callable[[Context, list[Any]], Any], extension: Extension, config: Credentials
    ) -> None:
        self._function = function
        self._extension = extension
        self._config = config
        self._failures = 0
        self._work_id = ""

    def __call__(self, batch: list[_Taken]) -> None:
        if self._failures == 0:
            self._work_id = f"batch/{self._extension.runtime.ids.uuid()}"
        context = Context(
            self._extension,
            request_id=batch[0].request_id,
            hostname=batch[0].hostname,
            attempt=self._failures + 1,
            timeout_s=BATCH_TIMEOUT_S,
        )
        try:
            self._run(context, [taken.item for taken in batch])
        except Exception as err:
            if not self._is_given_up(context, err, len(batch)):
                raise
        self._failures = 0

    def _run(self, context: Context, items: list[Any]) -> None:
        with context.active():
            complete_context(self._extension, context, self._config)
            with context.collect(self._work_id) as outbox:
                self._function(context, items)
            if not self._extension.shutdown.ending:
                settle(context, BATCH_SETTLE_S)
                settle_outbox(context, outbox, BATCH_SETTLE_S)

    def _is_given_up(self, context: Context, err: Exception, count: int) -> bool:
        verdict = judge(err)
        report(err, verdict, self._extension.instrumentation, context)
        self._failures += 1
        if self._failures < MAX_TRIES and verdict.outcome.message == "retry":
            return False
        fields = {"items": count, "attempt": self._failures, "reason": verdict.reason, "id": self._config.id}
        emit(_log, logging.ERROR, "connector.batch.dropped", {**fields, "organization": self._config.organization})
        return True


def _checked_time(max_time_ms: Any) -> float:
    if not is_number(max_time_ms, above=0):
        raise InvalidArgumentError(f"max_time_ms is {max_time_ms!r}; it must be a number of milliseconds above 0")
    return max_time_ms
