"""Metrics and events to Datadog, over its HTTP interface."""

from __future__ import annotations

from typing import Any

from hull_sdk.core import json
from hull_sdk.core.forks import watch_forks
from hull_sdk.core.tasks import Lock
from hull_sdk.infra.extras import load, require
from hull_sdk.infra.telemetry import EventRecord, ExceptionRecord, Record

__all__ = ["DatadogBackend"]


class DatadogBackend:
    """Collects metrics and sends them every few seconds from the library's own thread.

    The library keeps its API key per process, so one process reports to one account.

    Args:
        api_key: Key of the account.
        host: Host name beside the metrics; ``None`` leaves it to the library.
        interval_s: Seconds between two sendings.

    Raises:
        MissingExtraError: The library is not installed.
    """

    def __init__(self, api_key: str, *, host: str | None = None, interval_s: float = 10.0) -> None:
        require("datadog_api_key", "datadog", "datadog")
        self._api_key = api_key
        self._host = host
        self._interval_s = interval_s
        self._lock = Lock()
        self._stats: Any = None
        watch_forks(self)

    def after_fork(self) -> None:
        """Start afresh in a child process: the parent sends what it collected."""
        self._lock = Lock()
        self._stats = None

    def record(self, record: Record) -> None:
        """Take a metric or an event; errors are ignored."""
        if isinstance(record, ExceptionRecord):
            return
        stats = self._started()
        tags = [f"{name}:{value}" if value else name for name, value in record.tags.items()]
        if isinstance(record, EventRecord):
            details = json.dumps(record.properties).decode() if record.properties else ""
            stats.event(record.name, "\n".join(filter(None, (record.text, details))) or record.name, tags=tags)
        elif record.kind == "increment":
            stats.increment(record.name, record.value, tags=tags)
        else:
            stats.gauge(record.name, record.value, tags=tags)

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - the library has a timeout of its own
        """Send what waits and end."""
        with self._lock:
            stats, self._stats = self._stats, None
        if stats is not None:
            stats.stop()
            stats.flush(float("inf"))

    def _started(self) -> Any:
        with self._lock:
            if self._stats is None:
                datadog = load("datadog_api_key", "datadog", "datadog")
                datadog.initialize(api_key=self._api_key, host_name=self._host)
                self._stats = datadog.ThreadStats()
                self._stats.start(flush_interval=self._interval_s, roll_up_interval=self._interval_s)
            return self._stats
