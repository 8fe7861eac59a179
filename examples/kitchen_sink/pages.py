"""What a browser sees: the person who is signed in, and what the CRM has noted about her."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request

from hull_sdk import current_context
from hull_sdk.client import current_user_id

__all__ = ["pages"]

#: Seconds for which a sign-in counts.
SIGNED_IN_S = 3600

pages = Blueprint("pages", __name__)


@pages.get("/me")
def me() -> tuple[dict[str, Any], int]:
    """Return the notes about the user whom the platform's cookie names."""
    client = current_context.client
    user_id = current_user_id(client, request.cookies, max_age_s=SIGNED_IN_S)
    if user_id is None:
        return {"message": "nobody is signed in"}, 401
    report = client.as_user(user_id).get("me/user_report")
    contact_id = report.get("traits_kitchen_sink/id")
    notes = [] if contact_id is None else current_context.service.crm.notes(contact_id)
    return {"email": report["email"], "notes": notes}, 200
