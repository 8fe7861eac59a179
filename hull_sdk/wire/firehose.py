"""Firehose messages: their shape, their limits, and the answer of the platform.

Rules: section "Firehose" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal, NotRequired, TypedDict

from hull_sdk.core.clock import iso_millis

__all__ = [
    "BATCH_BYTES",
    "BATCH_MESSAGES",
    "FIREHOSE_PATH",
    "HEADER_ACCESS_TOKEN",
    "HEADER_APP_ID",
    "HEADER_ORGANIZATION",
    "HEADER_REQUEST_ID",
    "HEADER_USER_ID",
    "MAX_BODY_BYTES",
    "MAX_BODY_MESSAGES",
    "MAX_MESSAGE_BYTES",
    "MAX_MESSAGE_DEPTH",
    "MENDABLE_CODES",
    "MESSAGE_TYPES",
    "REJECTION_CODES",
    "FirehoseMessage",
    "MessageType",
    "Rejection",
    "batch_body",
    "message_bytes",
    "parse_rejections",
    "track_body",
]

MessageType = Literal["traits", "track", "alias", "unalias"]
MESSAGE_TYPES: Final = ("traits", "track", "alias", "unalias")

HEADER_ORGANIZATION: Final = "Hull-Organization"
HEADER_APP_ID: Final = "Hull-App-Id"
HEADER_ACCESS_TOKEN: Final = "Hull-Access-Token"  # noqa: S105 - a header's name
HEADER_USER_ID: Final = "Hull-User-Id"
HEADER_REQUEST_ID: Final = "X-Hull-Request-Id"

#: Path of the firehose on hosts that have no ``firehose.`` name, below the API prefix.
FIREHOSE_PATH: Final = "/firehose"

#: A client sends at most this many messages ...
BATCH_MESSAGES: Final = 500
#: ... or this many bytes in one request, whichever comes first.
BATCH_BYTES: Final = 1_000_000
#: Largest single message, in bytes of JSON.
MAX_MESSAGE_BYTES: Final = 500_000
#: Deepest nesting of lists and objects in a message.
MAX_MESSAGE_DEPTH: Final = 100
#: Largest request that the platform reads ...
MAX_BODY_BYTES: Final = 10_000_000
#: ... and the most messages in it.
MAX_BODY_MESSAGES: Final = 50_000

#: Why the platform refuses one message at the door.
REJECTION_CODES: Final = ("BAD_TOKEN", "INVALID_MESSAGE", "NO_IDENTIFIER", "TOO_LARGE", "UNKNOWN_TYPE")
#: Those that are no fault of the message: a clock or a secret is wrong where it was signed.
MENDABLE_CODES: Final = frozenset({"BAD_TOKEN"})

_MESSAGE_HEADS: Final[dict[MessageType, bytes]] = {
    "traits": b'{"type":"traits","body":',
    "track": b'{"type":"track","body":',
    "alias": b'{"type":"alias","body":',
    "unalias": b'{"type":"unalias","body":',
}
_TOKEN_HEAD: Final = b',"headers":{"' + HEADER_ACCESS_TOKEN.encode() + b'":"'


class FirehoseMessage(TypedDict):
    """One message of a batch."""

    type: MessageType
    body: dict[str, Any]
    headers: dict[str, str]
    timestamp: str
    message_id: NotRequired[str]
    requestId: NotRequired[str]


@dataclass(frozen=True, slots=True)
class Rejection:
    """One message that the platform refused.

    Args:
        index: Its place in the batch, from 0.
        message_id: Its id, or ``None`` when it had none.
        code: One of :data:`REJECTION_CODES`.
        reason: Why, in words.
    """

    index: int
    message_id: str | None
    code: str
    reason: str

    def to_wire(self) -> dict[str, Any]:
        """Return the wire's form."""
        return {"index": self.index, "message_id": self.message_id, "code": self.code, "reason": self.reason}


def track_body(
    event: str, properties: Mapping[str, Any], context: Mapping[str, Any], *, event_id: str
) -> dict[str, Any]:
    """Build the body of a ``track`` message.

    Args:
        event: Event name, for example ``"Ordered"``.
        properties: One level of key and value.
        context: For example ``{"source": "shop", "created_at": "2024-01-05T10:00:00Z"}``; its keys stand
            beside the properties and never replace ``event`` or ``properties``.
        event_id: Used unless the context names one; made before the first try, so that a repeated
            request stays one event.

    Returns:
        The body; ``ip``, ``url`` and ``referer`` are ``None`` unless the context has them (a server call).
    """
    body: dict[str, Any] = {"ip": None, "url": None, "referer": None}
    body.update(context)
    if body.get("event_id") is None:
        body["event_id"] = event_id
    body["properties"] = dict(properties)
    body["event"] = event
    return body


def message_bytes(
    kind: MessageType, body: bytes, *, token: bytes, timestamp: bytes, message_id: bytes, request_id: bytes | None
) -> bytes:
    """Put one message together out of encoded parts; the form of :class:`FirehoseMessage`.

    Args:
        kind: For example ``"traits"``.
        body: Its body as JSON.
        token: Its access token.
        timestamp: When it was made, for example ``b"2024-01-05T10:00:01.000Z"``.
        message_id: Its id.
        request_id: The id of the request it belongs to as JSON, for example ``b'"r-1"'``, or ``None``.
    """
    tail = b"}" if request_id is None else b',"requestId":' + request_id + b"}"
    return b"".join(
        (
            _MESSAGE_HEADS[kind],
            body,
            _TOKEN_HEAD,
            token,
            b'"},"timestamp":"',
            timestamp,
            b'","message_id":"',
            message_id,
            b'"',
            tail,
        )
    )


def batch_body(messages: list[bytes], now: float) -> bytes:
    """Join encoded messages into the body of one request.

    Args:
        messages: Each message as JSON bytes.
        now: Unix seconds of the sending.
    """
    sent_at = iso_millis(now).encode()
    return b'{"batch":[' + b",".join(messages) + b'],"timestamp":"' + sent_at + b'","sentAt":"' + sent_at + b'"}'


def parse_rejections(body: Any) -> list[Rejection]:
    """Read the refused messages out of the platform's answer.

    Args:
        body: The decoded answer; anything without a ``rejected`` list accepts all.
    """
    entries = body.get("rejected") if isinstance(body, Mapping) else None
    return [
        Rejection(entry["index"], entry.get("message_id"), str(entry.get("code", "")), str(entry.get("reason", "")))
        for entry in (entries if isinstance(entries, list) else [])
        if isinstance(entry, Mapping) and isinstance(entry.get("index"), int) and not isinstance(entry["index"], bool)
    ]
