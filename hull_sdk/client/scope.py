"""For whom a client acts: claims, the token that carries them, and the lane that keeps their order.

Rules: sections "Claims" and "Tokens" of ``docs/protocol.md``.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, Final

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire import tokens
from hull_sdk.wire.entities import Claims, EntityKind

__all__ = ["Scope", "checked_scopes"]

_COPIED: Final = ("subject_type", "user", "account", "create", "active", "scopes")


class Scope:
    """A user, an account, or a user and the account to link, with the token that says so.

    Args:
        issuer: Connector id.
        secret: The connector's secret.
        subject_type: Whom messages are about when both are named.
        user: The user's identifiers.
        account: The account's identifiers; ``{}`` means the account that the user is linked to.
        create: ``False``: what is not found is not created.
        active: ``True``: the user goes to the fast lane.
        scopes: For example ``["admin"]``.
    """

    __slots__ = ("_issuer", "_secret", "_token", "account", "active", "create", "key", "scopes", "subject_type", "user")

    def __init__(
        self,
        *,
        issuer: str,
        secret: str,
        subject_type: EntityKind,
        user: Claims | None = None,
        account: Claims | None = None,
        create: bool = True,
        active: bool = False,
        scopes: list[str] | None = None,
    ) -> None:
        self._issuer = issuer
        self._secret = secret
        self.subject_type: EntityKind = subject_type
        self.user: Claims | None = user
        self.account: Claims | None = account
        self.create: bool = create
        self.active: bool = active
        self.scopes: list[str] | None = scopes
        # Equal claims of the subject, equal key, whoever else is named.
        subject = user if subject_type == "user" or not account else account
        self.key: int = zlib.crc32("\0".join(subject.values() if subject else ()).encode("utf-8", "surrogatepass"))
        self._token: tuple[int, str] = (-1, "")

    def __repr__(self) -> str:
        return f"<Scope {self.subject_type} user={self.user} account={self.account}>"

    def for_account(self, account: Claims) -> Scope:
        """Return the scope of an account beside this scope's user, which links them."""
        return self._copy(subject_type="account", account=account)

    def with_claims(self, *, create: bool | None, active: bool | None, scopes: list[str] | None) -> Scope:
        """Return this scope with other additional claims; ``None`` keeps what is there."""
        given = {"create": create, "active": active, "scopes": scopes}
        return self._copy(**{name: value for name, value in given.items() if value is not None})

    @property
    def additional_claims(self) -> dict[str, Any]:
        """What its token says beside who is meant: only what differs from the default."""
        found = {"create": None if self.create else False, "active": True if self.active else None}
        return {name: value for name, value in {**found, "scopes": self.scopes}.items() if value is not None}

    def token(self, now: float) -> str:
        """Return an access token, always signed with the connector's secret.

        Args:
            now: Unix seconds; within one second the token is the same.
        """
        second = int(now)
        issued_at, token = self._token
        if issued_at != second:
            token = tokens.encode(self._claims(second), self._secret)
            self._token = (second, token)
        return token

    def _claims(self, second: int) -> dict[str, Any]:
        return tokens.build_claims(
            issuer=self._issuer,
            issued_at=second,
            subject_type=self.subject_type,
            user=self.user,
            account=self.account,
            # Only what differs from the default is written.
            create=None if self.create else False,
            active=True if self.active else None,
            scopes=self.scopes,
        )

    def _copy(self, **changes: Any) -> Scope:
        kept = {name: getattr(self, name) for name in _COPIED}
        return Scope(issuer=self._issuer, secret=self._secret, **{**kept, **changes})


def checked_scopes(scopes: Any) -> list[str] | None:
    """Check the ``scopes`` of a token.

    Args:
        scopes: A sequence of texts such as ``["admin"]``, or ``None``.

    Raises:
        InvalidArgumentError: It is anything else.
    """
    if scopes is None:
        return None
    valid = isinstance(scopes, Sequence) and not isinstance(scopes, str) and all(isinstance(s, str) for s in scopes)
    if not valid:
        raise InvalidArgumentError(f"scopes is {scopes!r}; pass a list of texts such as ['admin']")
    return list(scopes)
