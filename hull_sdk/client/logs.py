"""The logger of a connector: standard ``logging``, with the client's identity beside every line.

Nothing is sent to the platform from here; ``PlatformLogHandler`` does that for whoever wants it.
"""

from __future__ import annotations

import logging
from contextvars import ContextVar
from typing import Any, Final, Protocol

from hull_sdk.client.capture import log_line
from hull_sdk.client.config import ClientConfig
from hull_sdk.client.scope import Scope
from hull_sdk.client.transport import Transport
from hull_sdk.core.logs import emit
from hull_sdk.core.runtime import Runtime

__all__ = ["LOGGER_NAME", "ConnectorLogger", "LogSource", "log_context", "logger", "speaker"]

#: Name of the standard logger that everything below goes to.
LOGGER_NAME = "hull_sdk.client"

_log = logging.getLogger(LOGGER_NAME)


class LogSource(Protocol):
    """What a logger needs of its client."""

    config: ClientConfig
    runtime: Runtime
    transport: Transport


#: Whose line is being logged, for handlers that send it on as that client.
speaker: ContextVar[LogSource | None] = ContextVar("hull_log_source", default=None)


def log_context(config: ClientConfig, scope: Scope | None) -> dict[str, str]:
    """Return what identifies a client in logs.

    Args:
        config: The client's configuration.
        scope: For whom it acts, if for anybody.

    Returns:
        For example ``{"organization": "acme.hullapp.io", "id": "5a79...", "subject_type": "user",
        "user_email": "ann@acme.test"}``.
    """
    context = {
        "organization": config.organization,
        "id": config.id,
        "connector_name": config.connector_name,
        "request_id": config.request_id,
    }
    if scope is not None:
        context["subject_type"] = scope.subject_type
        context.update({f"user_{name}": value for name, value in (scope.user or {}).items()})
        context.update({f"account_{name}": value for name, value in (scope.account or {}).items()})
    return {name: value for name, value in context.items() if value}


class ConnectorLogger:
    """Writes lines such as ``client.logger.info("incoming.user.success", {"count": 1})``.

    Each record has the fields ``context`` (see :func:`log_context`) and ``data``, with secrets masked.

    Args:
        context: Stands beside every line.
        source: Whose lines these are; ``None`` for nobody's in particular.
    """

    def __init__(self, context: dict[str, str], source: LogSource | None = None) -> None:
        self._context = context
        self._source = source

    def debug(self, message: str, data: Any = None) -> None:
        """Log for developers."""
        self._write(logging.DEBUG, message, data)

    def info(self, message: str, data: Any = None) -> None:
        """Log what happened; ``message`` is a stable name, ``data`` is JSON-like."""
        self._write(logging.INFO, message, data)

    def warn(self, message: str, data: Any = None) -> None:
        """Log what somebody should look at."""
        self._write(logging.WARNING, message, data)

    def error(self, message: str, data: Any = None) -> None:
        """Log what failed."""
        self._write(logging.ERROR, message, data)

    #: Other names of the same levels: those of the Node client, and that of ``logging``.
    log = info
    silly = debug
    verbose = debug
    warning = warn

    def _write(self, level: int, message: str, data: Any) -> None:
        source = self._source
        if source is not None and source.config.logs is not None:
            now = source.runtime.clock.time()
            source.config.logs.append(log_line(level, message, data, self._context, now))
            return
        fields = {"context": self._context} if data is None else {"context": self._context, "data": data}
        token = speaker.set(source)
        try:
            emit(_log, level, message, fields)
        finally:
            speaker.reset(token)


#: The logger for what no client says, for example the start of a process.
logger: Final[ConnectorLogger] = ConnectorLogger({})
