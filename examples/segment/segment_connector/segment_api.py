"""Segment's public HTTP API: calls in batches, each batch answered before the next one goes."""

from __future__ import annotations

import base64
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from hull_sdk import Context
from hull_sdk.service import ServiceSession

__all__ = ["MAX_CALL_BYTES", "SegmentApi", "batches", "encoded"]

DEFAULT_URL: Final = "https://api.segment.io/v1"
#: Segment refuses larger calls and larger batches; the rest of a batch has room besides.
MAX_CALL_BYTES: Final = 32 * 1024
MAX_BATCH_BYTES: Final = 475_000
_ENVELOPE: Final = b'{"batch":[%s]}'


class SegmentApi:
    """Sends calls to one source of a Segment workspace.

    Args:
        ctx: The context of the connector.
        write_key: Of the source.
    """

    def __init__(self, ctx: Context, write_key: str) -> None:
        url = os.environ.get("SEGMENT_API_URL", DEFAULT_URL)
        # All tries of a batch fit into the deadline of a notification.
        self._session = ServiceSession(url, timeout_s=6, retries=1, runtime=ctx.runtime, metric=ctx.metric)
        key = base64.b64encode(f"{write_key}:".encode()).decode()
        self._session.headers.update({"Authorization": f"Basic {key}", "Content-Type": "application/json"})

    def send(self, batch: Sequence[bytes]) -> None:
        """Send a batch; when this returns, Segment has it.

        Args:
            batch: Encoded calls, of no more than :data:`MAX_BATCH_BYTES` together.

        Raises:
            TransientError: Segment cannot be reached, is busy (429) or has failed. The calls may have arrived.
            ApiError: It refuses the batch for good.
        """
        # The same call has the same messageId on each try, so a repeated batch changes nothing.
        body = _ENVELOPE % b",".join(batch)
        self._session.post("/batch", data=body, headers={"Idempotency-Key": hashlib.sha256(body).hexdigest()})


def encoded(call: dict[str, Any]) -> bytes:
    """Return a call as it travels."""
    try:
        return json.dumps(call, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError:  # half a surrogate pair, which anybody's text may hold
        return json.dumps(call, separators=(",", ":")).encode()


def batches(calls: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    """Cut calls into batches that Segment takes, in their order.

    Args:
        calls: Pairs of a message's id and an encoded call.
    """
    batch: list[tuple[str, bytes]] = []
    size = 0
    for message_id, call in calls:
        if batch and size + len(call) + 1 > MAX_BATCH_BYTES:
            yield batch
            batch, size = [], 0
        batch.append((message_id, call))
        size += len(call) + 1
    if batch:
        yield batch
