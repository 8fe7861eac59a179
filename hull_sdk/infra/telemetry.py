"""What is measured and reported, as plain records, and the port through which it leaves."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from hull_sdk.core.logs import emit

__all__ = ["Backend", "EventRecord", "ExceptionRecord", "LogBackend", "MetricRecord", "Record"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class MetricRecord:
    """One measured number.

    Args:
        name: For example ``"connector.request"``.
        kind: ``"value"`` (the newest counts) or ``"increment"`` (they add up).
        value: The number.
        tags: For example ``{"organization": "acme.hullapp.io"}``.
    """

    name: str
    kind: Literal["value", "increment"]
    value: float
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class EventRecord:
    """Something that happened and is worth a line in a dashboard.

    Args:
        name: Its title, for example ``"settings.migrated"``.
        text: More words.
        properties: JSON-like data.
        tags: As of :class:`MetricRecord`.
    """

    name: str
    text: str
    properties: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ExceptionRecord:
    """An error that somebody should look at.

    Args:
        error: The error itself; a backend masks what it takes out of it.
        context: JSON-like data, masked.
        tags: As of :class:`MetricRecord`.
    """

    error: BaseException
    context: dict[str, Any]
    tags: dict[str, str] = field(default_factory=dict)


Record = MetricRecord | EventRecord | ExceptionRecord


class Backend(Protocol):
    """Where records go; a backend ignores the kinds that it has no use for."""

    def record(self, record: Record) -> None:
        """Take one record, without waiting for any network."""

    def close(self, timeout_s: float) -> None:
        """Send what is buffered and end, within ``timeout_s`` seconds."""


class LogBackend:
    """Writes metrics and events to the logger at debug; errors are logged where they are handled."""

    def record(self, record: Record) -> None:
        """Log one record under ``metric.value``, ``metric.increment`` or ``metric.event``."""
        if isinstance(record, MetricRecord):
            fields = {"metric": record.name, "value": record.value, "tags": record.tags}
            emit(_log, logging.DEBUG, f"metric.{record.kind}", fields)
        elif isinstance(record, EventRecord):
            fields = {"title": record.name, "text": record.text, "properties": record.properties, "tags": record.tags}
            emit(_log, logging.DEBUG, "metric.event", fields)

    def close(self, timeout_s: float) -> None:
        """Do nothing: nothing is buffered."""
