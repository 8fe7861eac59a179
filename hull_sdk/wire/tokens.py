"""Access tokens: the signed claims that say whom a firehose message or a request is about.

Rules: section "Tokens" of ``docs/protocol.md``. Times are checked here against the caller's clock, never
against the machine's, so that the rules hold on a virtual clock too.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.core.checks import is_number
from hull_sdk.errors import CredentialsError
from hull_sdk.wire import jws
from hull_sdk.wire.entities import Claims, EntityKind

__all__ = [
    "ALGORITHM",
    "AS_CLAIMS",
    "CLAIM_ACTIVE",
    "CLAIM_CREATE",
    "CLAIM_SUBJECT_TYPE",
    "LEEWAY_S",
    "MAX_TIME",
    "build_claims",
    "encode",
    "issuer_of",
    "looks_like_token",
    "scopes_of",
    "verify",
]

ALGORITHM: Final = "HS256"

#: Clock difference, in seconds, that is forgiven in both directions.
LEEWAY_S: Final = 60.0

AS_CLAIMS: Final[dict[EntityKind, str]] = {"user": "io.hull.asUser", "account": "io.hull.asAccount"}
CLAIM_SUBJECT_TYPE: Final = "io.hull.subjectType"
CLAIM_CREATE: Final = "io.hull.create"
CLAIM_ACTIVE: Final = "io.hull.active"

#: The names of the claim about rights: what clients write, and what older descriptions call it.
_SCOPES: Final = ("scopes", "io.hull.scope")

_TOKEN_PARTS: Final = 3
#: No time that a token names is beyond this, in Unix seconds; larger integers would not fit a float.
MAX_TIME: Final = 1e15

_HEADER: Final = jws.header_for(ALGORITHM)


def build_claims(
    *,
    issuer: str,
    issued_at: float,
    subject_type: EntityKind,
    user: Claims | None = None,
    account: Claims | None = None,
    create: bool | None = None,
    active: bool | None = None,
    scopes: list[str] | None = None,
) -> dict[str, Any]:
    """Build the claims of a token.

    Args:
        issuer: Connector id.
        issued_at: Unix seconds.
        subject_type: Whom the message is about when both are named.
        user: The user's identifiers.
        account: The account's identifiers; an empty dict means "the account the user is linked to".
        create: Whether to create what is not found; left out when ``None`` (the platform creates).
        active: Whether the user goes to the fast lane; left out when ``None``.
        scopes: For example ``["admin"]``; left out when ``None``.

    Returns:
        For example ``{"iss": "5a79...", "iat": 1704448800, "io.hull.asUser": {"email": "ann@acme.test"},
        "io.hull.subjectType": "user"}``.
    """
    claims: dict[str, Any] = {"iss": issuer, "iat": int(issued_at)}
    subject = user if subject_type == "user" else account
    if subject and "id" in subject:
        claims["sub"] = subject["id"]
    if user:
        claims[AS_CLAIMS["user"]] = user
    if account:
        claims[AS_CLAIMS["account"]] = account
    claims[CLAIM_SUBJECT_TYPE] = subject_type
    if create is not None:
        claims[CLAIM_CREATE] = create
    if active is not None:
        claims[CLAIM_ACTIVE] = active
    if scopes is not None:
        claims["scopes"] = scopes
    return claims


def scopes_of(claims: Mapping[str, Any]) -> frozenset[str]:
    """Return the rights that claims give beyond those of their subject, for example ``{"admin"}``.

    Args:
        claims: Of a token that was verified; a list of texts or one text under either name.
    """
    found: list[Any] = []
    for name in _SCOPES:
        value = claims.get(name)
        found.extend(value if isinstance(value, list) else [value])
    return frozenset(scope for scope in found if isinstance(scope, str))


def encode(claims: Mapping[str, Any], secret: str) -> str:
    """Sign claims with a connector's secret.

    Args:
        claims: What :func:`build_claims` returned.
        secret: The connector's secret.

    Returns:
        A compact HS256 token of three parts.
    """
    signed = jws.to_sign(_HEADER, claims)
    return jws.joined(signed, jws.mac(secret, signed))


def looks_like_token(text: str) -> bool:
    """Tell whether a text has the form of a token: three parts separated by dots."""
    return len(text.split(".")) == _TOKEN_PARTS and text.startswith("ey")


def issuer_of(token: str) -> str | None:
    """Return the connector id that a token names, unverified; ``None`` when there is none."""
    try:
        issuer = jws.claims_in(token.split(".")[1]).get("iss")
    except (ValueError, IndexError):
        return None
    return issuer if isinstance(issuer, str) else None


def verify(token: str, secret: str, now: float) -> dict[str, Any]:
    """Check a token's signature and times.

    Args:
        token: The compact token.
        secret: The connector's secret; only HS256 is accepted, whatever the token's header says.
        now: Unix seconds of the verifier.

    Returns:
        The claims.

    Raises:
        CredentialsError: The token is malformed, signed otherwise, expired or from the future; the message
            names the difference of the clocks where that is the reason.
    """
    try:
        read = jws.read(token)
    except ValueError as err:
        raise _malformed() from err
    if read.algorithm != ALGORITHM:
        raise CredentialsError(f"the token is signed with {read.algorithm!r:.50}; only {ALGORITHM} is accepted")
    if not hmac.compare_digest(read.signature, jws.mac(secret, read.signed)):
        raise CredentialsError("the token's signature does not match the connector's secret")
    try:
        claims = jws.claims_in(read.claims)
    except ValueError as err:
        raise _malformed() from err
    _check_times(claims, now)
    return claims


def _check_times(claims: Mapping[str, Any], now: float) -> None:
    for name, sign, problem in (("iat", 1, "issued"), ("nbf", 1, "not valid before"), ("exp", -1, "expired")):
        value = claims.get(name)
        if value is None:
            continue
        if not is_number(value, -MAX_TIME, MAX_TIME):
            raise CredentialsError(f"the token's {name} is {value!r:.50}; it must be Unix seconds")
        skew = sign * (float(value) - now)
        if skew > LEEWAY_S:
            where = "in the future" if sign > 0 else "ago"
            raise CredentialsError(
                f"the token is {problem} {skew:.0f} s {where}, leeway {LEEWAY_S:.0f} s; check the clocks"
            )


def _malformed() -> CredentialsError:
    return CredentialsError("the token is malformed; it must be a signed JWT of three parts")
