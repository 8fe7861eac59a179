"""Who may call the webhook: whoever has the API key, and signs if there is a secret to sign with."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from typing import Final

from flask import Response, abort, has_request_context, request

from hull_sdk import Context, incoming
from hull_sdk.handlers import json_body
from segment_connector.settings import private_settings

__all__ = ["WEBHOOK_PATH", "check_call", "read_api_key"]

WEBHOOK_PATH: Final = "/segment"
#: Segment's calls have 32 KB at most; nothing larger is read.
MAX_CALL_BYTES: Final = 512 * 1024


def read_api_key() -> None:
    """Take the API key out of the ``Authorization`` header: Segment sends it as user name, without a password."""
    if not _is_webhook():
        return
    request.max_content_length = MAX_CALL_BYTES
    header = request.headers.get("Authorization")
    if header is None:
        return
    scheme, _, credentials = header.strip().partition(" ")
    try:
        text = base64.b64decode(credentials.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        text = ""
    key = text.partition(":")[0].strip()
    if scheme.lower() != "basic" or not key:
        abort(_refusal("Invalid Basic Auth Header"))
    incoming.token = key


def check_call(ctx: Context) -> Response | None:
    """Refuse calls without credentials, without the signature that the settings ask for, or without a JSON body.

    Args:
        ctx: The context, complete but for the body, which nobody has read yet.
    """
    if not _is_webhook():
        return None
    if ctx.config is None:
        return _refusal("The API key is missing; copy it from the connector's dashboard to Segment")
    body = request.get_data(cache=True)
    secret = private_settings(ctx)["shared_secret"]
    if secret and not _is_signed(body, secret):
        ctx.metric.increment("ship.incoming.invalid_signature")
        return _refusal("Invalid Signature")
    # Segment sends JSON whatever the header says.
    if request.method == "POST" and json_body(request, force=True) is None:
        return Response("the body is no JSON; send one call of Segment", 400, mimetype="text/plain")
    return None


def _is_webhook() -> bool:
    # Jobs, which bring batches, have a context without a request.
    return has_request_context() and request.path.rstrip("/") == WEBHOOK_PATH


def _is_signed(body: bytes, secret: str) -> bool:
    expected = hmac.new(secret.encode(), body, hashlib.sha1).hexdigest()
    given = request.headers.get("X-Signature", "").strip().lower()
    return hmac.compare_digest(expected.encode(), given.encode())


def _refusal(reason: str) -> Response:
    return Response(reason, 401, mimetype="text/plain")
