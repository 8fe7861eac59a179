"""From the CRM to Hull: contacts on a schedule as jobs, webhooks one by one, hits in batches."""

from __future__ import annotations

from collections import Counter
from typing import Any
from urllib.parse import urlencode

from hull_sdk import Context, current_context
from hull_sdk.types import RequestParts

__all__ = ["count_hits", "import_contacts", "receive", "save_contacts", "webhook_address"]

#: Contacts in one job.
JOB_SIZE = 50


def import_contacts(ctx: Context, _request: RequestParts) -> dict[str, int]:
    """Read all contacts and have jobs write them, so that the request ends soon."""
    pages = [ctx.submit(ctx.service.crm.call, "GET", f"/contacts?kind={kind}") for kind in ("person", "lead")]
    contacts = [contact for page in pages for contact in page.result()]
    for start in range(0, len(contacts), JOB_SIZE):
        ctx.enqueue("save-contacts", {"contacts": contacts[start : start + JOB_SIZE]}, delay_ms=100)
    ctx.helpers.update_settings({"last_sync": ctx.runtime.clock.time()})
    return {"contacts": len(contacts)}


def save_contacts(ctx: Context, payload: dict[str, Any]) -> None:
    """Write contacts; the job has succeeded once all of it was accepted."""
    for contact in payload["contacts"]:
        user = ctx.client.as_user({"email": contact["email"], "anonymous_id": f"crm:{contact['id']}"})
        user.traits({"name": contact["name"], "kitchen_sink/id": contact["id"]})
        if contact.get("company"):
            user.account({"domain": contact["company"]}).traits({"kitchen_sink/known": True})
    _count("contacts", len(payload["contacts"]))


def _count(what: str, number: int) -> None:
    # Code that is not handed a context finds it here.
    current_context.metric.increment(f"kitchen_sink.{what}", number)


async def receive(ctx: Context, request: RequestParts) -> dict[str, str]:
    """Take one webhook of the CRM: an event, two contacts that have become one, or one that has become two."""
    body = request["body"]
    user = ctx.client.as_user({"email": body["email"]})
    if body.get("merged_id"):
        user.alias({"anonymous_id": f"crm:{body['merged_id']}"})
        return {"status": "merged"}
    if body.get("split_id"):
        user.unalias({"anonymous_id": f"crm:{body['split_id']}"})
        return {"status": "split"}
    user.track(body["event"], body.get("properties", {}), {"source": "crm", "event_id": body.get("id")})
    return {"status": "tracked"}


def webhook_address(ctx: Context, _request: RequestParts) -> dict[str, str]:
    """Answer an address that works without the connector's secret."""
    query = urlencode({"token": ctx.token_for("webhook") or ""})
    return {"url": f"{ctx.ship['source_url'].rstrip('/')}/webhook?{query}"}


def count_hits(ctx: Context, messages: list[RequestParts]) -> None:
    """Take many small calls at once: one write for each person instead of one for each hit."""
    hits = Counter[str]()
    for message in messages:
        match message["body"]:
            case {"email": str(email)} if email:
                hits[email] += 1
            case _:  # one that is nobody's costs no other
                _count("hits_of_nobody", 1)
    for email, count in hits.items():
        ctx.client.as_user({"email": email}).traits({"kitchen_sink/hits": {"operation": "inc", "value": count}})
