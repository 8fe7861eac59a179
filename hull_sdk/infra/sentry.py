"""Errors to Sentry, through a client of our own: the application's Sentry, if it has one, is left alone."""

from __future__ import annotations

from typing import Any

from hull_sdk.core.forks import watch_forks
from hull_sdk.core.masking import mask
from hull_sdk.core.tasks import Lock
from hull_sdk.infra.extras import load, require
from hull_sdk.infra.telemetry import ExceptionRecord, Record

__all__ = ["SentryBackend"]


class SentryBackend:
    """Reports errors; nothing is captured that was not handed over.

    No local variables, request bodies or breadcrumbs are sent, and every event is masked as a whole.

    Args:
        dsn: Sentry's address of the project.
        environment: For example ``"production"``.
        sample_rate: Share of the errors that is sent, from 0.0 to 1.0.
        transport: Replaces the sending; for tests.

    Raises:
        MissingExtraError: The library is not installed.
    """

    def __init__(self, dsn: str, *, environment: str, sample_rate: float = 1.0, transport: Any = None) -> None:
        require("sentry_dsn", "sentry_sdk", "sentry")
        self._options: dict[str, Any] = {
            "dsn": dsn,
            "environment": environment,
            "sample_rate": sample_rate,
            "transport": transport,
            "before_send": _masked,
            "default_integrations": False,
            "auto_enabling_integrations": False,
            "include_local_variables": False,
            "max_breadcrumbs": 0,
        }
        self._lock = Lock()
        self._sdk: Any = None
        self._client: Any = None
        watch_forks(self)

    def after_fork(self) -> None:
        """Start afresh in a child process: the parent sends what it collected."""
        self._lock = Lock()
        self._client = None

    def record(self, record: Record) -> None:
        """Report an error; metrics and events are ignored."""
        if not isinstance(record, ExceptionRecord):
            return
        client = self._opened()
        scope = self._sdk.Scope()
        for name, value in record.tags.items():
            scope.set_tag(name, value)
        if record.context:
            scope.set_context("hull", record.context)
        # A scope's own capture goes to the process's client; only the client itself is surely ours.
        event, hint = self._sdk.utils.event_from_exception(record.error, client_options=client.options)
        client.capture_event(event, hint=hint, scope=scope)

    def close(self, timeout_s: float) -> None:
        """Send what waits and end."""
        with self._lock:
            client, self._client = self._client, None
        if client is not None:
            client.close(timeout=timeout_s)

    def _opened(self) -> Any:
        with self._lock:  # of several errors at once, one opens the client
            if self._client is None:
                self._sdk = load("sentry_dsn", "sentry_sdk", "sentry")
                self._client = self._sdk.Client(**self._options)
            return self._client


def _masked(event: Any, _hint: Any) -> Any:
    return mask(event)
