"""Who a message is about: claims are read, and a plan is made; nothing is changed here.

Rules: section "Identity" of ``docs/protocol.md``. :func:`resolve` returns the plan as a value, so what would happen
can be shown without letting it happen; ``merging`` carries it out.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Literal, NamedTuple, TypeVar

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.settings import OrganizationSettings
from hull_sdk.platform.store import HANDLES, Entity, Table
from hull_sdk.wire.entities import CLAIM_NAMES, EntityKind, claims_of

__all__ = ["EntityClaims", "HandlePlan", "NoIdentifierError", "Resolution", "plan_handle", "read_claims", "resolve"]

_T = TypeVar("_T")


class NoIdentifierError(InvalidArgumentError):
    """Raised when claims hold no identifier that can be used; send at least one that is valid."""


class EntityClaims(NamedTuple):
    """The identifiers that a message claims, cleaned.

    Args:
        kind: ``"user"`` or ``"account"``.
        id: The platform's id.
        external_id: The company's id.
        handle: E-mail (users) or domain (accounts), in lower case.
        anonymous_id: A visitor's id or another service's id.
        notes: What was ignored, and why.
    """

    kind: EntityKind
    id: str | None = None
    external_id: str | None = None
    handle: str | None = None
    anonymous_id: str | None = None
    notes: tuple[str, ...] = ()


class Resolution(NamedTuple):
    """What claims lead to: a plan.

    Args:
        kind: ``"user"`` or ``"account"``.
        outcome: ``"found"``, ``"create"``, ``"ignored"`` (creating is off) or ``"failed"`` (an unknown id alone).
        entity_id: The recipient; ``None`` unless found.
        merges: Ids of the entities that merge into it, in this order.
        external_id: The external_id that it receives, or ``None``.
        handle: The e-mail or domain that it receives, or ``None``.
        anonymous_id: The anonymous_id that it receives, or ``None``.
        reason: Why it is ignored or failed.
        notes: What was left aside, and why.
    """

    kind: EntityKind
    outcome: Literal["found", "create", "ignored", "failed"]
    entity_id: str | None = None
    merges: tuple[str, ...] = ()
    external_id: str | None = None
    handle: str | None = None
    anonymous_id: str | None = None
    reason: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """``True`` when there is, or will be, an entity."""
        return self.outcome in {"found", "create"}

    def to_wire(self) -> dict[str, Any]:
        """Return the plan as plain data, for showing it."""
        return {
            "kind": self.kind,
            "outcome": self.outcome,
            "id": self.entity_id,
            "merges": list(self.merges),
            "attaches": {
                name: value
                for name, value in (
                    ("external_id", self.external_id),
                    (HANDLES[self.kind], self.handle),
                    ("anonymous_id", self.anonymous_id),
                )
                if value is not None
            },
            "reason": self.reason,
            "notes": list(self.notes),
        }


class HandlePlan(NamedTuple):
    """What writing an e-mail or a domain as an attribute leads to.

    Args:
        handle: The handle after the write; ``None`` when it is cleared.
        changes: ``False`` leaves the entity as it is.
        merges: Ids of the entities that merge into it.
        note: Why nothing is written, or ``None``.
    """

    handle: str | None = None
    changes: bool = False
    merges: tuple[str, ...] = ()
    note: str | None = None


def read_claims(kind: EntityKind, value: Any, settings: OrganizationSettings) -> EntityClaims:
    """Clean the identifiers that a token claims.

    Args:
        kind: ``"user"`` or ``"account"``.
        value: The token's claim, for example ``{"email": " Ann@Acme.test "}``.
        settings: Which external_ids and domains are believed.

    Returns:
        The usable identifiers, with notes about the others.

    Raises:
        NoIdentifierError: Nothing usable is left.
        InvalidArgumentError: An identifier is neither text nor a number.
    """
    try:
        found = claims_of(kind, value)
    except InvalidArgumentError as err:
        if not isinstance(value, json.OBJECT) or any(_has_text(value.get(name)) for name in CLAIM_NAMES[kind]):
            raise
        raise NoIdentifierError(
            f"the {kind} claims have no identifier; pass at least one of {', '.join(CLAIM_NAMES[kind])} with a value"
        ) from err
    handle = found.get(HANDLES[kind])
    handle = None if handle is None else handle.lower()
    external_id = found.get("external_id")
    notes = []
    problem = None if external_id is None else settings.external_id_problem(kind, external_id)
    if problem is not None:
        notes.append(f"{problem}; it is ignored")
        external_id = None
    problem = settings.domain_problem(handle) if kind == "account" and handle is not None else None
    if problem is not None:
        notes.append(f"{problem}; it is ignored")
        handle = None
    claims = EntityClaims(
        kind=kind,
        id=found.get("id"),
        external_id=external_id,
        handle=handle,
        anonymous_id=found.get("anonymous_id"),
        notes=tuple(notes),
    )
    if (claims.id, external_id, handle, claims.anonymous_id) == (None, None, None, None):
        raise NoIdentifierError(f"no usable {kind} identifier: {'; '.join(notes)}")
    return claims


def _has_text(value: Any) -> bool:
    return value is not None and (not isinstance(value, str) or bool(value.strip()))


def resolve(table: Table[Entity], claims: EntityClaims, *, create: bool = True) -> Resolution:
    """Plan what claims lead to.

    Args:
        table: The entities of the claims' kind.
        claims: What :func:`read_claims` returned.
        create: ``False`` creates nobody.

    Returns:
        The plan; nothing has changed.
    """
    return _Resolver(table, claims).plan(create=create)


class _Resolver:
    """One resolution: the matches of each claim, and what is noted on the way."""

    def __init__(self, table: Table[Entity], claims: EntityClaims) -> None:
        self.claims = claims
        self.kind: EntityKind = claims.kind
        self.by_id = table.get(claims.id)
        self.by_external_id = table.holder("external_id", claims.external_id)
        self.by_handle = [] if claims.handle is None else table.find("handle", claims.handle)
        self.by_anonymous_id = table.holder("anonymous_id", claims.anonymous_id)
        self.notes = list(claims.notes)

    def plan(self, *, create: bool) -> Resolution:
        claims = self.claims
        if claims.id is not None and self.by_id is None:
            reason = f"there is no {self.kind} with the id {claims.id!r}; it may have been merged"
            if (claims.external_id, claims.handle, claims.anonymous_id) == (None, None, None):
                return self._refuse("failed", reason)
            self.notes.append(f"{reason}; the id is ignored")
        primary = self._primary()
        if primary is None and not create:
            return self._refuse("ignored", f"no {self.kind} matches and create is off")
        merges = self._merges(primary)
        return Resolution(
            kind=self.kind,
            outcome="create" if primary is None else "found",
            entity_id=None if primary is None else primary.id,
            merges=tuple([entity.id for entity in merges]),
            external_id=self._external_id(primary),
            handle=self._handle(primary, merges),
            anonymous_id=self._anonymous_id(primary, merges),
            notes=tuple(self.notes),
        )

    def _refuse(self, outcome: Literal["ignored", "failed"], reason: str) -> Resolution:
        return Resolution(kind=self.kind, outcome=outcome, reason=reason, notes=tuple(self.notes))

    def _primary(self) -> Entity | None:
        if self.by_id is not None or self.by_external_id is not None:
            return self.by_id if self.by_id is not None else self.by_external_id
        if self.claims.external_id is not None:
            return _first(match for match in self._weak_matches() if match.mergeable)
        with_external_id = [match for match in self.by_handle if not match.mergeable]
        return _first([*with_external_id, *self._weak_matches()])

    def _weak_matches(self) -> list[Entity]:
        anonymous = [] if self.by_anonymous_id is None else [self.by_anonymous_id]
        return [*self.by_handle, *anonymous]

    def _merges(self, primary: Entity | None) -> list[Entity]:
        if self._contradicts():
            return []
        others = {match.id: match for match in self._weak_matches() if primary is None or match.id != primary.id}
        for other in others.values():
            if not other.mergeable:
                self.notes.append(
                    f"the {self.kind} {other.id} matches too and has the external_id {other.external_id!r}; "
                    "it stays as it is and keeps its identifiers"
                )
        # Without a primary every match is unmergeable: a mergeable one would have become the primary.
        return [other for other in others.values() if other.mergeable]

    def _contradicts(self) -> bool:
        by_id, by_external_id = self.by_id, self.by_external_id
        if by_id is None or by_external_id is None or by_id.id == by_external_id.id:
            return False
        self.notes.append(
            f"the id {by_id.id!r} and the external_id {by_external_id.external_id!r} are on different {self.kind}s; "
            "the id wins and nothing merges"
        )
        return True

    def _external_id(self, primary: Entity | None) -> str | None:
        claimed = self.claims.external_id
        if claimed is None or self.by_external_id is not None:
            return None
        if primary is None or primary.external_id is None:
            return claimed
        self.notes.append(
            f"the {self.kind} {primary.id} has the external_id {primary.external_id!r}; {claimed!r} is not taken"
        )
        return None

    def _handle(self, primary: Entity | None, merges: list[Entity]) -> str | None:
        claimed = self.claims.handle
        if claimed is None:
            return None
        group = merges if primary is None else [primary, *merges]
        handles = [entity.handle for entity in group if entity.handle is not None]
        if not handles:
            return claimed
        if claimed not in handles and not any(claimed in entity.former_handles for entity in group):
            self.notes.append(
                f"the {self.kind} has the {HANDLES[self.kind]} {handles[0]!r}; a claim does not replace it"
            )
        return None

    def _anonymous_id(self, primary: Entity | None, merges: list[Entity]) -> str | None:
        holder = self.by_anonymous_id
        if holder is None:
            return self.claims.anonymous_id
        if primary is None or (holder.id != primary.id and all(holder.id != entity.id for entity in merges)):
            self.notes.append(f"the anonymous_id {self.claims.anonymous_id!r} stays with the {self.kind} {holder.id}")
        return None


def plan_handle(table: Table[Entity], entity: Entity, handle: str | None) -> HandlePlan:
    """Plan what writing an e-mail or a domain as an attribute leads to.

    Args:
        table: The entities of the kind.
        entity: Who is written to.
        handle: The new e-mail or domain, cleaned; ``None`` clears it.

    Returns:
        The plan: it is taken when there is none yet, replaced when there is an external_id, else left alone.
    """
    if handle == entity.handle:
        return HandlePlan()
    if entity.handle is not None and entity.mergeable:
        return HandlePlan(note=f"it is {entity.handle!r}, and only a {entity.kind} with an external_id can change it")
    others = table.find("handle", handle) if handle is not None and entity.mergeable else []
    merges = tuple(other.id for other in others if other.id != entity.id and other.mergeable)
    return HandlePlan(handle=handle, changes=True, merges=merges)


def _first(items: Iterable[_T]) -> _T | None:
    return next(iter(items), None)
