"""Legacy notifications: one message per request, in an envelope that Amazon SNS signed.

Rules: section "Legacy notifications" of ``docs/protocol.md``. Nothing here fetches anything: the certificate and the
time come from the caller.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey

from hull_sdk.core import json
from hull_sdk.core.hosts import host_of, split_host
from hull_sdk.errors import NotificationError
from hull_sdk.wire.shapes import LegacyMessage, LegacyNotification
from hull_sdk.wire.tokens import LEEWAY_S

__all__ = [
    "CONFIRMATION",
    "EMPTY_MESSAGE",
    "HANDLER_NAMES",
    "HEADER_TYPE",
    "INVALID_MESSAGE",
    "MAX_MESSAGE_BYTES",
    "NOTIFICATION",
    "REMOVAL",
    "LegacyMessage",
    "LegacyNotification",
    "canonical_text",
    "empty_message",
    "handler_name",
    "invalid_message",
    "is_certificate_url",
    "is_sns_host",
    "legacy_notification",
    "load_certificate",
    "parse_message",
    "request_id",
    "sign_message",
    "verify_message",
]

#: Its presence marks a request as a legacy notification.
HEADER_TYPE: Final = "X-Amz-Sns-Message-Type"

NOTIFICATION: Final = "Notification"
CONFIRMATION: Final = "SubscriptionConfirmation"
REMOVAL: Final = "UnsubscribeConfirmation"

EMPTY_MESSAGE: Final = "Empty Message"
INVALID_MESSAGE: Final = "Invalid Message"

#: Names under which handlers are registered.
HANDLER_NAMES: Final = (
    "user:update",
    "account:update",
    "segment:update",
    "segment:delete",
    "accounts_segment:update",
    "accounts_segment:delete",
    "ship:update",
    "user:delete",
    "account:delete",
)

#: Prefixes of subjects that have another name among the handlers.
_PREFIXES: Final = {"user_report": "user", "account_report": "account", "users_segment": "segment"}

#: Fields that the signature covers, in their order; ``Subject`` only when it is there.
_SIGNED: Final = {
    NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    CONFIRMATION: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    REMOVAL: ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
}

#: The hash of each version of signatures; the first one is SNS's own default.
_HASHES: Final[dict[str, Callable[[], hashes.HashAlgorithm]]] = {"1": hashes.SHA1, "2": hashes.SHA256}

_SNS_HOST = re.compile(r"sns\.[a-z]{2}(?:-[a-z0-9]+)+\.amazonaws\.com")
_CERTIFICATE_PATH = re.compile(r"/SimpleNotificationService-[A-Za-z0-9]+\.pem")
_HTTPS_PORT: Final = 443

_UNUSUAL = re.compile(r"[^A-Za-z0-9_.-]+")
_MAX_ID_CHARS: Final = 100

#: Largest envelope that a connector reads, in bytes: SNS carries 256 KiB of text, which escapes make longer.
MAX_MESSAGE_BYTES: Final = 2 * 1024 * 1024


def handler_name(name: str) -> str:
    """Return the name of the handlers for a subject.

    Args:
        name: A subject (``"user_report:update"``) or a handler's name (``"user:update"``).

    Returns:
        For example ``"user:update"``; prefixes without another name stay as they are.
    """
    prefix, colon, action = name.partition(":")
    return f"{_PREFIXES.get(prefix, prefix)}{colon}{action}"


def parse_message(body: bytes) -> LegacyMessage:
    """Decode an envelope, whatever its content type says.

    Args:
        body: The raw bytes.

    Raises:
        NotificationError: ``Empty Message`` without a body; ``Invalid Message`` when it is no envelope.
    """
    if not body.strip():
        raise empty_message()
    try:
        value = json.loads(body)
    except ValueError as err:
        raise invalid_message() from err
    if not isinstance(value, dict):
        raise invalid_message()
    message: Any = {name: field for name, field in value.items() if field is not None}
    if not all(isinstance(message.get(name, ""), str) for name in LegacyMessage.__annotations__):
        raise invalid_message()
    if message.get("Type") not in _SIGNED:
        raise invalid_message()
    checked: LegacyMessage = message
    return checked


def legacy_notification(message: LegacyMessage) -> LegacyNotification:
    """Return what an envelope holds.

    Args:
        message: What :func:`parse_message` returned.

    Raises:
        NotificationError: ``Empty Message`` without a payload; ``Invalid Message`` when payload or time are malformed.
    """
    text, timestamp = message.get("Message", ""), message.get("Timestamp")
    if not text:
        raise empty_message()
    try:
        payload = json.loads(text)
        moment = None if timestamp is None else datetime.fromisoformat(timestamp)
    except ValueError as err:
        raise invalid_message() from err
    if moment is not None and moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return {"subject": message.get("Subject", ""), "message": payload, "timestamp": moment}


def request_id(message: LegacyMessage, now: float) -> str:
    """Return the request id of an envelope.

    Args:
        message: What :func:`parse_message` returned.
        now: Unix seconds.

    Returns:
        ``sns-notifier:{app id}:{seconds}:{message id}``; the app id is what follows the last dash of the topic.
    """
    owner = message.get("TopicArn", "").rpartition("-")[2]
    # It goes into logs and headers, and with the validation off anybody may have written it.
    app_id, message_id = (_UNUSUAL.sub("", part)[:_MAX_ID_CHARS] for part in (owner, message.get("MessageId", "")))
    return f"sns-notifier:{app_id}:{int(now)}:{message_id}"


def canonical_text(message: Mapping[str, Any]) -> str:
    """Return the text that is signed: each field's name and value on lines of their own.

    Args:
        message: An envelope.

    Raises:
        NotificationError: A field is missing, or one that has to be a single line is not: such a text could be read
            in two ways.
    """
    lines = []
    for name in _SIGNED[message["Type"]]:
        value = message.get(name)
        if value is None and name == "Subject":
            continue
        if not isinstance(value, str):
            raise _unsigned(f"the message has no {name}, which the signature covers")
        if name != "Message" and "\n" in value:
            raise _unsigned(f"the message's {name} holds a line break")
        lines += [name, value]
    return "".join(f"{line}\n" for line in lines)


def sign_message(message: Mapping[str, Any], key: RSAPrivateKey, *, version: str = "2") -> dict[str, Any]:
    """Return an envelope with its signature, as SNS makes it.

    Args:
        message: An envelope with all that is signed, and its ``SigningCertURL``.
        key: The private key of the certificate.
        version: ``"1"`` (SHA-1) or ``"2"`` (SHA-256).
    """
    signature = key.sign(canonical_text(message).encode(), padding.PKCS1v15(), _HASHES[version]())
    return {**message, "SignatureVersion": version, "Signature": base64.b64encode(signature).decode()}


def verify_message(message: LegacyMessage, certificate: x509.Certificate, now: float) -> None:
    """Check an envelope's signature.

    Args:
        message: What :func:`parse_message` returned.
        certificate: The one at its ``SigningCertURL``.
        now: Unix seconds of the receiver.

    Raises:
        NotificationError: ``INVALID_SIGNATURE`` with a reason that says what does not match.
    """
    version = message.get("SignatureVersion", "")
    algorithm = _HASHES.get(version)
    if algorithm is None:
        raise _unsigned(f"the signature's version is {version!r}; {' and '.join(_HASHES)} are known")
    _check_period(certificate, now)
    try:
        signature = base64.b64decode(message.get("Signature", ""), validate=True)
        text = canonical_text(message).encode()
        _public_key(certificate).verify(signature, text, padding.PKCS1v15(), algorithm())
    except (binascii.Error, ValueError) as err:
        raise _unsigned("the signature is no base64 text") from err
    except InvalidSignature as err:
        raise _unsigned("the signature does not verify: the message was changed, or signed by somebody else") from err


def load_certificate(pem: bytes) -> x509.Certificate:
    """Read a certificate.

    Args:
        pem: Text that holds ``-----BEGIN CERTIFICATE-----``.

    Raises:
        NotificationError: It is no certificate of an RSA key.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        _public_key(certificate)
    except (ValueError, UnsupportedAlgorithm) as err:
        raise _unsigned("the certificate's address did not return a certificate") from err
    return certificate


