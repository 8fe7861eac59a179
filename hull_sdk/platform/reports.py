"""Reports: the flat documents that are segmented, indexed and sent, and how two of them differ.

Rules: section "Reports" of ``docs/protocol.md``. A report is built anew each time and never changed afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hull_sdk.core.clock import iso_seconds
from hull_sdk.platform.attributes import AttributeSchema, same_value
from hull_sdk.platform.sessions import session_fields
from hull_sdk.platform.store import Entity
from hull_sdk.wire.entities import EntityKind, report_key

__all__ = [
    "BOOKKEEPING_FIELDS",
    "WRITTEN_LAST",
    "EntityChange",
    "View",
    "build_report",
    "changed_names",
    "full_report",
    "with_fields",
]

#: Report fields that say when something changed; a difference in them alone is no change.
BOOKKEEPING_FIELDS: Final = frozenset({"indexed_at", "updated_at"})
#: Report fields that change without being among those that changed: they are written once segments were decided.
WRITTEN_LAST: Final = BOOKKEEPING_FIELDS | {"segment_ids"}


@dataclass(frozen=True, slots=True)
class View:
    """An entity as its notifications show it; plain values that are never changed.

    Args:
        report: Its flat report.
        account_report: The report of the account that a user is linked to, else ``{}``; ``{}`` for accounts.
        segment_ids: The segments it is in.
        account_segment_ids: The segments that the linked account is in; for an account, its own.
    """

    report: dict[str, Any]
    account_report: dict[str, Any] = field(default_factory=dict)
    segment_ids: tuple[str, ...] = ()
    account_segment_ids: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class EntityChange:
    """What one unit of work changed about one entity.

    Args:
        kind: ``"user"`` or ``"account"``.
        entity_id: Whose change it is.
        before: The view before, ``None`` for a new entity.
        after: The view after, ``None`` for an entity that is gone.
        events: New events, in the shape of the wire, in order.
        is_new: ``True`` for an entity that this unit of work created.
        absorbed: Ids of the entities that were merged into it.
        quiet: ``True`` when nobody is to be told, but what is still to be told must not be outdated.
        cause: Id of the message that did it, if any.
        deleted_at: Unix seconds of domain time at which it was deleted; ``None`` when it was not, also when it is gone
            because it was merged.
    """

    kind: EntityKind
    entity_id: str
    before: View | None
    after: View | None
    events: list[dict[str, Any]] = field(default_factory=list)
    is_new: bool = False
    absorbed: tuple[str, ...] = ()
    quiet: bool = False
    cause: str | None = None
    deleted_at: float | None = None


def build_report(entity: Entity, schema: AttributeSchema) -> dict[str, Any]:
    """Build the flat report of an entity.

    Args:
        entity: Whose report.
        schema: Knows the hidden attributes.

    Returns:
        For example ``{"id": ..., "email": "ann@acme.test", "segment_ids": [], "traits_plan": "pro", ...}``; an
        account's attributes stand without ``traits_``.
    """
    report: dict[str, Any] = {"id": entity.id, "external_id": entity.external_id}
    if entity.kind == "user":
        report["email"] = entity.handle
        report["domain"] = _domain_of(entity.handle)
    else:
        report["domain"] = entity.handle
    report["anonymous_ids"] = list(entity.anonymous_ids)
    report["segment_ids"] = list(entity.segment_ids)
    for name, moment in (("first_seen_at", entity.first_seen_at), ("last_seen_at", entity.last_seen_at)):
        if moment is not None:
            report[name] = iso_seconds(moment)
    report.update(entity.identities)
    report.update(session_fields(entity))
    hidden = schema.hidden
    for name, value in entity.attributes.items():
        if name not in hidden:
            report[report_key(entity.kind, name)] = value
    report["updated_at"] = iso_seconds(entity.updated_at)
    report["indexed_at"] = iso_seconds(entity.indexed_at)
    return report


def full_report(kind: EntityKind, view: View) -> dict[str, Any]:
    """Return a report as queries and the REST API see it and extracts hold it: a user's with its ``account``.

    Args:
        kind: ``"user"`` or ``"account"``.
        view: The entity as its notifications show it.
    """
    return {**view.report, "account": view.account_report} if kind == "user" else dict(view.report)


def with_fields(row: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    """Return some fields of a full report.

    Args:
        row: The report.
        fields: Their names, ``account.`` before those of a user's account; all when empty.
    """
    if not fields:
        return dict(row)
    found: dict[str, Any] = {}
    for name in fields:
        inner = name.removeprefix("account.")
        if inner == name:
            found[name] = row.get(name)
        elif row.get("account"):
            found.setdefault("account", {})[inner] = row["account"].get(inner)
    return found


def changed_names(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """Return the fields in which two reports differ, leaving :data:`WRITTEN_LAST` aside."""
    if before is after or not (before or after):
        return set()
    # Most values are the very same objects; a call for each of them would cost more than everything else here.
    found = {
        name
        for name, value in after.items()
        if (old := before.get(name)) is not value and name not in WRITTEN_LAST and not same_value(old, value)
    }
    found.update(name for name, old in before.items() if name not in after and old is not None)
    return found


def _domain_of(email: str | None) -> str | None:
    if email is None:
        return None
    return email.rpartition("@")[2] if "@" in email else None
