"""Whose context it is: id, organization and secret of a connector."""

from __future__ import annotations

import functools
from typing import Final, Literal

from hull_sdk.core.masking import MASK
from hull_sdk.wire.jws import mac

__all__ = ["MISSING_CREDENTIALS", "Credentials", "TokenPurpose"]

#: What an encrypted token may be used for.
TokenPurpose = Literal["dashboard", "webhook", "oauth", "job"]

#: What a request without credentials is answered, with status 403.
MISSING_CREDENTIALS: Final = (
    "Missing credentials; pass an encrypted token (hullToken or token) in the query, "
    "or the set id (or ship), organization, secret"
)


class Credentials(dict[str, str]):
    """Id, organization and secret of a connector: a dict whose text form hides the secret.

    Args:
        id: Connector id, for example ``"5a7962e2793d3e942a03b29a"``.
        organization: Host, for example ``"acme.hullapp.io"``.
        secret: The connector's secret.
    """

    def __init__(self, *, id: str, organization: str, secret: str) -> None:  # noqa: A002 - the wire's name
        super().__init__(id=id, organization=organization, secret=secret)

    @property
    def id(self) -> str:
        """The connector's id."""
        return self["id"]

    @property
    def organization(self) -> str:
        """The organization's host."""
        return self["organization"]

    @property
    def secret(self) -> str:
        """The connector's secret."""
        return self["secret"]

    @property
    def namespace(self) -> str:
        """A name for what belongs to this connector; without the secret nobody can arrive at it."""
        return _namespace(self.secret, self.organization, self.id)

    def __repr__(self) -> str:
        return f"Credentials(id={self.get('id')!r}, organization={self.get('organization')!r}, secret={MASK!r})"

    __str__ = __repr__


@functools.lru_cache(maxsize=256)  # each request asks for it several times
def _namespace(secret: str, organization: str, connector_id: str) -> str:
    return mac(secret, f"{organization}\n{connector_id}".encode()).hex()
