"""Where the logs of a command go while it runs."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from hull_sdk.core.logs import JsonFormatter

__all__ = ["json_handler", "logs_to_stderr"]

#: Loggers of everything that runs in a command's process.
_LOGGERS: Final = ("hull_sdk", "waitress")


def json_handler() -> logging.Handler:
    """Return what writes logs to stderr, one JSON object a line."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    return handler


@contextmanager
def logs_to_stderr(level: int | None) -> Iterator[None]:
    """Send logs to stderr, and leave logging as it was.

    Args:
        level: From which level up; ``None`` keeps them from being printed, also by nobody's handler.
    """
    handler = logging.NullHandler() if level is None else json_handler()
    before = {logger: logger.level for logger in map(logging.getLogger, _LOGGERS)}
    for logger in before:
        logger.addHandler(handler)
        if level is not None:
            logger.setLevel(level)
    try:
        yield
    finally:
        for logger, old in before.items():
            logger.removeHandler(handler)
            logger.setLevel(old)
