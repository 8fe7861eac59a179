"""The public halves of the signing keys, which connectors check notifications with.

Rules: section "Signatures" of ``docs/protocol.md``.
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from flask import Blueprint, Response, request

from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.gate import platform_of
from hull_sdk.wire.signatures import certificate_pem, public_pem

__all__ = ["key_routes"]


def key_routes() -> Blueprint:
    """Return the routes of keys and certificates, which answer without credentials."""
    routes = Blueprint("keys", __name__, url_prefix="/api/v1")

    @routes.route("/notification_keys/<key_id>", methods=["GET", "POST"])
    def key(key_id: str) -> Response:
        return Response(public_pem(found(key_id)), mimetype="text/plain")

    @routes.get("/notification_certificates/<key_id>")
    def certificate(key_id: str) -> Response:
        return Response(certificate_pem(found(key_id)), mimetype="text/plain")

    def found(key_id: str) -> RSAPrivateKey:
        key = platform_of(request).find_key(key_id)
        return refuse(404, f"there is no signing key {key_id!r}") if key is None else key

    return routes
