"""Attributes as a list and as a tree, for those who choose one.

Rules: section "REST" of ``docs/protocol.md``. The tree is thin: one group for users, one for accounts, no sub-groups.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hull_sdk.wire.entities import EntityKind, report_key

__all__ = ["Schema", "attribute_tree", "schema_list"]

#: Attributes by name: ``{"plan": {"type": "string", "hidden": False}}``.
Schema = Mapping[str, Mapping[str, Any]]


def schema_list(kind: EntityKind, schema: Schema) -> list[dict[str, Any]]:
    """Return the attributes of a kind as a list.

    Args:
        kind: ``"user"`` or ``"account"``.
        schema: The attributes by name.

    Returns:
        ``[{"key": "traits_plan", "type": "string", "configurable", "visible", "track_changes"}, ...]``.
    """
    return [
        {
            "key": report_key(kind, name),
            "type": entry["type"],
            "configurable": report_key(kind, name) != name or kind == "account",
            "visible": not entry["hidden"],
            "track_changes": False,
        }
        for name, entry in schema.items()
    ]


def attribute_tree(kind: EntityKind, schemas: Mapping[EntityKind, Schema]) -> dict[str, Any]:
    """Return the attributes that a report of a kind has.

    Args:
        kind: Whose report.
        schemas: The attributes of both kinds.

    Returns:
        ``{"version": "new", "tree": [{"text": "User", "children": [{"id", "text", "type"}]}, ...]}``; the leaves of a
        linked account start with ``account.``.
    """
    accounts = schemas["account"]
    if kind == "account":
        return {"version": "new", "tree": [_group("Account", "account", "", accounts)]}
    tree = [_group("User", "user", "", schemas["user"]), _group("Account", "account", "account.", accounts)]
    return {"version": "new", "tree": tree}


def _group(text: str, kind: EntityKind, prefix: str, schema: Schema) -> dict[str, Any]:
    leaves = [
        {"id": prefix + report_key(kind, name), "text": name, "type": entry["type"]}
        for name, entry in schema.items()
        if not entry["hidden"]
    ]
    return {"text": text, "children": leaves}