def is_sns_host(url: str) -> bool:
    """Tell whether an address lies on a host of SNS, such as ``sns.us-east-1.amazonaws.com``, over https."""
    parsed = split_host(host_of(url))
    if parsed is None or not url.lower().startswith("https://"):
        return False
    host, port = parsed
    return port in {None, _HTTPS_PORT} and _SNS_HOST.fullmatch(host) is not None


def is_certificate_url(url: str) -> bool:
    """Tell whether an address is where SNS keeps its certificates; its hosts answer other things elsewhere."""
    if not is_sns_host(url):
        return False
    parts = urlsplit(url)
    return _CERTIFICATE_PATH.fullmatch(parts.path) is not None and not parts.query and not parts.fragment


def empty_message() -> NotificationError:
    """Return the error for a request without a message."""
    return NotificationError("MISSING_NOTIFICATION", EMPTY_MESSAGE)


def invalid_message() -> NotificationError:
    """Return the error for a message that cannot be read."""
    return NotificationError("MISSING_NOTIFICATION", INVALID_MESSAGE)


def _public_key(certificate: x509.Certificate) -> RSAPublicKey:
    key = certificate.public_key()
    if not isinstance(key, RSAPublicKey):
        raise _unsigned(f"the certificate holds no RSA key but {type(key).__name__}")
    return key


def _check_period(certificate: x509.Certificate, now: float) -> None:
    begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begins.timestamp() - LEEWAY_S <= now <= ends.timestamp() + LEEWAY_S:
        raise _unsigned(f"the certificate is valid from {begins.isoformat()} to {ends.isoformat()}; check the clocks")


def _unsigned(reason: str) -> NotificationError:
    return NotificationError("INVALID_SIGNATURE", reason, status=401)
