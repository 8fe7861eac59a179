"""Applying one message: who it is about, what it does to them, and in which state it ends.

Rules: sections "Ingestion" and "Identity" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Literal, NamedTuple

from hull_sdk.core.clock import parse_time
from hull_sdk.platform.attributes import plan_writes, same_value
from hull_sdk.platform.events import USER_CREATED, tracked_item
from hull_sdk.platform.identity import EntityClaims, Resolution, plan_handle, resolve
from hull_sdk.platform.merging import absorb, carry_out, link
from hull_sdk.platform.messages import Alias, ParsedMessage, Subject, Track, Traits
from hull_sdk.platform.sessions import with_session, with_signup
from hull_sdk.platform.store import HANDLES, Entity, StoredEvent
from hull_sdk.platform.unit import Unit
from hull_sdk.wire.attributes import Operation, cast
from hull_sdk.wire.entities import EntityKind

__all__ = ["ACTIVE_S", "Outcome", "Plan", "apply_message", "plan_subject"]

#: How long a user who is marked active is served first, in seconds.
ACTIVE_S: Final = 600.0


class Outcome(NamedTuple):
    """The state in which a message ends, and whom it was about."""

    state: Literal["applied", "ignored", "failed"]
    reason: str | None = None
    kind: EntityKind | None = None
    entity_id: str | None = None


class Plan(NamedTuple):
    """Whom a message is about, before anything is done.

    Args:
        user: What the user claims lead to, or ``None``.
        account: What the account claims lead to, or ``None``.
        refused: Why the message cannot be applied, or ``None``.
        notes: What was left aside, and why.
    """

    user: Resolution | None
    account: Resolution | None
    refused: Outcome | None = None
    notes: tuple[str, ...] = ()


def plan_subject(unit: Unit, subject: Subject, *, create: bool, written_at: float | None = None) -> Plan:
    """Plan whom a message is about: both entities are resolved before either is touched.

    Args:
        unit: Whose tables to read.
        subject: Whom the message names.
        create: ``False`` creates nobody.
        written_at: When the message was written, in Unix seconds; ``None`` when it does not say.
    """
    user = _resolve(unit, subject.user, create=create, written_at=written_at)
    account = _resolve(unit, subject.account, create=create, written_at=written_at)
    notes = list(subject.notes)
    main, other = (user, account) if subject.kind == "user" else (account, user)
    if main is None:
        return _plan_linked_account(unit, user, notes)
    if not main.usable:
        return Plan(user=user, account=account, refused=_refusal(main), notes=(*notes, *main.notes))
    if other is not None and not other.usable:
        notes.extend([*other.notes, f"{other.reason}; the {other.kind} is left out and nothing is linked"])
        other = None
    user, account = (main, other) if subject.kind == "user" else (other, main)
    return Plan(user=user, account=account, notes=tuple(notes))


def _resolve(unit: Unit, claims: EntityClaims | None, *, create: bool, written_at: float | None) -> Resolution | None:
    if claims is None:
        return None
    table = unit.table(claims.kind)
    resolution = resolve(table, claims, create=create)
    if not unit.deletions.outdates(claims, written_at, table.get(resolution.entity_id)):
        return resolution
    reason = f"the {claims.kind} was deleted after this message was written"
    return Resolution(kind=claims.kind, outcome="ignored", reason=reason, notes=claims.notes)


def _plan_linked_account(unit: Unit, user: Resolution | None, notes: list[str]) -> Plan:
    """Plan a message about "the account that the user is linked to"."""
    candidates = [] if user is None or user.entity_id is None else [user.entity_id, *user.merges]
    for user_id in candidates:
        account_id = unit.entity("user", user_id).account_id
        if account_id is not None:
            account = Resolution(kind="account", outcome="found", entity_id=account_id)
            return Plan(user=user, account=account, notes=tuple(notes))
    reason = "the message is about the user's account, and the user is linked to none"
    return Plan(user=user, account=None, refused=Outcome("ignored", reason, "account"), notes=tuple(notes))


def _refusal(resolution: Resolution) -> Outcome:
    state: Literal["ignored", "failed"] = "ignored" if resolution.outcome == "ignored" else "failed"
    return Outcome(state, resolution.reason, resolution.kind)


def apply_message(unit: Unit, message: ParsedMessage) -> Outcome:
    """Apply a message.

    Args:
        unit: Where to write; it is left untouched when the message is ignored or failed before its subject is found.
        message: What to apply.

    Returns:
        The state in which it ends.
    """
    subject, content = message.subject, message.content
    if isinstance(content, Track) and subject.kind == "account":
        return Outcome("failed", "accounts have no events", "account")
    create = subject.create and message.type != "unalias"
    # A date takes time to read, and matters only where somebody was deleted.
    written_at = message.written_at if unit.deletions else None
    plan = plan_subject(unit, subject, create=create, written_at=written_at)
    unit.notes.extend(plan.notes)
    if plan.refused is not None:
        return plan.refused
    if message.type == "unalias" and isinstance(content, Alias):
        refused = _missing_alias(unit, plan, subject.kind, content.anonymous_id)
        if refused is not None:
            return refused
    user = None if plan.user is None else carry_out(unit, plan.user)
    account = None if plan.account is None else carry_out(unit, plan.account)
    unit.subjects.update([(each.kind, each.id) for each in (user, account) if each is not None])
    if user is not None and account is not None:
        link(unit, user.id, account.id)
    if user is not None and plan.user is not None and plan.user.outcome == "create":
        unit.emit(user.id, USER_CREATED, _first_properties(user, message))
    if user is not None and subject.active:
        _mark_active(unit, user.id)
    entity = user if subject.kind == "user" else account
    if entity is None:
        raise RuntimeError("the plan has no subject")
    outcome = _APPLY[message.type](unit, unit.entity(entity.kind, entity.id), content, subject)
    if user is not None:
        _note_signup(unit, user.id)
    return outcome


def _note_signup(unit: Unit, user_id: str) -> None:
    user = unit.entity("user", user_id)
    signed_up = with_signup(user)
    if signed_up is not user:
        unit.store.users.put(signed_up)


def _first_properties(user: Entity, message: ParsedMessage) -> dict[str, Any]:
    captured: dict[str, Any] = {} if user.handle is None else {"email": user.handle}
    if isinstance(message.content, Traits) and message.subject.kind == "user":
        captured.update((name, op.value) for name, op in message.content.operations if op.value is not None)
    return {**captured, "created_at": user.attributes["created_at"]}


def _mark_active(unit: Unit, user_id: str) -> None:
    until = unit.now + ACTIVE_S
    user = unit.store.users.put(unit.entity("user", user_id).changed(active_until=until))
    unit.activated.append(("user", user_id))
    account = unit.store.accounts.get(user.account_id)
    if account is not None:
        unit.store.accounts.put(account.changed(active_until=until))
        unit.activated.append(("account", account.id))


def _apply_traits(unit: Unit, entity: Entity, content: Any, _subject: Subject) -> Outcome:
    unit.notes.extend(content.notes)
    name = HANDLES[entity.kind]
    others = []
    for key, operation in content.operations:
        if key == name:
            entity = _write_handle(unit, entity, operation)
        else:
            others.append((key, operation))
    schema = unit.schemas[entity.kind]
    plan = plan_writes(entity.attributes, others, schema, unit.settings)
    schema.learn(plan.types)
    unit.errors.extend(plan.errors)
    unit.notes.extend(plan.notes)
    if plan.changed:
        unit.table(entity.kind).put(entity.changed(attributes=plan.values))
    return Outcome("applied", None, entity.kind, entity.id)


def _write_handle(unit: Unit, entity: Entity, operation: Operation) -> Entity:
    name = HANDLES[entity.kind]
    if operation.name == "setIfNull" and entity.handle is not None:
        return entity
    text = None if operation.value is None else cast("string", operation.value)
    handle = None if text is None else text.strip().lower()
    problem = _handle_problem(unit, entity, operation, handle)
    plan = None if problem is not None else plan_handle(unit.table(entity.kind), entity, handle)
    if plan is not None:
        problem = plan.note
    if problem is not None:
        unit.notes.append(f"{name} is not written: {problem}")
    if plan is None or not plan.changes:
        return entity
    for absorbed_id in plan.merges:
        entity = absorb(unit, entity, absorbed_id)
    return unit.table(entity.kind).put(entity.changed(handle=plan.handle))


def _handle_problem(unit: Unit, entity: Entity, operation: Operation, handle: str | None) -> str | None:
    if operation.name in {"inc", "dec"}:
        return f"{operation.name} needs a number"
    if not handle and operation.value is not None:
        return f"{operation.value!r:.100} is no text that could be one"
    if entity.kind == "account" and handle is not None:
        return unit.settings.domain_problem(handle)
    return None


def _apply_track(unit: Unit, user: Entity, content: Any, subject: Subject) -> Outcome:
    event_id = unit.ids.uuid() if content.event_id is None else content.event_id
    anonymous_id = None if subject.user is None else subject.user.anonymous_id
    item = tracked_item(
        content,
        event_id=event_id,
        at=unit.now,
        anonymous_id=anonymous_id,
        source=unit.source,
        since=user.attributes.get("created_at"),
    )
    old = unit.store.events.get(event_id)
    if old is None or old.user_id != user.id or not same_value(old.item, item):
        event = unit.add_event(user.id, event_id, item, tracked=True)
        _mark_seen(unit, user, event)
    return Outcome("applied", None, "user", user.id)


def _mark_seen(unit: Unit, user: Entity, event: StoredEvent) -> None:
    moment = parse_time(event.item["created_at"])
    at = unit.now if moment is None else moment.timestamp()
    first = at if user.first_seen_at is None else min(at, user.first_seen_at)
    last = at if user.last_seen_at is None else max(at, user.last_seen_at)
    seen = with_session(user, event.item, at)
    if (first, last) != (user.first_seen_at, user.last_seen_at) or seen is not user:
        unit.store.users.put(seen.changed(first_seen_at=first, last_seen_at=last))


def _apply_alias(unit: Unit, entity: Entity, content: Any, _subject: Subject) -> Outcome:
    table = unit.table(entity.kind)
    holder = table.holder("anonymous_id", content.anonymous_id)
    if holder is None:
        table.put(entity.changed(anonymous_ids=(*entity.anonymous_ids, content.anonymous_id)))
    elif holder.id != entity.id and not holder.mergeable:
        reason = (
            f"the anonymous_id {content.anonymous_id!r} stays with the {entity.kind} {holder.id}, "
            f"which has the external_id {holder.external_id!r}"
        )
        return Outcome("ignored", reason, entity.kind, entity.id)
    elif holder.id != entity.id:
        absorb(unit, entity, holder.id)
    return Outcome("applied", None, entity.kind, entity.id)


def _missing_alias(unit: Unit, plan: Plan, kind: EntityKind, anonymous_id: str) -> Outcome | None:
    resolution = plan.user if kind == "user" else plan.account
    holder = unit.table(kind).holder("anonymous_id", anonymous_id)
    if resolution is not None and holder is not None and holder.id in {resolution.entity_id, *resolution.merges}:
        return None
    entity_id = None if resolution is None else resolution.entity_id
    return Outcome("ignored", f"the {kind} does not have the anonymous_id {anonymous_id!r}", kind, entity_id)


def _apply_unalias(unit: Unit, entity: Entity, content: Any, _subject: Subject) -> Outcome:
    kept = tuple(each for each in entity.anonymous_ids if each != content.anonymous_id)
    unit.table(entity.kind).put(entity.changed(anonymous_ids=kept))
    return Outcome("applied", None, entity.kind, entity.id)


_APPLY: Final[dict[str, Callable[[Unit, Entity, Any, Subject], Outcome]]] = {
    "traits": _apply_traits,
    "track": _apply_track,
    "alias": _apply_alias,
    "unalias": _apply_unalias,
}
