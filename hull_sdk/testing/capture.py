"""What a harness records: log records, and firehose messages in a form that tests can compare."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any, TypedDict

from hull_sdk.core import json
from hull_sdk.core.logs import fields_of
from hull_sdk.core.net import Exchange
from hull_sdk.wire import jws
from hull_sdk.wire.firehose import HEADER_ACCESS_TOKEN
from hull_sdk.wire.tokens import AS_CLAIMS, CLAIM_SUBJECT_TYPE

__all__ = ["CapturedLog", "CapturedMessage", "LogCapture", "messages_in"]


class CapturedLog(TypedDict):
    """A log record: ``event`` is the message, ``fields`` what was logged beside it."""

    level: str
    logger: str
    event: str
    fields: dict[str, Any]


class CapturedMessage(TypedDict):
    """A firehose message as it travelled, with the claims of its token; ids and times are left out.

    Args:
        type: ``"traits"``, ``"track"``, ``"alias"`` or ``"unalias"``.
        user: Identifiers of the user, for example ``{"email": "ann@acme.example"}``, or ``None``.
        account: Identifiers of the account, or ``None``.
        subject_type: Whom it is about when both are named: ``"user"`` or ``"account"``.
        body: Attributes, or what an event holds: ``{"event": "Ordered", "properties": {"sku": "A1"}, ...}``.
    """

    type: str
    user: dict[str, str] | None
    account: dict[str, str] | None
    subject_type: str
    body: dict[str, Any]


class LogCapture(logging.Handler):
    """Collects the records of some loggers and everything below them, whatever levels the loggers have.

    Args:
        *names: The loggers' names, for example ``"hull_sdk"``.
    """

    def __init__(self, *names: str) -> None:
        super().__init__(logging.DEBUG)
        self.records: list[CapturedLog] = []
        self._levels = {logging.getLogger(name): logging.NOTSET for name in names}

    def emit(self, record: logging.LogRecord) -> None:
        """Keep one record."""
        self.records.append(
            {
                "level": record.levelname.lower(),
                "logger": record.name,
                "event": record.getMessage(),
                "fields": fields_of(record),
            }
        )

    def start(self) -> None:
        """Begin to collect, from the debug level up."""
        self._levels = {logger: logger.level for logger in self._levels}
        for logger in self._levels:
            logger.setLevel(logging.DEBUG)
            logger.addHandler(self)

    def stop(self) -> None:
        """Stop collecting and restore the loggers' levels."""
        for logger, level in self._levels.items():
            logger.removeHandler(self)
            logger.setLevel(level)


def messages_in(exchanges: Iterable[Exchange]) -> list[CapturedMessage]:
    """Read the firehose messages out of recorded requests.

    Args:
        exchanges: Requests to the platform, in order. A request that was repeated counts once per
            message id.

    Returns:
        The messages in the order in which they were first sent.
    """
    seen: dict[str, CapturedMessage] = {}
    for exchange in exchanges:
        for index, message in enumerate(_batch(exchange.request.body)):
            key = message.get("message_id") or f"{id(exchange)}-{index}"
            seen.setdefault(key, _captured(message))
    return list(seen.values())


def _batch(body: bytes | None) -> list[dict[str, Any]]:
    try:
        value = json.loads(body or b"null")
    except ValueError:
        return []
    batch = value.get("batch") if isinstance(value, dict) else None
    return batch if isinstance(batch, list) else []


def _captured(message: dict[str, Any]) -> CapturedMessage:
    claims = _claims(message.get("headers", {}).get(HEADER_ACCESS_TOKEN, ""))
    return {
        "type": message["type"],
        "user": claims.get(AS_CLAIMS["user"]),
        "account": claims.get(AS_CLAIMS["account"]),
        "subject_type": claims.get(CLAIM_SUBJECT_TYPE, "user"),
        "body": message["body"],
    }


def _claims(token: str) -> dict[str, Any]:
    try:
        return jws.claims_in(token.split(".")[1])
    except (ValueError, IndexError):
        return {}
