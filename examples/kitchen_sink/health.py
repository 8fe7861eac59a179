"""Whether the connector works."""

from __future__ import annotations

from hull_sdk import Context
from hull_sdk.types import StatusAnswer
from kitchen_sink.settings import private_settings

__all__ = ["crm_answers", "has_credentials"]


def has_credentials(ctx: Context) -> StatusAnswer | None:
    """Ask for what is missing."""
    settings = private_settings(ctx)
    if not settings["client_id"] or not settings["oauth_tokens"]:
        return {"status": "setupRequired", "messages": ["Connect the CRM."]}
    return None


def crm_answers(ctx: Context) -> StatusAnswer | None:
    """Call the CRM; the errors of the call become the status."""
    if private_settings(ctx)["oauth_tokens"] and not ctx.service.crm.call("GET", "/fields"):
        return {"status": "warning", "messages": ["The CRM has no fields."]}
    return None
