"""Structured events on standard ``logging``: a stable event name, fields beside it, secrets masked.

The package adds no handler and sets no level. ``JsonFormatter`` writes one JSON line per record for whoever
wants that.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any

from hull_sdk.core import json
from hull_sdk.core.clock import iso_millis
from hull_sdk.core.masking import mask, mask_text

__all__ = ["JsonFormatter", "emit", "fields_of", "printable"]

_traceback = logging.Formatter()


def emit(
    logger: logging.Logger,
    level: int,
    event: str,
    fields: Mapping[str, Any] | None = None,
    *,
    exc_info: BaseException | None = None,
) -> None:
    """Log one event; nothing is computed when nobody listens.

    Args:
        logger: The module's logger.
        level: For example ``logging.INFO``.
        event: Stable name, for example ``"incoming.user.success"``; secrets in it are masked too.
        fields: JSON-like data; secrets are masked here.
        exc_info: The error to append, if any.
    """
    if not logger.isEnabledFor(level):
        return
    file, line, function = _caller()
    error = None if exc_info is None else (type(exc_info), exc_info, exc_info.__traceback__)
    record = logger.makeRecord(logger.name, level, file, line, "%s", (mask_text(event),), error, function)
    vars(record)["hull"] = mask({} if fields is None else fields)
    if error is not None:
        # Formatters print this text as it is; their own would hold the secrets of the error's message.
        record.exc_text = mask_text(_traceback.formatException(error))
    logger.handle(record)


def _caller() -> tuple[str, int, str]:
    """Return file, line and function of whoever called :func:`emit`: two frames away, so that nothing is searched."""
    if not hasattr(sys, "_getframe"):  # an interpreter without frames
        return "(unknown file)", 0, "(unknown function)"
    frame = sys._getframe(2)  # noqa: SLF001 - what inspect.currentframe calls, which has to be walked back from
    return frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name


def fields_of(record: logging.LogRecord) -> dict[str, Any]:
    """Return the fields of a record that :func:`emit` wrote, or an empty dict."""
    fields = getattr(record, "hull", None)
    return fields if isinstance(fields, dict) else {}


class JsonFormatter(logging.Formatter):
    """Writes a record as one JSON line: ``level``, ``message``, ``logger``, ``timestamp`` and the fields."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record as one line of JSON, secrets masked.

        Args:
            record: Any log record, also one that another library wrote.
        """
        line: dict[str, Any] = {
            "timestamp": iso_millis(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": mask_text(record.getMessage()),
        }
        for name, value in mask(fields_of(record)).items():
            line[f"{name}_" if name in line else name] = value
        if record.exc_info:
            line["error"] = mask_text(self.formatException(record.exc_info))
        return json.dumps(printable(line)).decode()


def printable(value: Any) -> Any:
    """Return a value in a form that JSON can carry: what it does not know becomes text."""
    if value is None or isinstance(value, (str, int)):
        return value
    if isinstance(value, float):
        return value if value - value == 0.0 else str(value)
    if isinstance(value, json.OBJECT):
        return {str(key): printable(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [printable(item) for item in value]
    return str(value)
