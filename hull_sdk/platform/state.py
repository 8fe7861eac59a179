"""Everything that an organization holds, as plain data in an order that repeats."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from hull_sdk.core.clock import iso_millis
from hull_sdk.platform.store import HANDLES, Entity, Store, StoredEvent

__all__ = ["dump_store"]


def dump_store(store: Store) -> dict[str, Any]:
    """Return users, accounts and events, oldest first.

    Args:
        store: What to dump.

    Returns:
        ``{"users": [...], "accounts": [...], "events": [...]}``; equal stores give equal dumps.
    """
    return {
        "users": _entities(store.users),
        "accounts": _entities(store.accounts),
        "events": [_event(event) for event in store.events],
    }


def _entities(table: Iterable[Entity]) -> list[dict[str, Any]]:
    return [_entity(entity) for entity in table]


def _entity(entity: Entity) -> dict[str, Any]:
    return {
        "id": entity.id,
        "external_id": entity.external_id,
        HANDLES[entity.kind]: entity.handle,
        f"former_{HANDLES[entity.kind]}s": list(entity.former_handles),
        "anonymous_ids": list(entity.anonymous_ids),
        "attributes": dict(sorted(entity.attributes.items())),
        "first_seen_at": _moment(entity.first_seen_at),
        "last_seen_at": _moment(entity.last_seen_at),
        "sessions": {name: dict(session) for name, session in sorted(entity.sessions.items())},
        "identities": dict(entity.identities),
        "account_id": entity.account_id,
        "segment_ids": list(entity.segment_ids),
        "updated_at": iso_millis(entity.updated_at),
        "indexed_at": iso_millis(entity.indexed_at),
    }


def _event(event: StoredEvent) -> dict[str, Any]:
    return {**event.to_wire(), "tracked": event.tracked}


def _moment(moment: float | None) -> str | None:
    return None if moment is None else iso_millis(moment)
