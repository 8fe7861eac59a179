"""Keyed digests, in a form that a fork cannot break."""

from __future__ import annotations

import functools
import hashlib
from typing import Any, Final

__all__ = ["mac"]

#: Bytes that SHA-256 takes in at a time.
_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


def mac(secret: str, data: bytes) -> bytes:
    """Return the HMAC-SHA256 of some bytes.

    The one-call ``hmac.digest`` lets other threads run while it holds locks of the cryptographic library. A process
    that forks in that moment leaves its child with those locks for ever; what is used here keeps the others waiting.
    The library's objects for it take twice as long as the two digests that it is made of.

    Args:
        secret: The key.
        data: What to digest, up to about 2,000 bytes.

    Returns:
        32 bytes.
    """
    inner, outer = _keyed(secret)
    digest, whole = inner.copy(), outer.copy()
    digest.update(data)
    whole.update(digest.digest())
    return bytes(whole.digest())


@functools.lru_cache(maxsize=256)
def _keyed(secret: str) -> tuple[Any, Any]:
    """Return the two digests of RFC 2104, each of which has taken in the key."""
    key = secret.encode()
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))
