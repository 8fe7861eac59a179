"""Metrics and events to Datadog: to an agent nearby over UDP, or to its HTTP interface."""

from __future__ import annotations

import re
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.forks import watch_forks
from hull_sdk.core.hosts import split_host
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.infra.extras import load
from hull_sdk.infra.telemetry import EventRecord, ExceptionRecord, MetricRecord, Record

__all__ = ["DEFAULT_PORT", "AgentBackend", "DatadogBackend"]

#: Where an agent listens.
DEFAULT_PORT: Final = 8125

_COLLECTOR: Final = "collector"

#: What separates the parts of a packet; in a name or a tag it would begin another part.
_SEPARATORS: Final = re.compile(r"[|,#@\s]+")


class AgentBackend:
    """Sends each metric and event to an agent (DogStatsD) as it comes, in a packet of its own.

    A packet that nobody takes is lost, and nobody waits for it.

    Args:
        address: ``"127.0.0.1:8125"``, or a host alone.

    Raises:
        MissingExtraError: The library is not installed.
        InvalidArgumentError: The address is none.
    """

    def __init__(self, address: str) -> None:
        parsed = split_host(address)
        if parsed is None:
            raise InvalidArgumentError(f"dogstatsd is {address!r}; write an address such as '127.0.0.1:{DEFAULT_PORT}'")
        host, port = parsed
        # Loaded now: an import within a measurement could be cut in two by a fork.
        self._stats: Any = load("dogstatsd", "datadog", "datadog").DogStatsd(
            host=host.strip("[]"),
            port=DEFAULT_PORT if port is None else port,
            disable_telemetry=True,
            disable_buffering=True,
            origin_detection_enabled=False,
        )

    def record(self, record: Record) -> None:
        """Send a metric or an event; errors are ignored."""
        _hand_over(self._stats, record)

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - nothing waits
        """End; the next record opens it again."""
        self._stats.close_socket()


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
        self._datadog = load("datadog_api_key", "datadog", "datadog")
        self._api_key = api_key
        self._host = host
        self._interval_s = interval_s
        self._open: dict[str, Any] = {}
        watch_forks(self)

    def after_fork(self) -> None:
        """Start afresh in a child process: the parent sends what it collected, from a thread that only it has."""
        self._open = {}

    def record(self, record: Record) -> None:
        """Take a metric or an event; errors are ignored."""
        if not isinstance(record, ExceptionRecord):
            _hand_over(self._collector(), record)

    def close(self, timeout_s: float) -> None:  # noqa: ARG002 - the library has a timeout of its own
        """Send what waits and end."""
        stats = self._open.pop(_COLLECTOR, None)
        if stats is not None:
            stats.stop()
            stats.flush(float("inf"))

    def _collector(self) -> Any:
        found = self._open.get(_COLLECTOR)
        if found is not None:
            return found
        self._datadog.initialize(api_key=self._api_key, host_name=self._host)
        mine = self._datadog.ThreadStats()
        found = self._open.setdefault(_COLLECTOR, mine)  # of several threads at once, one starts its own
        if found is mine:
            mine.start(flush_interval=self._interval_s, roll_up_interval=self._interval_s)
        return found


def _hand_over(stats: Any, record: Record) -> None:
    if isinstance(record, MetricRecord):
        measure = stats.increment if record.kind == "increment" else stats.gauge
        measure(_clean(record.name).replace(":", "_"), record.value, tags=_tags(record))
    elif isinstance(record, EventRecord):
        details = json.dumps(record.properties).decode() if record.properties else ""
        text = "\n".join(filter(None, (record.text, details))) or record.name
        stats.event(record.name, text, tags=_tags(record))


def _tags(record: MetricRecord | EventRecord) -> list[str]:
    return [_clean(f"{name}:{value}" if value else name) for name, value in record.tags.items()]


def _clean(text: str) -> str:
    return _SEPARATORS.sub("_", text)
