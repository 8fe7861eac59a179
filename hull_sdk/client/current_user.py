"""Who is at the browser: the signed cookie of a site, verified with the connector's secret.

Rules: section "Current user" of ``docs/protocol.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from hull_sdk.client.entities import ApiClient
from hull_sdk.core.checks import is_number
from hull_sdk.core.logs import emit
from hull_sdk.errors import CredentialsError, InvalidArgumentError
from hull_sdk.wire.current_user import COOKIE_AGE_S, cookie_name, user_of_cookie

__all__ = ["current_user_id"]

_log = logging.getLogger(__name__)


def current_user_id(client: ApiClient, cookies: Mapping[str, Any], *, max_age_s: float = COOKIE_AGE_S) -> str | None:
    """Return the id of the user at the browser that sent a request.

    Args:
        client: The connector's client, for example ``ctx.client``.
        cookies: Cookies by name, for example Flask's ``request.cookies``.
        max_age_s: How long ago the cookie may have been signed, in seconds; 30 days by default.

    Returns:
        A user's id for ``client.as_user``, or ``None`` when there is no cookie of this connector, or one that does not
        hold: malformed, signed with another secret, too old. The reason is logged as ``current_user.refused``.

    Raises:
        InvalidArgumentError: ``max_age_s`` is no number above 0.
    """
    if not is_number(max_age_s, above=0):
        raise InvalidArgumentError(f"max_age_s is {max_age_s!r}; pass seconds above 0")
    connection = client._connection  # noqa: SLF001 - the secret is for this package alone
    config, clock = connection.config, connection.runtime.clock
    cookie = cookies.get(cookie_name(config.id))
    if not isinstance(cookie, str) or not cookie:
        return None
    try:
        return user_of_cookie(cookie, config.secret, clock.time(), max_age_s)
    except CredentialsError as err:
        fields = {"id": config.id, "organization": config.organization, "reason": str(err)}
        emit(_log, logging.INFO, "current_user.refused", fields)
        return None
