"""Carrying out a resolution: creating, merging, attaching and linking entities.

Rules: section "Identity" of ``docs/protocol.md``. What to do was decided in ``identity``; here it is done.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from hull_sdk.core.clock import iso_seconds
from hull_sdk.platform.events import USER_MERGED
from hull_sdk.platform.identity import Resolution
from hull_sdk.platform.sessions import merged_sessions
from hull_sdk.platform.store import HANDLES, Entity
from hull_sdk.platform.unit import Unit

__all__ = ["absorb", "carry_out", "link"]


def carry_out(unit: Unit, resolution: Resolution) -> Entity:
    """Create or find the entity of a resolution, merge into it, and attach what it receives.

    Args:
        unit: Where to write.
        resolution: A usable plan, made on the unit's tables as they are now.

    Returns:
        The entity as it is afterwards.
    """
    unit.notes.extend(resolution.notes)
    if resolution.entity_id is None:
        return _create(unit, resolution)  # nobody merges into somebody new: whoever could would have been found
    entity = unit.entity(resolution.kind, resolution.entity_id)
    for absorbed_id in resolution.merges:
        entity = absorb(unit, entity, absorbed_id)
    return _attach(unit, entity, resolution)


def _create(unit: Unit, resolution: Resolution) -> Entity:
    return unit.table(resolution.kind).put(
        Entity(
            kind=resolution.kind,
            id=unit.ids.object_id(),
            sequence=unit.store.next_sequence(),
            external_id=resolution.external_id,
            handle=resolution.handle,
            anonymous_ids=() if resolution.anonymous_id is None else (resolution.anonymous_id,),
            attributes={"created_at": iso_seconds(unit.now)},
            updated_at=unit.now,
            indexed_at=unit.now,
        )
    )


def _attach(unit: Unit, entity: Entity, resolution: Resolution) -> Entity:
    found: dict[str, Any] = {}
    if resolution.external_id is not None:
        found["external_id"] = resolution.external_id
    if resolution.handle is not None:
        found["handle"] = resolution.handle
    if resolution.anonymous_id is not None:
        found["anonymous_ids"] = (*entity.anonymous_ids, resolution.anonymous_id)
    return unit.table(entity.kind).put(entity.changed(**found)) if found else entity


def absorb(unit: Unit, recipient: Entity, absorbed_id: str) -> Entity:
    """Merge an entity into another one for good.

    Args:
        unit: Where to write.
        recipient: Who stays; keeps its own values.
        absorbed_id: Who goes.

    Returns:
        The recipient as it is afterwards.
    """
    kind, table = recipient.kind, unit.table(recipient.kind)
    absorbed = unit.entity(kind, absorbed_id)
    table.remove(absorbed_id)
    merged = table.put(_merged(recipient, absorbed))
    earlier = unit.absorbed.pop((kind, absorbed_id), [])
    unit.absorbed.setdefault((kind, recipient.id), []).extend([*earlier, absorbed_id])
    if kind == "user":
        _move_events(unit, absorbed_id, recipient.id)
        unit.emit(recipient.id, USER_MERGED, _absorbed_properties(absorbed))
    else:
        for user in unit.store.users.find("account_id", absorbed_id):
            unit.store.users.put(user.changed(account_id=recipient.id))
    return merged


def link(unit: Unit, user_id: str, account_id: str) -> None:
    """Link a user to an account; the last link wins."""
    user = unit.entity("user", user_id)
    if user.account_id != account_id:
        unit.store.users.put(user.changed(account_id=account_id))


def _merged(recipient: Entity, absorbed: Entity) -> Entity:
    handles = dict.fromkeys([*recipient.former_handles, absorbed.handle, *absorbed.former_handles])
    return recipient.changed(
        handle=absorbed.handle if recipient.handle is None else recipient.handle,
        former_handles=tuple(each for each in handles if each is not None),
        anonymous_ids=(*recipient.anonymous_ids, *absorbed.anonymous_ids),
        attributes={**absorbed.attributes, **recipient.attributes},
        account_id=absorbed.account_id if recipient.account_id is None else recipient.account_id,
        first_seen_at=min(_known(recipient.first_seen_at, absorbed.first_seen_at), default=None),
        last_seen_at=max(_known(recipient.last_seen_at, absorbed.last_seen_at), default=None),
        active_until=max(recipient.active_until, absorbed.active_until),
        sessions=merged_sessions(recipient, absorbed),
        identities={**absorbed.identities, **recipient.identities},
    )


def _known(*moments: float | None) -> list[float]:
    return [moment for moment in moments if moment is not None]


def _move_events(unit: Unit, from_id: str, to_id: str) -> None:
    for event in unit.store.events.find("user_id", from_id):
        unit.store.events.put(replace(event, user_id=to_id))
    news = unit.news.pop(from_id, [])
    if news:
        moved = [replace(event, user_id=to_id) for event in news]
        unit.news.setdefault(to_id, []).extend(moved)


def _absorbed_properties(absorbed: Entity) -> dict[str, Any]:
    identifiers: dict[str, Any] = {"id": absorbed.id}
    if absorbed.handle is not None:
        identifiers[HANDLES[absorbed.kind]] = absorbed.handle
    if absorbed.anonymous_ids:
        identifiers["anonymous_ids"] = list(absorbed.anonymous_ids)
    return {**absorbed.attributes, **identifiers}
