"""A signing key for test platforms: made once a process, because making one takes a tenth of a second."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["signing_key"]


@functools.cache
def signing_key() -> RSAPrivateKey:
    """Return the RSA key that all test platforms of this process sign with."""
    from hull_sdk.wire.signatures import generate_key  # noqa: PLC0415 - the plugin loads before it is needed

    return generate_key()
