"""Metrics, events and reported errors: one facade, whatever is configured behind it.

Without a backend metrics go to the logger at debug. A backend that fails never disturbs the work it measures.
Secrets are masked here, before any backend sees a value.
"""

from __future__ import annotations

import functools
import logging
import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

from hull_sdk.core.logs import emit
from hull_sdk.core.masking import mask, mask_text
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.infra.datadog import DEFAULT_PORT, AgentBackend, DatadogBackend
from hull_sdk.infra.sentry import SentryBackend
from hull_sdk.infra.telemetry import Backend, EventRecord, ExceptionRecord, LogBackend, MetricRecord, Record

__all__ = ["Instrumentation", "Metric", "RecordingInstrumentation", "Tags", "connector_tags"]

#: What ``tags=`` takes: a mapping, or texts such as ``"plan:free"``.
Tags = Mapping[str, Any] | Iterable[str]

DEFAULT_ENVIRONMENT: Final = "production"

#: Longest name or value of a tag that is remembered with its masked form, in characters.
_MAX_KEPT_CHARS: Final = 200

_log = logging.getLogger(__name__)


class Instrumentation:
    """Sends metrics to Datadog and errors to Sentry, where they are configured.

    Args:
        sentry_dsn: Address of the Sentry project; ``None`` reports no errors.
        datadog_api_key: Key of the Datadog account, for metrics over HTTP.
        environment: For example ``"staging"``.
        sentry_sample_rate: Share of the errors that is sent, from 0.0 to 1.0.
        host: Host name beside the metrics.
        dogstatsd: Address of a Datadog agent, for example ``"127.0.0.1:8125"``; metrics then go there and not over
            HTTP. Without it and a key they are left in the debug log.
        backends: Further places for records.
        runtime: Kept for doubles and backends that need a clock. May be assigned later.

    Raises:
        MissingExtraError: A backend is configured and its library is not installed.
        InvalidArgumentError: The sample rate is not between 0 and 1, or an address is none.
    """

    def __init__(
        self,
        sentry_dsn: str | None = None,
        datadog_api_key: str | None = None,
        environment: str = DEFAULT_ENVIRONMENT,
        *,
        sentry_sample_rate: float = 1.0,
        host: str | None = None,
        dogstatsd: str | None = None,
        backends: Iterable[Backend] = (),
        runtime: Runtime | None = None,
    ) -> None:
        if not 0.0 <= sentry_sample_rate <= 1.0:
            raise InvalidArgumentError(f"sentry_sample_rate is {sentry_sample_rate!r}; it must be from 0.0 to 1.0")
        self.environment = environment
        self.runtime: Runtime = Runtime.system() if runtime is None else runtime
        self._backends: list[Backend] = [LogBackend(), *backends]
        if sentry_dsn:
            self._backends.append(SentryBackend(sentry_dsn, environment=environment, sample_rate=sentry_sample_rate))
        if dogstatsd:
            self._backends.append(AgentBackend(dogstatsd))
        elif datadog_api_key:
            self._backends.append(DatadogBackend(datadog_api_key, host=host))

    def __repr__(self) -> str:
        names = ", ".join(type(backend).__name__ for backend in self._backends)
        return f"{type(self).__name__}(environment={self.environment!r}, backends=[{names}])"

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Instrumentation:
        """Return what the environment configures.

        Args:
            environ: ``SENTRY_URL``, ``SENTRY_SAMPLE_RATE``, ``DATADOG_API_KEY``, ``DD_AGENT_HOST``,
                ``DD_DOGSTATSD_PORT``, ``HULL_ENV`` and ``HOST`` are read; the process's own environment by default.

        Raises:
            MissingExtraError: A backend is configured and its library is not installed.
            InvalidArgumentError: ``SENTRY_SAMPLE_RATE`` is no number between 0 and 1.
        """
        env = os.environ if environ is None else environ
        return cls(
            env.get("SENTRY_URL"),
            env.get("DATADOG_API_KEY"),
            env.get("HULL_ENV") or DEFAULT_ENVIRONMENT,
            sentry_sample_rate=_rate(env.get("SENTRY_SAMPLE_RATE")),
            host=env.get("HOST"),
            dogstatsd=_agent(env),
        )

    def metric(self, tags: Tags | None = None) -> Metric:
        """Return a metric whose records carry tags.

        Args:
            tags: Usually what :func:`connector_tags` returned.
        """
        return Metric(self, tags)

    def capture_exception(
        self, error: BaseException, context: Mapping[str, Any] | None = None, tags: Tags | None = None
    ) -> None:
        """Report an error.

        Args:
            error: What happened.
            context: JSON-like data that helps to understand it; secrets are masked.
            tags: As of :meth:`metric`.
        """
        self.record(ExceptionRecord(error, mask(dict(context or {})), _tags(tags)))

    def record(self, record: Record) -> None:
        """Hand a record to every backend; one that fails is logged and disturbs nobody."""
        self._each(lambda backend: backend.record(record))

    def close(self, timeout_s: float = 2.0) -> None:
        """Send what is buffered; a backend that fails is logged and holds up no other.

        Args:
            timeout_s: Longest wait for each backend, in seconds.
        """
        self._each(lambda backend: backend.close(timeout_s))

    def _each(self, action: Callable[[Backend], None]) -> None:
        for backend in self._backends:
            try:
                action(backend)
            except Exception as err:  # noqa: BLE001 - measuring never breaks what is measured
                fields = {"backend": type(backend).__name__}
                emit(_log, logging.WARNING, "instrumentation.failed", fields, exc_info=err)


