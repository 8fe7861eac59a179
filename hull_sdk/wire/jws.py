"""The compact form of signed tokens: header, claims and signature, with dots between them (RFC 7515).

Here they are only put together and taken apart; who may sign with what is for those to say who call this.
"""

from __future__ import annotations

import binascii
import functools
import hashlib
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from hull_sdk.core import json

__all__ = ["Token", "claims_in", "header_for", "joined", "mac", "read", "to_sign"]

_URL_SAFE: Final = bytes.maketrans(b"+/", b"-_")
#: The way back; the letters of plain base64 become one that is none.
_PLAIN: Final = bytes.maketrans(b"-_+/=", b"+/...")

#: What a header may demand and is not known here: further rules, and claims that are not encoded (RFC 7797).
_DEMANDS: Final = frozenset({"crit", "b64"})

#: Bytes that SHA-256 takes in at a time.
_BLOCK_BYTES: Final = 64
_INNER: Final = bytes(byte ^ 0x36 for byte in range(256))
_OUTER: Final = bytes(byte ^ 0x5C for byte in range(256))


class Token(NamedTuple):
    """A token that nobody has verified yet.

    Args:
        algorithm: What its header names, for example ``"HS256"``; it may be any text.
        signed: The bytes that the signature covers.
        signature: The signature.
        claims: The second part, for :func:`claims_in` once the signature is known to be good.
    """

    algorithm: str
    signed: bytes
    signature: bytes
    claims: str


def header_for(algorithm: str) -> bytes:
    """Return the first part of a token as the Node generation writes it.

    Args:
        algorithm: For example ``"HS256"``.
    """
    return _encoded(json.dumps({"typ": "JWT", "alg": algorithm}))


def to_sign(header: bytes, claims: Mapping[str, Any]) -> bytes:
    """Return what the signature of a token covers.

    Args:
        header: What :func:`header_for` returned.
        claims: JSON-like values.
    """
    return header + b"." + _encoded(json.dumps(claims))


def joined(signed: bytes, signature: bytes) -> str:
    """Return a token.

    Args:
        signed: What :func:`to_sign` returned.
        signature: Its signature.
    """
    return (signed + b"." + _encoded(signature)).decode()


def read(token: str) -> Token:
    """Take a token apart; its claims stay as they are.

    Args:
        token: For example ``"eyJ0eXAi..."``; anybody may have written it.

    Raises:
        ValueError: It has not three parts, its header is no JSON object, names no algorithm or demands what is not
            known here (``crit``, ``b64``), or its signature is not in the base64 of URLs.
    """
    signed, _, signature = token.rpartition(".")
    header, dot, claims = signed.partition(".")
    if not dot or "." in claims:
        raise ValueError("a token has three parts")
    return Token(_algorithm(header), signed.encode("ascii"), _decoded(signature), claims)


def claims_in(part: str) -> dict[str, Any]:
    """Return the claims of a token.

    Args:
        part: Its second part.

    Raises:
        ValueError: They are no JSON object.
    """
    value = json.loads(_decoded(part))
    if isinstance(value, dict):
        return value
    raise ValueError(f"a part of a token is an object, not {type(value).__name__}")


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


def _algorithm(header: str) -> str:
    known = _USUAL.get(header)
    if known is not None:
        return known
    fields = claims_in(header)
    demanded = sorted(_DEMANDS & fields.keys())
    if demanded:
        raise ValueError(f"the header demands extensions ({', '.join(demanded)}), of which none is known")
    algorithm = fields.get("alg")
    if isinstance(algorithm, str):
        return algorithm
    # Without the value: to show one that is nested may take more levels than there are.
    raise ValueError(f"the header names no algorithm: its alg is of type {type(algorithm).__name__}, not text")


def _encoded(data: bytes) -> bytes:
    # What base64.urlsafe_b64encode does, and one step less.
    return binascii.b2a_base64(data, newline=False).translate(_URL_SAFE, b"=")


def _decoded(part: str) -> bytes:
    data = part.encode("ascii").translate(_PLAIN)
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)


@functools.lru_cache(maxsize=256)
def _keyed(secret: str) -> tuple[Any, Any]:
    """Return the two digests of RFC 2104, each of which has taken in the key."""
    key = secret.encode()
    if len(key) > _BLOCK_BYTES:
        key = hashlib.sha256(key).digest()
    key = key.ljust(_BLOCK_BYTES, b"\0")
    return hashlib.sha256(key.translate(_INNER)), hashlib.sha256(key.translate(_OUTER))


#: The headers that most tokens have, and what they name: not read again for each of them.
_USUAL: Final[dict[str, str]] = {header_for(algorithm).decode(): algorithm for algorithm in ("HS256", "RS256")}
