"""Previews: what claims would do, which identifier decides it, and what looks like a device that several people use.

Rules: section "Identity" of ``docs/protocol.md``. The plan itself is made by ``identity``; here it is put into words.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hull_sdk.platform.identity import EntityClaims, Resolution, resolve
from hull_sdk.platform.store import HANDLES, Entity, Table
from hull_sdk.wire.entities import CLAIM_NAMES

__all__ = ["preview_of"]


def preview_of(table: Table[Entity], claims: EntityClaims, *, create: bool = True) -> dict[str, Any]:
    """Return what claims would do and why, without doing it.

    Args:
        table: The entities of the claims' kind.
        claims: What ``identity.read_claims`` returned.
        create: ``False`` creates nobody.

    Returns:
        The plan as plain data, with ``matches`` (ids by the identifier that they have), ``why`` (sentences) and
        ``warnings`` (sentences).
    """
    plan, matches = resolve(table, claims, create=create), _matches(table, claims)
    return {
        **plan.to_wire(),
        "matches": {name: [entity.id for entity in found] for name, found in matches.items()},
        "why": list(_why(plan, matches)),
        "warnings": list(_warnings(table, claims, plan)),
    }


def _matches(table: Table[Entity], claims: EntityClaims) -> dict[str, list[Entity]]:
    """Return who has each claimed identifier, the strongest identifier first."""
    named = {
        "id": (claims.id, table.get(claims.id)),
        "external_id": (claims.external_id, table.holder("external_id", claims.external_id)),
        "anonymous_id": (claims.anonymous_id, table.holder("anonymous_id", claims.anonymous_id)),
    }
    found = {name: [] if entity is None else [entity] for name, (value, entity) in named.items() if value is not None}
    if claims.handle is not None:
        found[HANDLES[claims.kind]] = table.find("handle", claims.handle)
    return {name: found[name] for name in CLAIM_NAMES[claims.kind] if name in found}


def _why(plan: Resolution, matches: dict[str, list[Entity]]) -> Iterator[str]:
    if plan.reason is not None:
        yield plan.reason
        return
    if plan.entity_id is None:
        taken = any(matches.values())
        yield f"every {plan.kind} who matches has another external_id" if taken else f"no {plan.kind} matches"
    else:
        name = _names(matches, plan.entity_id)[0]
        several = f", which is on {len(matches[name])}" if len(matches[name]) > 1 else ""
        yield f"the {plan.kind} {plan.entity_id} is found by {name}{several}"
    if plan.external_id is not None and plan.entity_id is not None:
        yield f"nobody has the external_id {plan.external_id!r}, and the {plan.kind} found has none: it receives it"
    for merged in plan.merges:
        by = " and ".join(_names(matches, merged))
        yield f"the {plan.kind} {merged} matches by {by} and has no external_id: it is merged, for good"


def _names(matches: dict[str, list[Entity]], entity_id: str) -> list[str]:
    """Return the claimed identifiers that an entity has, the strongest first."""
    return [name for name, found in matches.items() if any(each.id == entity_id for each in found)]


def _warnings(table: Table[Entity], claims: EntityClaims, plan: Resolution) -> Iterator[str]:
    holder = table.holder("anonymous_id", claims.anonymous_id)
    if plan.kind != "user" or holder is None or not plan.usable:
        return
    recipient = None if plan.entity_id is None else table.get(plan.entity_id)
    signs = list(_signs(claims, holder, recipient))
    if not signs:
        return
    if plan.entity_id == holder.id:
        effect = "what is sent is written to that user"
    elif holder.id in plan.merges:
        effect = "that user is merged, which cannot be undone"
    else:
        effect = "the anonymous_id stays with that user"
    yield (
        f"the anonymous_id {claims.anonymous_id!r} is on the user {holder.id}, but {' and '.join(signs)}: this looks "
        f"like a device that several people use; {effect}"
    )


def _signs(claims: EntityClaims, holder: Entity, recipient: Entity | None) -> Iterator[str]:
    """Say what tells the holder of an anonymous_id from whom the claims are about."""
    external_id = claims.external_id or (None if recipient is None else recipient.external_id)
    if None not in {external_id, holder.external_id} and external_id != holder.external_id:
        yield f"the external_id is {external_id!r} and not {holder.external_id!r}"
    handles = {holder.handle, *holder.former_handles} - {None}
    handle = claims.handle or (None if recipient is None else recipient.handle)
    if handles and handle is not None and handle not in handles:
        yield f"the email is {handle!r} and not {holder.handle!r}"
