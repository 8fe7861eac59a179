"""What a client keeps in lists for tests instead of logging and sending it.

Nothing here leaves the process; the lists grow until whoever passed them empties them.
"""

from __future__ import annotations

import logging
from typing import Any, NotRequired, TypedDict

from hull_sdk.core import json
from hull_sdk.core.clock import iso_millis
from hull_sdk.core.masking import mask, mask_text
from hull_sdk.wire.firehose import MessageType

__all__ = ["FirehoseData", "FirehoseEvent", "LogLine", "firehose_event", "log_line"]


class LogLine(TypedDict):
    """One line of a client's logger; ``level`` is ``"debug"``, ``"info"``, ``"warn"`` or ``"error"``."""

    message: str
    level: str
    data: Any
    context: dict[str, str]
    timestamp: str


class FirehoseData(TypedDict):
    """What was sent: ``body`` as it stands on the wire."""

    type: MessageType
    body: dict[str, Any]
    requestId: NotRequired[str]


class FirehoseEvent(TypedDict):
    """One message that was not sent; ``context`` says by whom and for whom, as beside a log line."""

    context: dict[str, str]
    data: FirehoseData


def log_line(level: int, message: str, data: Any, context: dict[str, str], now: float) -> LogLine:
    """Return a line as data, secrets masked.

    Args:
        level: For example ``logging.INFO``.
        message: A stable name, for example ``"incoming.user.success"``.
        data: JSON-like, or ``None``.
        context: Who speaks, and for whom.
        now: Unix seconds.
    """
    name = "warn" if level == logging.WARNING else logging.getLevelName(level).lower()
    return {
        "message": mask_text(message),
        "level": name,
        "data": mask(data),
        "context": mask(context),
        "timestamp": iso_millis(now),
    }


def firehose_event(kind: MessageType, content: bytes, context: dict[str, str], request_id: str | None) -> FirehoseEvent:
    """Return a message as data.

    Args:
        kind: For example ``"traits"``.
        content: Its body as it would be sent.
        context: Who sends it, and for whom.
        request_id: The id of the request it belongs to, if any.
    """
    data: FirehoseData = {"type": kind, "body": json.loads(content)}
    if request_id is not None:
        data["requestId"] = request_id
    return {"context": context, "data": data}
