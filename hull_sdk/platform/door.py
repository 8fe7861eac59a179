"""The door of the firehose: what is refused before a message counts as accepted.

Rules: sections "Firehose" and "Tokens" of ``docs/protocol.md``. Tokens are checked against the real clock, since a
test that moves domain time must not outdate them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from hull_sdk.core import json
from hull_sdk.errors import CredentialsError
from hull_sdk.platform.event_contexts import Locator
from hull_sdk.platform.messages import MessageError, ParsedMessage, parse_message
from hull_sdk.platform.settings import OrganizationSettings
from hull_sdk.wire.firehose import HEADER_ACCESS_TOKEN, MAX_MESSAGE_BYTES, MAX_MESSAGE_DEPTH
from hull_sdk.wire.tokens import verify

__all__ = ["ConnectorCredentials", "admit", "check_size"]


class ConnectorCredentials(Protocol):
    """What the door needs to know of a connector: its id, its name, and the secret that signs its tokens."""

    id: str
    secret: str
    name: str


def admit(
    message: Any,
    *,
    connector: ConnectorCredentials,
    settings: OrganizationSettings,
    now: float,
    locator: Locator | None = None,
) -> ParsedMessage:
    """Check one message of a batch.

    Args:
        message: As it came in.
        connector: Who sent the batch.
        settings: Which identifiers are believed.
        now: Unix seconds of the real clock.
        locator: Finds the location of an event, or ``None``.

    Returns:
        The message, cleaned.

    Raises:
        MessageError: It is refused; its code is one of ``hull_sdk.wire.firehose.REJECTION_CODES``.
    """
    if not isinstance(message, json.OBJECT):
        raise MessageError("INVALID_MESSAGE", f"the message is {message!r:.100}; it must be a JSON object")
    check_size(message)
    return parse_message(message, _claims(message, connector, now), settings, locator)


def check_size(message: Any) -> None:
    """Check that a message can be kept and sent on.

    Args:
        message: Any value.

    Raises:
        MessageError: ``INVALID_MESSAGE`` when it is no JSON or nested deeper than ``MAX_MESSAGE_DEPTH``, ``TOO_LARGE``
            when it has more than ``MAX_MESSAGE_BYTES``.
    """
    try:
        data = json.dumps(message)
    except (TypeError, ValueError, RecursionError) as err:
        raise MessageError("INVALID_MESSAGE", f"the message is no JSON: {err}") from err
    if len(data) > MAX_MESSAGE_BYTES:
        raise MessageError(
            "TOO_LARGE",
            f"the message has {len(data)} bytes, the limit is {MAX_MESSAGE_BYTES}; send less in one message",
        )
    # Most messages have fewer brackets than levels are allowed.
    if data.count(b"{") + data.count(b"[") > MAX_MESSAGE_DEPTH and json.nests_deeper(message, MAX_MESSAGE_DEPTH):
        raise MessageError(
            "INVALID_MESSAGE", f"the message is nested more than {MAX_MESSAGE_DEPTH} levels deep; send a flatter value"
        )


def _claims(message: Mapping[str, Any], connector: ConnectorCredentials, now: float) -> dict[str, Any]:
    headers = message.get("headers")
    token = headers.get(HEADER_ACCESS_TOKEN) if isinstance(headers, json.OBJECT) else None
    if not isinstance(token, str) or not token:
        raise MessageError(
            "BAD_TOKEN",
            f"the message has no {HEADER_ACCESS_TOKEN} header of its own; each message needs a token that says whom "
            "it is about",
        )
    try:
        claims = verify(token, connector.secret, now)
    except CredentialsError as err:
        raise MessageError("BAD_TOKEN", err.message) from err
    if claims.get("iss") != connector.id:
        raise MessageError(
            "BAD_TOKEN", f"the token was issued by {claims.get('iss')!r:.100}, the batch was sent by {connector.id!r}"
        )
    return claims
