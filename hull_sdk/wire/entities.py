"""Users and accounts as the wire knows them: identifiers, claims, and the names of report fields.

Rules: sections "Claims" and "Reports" of ``docs/protocol.md``.
"""

from __future__ import annotations

import functools
import math
from typing import Any, Final, Literal

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError

__all__ = [
    "CLAIM_NAMES",
    "DERIVED_FIELDS",
    "ROOT_ATTRIBUTES",
    "SESSION_FIELDS",
    "Claims",
    "EntityKind",
    "attribute_of",
    "claims_of",
    "report_key",
]

EntityKind = Literal["user", "account"]

#: Identifiers by name, for example ``{"email": "ann@acme.test"}``.
Claims = dict[str, str]

#: The identifiers of each kind, strongest first.
CLAIM_NAMES: Final[dict[EntityKind, tuple[str, ...]]] = {
    "user": ("id", "external_id", "email", "anonymous_id"),
    "account": ("id", "external_id", "domain", "anonymous_id"),
}

#: Attributes that stand at the root of a user report instead of under ``traits_``.
ROOT_ATTRIBUTES: Final = frozenset(
    {
        "accepts_marketing",
        "address_city",
        "address_country",
        "address_state",
        "contact_email",
        "created_at",
        "description",
        "email",
        "first_name",
        "is_approved",
        "last_name",
        "name",
        "phone",
        "picture",
        "sign_up_url",
    }
)

#: Report fields that tell of a user's sessions.
SESSION_FIELDS: Final = frozenset(
    f"{session}_session_{field}"
    for session in ("first", "signup", "latest")
    for field in ("id", "started_at", "platform_id", "initial_url", "initial_referrer")
)

#: Report fields that the platform derives; ``traits`` messages cannot write them.
DERIVED_FIELDS: Final[dict[EntityKind, frozenset[str]]] = {
    "user": frozenset(
        {
            "account",
            "anonymous_ids",
            "anonymous_id",
            "domain",
            "external_id",
            "first_seen_at",
            "has_password",
            "id",
            "indexed_at",
            "last_seen_at",
            "main_identity",
            "segment_ids",
            "updated_at",
            *SESSION_FIELDS,
        }
    ),
    "account": frozenset(
        {"anonymous_ids", "anonymous_id", "external_id", "id", "indexed_at", "segment_ids", "updated_at"}
    ),
}

_PREFIX: Final = "traits_"


def claims_of(kind: EntityKind, value: Any) -> Claims:
    """Pick the identifiers out of what a caller passed.

    Args:
        kind: ``"user"`` or ``"account"``.
        value: A Hull id, or a mapping such as a whole user; keys that are no identifiers and identifiers
            without a value are left out, numbers become text.

    Returns:
        At least one identifier, in order of strength, for example ``{"external_id": "42"}``.

    Raises:
        InvalidArgumentError: There is no identifier, or one is neither text nor a number.
    """
    names = CLAIM_NAMES[kind]
    if isinstance(value, str):
        value = {"id": value}
    if not isinstance(value, json.OBJECT):
        raise InvalidArgumentError(
            f"{value!r} is no {kind} claim; pass a {kind} id or a dict with at least one of {', '.join(names)}"
        )
    claims: Claims = {}
    for name in names:
        item = value.get(name)
        if item is None:
            continue
        text = item.strip() if type(item) is str else _identifier(item)
        if text is None:
            raise InvalidArgumentError(f"the {kind} claim {name} is {item!r}; an identifier is text or a number")
        if text:
            claims[name] = text
    if not claims:
        raise InvalidArgumentError(
            f"no {kind} identifier in {sorted(map(str, value))!r}; pass at least one of {', '.join(names)} with a value"
        )
    return claims


def _identifier(value: Any) -> str | None:
    if isinstance(value, float):
        # 42.0 and 42 are the same number, and so the same identifier.
        return (str(int(value)) if value.is_integer() else repr(value)) if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, (str, int)):
        return None
    return str(value).strip()


@functools.lru_cache(maxsize=4096)  # the same texts in all reports: quicker, and less memory for each
def report_key(kind: EntityKind, attribute: str) -> str:
    """Return the report field of an attribute.

    Args:
        kind: ``"user"`` or ``"account"``.
        attribute: Attribute name, for example ``"plan"`` or ``"salesforce/status"``.

    Returns:
        ``"traits_plan"`` for a user's custom attribute, the name itself otherwise.
    """
    if kind == "account" or attribute in ROOT_ATTRIBUTES or attribute in DERIVED_FIELDS["user"]:
        return attribute
    return _PREFIX + attribute


def attribute_of(kind: EntityKind, key: str) -> str:
    """Return the attribute behind a report field: the inverse of :func:`report_key`."""
    return key.removeprefix(_PREFIX) if kind == "user" else key
