"""The attribute schema of an organization, and what a ``traits`` body does to an entity's values.

Rules: section "Attributes" of ``docs/protocol.md``. Everything is planned before anything is written: a plan names
the values, the new types and what was refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, get_args

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.settings import OrganizationSettings
from hull_sdk.wire.attributes import AttributeType, Operation, apply_operation, detect_type, normalize_name
from hull_sdk.wire.entities import ROOT_ATTRIBUTES, EntityKind

__all__ = ["AttributeSchema", "WritePlan", "changed_values", "plan_writes", "same_value"]

#: Asking for these is quick, asking for a Mapping is not.
_SCALARS: Final = (str, int, float, type(None))
_TYPES: Final[tuple[AttributeType, ...]] = get_args(AttributeType)
#: Of the attributes that all organizations share, those that are no text, beside ``created_at``, which is always known.
_BOOLEANS: Final = frozenset({"accepts_marketing", "is_approved"})


class AttributeSchema:
    """The known attributes of one kind of entity; a type, once known, never changes.

    Args:
        kind: ``"user"`` or ``"account"``.
    """

    STATE: ClassVar[dict[str, Any]] = {"_types": dict[str, Any], "_hidden": set[str], "_tracked": set[str]}

    def __init__(self, kind: EntityKind) -> None:
        self.kind: EntityKind = kind
        self._types: dict[str, AttributeType] = {"created_at": "date"}
        self._hidden: set[str] = set()
        self._tracked: set[str] = set()
        self._fresh: list[str] = []
        self._hidden_before: set[str] | None = None

    def type_of(self, name: str) -> AttributeType | None:
        """Return the type of an attribute, or ``None`` when it is not known yet."""
        return self._types.get(name)

    def declare(self, name: str, kind: str) -> None:
        """Fix the type of an attribute before its first value.

        Args:
            name: Attribute name, for example ``"plan"``.
            kind: One of string, number, boolean, date, array, json.

        Raises:
            InvalidArgumentError: The type is unknown, or the attribute has another one.
        """
        name = normalize_name(name)
        wanted: AttributeType | None = next((each for each in _TYPES if each == kind), None)
        if wanted is None:
            raise InvalidArgumentError(f"unknown attribute type {kind!r} of {name!r}; use one of {', '.join(_TYPES)}")
        known = self._types.setdefault(name, wanted)
        if known != wanted:
            raise InvalidArgumentError(
                f"the {self.kind} attribute {name!r} is a {known} and cannot become a {kind}; choose another name"
            )

    def learn(self, types: Mapping[str, AttributeType]) -> None:
        """Take over the types that a write plan found; taken back by :meth:`rollback`."""
        self._fresh.extend(name for name in types if name not in self._types)
        self._types.update(types)

    def commit(self) -> None:
        """Keep what was learned and hidden."""
        self._fresh.clear()
        self._hidden_before = None

    def rollback(self) -> None:
        """Forget what was learned and hidden since the last commit."""
        for name in self._fresh:
            del self._types[name]
        self._fresh.clear()
        if self._hidden_before is not None:
            self._hidden, self._hidden_before = self._hidden_before, None

    def hide(self, name: str, *, hidden: bool = True) -> None:
        """Leave an attribute out of reports, segments and notifications, or show it again; see :meth:`rollback`."""
        name = normalize_name(name)
        if self._hidden_before is None:
            self._hidden_before = set(self._hidden)
        (self._hidden.add if hidden else self._hidden.discard)(name)

    @property
    def hidden(self) -> AbstractSet[str]:
        """The attributes that are left out of reports."""
        return self._hidden

    def track(self, name: str, *, tracked: bool = True) -> None:
        """Have changes of an attribute made into events, or no more."""
        name = normalize_name(name)
        (self._tracked.add if tracked else self._tracked.discard)(name)

    @property
    def tracked(self) -> list[str]:
        """The attributes whose changes become events, by name; hidden ones are none of them."""
        return sorted(self._tracked - self._hidden)

    def to_wire(self) -> dict[str, dict[str, Any]]:
        """Return ``{name: {"type": ..., "hidden": ..., "tracked": ...}}``, sorted by name."""
        return {name: self._entry(name) for name in sorted(self._types)}

    def _entry(self, name: str) -> dict[str, Any]:
        return {"type": self._types[name], "hidden": name in self._hidden, "tracked": name in self._tracked}


@dataclass(slots=True)
class WritePlan:
    """What writing attributes leads to.

    Args:
        values: The entity's attributes afterwards, without nulls.
        types: Types that the write fixes.
        changed: ``True`` when a value differs from before.
        errors: What was refused, and why.
        notes: What was ignored, and why.
    """

    values: dict[str, Any]
    types: dict[str, AttributeType] = field(default_factory=dict)
    changed: bool = False
    errors: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def plan_writes(
    current: Mapping[str, Any],
    operations: Iterable[tuple[str, Operation]],
    schema: AttributeSchema,
    settings: OrganizationSettings,
) -> WritePlan:
    """Plan what operations do to an entity's attributes.

    Args:
        current: Its values now.
        operations: Normalized names and what to do, in order.
        schema: The organization's schema; it is not changed.
        settings: The limits.

    Returns:
        The plan; a refused attribute keeps its value and the others are written.
    """
    plan = WritePlan(dict(current))
    values = plan.values
    limited = settings.max_attributes is not None or settings.max_value_bytes is not None
    for name, operation in operations:
        if not settings.json_attributes and _holds_objects(operation.value):
            note = f"{name!r} has objects in its value; the setting json_attributes is off, so it is ignored"
            plan.notes.append(note)
            continue
        known = schema.type_of(name) or plan.types.get(name)
        kind = known or _first_type(schema.kind, name, operation.value)
        if kind is None:
            continue  # null on an attribute that nobody has written yet
        old = values.get(name)
        value = _apply(plan, name, old, operation, kind)
        refused = _limit_problem(values, name, value, settings) if limited else None
        if refused is not None:
            plan.errors.append(refused)
            continue
        if known is None:
            plan.types[name] = kind
        if same_value(old, value):
            continue
        plan.changed = True
        if value is None:
            del values[name]
        else:
            values[name] = value
    return plan


def _first_type(kind: EntityKind, name: str, value: Any) -> AttributeType | None:
    """Return the type that a first value fixes; what all organizations share has its own, whatever comes first."""
    if value is not None and (name == "name" or (kind == "user" and name in ROOT_ATTRIBUTES)):
        return "boolean" if name in _BOOLEANS else "string"
    return detect_type(name, value)


def _holds_objects(value: Any) -> bool:
    return isinstance(value, json.OBJECT) or (isinstance(value, list) and any(map(_holds_objects, value)))


def _apply(plan: WritePlan, name: str, old: Any, operation: Operation, kind: AttributeType) -> Any:
    value = apply_operation(old, operation, kind)
    if operation.name in {"inc", "dec"}:
        if kind != "number":
            plan.errors.append(f"{name!r} is a {kind}; {operation.name} needs a number and leaves it as it is")
        elif operation.value and same_value(old, value):
            plan.errors.append(f"{name!r} is at the end of the range of numbers; it stays {old!r:.50}")
    elif value is None and operation.value is not None:
        plan.notes.append(f"{name!r} is a {kind}; {operation.value!r} cannot become one and clears it")
    return value


def _limit_problem(values: Mapping[str, Any], name: str, value: Any, settings: OrganizationSettings) -> str | None:
    if value is None:
        return None
    most, bytes_limit = settings.max_attributes, settings.max_value_bytes
    if most is not None and name not in values and len(values) >= most:
        return f"{name!r} is refused: the entity has {len(values)} attributes, the limit is {most}"
    if bytes_limit is not None and (size := len(json.dumps(value))) > bytes_limit:
        return f"{name!r} is refused: its value has {size} bytes, the limit is {bytes_limit}"
    return None


def changed_values(names: Iterable[str], before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """Return the old and the new values of attributes that differ.

    Args:
        names: Which attributes.
        before: An entity's attributes before a change.
        after: The same after it.

    Returns:
        For example ``{"from/plan": "free", "to/plan": "pro"}``; ``None`` stands for no value.
    """
    changed = [name for name in names if not same_value(before.get(name), after.get(name))]
    sides = {"from": before, "to": after}
    return {f"{side}/{name}": values.get(name) for name in changed for side, values in sides.items()}


def same_value(left: Any, right: Any) -> bool:
    """Tell whether two JSON values are equal; unlike ``==``, ``True`` and ``1`` differ."""
    if left is right:
        return True
    if left != right:
        return False
    if isinstance(left, _SCALARS):
        return isinstance(left, bool) == isinstance(right, bool)
    if isinstance(left, list):
        return all(map(same_value, left, right))
    return not isinstance(left, Mapping) or all(same_value(left[key], right[key]) for key in left)
