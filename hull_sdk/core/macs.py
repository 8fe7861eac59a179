"""Keyed digests, in a form that a fork cannot break."""

from __future__ import annotations

import functools
import hmac

__all__ = ["mac"]


def mac(secret: str, data: bytes) -> bytes:
    """Return the HMAC-SHA256 of some bytes.

    The one-call ``hmac.digest`` lets other threads run while it holds locks of the cryptographic library. A process
    that forks in that moment leaves its child with those locks for ever; what is used here keeps the others waiting.

    Args:
        secret: The key.
        data: What to digest, up to about 2,000 bytes.

    Returns:
        32 bytes.
    """
    digest = _keyed(secret).copy()
    digest.update(data)
    return digest.digest()


@functools.lru_cache(maxsize=256)
def _keyed(secret: str) -> hmac.HMAC:
    return hmac.new(secret.encode(), digestmod="sha256")
