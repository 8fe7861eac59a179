"""The signature of a notification: who sent it, and that not a byte of it was changed.

Rules: section "Signatures" of ``docs/protocol.md``. The signature is an RS256 token whose ``jti`` is the
notification id and whose ``body_sha256`` is the digest of the raw body.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, generate_private_key
from cryptography.x509.oid import NameOID

from hull_sdk.core.checks import is_number
from hull_sdk.errors import NotificationError
from hull_sdk.wire import jws
from hull_sdk.wire.tokens import LEEWAY_S, MAX_TIME

__all__ = [
    "HEADER_FLAG",
    "HEADER_KEY_URL",
    "HEADER_SIGNATURE",
    "HEADER_VERSION",
    "SIGNATURE_VERSION",
    "certificate_pem",
    "check_notification_id",
    "generate_key",
    "load_public_key",
    "public_pem",
    "sign_claims",
    "sign_notification",
    "signature_claims",
    "signature_headers",
    "verify_body",
    "verify_notification",
]

HEADER_FLAG: Final = "X-Hull-Smart-Notifier"
HEADER_SIGNATURE: Final = "X-Hull-Smart-Notifier-Signature"
HEADER_VERSION: Final = "X-Hull-Smart-Notifier-Signature-Version"
HEADER_KEY_URL: Final = "X-Hull-Smart-Notifier-Signature-Public-Key-Url"
SIGNATURE_VERSION: Final = "v1"

#: How long a signature is good for, in seconds; each delivery of a notification is signed afresh.
LIFETIME_S: Final = 300

_ALGORITHM: Final = "RS256"
_HEADER: Final = jws.header_for(_ALGORITHM)
#: What RS256 stands for.
_PADDING: Final = padding.PKCS1v15()
_HASH: Final = hashes.SHA256()


def generate_key() -> RSAPrivateKey:
    """Return a fresh 2048-bit signing key."""
    return generate_private_key(public_exponent=65_537, key_size=2048)


def certificate_pem(key: RSAPrivateKey) -> str:
    """Return a certificate of a key that it has signed itself; the same one each time, valid in this century.

    Args:
        key: See :func:`generate_key`.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "hull-platform")])
    begin, end = datetime(2000, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, end)
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def public_pem(key: RSAPrivateKey) -> str:
    """Return the public half of a signing key as PEM text."""
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


def load_public_key(pem: bytes) -> RSAPublicKey:
    """Read a public key.

    Args:
        pem: Text that holds ``-----BEGIN PUBLIC KEY-----``.

    Raises:
        NotificationError: It is no RSA public key.
    """
    try:
        key = serialization.load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm) as err:
        raise _invalid("the signing key's address did not return a PEM key") from err
    if not isinstance(key, RSAPublicKey):
        raise _invalid(f"the signing key is no RSA key but {type(key).__name__}")
    return key


def sign_notification(key: RSAPrivateKey, notification_id: str, body: bytes, now: float) -> str:
    """Sign the raw body of a notification.

    Args:
        key: The platform's signing key.
        notification_id: Its id, which becomes ``jti``.
        body: The raw bytes that are sent.
        now: Unix seconds.
    """
    return sign_claims(key, signature_claims(notification_id, body, now))


def signature_claims(notification_id: str, body: bytes, now: float) -> dict[str, Any]:
    """Return what the signature of a notification says.

    Args:
        notification_id: Its id, which becomes ``jti``.
        body: The raw bytes that are sent.
        now: Unix seconds.
    """
    return {
        "jti": notification_id,
        "iat": int(now),
        "exp": int(now) + LIFETIME_S,
        "body_sha256": hashlib.sha256(body).hexdigest(),
    }


def sign_claims(key: RSAPrivateKey, claims: Mapping[str, Any]) -> str:
    """Sign claims as they are.

    Args:
        key: The platform's signing key.
        claims: What :func:`signature_claims` returned, or others.
    """
    signed = jws.to_sign(_HEADER, claims)
    return jws.joined(signed, key.sign(signed, _PADDING, _HASH))


