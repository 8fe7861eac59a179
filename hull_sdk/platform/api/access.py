"""Who is asking: telling organizations apart, and checking secrets and tokens.

Rules: sections "Tokens" and "REST" of ``docs/protocol.md``. Tokens are checked against the runtime's clock, which test
controls cannot move. Comparisons take the same time whatever they compare.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from werkzeug.wrappers import Request

from hull_sdk.platform.api.errors import refuse
from hull_sdk.platform.api.gate import platform_of
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.organization import Organization
from hull_sdk.wire import tokens
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.firehose import HEADER_ACCESS_TOKEN, HEADER_APP_ID, HEADER_ORGANIZATION, HEADER_USER_ID

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = [
    "CREDENTIAL_PARAMETERS",
    "Caller",
    "authenticate",
    "operator",
    "organization_of",
    "secret_caller",
    "user_caller",
]

#: Names of credentials in a query, first wins; the header wins over all of them.
_ID_PARAMETERS: Final = ("ship", "id", "app_id")
_SECRET_PARAMETERS: Final = ("secret", "access_token")
#: The scope that gives a token the rights of the secret that signed it.
_ADMIN: Final = "admin"
#: What a query may hold beside its own parameters.
CREDENTIAL_PARAMETERS: Final = frozenset({*_ID_PARAMETERS, *_SECRET_PARAMETERS, "organization"})


@dataclass(frozen=True, slots=True)
class Caller:
    """Who makes a request, checked.

    Args:
        organization: Whose data it may see.
        connector: The connector; ``None`` for the operator.
        claims: The claims of a user's or account's token; ``None`` for a secret, which may do everything.
    """

    organization: Organization
    connector: Connector | None
    claims: Mapping[str, Any] | None = field(default=None, repr=False)

    @property
    def is_admin(self) -> bool:
        """``True`` for the organization's operator."""
        return self.connector is None

    @property
    def has_secret(self) -> bool:
        """``True`` for a connector's secret or the operator's, and for a token with the scope ``admin``."""
        return self.claims is None or _ADMIN in tokens.scopes_of(self.claims)


def authenticate(request: Request) -> Caller:
    """Check the credentials of a request.

    Args:
        request: The request; credentials stand in its headers, or in its query.

    Returns:
        The caller.

    Raises:
        Refused: 401 for missing or wrong credentials, 402 for an organization that was switched off, 404 for an
            unknown connector or organization.
    """
    platform = platform_of(request)
    token = _parameter(request, HEADER_ACCESS_TOKEN, _SECRET_PARAMETERS)
    connector_id = _parameter(request, HEADER_APP_ID, _ID_PARAMETERS)
    if token is None:
        refuse(401, f"no credentials; send {HEADER_APP_ID} and {HEADER_ACCESS_TOKEN}")
    if connector_id is None and tokens.looks_like_token(token):
        connector_id = tokens.issuer_of(token)
    if connector_id is None:
        return _operator(request, token)
    found = platform.find_connector(connector_id)
    if found is None:
        refuse(404, "App not found")
    organization, connector = found
    _check_same_organization(platform, request, organization)
    claims = _check_token(platform, connector, token)
    if organization.settings.disabled:
        refuse(402, "Organization is disabled; its operator can switch it on again in the settings")
    user_id = request.headers.get(HEADER_USER_ID)
    if claims is None and user_id:
        claims = _as_user(platform, connector, user_id)
    return Caller(organization, connector, claims)


def secret_caller(request: Request) -> Caller:
    """Return a caller who may see its whole organization.

    Raises:
        Refused: As :func:`authenticate`, and 401 for a user's token.
    """
    caller = authenticate(request)
    if not caller.has_secret:
        refuse(
            401, 'a user\'s token gives access to /me only; send the secret, or sign scopes ["admin"] into the token'
        )
    return caller


def user_caller(request: Request) -> Caller:
    """Return a caller who speaks for a user or account.

    Raises:
        Refused: As :func:`authenticate`, and 401 for a secret alone.
    """
    caller = authenticate(request)
    if caller.claims is None:
        refuse(401, f"say for whom: send a user's token as {HEADER_ACCESS_TOKEN}, or {HEADER_USER_ID}")
    return caller


def operator(request: Request) -> Caller:
    """Return the organization's operator.

    Raises:
        Refused: As :func:`authenticate`, and 403 for anybody else.
    """
    caller = authenticate(request)
    if not caller.is_admin:
        refuse(403, f"this is for the operator; send the admin secret, without {HEADER_APP_ID}")
    return caller


def organization_of(request: Request) -> Organization:
    """Return the organization that a request without a connector is for.

    Raises:
        Refused: 404 when neither ``Hull-Organization`` nor ``Host`` names one.
    """
    platform, named = platform_of(request), _named_organization(request)
    if named is not None and not platform.is_own_address(named):
        organization = platform.organization_at(named)
    else:
        organization = platform.organization_at(request.host)
    if organization is None:
        refuse(404, f"Organization not found; name it with the header {HEADER_ORGANIZATION}")
    return organization


def _operator(request: Request, token: str) -> Caller:
    organization = organization_of(request)
    if not _equal(token, organization.admin_secret):
        refuse(401, f"wrong credentials; send {HEADER_APP_ID} with a connector's secret, or the admin secret alone")
    return Caller(organization, None)


def _check_same_organization(platform: Platform, request: Request, organization: Organization) -> None:
    named = _named_organization(request)
    if named is None or platform.is_own_address(named) or platform.organization_at(named) is organization:
        return
    if platform.organization_at(named) is None and named.strip().lower() == request.host.lower():
        return  # the server under another of its names
    refuse(401, f"{HEADER_ORGANIZATION} names another organization than the connector's; send its own host, or nothing")


def _check_token(platform: Platform, connector: Connector, token: str) -> dict[str, Any] | None:
    """Return the claims of a token, or ``None`` for the connector's secret."""
    if _equal(token, connector.secret):
        return None
    if not tokens.looks_like_token(token):
        refuse(401, f"{HEADER_ACCESS_TOKEN} is neither the connector's secret nor a token signed with it")
    claims = tokens.verify(token, connector.secret, platform.runtime.clock.time())
    if claims.get("iss") != connector.id:
        refuse(401, "the token was issued by another connector than the one that is named")
    return claims


def _as_user(platform: Platform, connector: Connector, user_id: str) -> dict[str, Any]:
    kind: EntityKind = "user"
    return tokens.build_claims(
        issuer=connector.id,
        issued_at=platform.runtime.clock.time(),
        subject_type=kind,
        user={"id": user_id},
        scopes=[_ADMIN],
    )


def _named_organization(request: Request) -> str | None:
    return _parameter(request, HEADER_ORGANIZATION, ("organization",))


def _parameter(request: Request, header: str, names: tuple[str, ...]) -> str | None:
    value = request.headers.get(header)
    if value:
        return value.strip()
    return next((request.args[name].strip() for name in names if request.args.get(name)), None)


def _equal(given: str, known: str) -> bool:
    return hmac.compare_digest(given.encode(), known.encode())
