"""The public halves of the signing keys, which connectors check notifications with.

Rules: section "Signatures" of ``docs/protocol.md``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flask import Blueprint, Response

from hull_sdk.platform.api.errors import refuse

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["key_routes"]


def key_routes(platform: Platform) -> Blueprint:
    """Return the route of the key, which answers GET and POST without credentials."""
    routes = Blueprint("keys", __name__, url_prefix="/api/v1")

    @routes.route("/notification_keys/<key_id>", methods=["GET", "POST"])
    def key(key_id: str) -> Response:
        pem = platform.public_key(key_id)
        if pem is None:
            refuse(404, f"there is no signing key {key_id!r}")
        return Response(pem, mimetype="text/plain")

    return routes
