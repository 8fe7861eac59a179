"""Reading request bodies: bounded, decompressed, decoded, with errors that say what to send instead.

Rules: section "Firehose" of ``docs/protocol.md``.
"""

from __future__ import annotations

import zlib
from typing import Any, Final

from werkzeug.wrappers import Request

from hull_sdk.core import json
from hull_sdk.platform.api.errors import refuse
from hull_sdk.wire.firehose import MAX_BODY_BYTES

__all__ = ["read_json", "read_object"]

#: Tells zlib to expect a gzip header.
_GZIP: Final = 16 + zlib.MAX_WBITS

_TOO_LARGE: Final = f"the body is larger than {MAX_BODY_BYTES} bytes; send less at a time"


def read_json(request: Request) -> Any:
    """Return the decoded body of a request.

    Args:
        request: The request; ``Content-Encoding: gzip`` is understood.

    Raises:
        Refused: 413 over the limit (also after decompression), 415 for another encoding, 400 for malformed JSON.
    """
    _check_length(request)
    data = _decompressed(request)
    try:
        return json.loads(data)
    except ValueError as err:
        refuse(400, f"the body is no JSON: {err}")


def read_object(request: Request) -> dict[str, Any]:
    """Return the body of a request that must be a JSON object; no body at all is an empty one."""
    _check_length(request)
    if not request.get_data(cache=True):
        return {}
    value = read_json(request)
    if not isinstance(value, dict):
        refuse(400, f"the body is {type(value).__name__}; it must be a JSON object")
    return value


def _check_length(request: Request) -> None:
    if request.content_length is not None and request.content_length > MAX_BODY_BYTES:
        refuse(413, _TOO_LARGE)


def _decompressed(request: Request) -> bytes:
    encoding = request.headers.get("Content-Encoding", "identity").strip().lower()
    data = request.get_data(cache=True)
    if encoding in {"", "identity"}:
        return data
    if encoding not in {"gzip", "x-gzip"}:
        refuse(415, f"the Content-Encoding {encoding!r} is not understood; use gzip or none")
    reader = zlib.decompressobj(_GZIP)
    try:
        plain = reader.decompress(data, MAX_BODY_BYTES + 1)
    except zlib.error as err:
        refuse(400, f"the body is no gzip: {err}")
    if len(plain) > MAX_BODY_BYTES or reader.unconsumed_tail:
        refuse(413, _TOO_LARGE)
    if not reader.eof:
        refuse(400, "the body's gzip ends too early")
    return plain