class Metric:
    """Measures with a fixed set of tags; ``ctx.metric`` is one.

    Example::

        ctx.metric.increment("contacts.updated", 3)
        ctx.metric.value("contacts.lag_s", 12.5, tags={"list": "vip"})
        ctx.metric.event("settings.migrated", "from 1 to 2")

    Args:
        instrumentation: Where records go.
        tags: On every record.
    """

    def __init__(self, instrumentation: Instrumentation, tags: Tags | None = None) -> None:
        self._instrumentation = instrumentation
        #: On every record.
        self.tags: dict[str, str] = _tags(tags)

    def value(self, name: str, value: float = 1, tags: Tags | None = None) -> None:
        """Record a number of which the newest counts.

        Args:
            name: For example ``"queue.length"``.
            value: The number.
            tags: Further tags, as a mapping or as texts such as ``"plan:free"``.
        """
        self._measure("value", name, value, tags)

    def increment(self, name: str, value: float = 1, tags: Tags | None = None) -> None:
        """Record a number that adds up.

        Args:
            name: For example ``"contacts.updated"``.
            value: How many.
            tags: Further tags, as a mapping or as texts such as ``"plan:free"``.
        """
        self._measure("increment", name, value, tags)

    def event(self, name: str, text: str = "", properties: Mapping[str, Any] | None = None) -> None:
        """Record that something happened.

        Args:
            name: Its title, for example ``"settings.migrated"``.
            text: More words.
            properties: JSON-like data; secrets are masked.
        """
        record = EventRecord(name, mask_text(text), mask(dict(properties or {})), dict(self.tags))
        self._instrumentation.record(record)

    def capture_exception(self, error: BaseException, context: Mapping[str, Any] | None = None) -> None:
        """Report an error; see :meth:`Instrumentation.capture_exception`."""
        self._instrumentation.capture_exception(error, context, self.tags)

    def _measure(self, kind: Literal["value", "increment"], name: str, value: float, tags: Tags | None) -> None:
        self._instrumentation.record(MetricRecord(name, kind, value, self.tags | _tags(tags)))


class RecordingInstrumentation(Instrumentation):
    """Keeps everything that was recorded, for tests; sends nothing."""

    def __init__(self, runtime: Runtime | None = None) -> None:
        super().__init__(environment="test", runtime=runtime)
        self._backends = []
        #: Every metric, oldest first.
        self.metrics: list[MetricRecord] = []
        #: Every event, oldest first.
        self.events: list[EventRecord] = []
        #: Every reported error, oldest first.
        self.exceptions: list[ExceptionRecord] = []

    def record(self, record: Record) -> None:
        """Keep a record."""
        if isinstance(record, MetricRecord):
            self.metrics.append(record)
        elif isinstance(record, EventRecord):
            self.events.append(record)
        else:
            self.exceptions.append(record)

    def total(self, name: str) -> float:
        """Return the sum of all values that were recorded under a name, whatever their tags."""
        return sum(record.value for record in self.metrics if record.name == name)


def connector_tags(
    manifest: Mapping[str, Any], organization: str | None, connector_id: str | None, environment: str
) -> dict[str, str]:
    """Return the tags that every record of a connector carries.

    Args:
        manifest: The connector's manifest; its name and version are used.
        organization: For example ``"acme.hullapp.io"``, or ``None`` outside a request.
        connector_id: The connector's id, or ``None`` outside a request.
        environment: For example ``"production"``.

    Returns:
        ``source``, ``ship_version``, ``ship_name``, ``ship_env``, ``hull_host``, ``organization`` and ``ship``.
    """
    host = organization.partition(".")[2] if organization else ""
    return {
        "source": "ship",
        "ship_version": str(manifest.get("version") or "none"),
        "ship_name": str(manifest.get("name") or "none"),
        "ship_env": environment,
        "hull_host": host or "none",
        "organization": organization or "none",
        "ship": connector_id or "none",
    }


def _tags(tags: Tags | None) -> dict[str, str]:
    if tags is None:
        return {}
    if not isinstance(tags, Mapping):
        texts = [tags] if isinstance(tags, str) else tags
        tags = {name: value for name, _, value in (str(tag).partition(":") for tag in texts)}
    pairs = tuple(tags.items())
    if all(type(part) is str and len(part) <= _MAX_KEPT_CHARS for pair in pairs for part in pair):
        return _masked_pairs(pairs).copy()
    return _masked(tags)


@functools.lru_cache(maxsize=1024)  # a connector's own are the same for each request
def _masked_pairs(pairs: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return _masked(dict(pairs))


def _masked(tags: Mapping[Any, Any]) -> dict[str, str]:
    return {str(name): str(value) for name, value in mask(tags).items()}


def _agent(env: Mapping[str, str]) -> str | None:
    host = env.get("DD_AGENT_HOST")
    return f"{host}:{env.get('DD_DOGSTATSD_PORT') or DEFAULT_PORT}" if host else None


def _rate(text: str | None) -> float:
    if not text:
        return 1.0
    try:
        return float(text)
    except ValueError as err:
        raise InvalidArgumentError(f"SENTRY_SAMPLE_RATE is {text!r}; it must be a number from 0.0 to 1.0") from err
