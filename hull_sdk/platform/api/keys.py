"""The public halves of the signing keys, which connectors check notifications with.

Rules: section "Signatures" of ``docs/protocol.md``.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from werkzeug.routing import Rule
from werkzeug.wrappers import Response

from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.gate import platform_of
from hull_sdk.platform.api.routing import present_request, rule
from hull_sdk.wire.signatures import certificate_pem, public_pem

__all__ = ["key_routes"]


def key_routes() -> list[Rule]:
    """Return the routes of keys and certificates, which answer without credentials."""
    return [
        rule("/api/v1/notification_keys/<key_id>", _key, "GET", "POST"),
        rule("/api/v1/notification_certificates/<key_id>", _certificate, "GET"),
    ]


def _key(key_id: str) -> Response:
    return Response(public_pem(_found(key_id)), mimetype="text/plain")


def _certificate(key_id: str) -> Response:
    return Response(certificate_pem(_found(key_id)), mimetype="text/plain")


def _found(key_id: str) -> RSAPrivateKey:
    key = platform_of(present_request()).find_key(key_id)
    return refuse(404, f"there is no signing key {key_id!r}") if key is None else key
