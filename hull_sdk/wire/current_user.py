"""The cookie that says, signed with a connector's secret, which user is at the browser.

Rules: section "Current user" of ``docs/protocol.md``.
"""

from __future__ import annotations

import base64
import hmac
from typing import Any, Final
from urllib.parse import unquote

from hull_sdk.core import json
from hull_sdk.core.clock import parse_time
from hull_sdk.errors import CredentialsError
from hull_sdk.wire.tokens import LEEWAY_S

__all__ = ["COOKIE_AGE_S", "cookie_name", "user_of_cookie"]

#: A cookie that was signed longer ago is refused, unless the caller decides otherwise; in seconds.
COOKIE_AGE_S: Final = 30 * 86_400.0

_FIELD_USER: Final = "Hull-User-Id"
_FIELD_SIGNATURE: Final = "Hull-User-Sig"
_MAX_LENGTH: Final = 4096
_MAX_DIGITS: Final = 13


def cookie_name(connector_id: str) -> str:
    """Return the name of a connector's cookie, for example ``"hull_5a7962e2793d3e942a03b29a"``."""
    return f"hull_{connector_id}"


def user_of_cookie(cookie: str, secret: str, now: float, max_age_s: float = COOKIE_AGE_S) -> str:
    """Verify a cookie.

    Args:
        cookie: Its value; percent signs of a browser's encoding are understood.
        secret: The connector's secret.
        now: Unix seconds of the verifier.
        max_age_s: How long ago it may have been signed, in seconds.

    Returns:
        The user's id.

    Raises:
        CredentialsError: It is malformed, signed otherwise, too old or from the future.
    """
    user_id, time, signature = _parts_of(cookie)
    expected = hmac.new(secret.encode(), f"{time}-{user_id}".encode(), "sha1").hexdigest()
    if not hmac.compare_digest(signature.encode(), expected.encode()):
        raise CredentialsError("the cookie's signature does not match the connector's secret")
    signed_at = parse_time(int(time))
    if signed_at is None:
        raise CredentialsError(f"the cookie's time is {time}; it must be Unix seconds")
    age = now - signed_at.timestamp()
    if age < -LEEWAY_S:
        raise CredentialsError(f"the cookie was signed {-age:.0f} s in the future; check the clocks")
    if age > max_age_s:
        raise CredentialsError(f"the cookie was signed {age:.0f} s ago; at most {max_age_s:.0f} s are accepted")
    return user_id


def _parts_of(cookie: str) -> tuple[str, str, str]:
    malformed = CredentialsError("the cookie is malformed; it must be base64 of JSON with a user id and its signature")
    if len(cookie) > _MAX_LENGTH:
        raise malformed
    try:
        value: Any = json.loads(base64.b64decode(unquote(cookie), validate=True))
        user_id, signed = value[_FIELD_USER], value[_FIELD_SIGNATURE]
        time, _, signature = signed.partition(".")
        user_id.encode()
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise malformed from None
    is_time = time.isascii() and time.isdigit() and len(time) <= _MAX_DIGITS
    if not isinstance(user_id, str) or not user_id or not is_time or not signature.isascii():
        raise malformed
    return user_id, time, signature