def signature_headers(signature: str, key_url: str) -> dict[str, str]:
    """Return the headers that carry a signature.

    Args:
        signature: What :func:`sign_notification` returned.
        key_url: Where the public key is served; holds the key's id, since clients cache by URL.
    """
    return {
        HEADER_FLAG: "true",
        HEADER_SIGNATURE: signature,
        HEADER_VERSION: SIGNATURE_VERSION,
        HEADER_KEY_URL: key_url,
    }


def verify_notification(
    signature: str,
    key: RSAPublicKey,
    *,
    notification_id: str | None,
    body: bytes,
    now: float,
    accept_unbound: bool = False,
) -> None:
    """Check a notification's signature: :func:`verify_body` and :func:`check_notification_id` in one.

    Args:
        signature: The token of the signature header.
        key: The platform's public key.
        notification_id: The id inside the body.
        body: The raw bytes as they arrived.
        now: Unix seconds of the receiver.
        accept_unbound: ``True`` accepts a signature that does not cover the body.

    Raises:
        NotificationError: ``INVALID_SIGNATURE`` with a reason that says what does not match.
    """
    signed = verify_body(signature, key, body=body, now=now, accept_unbound=accept_unbound)
    check_notification_id(signed, notification_id)


def check_notification_id(signed_id: str | None, notification_id: str | None) -> None:
    """Check that a signature was made for a notification.

    Args:
        signed_id: What :func:`verify_body` returned.
        notification_id: The id inside the body.

    Raises:
        NotificationError: ``INVALID_SIGNATURE``.
    """
    if notification_id is None or signed_id != notification_id:
        raise _invalid("the signature belongs to another notification_id")


def verify_body(
    signature: str, key: RSAPublicKey, *, body: bytes, now: float, accept_unbound: bool = False
) -> str | None:
    """Check a signature over the raw bytes of a notification, before anything of them is decoded.

    Args:
        signature: The token of the signature header.
        key: The platform's public key.
        body: The raw bytes as they arrived.
        now: Unix seconds of the receiver.
        accept_unbound: ``True`` accepts a signature that does not cover the body, as the original platform
            makes them.

    Returns:
        The notification id that was signed.

    Raises:
        NotificationError: ``INVALID_SIGNATURE`` with a reason that says what does not match.
    """
    claims = _verified_claims(signature, key)
    digest = claims.get("body_sha256")
    if digest is None:
        if not accept_unbound:
            raise _invalid(
                "the signature does not cover the body (no body_sha256); "
                "set accept_unbound_signatures=True to accept notifications of the original platform"
            )
    elif not isinstance(digest, str) or not hmac.compare_digest(
        digest.encode(errors="replace"), hashlib.sha256(body).hexdigest().encode()
    ):
        raise _invalid("the body was changed after it was signed")
    _check_times(claims, now)
    signed_id = claims.get("jti")
    return signed_id if isinstance(signed_id, str) else None


def _verified_claims(signature: str, key: RSAPublicKey) -> dict[str, Any]:
    try:
        token = jws.read(signature)
        if token.algorithm != _ALGORITHM:
            raise _invalid(f"the signature does not verify: it names {token.algorithm!r:.50} instead of {_ALGORITHM}")
        key.verify(token.signature, token.signed, _PADDING, _HASH)
        return jws.claims_in(token.claims)
    except ValueError as err:
        raise _invalid(f"the signature does not verify: {err!s:.200}") from err
    except InvalidSignature as err:
        raise _invalid("the signature does not verify with the platform's key") from err


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    issued, expires = (_time(claims, name) for name in ("iat", "exp"))
    if issued is not None and issued - now > LEEWAY_S:
        raise _invalid(f"it was signed {issued - now:.0f} s in the future, leeway {LEEWAY_S:.0f} s; check the clocks")
    if expires is not None and now - expires > LEEWAY_S:
        raise _invalid(f"its signature expired {now - expires:.0f} s ago, leeway {LEEWAY_S:.0f} s; check the clocks")


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is not None and not is_number(value, -MAX_TIME, MAX_TIME):
        raise _invalid(f"its {name} is {value!r:.50}; it must be Unix seconds")
    return value


def _invalid(reason: str) -> NotificationError:
    return NotificationError("INVALID_SIGNATURE", reason, status=401)
