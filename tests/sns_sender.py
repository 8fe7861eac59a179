"""Amazon SNS for tests: a certificate that any host may serve, and signed envelopes."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.x509.oid import NameOID
from flask import Flask, request

from hull_sdk.wire.sns import HEADER_TYPE, sign_message

SNS_HOST = "sns.us-east-1.amazonaws.com"
CERTIFICATE_URL = f"https://{SNS_HOST}/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem"
SUBSCRIBE_URL = f"https://{SNS_HOST}/?Action=ConfirmSubscription&Token=t1"
TOPIC = "arn:aws:sns:us-east-1:123456789012:hull-production-5a7962e2"
BEGIN = datetime(2023, 6, 1, tzinfo=UTC)


def certificate_of(key, begin: datetime = BEGIN, days: int = 366) -> x509.Certificate:
    """Return a certificate that a key signed for itself."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sns.amazonaws.com")])
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, begin, begin + timedelta(days=days))
    return builder.sign(key, hashes.SHA256())


def pem_of(certificate: x509.Certificate) -> bytes:
    """Return a certificate as text."""
    return certificate.public_bytes(serialization.Encoding.PEM)


def envelope(payload: Any = None, subject: str | None = "user_report:update", **fields) -> dict[str, Any]:
    """Return an envelope that is not signed yet; fields that are ``None`` are left out."""
    message = {
        "Type": "Notification",
        "MessageId": "m-1",
        "TopicArn": TOPIC,
        "Subject": subject,
        "Message": json.dumps({} if payload is None else payload),
        "Timestamp": "2024-01-01T00:00:00.000Z",
        "SigningCertURL": CERTIFICATE_URL,
        **fields,
    }
    return {name: value for name, value in message.items() if value is not None}


class SnsSender:
    """Serves the certificate and confirms subscriptions on a virtual network, and posts signed envelopes."""

    def __init__(self, world, key: RSAPrivateKey) -> None:
        self.world = world
        self.key = key
        self.certificate = pem_of(certificate_of(key))
        self.asked: list[str] = []
        self.status = 200
        self.app = Flask("sns")
        self.app.add_url_rule("/<path:_path>", "certificate", self._certificate)
        self.app.add_url_rule("/", "confirm", self._confirm)
        world.net.mount(SNS_HOST, self.app)
        self._sent = 0

    def _certificate(self, _path):
        self.asked.append(request.path)
        return self.certificate, self.status

    def _confirm(self):
        self.asked.append(request.full_path)
        return "<ConfirmSubscriptionResponse/>", self.status

    def signed(self, payload=None, subject="user_report:update", *, version="2", **fields) -> dict[str, Any]:
        """Return a signed envelope with an id of its own."""
        self._sent += 1
        return sign_message(
            envelope(payload, subject, **{"MessageId": f"m-{self._sent}", **fields}), self.key, version=version
        )

    def post(self, app: Flask, message: Any, url: str):
        """Deliver an envelope as SNS does, as text, and return the response."""
        body = message if isinstance(message, bytes) else json.dumps(message).encode()
        headers = {HEADER_TYPE: "Notification", "Content-Type": "text/plain; charset=UTF-8"}
        return app.test_client().post(url, data=body, headers=headers)
