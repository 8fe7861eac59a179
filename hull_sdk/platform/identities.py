"""Identities of users at other services, and whether they have a password.

Rules: section "REST" of ``docs/protocol.md``. They stand at the root of a report; the operator sets them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.attributes import AttributeType, cast

__all__ = ["changed_identities"]

_KEYS: Final = ("main_identity", "has_password", "identities")
_PROVIDER: Final = re.compile(r"[a-z][a-z0-9_]{0,49}")
#: What is known of an identity, and the type of each field.
_FIELDS: Final[dict[str, AttributeType]] = {"connected_at": "date", "id": "string", "username": "string"}
#: With these a field would be taken for another one of the report.
_TAKEN: Final = frozenset({"external", "first_session", "signup_session", "latest_session", "anonymous"})
#: What the custom attributes of a report begin with.
_ATTRIBUTES: Final = "traits_"


def changed_identities(current: Mapping[str, Any], body: Any) -> dict[str, Any]:
    """Return the report fields of identities after a change.

    Args:
        current: The fields now, for example ``{"main_identity": "github", "github_id": "42"}``.
        body: For example ``{"main_identity": "github", "has_password": True, "identities": {"github": {"id": "42",
            "username": "ann", "connected_at": "2024-01-05T10:00:00Z"}, "google": None}}``; ``None`` takes away.

    Raises:
        InvalidArgumentError: Something of it breaks a rule; nothing is changed.
    """
    if not isinstance(body, Mapping) or set(body) - set(_KEYS):
        raise InvalidArgumentError(f"identities are {body!r:.200}; send a JSON object with any of {', '.join(_KEYS)}")
    fields = dict(current)
    for provider, value in _providers(body.get("identities")).items():
        for name in _FIELDS:
            fields.pop(f"{provider}_{name}", None)
        fields.update(_identity(provider, value))
    if "has_password" in body:
        fields["has_password"] = _checked(body, "has_password", bool, "true, false or null")
    if "main_identity" in body:
        fields["main_identity"] = _checked(body, "main_identity", str, "the name of a provider, or null")
    return {name: value for name, value in sorted(fields.items()) if value is not None}


def _providers(value: Any) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(f"identities is {value!r:.200}; it must be a JSON object of providers")
    for name in value:
        if not _PROVIDER.fullmatch(name) or name in _TAKEN or f"{name}_".startswith(_ATTRIBUTES):
            raise InvalidArgumentError(f"the provider is {name!r:.100}; write lower case letters, such as 'github'")
    return value


def _identity(provider: str, value: Any) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not value.get("id") or set(value) - set(_FIELDS):
        raise InvalidArgumentError(
            f"the identity {provider!r} is {value!r:.200}; it needs an id, and may have {', '.join(_FIELDS)}"
        )
    found: dict[str, Any] = {}
    for name, kind in _FIELDS.items():
        item = cast(kind, value.get(name))
        if item is None and value.get(name) is not None:
            raise InvalidArgumentError(f"{name} of {provider!r} is {value[name]!r:.100}; it must be a {kind}")
        found[f"{provider}_{name}"] = item
    return found


def _checked(body: Mapping[str, Any], name: str, kind: type, wanted: str) -> Any:
    value = body[name]
    if value is not None and (not isinstance(value, kind) or value == ""):
        raise InvalidArgumentError(f"{name} is {value!r:.100}; it must be {wanted}")
    return value
