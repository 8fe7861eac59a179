"""The attributes that reports have, as a list and as a tree to choose from.

Rules: sections "REST" and "Search" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.wire.entities import ROOT_ATTRIBUTES, SESSION_FIELDS, EntityKind, report_key

__all__ = ["Schema", "attribute_tree", "is_custom", "schema_list"]

#: Attributes by name: ``{"plan": {"type": "string", "hidden": False, "tracked": False}}``.
Schema = Mapping[str, Mapping[str, Any]]

#: What every report of a kind has, whatever was written: field and type.
_STANDARD: Final[dict[EntityKind, dict[str, str]]] = {
    "user": {
        "id": "string",
        "external_id": "string",
        "email": "string",
        "domain": "string",
        "anonymous_ids": "array",
        "segment_ids": "array",
        "first_seen_at": "date",
        "last_seen_at": "date",
        "updated_at": "date",
        "indexed_at": "date",
        "main_identity": "string",
        "has_password": "boolean",
        **{name: "date" if name.endswith("_at") else "string" for name in sorted(SESSION_FIELDS)},
    },
    "account": {
        "id": "string",
        "external_id": "string",
        "domain": "string",
        "anonymous_ids": "array",
        "segment_ids": "array",
        "updated_at": "date",
        "indexed_at": "date",
    },
}


def is_custom(kind: EntityKind, name: str) -> bool:
    """Tell whether an attribute is one of the organization's own, and not one that all reports know."""
    return report_key(kind, name) != name if kind == "user" else name not in ROOT_ATTRIBUTES


def schema_list(kind: EntityKind, schema: Schema) -> list[dict[str, Any]]:
    """Return the fields of a kind's reports as a list.

    Args:
        kind: ``"user"`` or ``"account"``.
        schema: The attributes by name.

    Returns:
        ``[{"key": "traits_plan", "type": "string", "configurable", "visible", "track_changes"}, ...]``.
    """
    fixed = {"configurable": False, "visible": True, "track_changes": False}
    standard = [{"key": key, "type": type_, **fixed} for key, type_ in _STANDARD[kind].items()]
    own = [
        {
            "key": report_key(kind, name),
            "type": entry["type"],
            "configurable": is_custom(kind, name),
            "visible": not entry["hidden"],
            "track_changes": entry["tracked"],
        }
        for name, entry in schema.items()
        if name not in _STANDARD[kind]
    ]
    return [*standard, *own]


def attribute_tree(kind: EntityKind, schemas: Mapping[EntityKind, Schema]) -> dict[str, Any]:
    """Return the attributes that a report of a kind has, in groups; hidden ones are left out.

    Args:
        kind: Whose report.
        schemas: The attributes of both kinds.

    Returns:
        ``{"version": "new", "tree": [{"text": "User", "children": [{"id", "text", "type"}]}, ...]}``; the leaves of a
        linked account start with ``account.``, and attributes with a slash stand in the group before it.
    """
    accounts = schemas["account"]
    if kind == "account":
        return {
            "version": "new",
            "tree": [_group("Account", _standard("account", "", accounts)), *_custom("account", "", accounts)],
        }
    account = [*_standard("account", "account.", accounts), *_custom("account", "account.", accounts)]
    tree = [
        _group("User", _standard("user", "", schemas["user"])),
        *_custom("user", "", schemas["user"]),
        _group("Account", account),
    ]
    return {"version": "new", "tree": tree}


def _standard(kind: EntityKind, prefix: str, schema: Schema) -> list[dict[str, Any]]:
    own = {name: entry["type"] for name, entry in schema.items() if not is_custom(kind, name) and not entry["hidden"]}
    return [_leaf(prefix + key, key, type_) for key, type_ in {**own, **_STANDARD[kind]}.items()]


def _custom(kind: EntityKind, prefix: str, schema: Schema) -> list[dict[str, Any]]:
    """Return the custom attributes: a group "Traits", then one for each prefix before a slash."""
    groups: dict[str, list[dict[str, Any]]] = {"Traits": []}
    for name, entry in schema.items():
        if entry["hidden"] or not is_custom(kind, name):
            continue
        group, slash, rest = name.partition("/")
        title, text = (group.replace("_", " ").capitalize(), rest) if slash else ("Traits", name)
        groups.setdefault(title, []).append(_leaf(prefix + report_key(kind, name), text, entry["type"]))
    return [_group(title, leaves) for title, leaves in groups.items() if leaves]


def _leaf(key: str, text: str, type_: str) -> dict[str, Any]:
    return {"id": key, "text": text, "type": type_}


def _group(text: str, children: list[dict[str, Any]]) -> dict[str, Any]:
    return {"text": text, "children": children}
