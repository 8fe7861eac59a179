"""Records of imports: what a line says, as a message and the claims of whom it is about.

Rules: section "Imports" of ``docs/protocol.md``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from hull_sdk.core import json
from hull_sdk.platform.messages import MessageError
from hull_sdk.wire.tokens import AS_CLAIMS, CLAIM_SUBJECT_TYPE

__all__ = ["DATA_SETS", "DataSet", "read_record"]

DataSet = Literal["users", "accounts", "events"]

DATA_SETS: Final[tuple[DataSet, ...]] = ("users", "accounts", "events")

_EMAIL: Final = re.compile(r"[^@\s]{1,200}@[^@\s.]{1,63}(?:\.[^@\s.]{1,63})+")

Ingestible = tuple[dict[str, Any], dict[str, Any]]


def read_record(data_set: DataSet, line: bytes | None, *, overwrite: bool, message_id: str) -> Ingestible:
    """Read a line.

    Args:
        data_set: What the file holds.
        line: One JSON object, for example ``{"userId": "123", "traits": {"email": "ann@acme.test"}}``; ``None`` for
            one that was too large to be read.
        overwrite: ``False`` leaves values that are there already.
        message_id: The id under which it is applied.

    Returns:
        The message and its claims.

    Raises:
        MessageError: The line breaks a rule; its code is one of ``hull_sdk.wire.firehose.REJECTION_CODES``.
    """
    if line is None:
        raise MessageError("TOO_LARGE", "the line is larger than a message may be; write less into one record")
    try:
        record = json.loads(line)
    except ValueError as err:
        raise MessageError("INVALID_MESSAGE", f"the line is no JSON: {err}") from err
    if not isinstance(record, dict):
        raise MessageError("INVALID_MESSAGE", f"the line is {type(record).__name__}; it must be a JSON object")
    message, claims = _READERS[data_set](record, overwrite)
    return {**message, "message_id": message_id}, claims


def _user(record: Mapping[str, Any], overwrite: bool) -> Ingestible:  # noqa: FBT001 - one shape for all readers
    _refuse_anonymous(record)
    traits = _object(record, "traits")
    user = _identifiers(external_id=record.get("userId"), email=_email(traits))
    if not user:
        raise MessageError("NO_IDENTIFIER", "the record has no userId and no valid e-mail in traits.email; add one")
    claims = {AS_CLAIMS["user"]: user, CLAIM_SUBJECT_TYPE: "user"}
    account = _identifiers(external_id=record.get("accountId"))
    if account:
        claims[AS_CLAIMS["account"]] = account
    return {"type": "traits", "body": _operations(traits, overwrite=overwrite)}, claims


def _account(record: Mapping[str, Any], overwrite: bool) -> Ingestible:  # noqa: FBT001 - one shape for all readers
    _refuse_anonymous(record)
    account = _identifiers(external_id=record.get("accountId"))
    if not account:
        raise MessageError("NO_IDENTIFIER", "the record has no accountId; add the account's external_id")
    body = _operations(_object(record, "traits"), overwrite=overwrite)
    return {"type": "traits", "body": body}, {AS_CLAIMS["account"]: account, CLAIM_SUBJECT_TYPE: "account"}


def _event(record: Mapping[str, Any], _overwrite: bool) -> Ingestible:  # noqa: FBT001 - one shape for all readers
    properties = _object(record, "properties")
    user = _identifiers(external_id=record.get("userId"), email=_email(properties))
    if not user:
        raise MessageError("NO_IDENTIFIER", "the event has no userId and no valid e-mail in properties.email; add one")
    user |= _identifiers(anonymous_id=record.get("anonymousId"))
    body = {
        "event": record.get("event"),
        "event_id": record.get("eventId"),
        "created_at": record.get("timestamp"),
        "properties": properties,
    }
    return {"type": "track", "body": body}, {AS_CLAIMS["user"]: user, CLAIM_SUBJECT_TYPE: "user"}


def _refuse_anonymous(record: Mapping[str, Any]) -> None:
    for name in ("anonymousId", "anonymous_id"):
        if record.get(name) is not None:
            raise MessageError("INVALID_MESSAGE", f"{name} cannot be imported here; send aliases to the firehose")


def _object(record: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = record.get(name)
    if value is not None and not isinstance(value, Mapping):
        raise MessageError("INVALID_MESSAGE", f"{name} is {value!r:.100}; it must be a JSON object")
    return {} if value is None else value


def _email(values: Mapping[str, Any]) -> str | None:
    value = values.get("email")
    if not isinstance(value, str):
        return None
    return value.strip() if _EMAIL.fullmatch(value.strip()) else None


def _identifiers(**found: Any) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None and value != ""}


def _operations(traits: Mapping[str, Any], *, overwrite: bool) -> dict[str, Any]:
    """Return the traits as a message has them; where nothing is overwritten a plain value becomes ``setIfNull``."""
    if overwrite:
        return dict(traits)
    return {
        name: value if isinstance(value, Mapping) and "operation" in value else _if_null(value)
        for name, value in traits.items()
    }


def _if_null(value: Any) -> dict[str, Any]:
    return {"operation": "setIfNull", "value": value}


_READERS: Final[dict[str, Callable[[Mapping[str, Any], bool], Ingestible]]] = {
    "users": _user,
    "accounts": _account,
    "events": _event,
}
