"""Legacy notifications: how connectors without a tag for smart delivery are told, one message at a time.

Rules: section "Legacy notifications" of ``docs/protocol.md``. Of what such a connector answers only the
status counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.clock import iso_millis
from hull_sdk.core.net import Request
from hull_sdk.wire.flow_control import Answer, FlowControl
from hull_sdk.wire.sns import HEADER_TYPE, NOTIFICATION

__all__ = ["envelope_of", "legacy_answer", "push_request"]

#: Subjects that are called otherwise than their channel.
_SUBJECTS: Final = {
    f"{kind}:{action}": f"{kind}_report:{action}" for kind in ("user", "account") for action in ("update", "delete")
}
_TOPIC: Final = "arn:aws:sns:us-east-1:000000000000:hull-platform-{}"
_TAKEN: Final = Answer(FlowControl(type="next", size=1, in_ms=0))
_LOST: Final = Answer(None)


def envelope_of(
    channel: str, connector_id: str, notification_id: str, message: Mapping[str, Any], at: float
) -> dict[str, Any]:
    """Return the envelope of a message, still without signature.

    Args:
        channel: For example ``"user:update"``.
        connector_id: Whom it is for.
        notification_id: Its id, the same on every try.
        message: What is told.
        at: Unix seconds.
    """
    return {
        "Type": NOTIFICATION,
        "MessageId": notification_id,
        "TopicArn": _TOPIC.format(connector_id),
        "Subject": _SUBJECTS.get(channel, channel),
        "Message": json.dumps(message).decode(),
        "Timestamp": iso_millis(at),
    }


def push_request(url: str, envelope: Mapping[str, Any], *, timeout_s: float, max_bytes: int) -> Request:
    """Return the request that carries a signed envelope.

    Args:
        url: Where to, with the connector's credentials.
        envelope: What is sent.
        timeout_s: Longest wait for the answer, in seconds.
        max_bytes: Largest answer that is read.
    """
    headers = {
        HEADER_TYPE: NOTIFICATION,
        "X-Amz-Sns-Message-Id": str(envelope["MessageId"]),
        "X-Amz-Sns-Topic-Arn": str(envelope["TopicArn"]),
        "Content-Type": "text/plain; charset=UTF-8",
    }
    return Request(
        method="POST", url=url, headers=headers, body=json.dumps(envelope), timeout_s=timeout_s, max_bytes=max_bytes
    )


def legacy_answer(status: int | None) -> Answer:
    """Return what the status of an answer means: taken, and the next one may come; or not."""
    return _TAKEN if status is not None and 200 <= status < 300 else _LOST
