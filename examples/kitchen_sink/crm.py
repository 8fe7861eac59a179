"""The CRM: its addresses, its credentials, and calls to it."""

from __future__ import annotations

from functools import partial
from typing import Any

from hull_sdk import Context
from hull_sdk.handlers import fresh_tokens
from hull_sdk.service import ServiceSession, UrlTemplate
from kitchen_sink.settings import private_settings

__all__ = ["AUTHORIZE_URL", "TOKEN_URL", "Crm", "client_id", "client_secret", "open_crm"]

AUTHORIZE_URL = "https://login.crm.example/authorize"
TOKEN_URL = "https://login.crm.example/token"  # noqa: S105 - an address
BASE_URL = "https://api.crm.example/v1"

#: Seconds that the CRM's list of fields is remembered.
FIELDS_TTL_S = 600


class Crm:
    """Calls to the CRM on behalf of one connector; the context is the one and only argument."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._session = ServiceSession(BASE_URL, runtime=ctx.runtime, metric=ctx.metric)

    def call(self, method: str, path: str, **options: Any) -> Any:
        """Make a call with a fresh token and return the decoded answer."""
        tokens = fresh_tokens(self._ctx, token_url=TOKEN_URL, client_id=client_id, client_secret=client_secret)
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        return self._session.request(method, path, headers=headers, **options).json()

    def notes(self, contact_id: str) -> list[dict[str, Any]]:
        """Return what was noted about a contact; in metrics all contacts are one address."""
        found: list[dict[str, Any]] = self.call("GET", UrlTemplate("/contacts/{id}/notes", id=contact_id))
        return found

    def fields(self) -> list[str]:
        """Return the names of the fields that contacts have, from the cache if they are there."""
        found: list[str] = self._ctx.cache.wrap("fields", partial(self.call, "GET", "/fields"), FIELDS_TTL_S)
        return found


def open_crm(ctx: Context) -> None:
    """Put the CRM into the context; requests without credentials pass here too."""
    if ctx.config is not None:
        ctx.service.crm = Crm(ctx)


def client_id(ctx: Context) -> str:
    """Return what the CRM knows the connector by."""
    return private_settings(ctx)["client_id"] or ""


def client_secret(ctx: Context) -> str:
    """Return the secret that goes with it."""
    return private_settings(ctx)["client_secret"] or ""
