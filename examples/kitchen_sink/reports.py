"""Files of users and accounts: one that Hull brings to a handler, and one that is read row by row."""

from __future__ import annotations

from typing import Any

from hull_sdk import Context
from hull_sdk.helpers import handle_extract
from hull_sdk.types import RequestParts

__all__ = ["count_rows", "export"]


def export(ctx: Context, request: RequestParts) -> dict[str, Any]:
    """Have a segment, or everybody, sent to ``/batch``, or to the path that the request names."""
    body = request["body"]
    segment = next((each for each in ctx.users_segments if each["name"] == body.get("segment")), None)
    asked: dict[str, Any] = ctx.helpers.request_extract(
        segment=segment,
        path=body.get("path", "batch"),
        format="csv",
        fields=["id", "email", "name", "segment_ids"],
        additional_query={"reason": "export"},
    )
    return {"id": asked["id"]}


def count_rows(ctx: Context, request: RequestParts) -> dict[str, int]:
    """Read a file of one's own accord; used as a function here, as ``ctx.helpers.handle_extract`` elsewhere."""
    body, emails = request["body"], set[str]()
    rows = handle_extract(
        ctx, url=body["url"], format=body["format"], on_rows=lambda some: emails.update(row["email"] for row in some)
    )
    ctx.cache.set("rows", rows)
    return {"rows": rows, "emails": len(emails)}
