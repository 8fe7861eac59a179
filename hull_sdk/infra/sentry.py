"""Errors to Sentry, through a client of our own: the application's Sentry, if it has one, is left alone."""

from __future__ import annotations

from typing import Any, Final

from hull_sdk.core.forks import watch_forks
from hull_sdk.core.masking import mask
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.infra.extras import load
from hull_sdk.infra.telemetry import ExceptionRecord, Record

__all__ = ["SentryBackend"]

_CLIENT: Final = "client"


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
        InvalidArgumentError: The address is none of a Sentry project.
    """

    def __init__(self, dsn: str, *, environment: str, sample_rate: float = 1.0, transport: Any = None) -> None:
        # Loaded now: an import within a report could be cut in two by a fork.
        self._sdk = load("sentry_dsn", "sentry_sdk", "sentry")
        _check_dsn(self._sdk, dsn)
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
        self._open: dict[str, Any] = {}
        watch_forks(self)

    def after_fork(self) -> None:
        """Start afresh in a child process: the parent sends what it took."""
        self._open = {}

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
        """Send what waits and end; the next error opens it again."""
        client = self._open.pop(_CLIENT, None)
        if client is not None:
            client.close(timeout=timeout_s)

    def _opened(self) -> Any:
        client = self._open.get(_CLIENT)
        # Of several threads at once, all take the first one's; it starts its thread when it has something to send.
        return self._open.setdefault(_CLIENT, self._sdk.Client(**self._options)) if client is None else client


def _masked(event: Any, _hint: Any) -> Any:
    return mask(event)


def _check_dsn(sdk: Any, dsn: str) -> None:
    try:
        sdk.utils.Dsn(dsn)
    except sdk.utils.BadDsn as err:
        # The address holds a key, so the message does not show it.
        raise InvalidArgumentError(f"sentry_dsn (SENTRY_URL) is no address of a Sentry project: {err}") from None
