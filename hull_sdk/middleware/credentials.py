"""Whose request it is: id, organization and secret, wherever they came from, checked against the trust root.

Rules: section "Credentials of a connector's endpoint" of ``docs/protocol.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.client.config import checked_organization
from hull_sdk.context import Credentials, TokenPurpose
from hull_sdk.core.logs import emit
from hull_sdk.core.net import HostPatterns
from hull_sdk.errors import CredentialsError, InvalidArgumentError
from hull_sdk.middleware.base import Arrival
from hull_sdk.wire.firehose import HEADER_REQUEST_ID
from hull_sdk.wire.tokens import looks_like_token

__all__ = ["TOKEN_PARAMETERS", "check_organization", "resolve_credentials"]

#: Query parameters that carry an encrypted token, in the order in which they are tried, and what each accepts.
#: ``state`` counts where an authorization comes back to, and a webhook's token where other services call: nowhere else.
TOKEN_PARAMETERS: Final[dict[str, tuple[TokenPurpose, ...]]] = {
    "hullToken": ("dashboard",),
    "token": ("dashboard", "webhook"),
    "state": ("oauth",),
}

#: Longest request id that is taken over from a header.
MAX_REQUEST_ID_CHARS: Final = 200

#: What a token that the application passed on itself may have been made for.
_INCOMING_PURPOSES: Final[tuple[TokenPurpose, ...]] = ("dashboard", "webhook")

_log = logging.getLogger(__name__)


def resolve_credentials(arrival: Arrival) -> None:
    """Find the credentials of a request; none at all is no error.

    Args:
        arrival: The request and its context.

    Raises:
        CredentialsError: A token does not decrypt, or the organization is not allowed.
    """
    context = arrival.context
    if context.request_id is None:
        context.request_id = arrival.incoming.request_id or _given_request_id(arrival)
    credentials = _find(arrival)
    if credentials is not None:
        check_organization(credentials.organization, arrival.extension.trust)
        context.authorize(_checked(credentials))


def check_organization(organization: str, trust: HostPatterns) -> None:
    """Refuse an organization that is not on the trust root.

    Args:
        organization: Host as it arrived.
        trust: The trust root.

    Raises:
        CredentialsError: It is not allowed; the message names the option.
    """
    if not trust.allows(organization):
        raise CredentialsError(
            f"the organization {organization!r:.200} is not allowed; if it is yours, add its host to "
            "allowed_organizations (or HULL_ALLOWED_ORGANIZATIONS)"
        )


def _checked(credentials: Credentials) -> Credentials:
    """Return the credentials as the client reads them, so that one connector has one name everywhere."""
    try:
        host = checked_organization(credentials.organization, connector_id=credentials.id, secret=credentials.secret)
    except InvalidArgumentError as err:
        raise CredentialsError(err.message) from err
    return Credentials(id=credentials.id, organization=host, secret=credentials.secret)


def _given_request_id(arrival: Arrival) -> str | None:
    # It goes into logs and headers, and anybody may have written it.
    text = (arrival.facts.header(HEADER_REQUEST_ID) or "")[:MAX_REQUEST_ID_CHARS]
    return text if text and text.isascii() and text.isprintable() else None


def _find(arrival: Arrival) -> Credentials | None:
    if arrival.context.notification is not None:
        return _complete(arrival.context.notification["configuration"])
    if arrival.incoming.config is not None:
        return _complete(arrival.incoming.config)
    return _from_token(arrival) or _complete(arrival.facts.query)


def _from_token(arrival: Arrival) -> Credentials | None:
    if arrival.incoming.token is not None:
        return _read(arrival, arrival.incoming.token, _INCOMING_PURPOSES)
    for name, purposes in TOKEN_PARAMETERS.items():
        token = arrival.facts.query.get(name, "").strip()
        if token and (name != "state" or arrival.facts.takes_state):
            return _read(arrival, token, purposes)
    return None


def _read(arrival: Arrival, token: str, purposes: tuple[TokenPurpose, ...]) -> Credentials | None:
    extension = arrival.extension
    if not arrival.facts.takes_webhooks:
        purposes = tuple(purpose for purpose in purposes if purpose != "webhook")
    if extension.accept_signed_tokens and looks_like_token(token) and "dashboard" in purposes:
        return _read_signed(arrival, token)
    return extension.tokens.decrypt(token, purposes)


def _read_signed(arrival: Arrival, token: str) -> Credentials:
    credentials = _complete(arrival.extension.tokens.read_signed(token))
    if credentials is None:
        raise CredentialsError("Invalid Token")
    fields = {"id": credentials.id, "organization": credentials.organization}
    emit(_log, logging.INFO, "connector.token.signed", {**fields, "request_id": arrival.context.request_id})
    return credentials


def _complete(values: Mapping[str, Any]) -> Credentials | None:
    connector_id, organization, secret = (
        _text(values, "ship") or _text(values, "id"),
        _text(values, "organization"),
        _text(values, "secret"),
    )
    if not (connector_id and organization and secret):
        return None
    return Credentials(id=connector_id, organization=organization, secret=secret)


def _text(values: Mapping[str, Any], name: str) -> str:
    value = values.get(name)
    return value.strip() if isinstance(value, str) else ""
