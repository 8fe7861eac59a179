"""Reading a firehose message: everything that can be wrong with it is found here, before anything is applied.

Rules: sections "Firehose" and "Claims" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, NamedTuple

from hull_sdk.core import json
from hull_sdk.core.clock import parse_time
from hull_sdk.errors import HullError, InvalidArgumentError
from hull_sdk.platform.checks import checked_moment
from hull_sdk.platform.event_contexts import Locator, event_context
from hull_sdk.platform.identity import EntityClaims, NoIdentifierError, read_claims
from hull_sdk.platform.settings import OrganizationSettings
from hull_sdk.platform.store import KINDS
from hull_sdk.wire.attributes import Operation, normalize_name, operation_of
from hull_sdk.wire.entities import DERIVED_FIELDS, EntityKind
from hull_sdk.wire.firehose import MESSAGE_TYPES
from hull_sdk.wire.tokens import AS_CLAIMS, CLAIM_ACTIVE, CLAIM_CREATE, CLAIM_SUBJECT_TYPE

__all__ = ["Alias", "MessageError", "ParsedMessage", "Subject", "Track", "Traits", "message_id_of", "parse_message"]


class MessageError(HullError):
    """Raised when a message cannot be applied as it stands; mend what the reason names and send it anew.

    Args:
        code: One of ``hull_sdk.wire.firehose.REJECTION_CODES``.
        reason: The value, the rule and the way out.

    ``claims`` are those of the message's token once that was verified, else empty.
    """

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.claims: Mapping[str, Any] = {}


class Traits(NamedTuple):
    """Attribute operations by normalized name, in order, and what was ignored."""

    operations: tuple[tuple[str, Operation], ...]
    notes: tuple[str, ...] = ()
    debug: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Track:
    """An event; ``event_id`` and ``created_at`` are ``None`` when the platform has to choose.

    ``context`` is what was sent, ``arranged`` the same in the fixed schema of contexts.
    """

    event: str
    event_id: str | None
    created_at: datetime | None
    properties: Mapping[str, Any]
    context: Mapping[str, Any]
    arranged: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Alias:
    """An anonymous_id to add to the subject, or to take from it."""

    anonymous_id: str


class Subject(NamedTuple):
    """Whom a message is about.

    Args:
        kind: Which of the two the body applies to.
        user: The user's claims, if any.
        account: The account's claims, if any.
        create: ``False`` creates nobody.
        active: ``True`` has the user served first for a while.
        notes: What was ignored, and why.
    """

    kind: EntityKind
    user: EntityClaims | None
    account: EntityClaims | None
    create: bool = True
    active: bool = False
    notes: tuple[str, ...] = ()


@dataclass(slots=True, kw_only=True)
class ParsedMessage:
    """A message that is well formed.

    Args:
        type: ``"traits"``, ``"track"``, ``"alias"`` or ``"unalias"``.
        message_id: Its id, or ``None`` when the sender gives none.
        subject: Whom it is about.
        content: What it says.
        request_id: The sender's request id, if any.
        timestamp: When its sender wrote it, by the sender's clock, as it came in.
        issued_at: When its token was issued, as it came in.
    """

    type: str
    message_id: str | None
    subject: Subject
    content: Traits | Track | Alias = field(repr=False)
    request_id: str | None = None
    timestamp: Any = None
    issued_at: Any = None

    @property
    def written_at(self) -> float | None:
        """Unix seconds at which its sender wrote it, by the sender's clock; ``None`` when it does not say."""
        moment = parse_time(self.timestamp)
        if moment is not None:
            return moment.timestamp()
        issued_at = self.issued_at
        if isinstance(issued_at, bool) or not isinstance(issued_at, (int, float)) or issued_at <= 0:
            return None
        return issued_at + _LAST_OF_SECOND_S


#: Tokens are dated in whole seconds: the message was written at the end of that second at the latest.
_LAST_OF_SECOND_S: Final = 0.999


def message_id_of(message: Any) -> str | None:
    """Return the id of a message that may be malformed."""
    value = message.get("message_id") if isinstance(message, json.OBJECT) else None
    return value if isinstance(value, str) and value else None


def parse_message(
    message: Any, claims: Mapping[str, Any], settings: OrganizationSettings, locator: Locator | None = None
) -> ParsedMessage:
    """Read a message and the claims of its token.

    Args:
        message: For example ``{"type": "traits", "body": {"plan": "pro"}, "message_id": "..."}``.
        claims: The claims of its token, already verified.
        settings: Which identifiers are believed.
        locator: Finds the location of an event, or ``None``.

    Returns:
        The message, cleaned.

    Raises:
        MessageError: It breaks a rule.
    """
    try:
        return _parsed(message, claims, settings, locator)
    except MessageError as err:
        err.claims = claims
        raise


def _parsed(
    message: Any, claims: Mapping[str, Any], settings: OrganizationSettings, locator: Locator | None
) -> ParsedMessage:
    if not isinstance(message, json.OBJECT):
        raise MessageError("INVALID_MESSAGE", f"the message is {message!r:.100}; it must be a JSON object")
    kind = message.get("type")
    if kind not in MESSAGE_TYPES:
        raise MessageError("UNKNOWN_TYPE", f"unknown message type {kind!r:.100}; use one of {', '.join(MESSAGE_TYPES)}")
    body = message.get("body")
    if not isinstance(body, json.OBJECT):
        raise MessageError("INVALID_MESSAGE", f"the body is {body!r:.100}; it must be a JSON object")
    message_id = message_id_of(message)
    if message_id is None and message.get("message_id") is not None:
        raise MessageError("INVALID_MESSAGE", f"the message_id is {message['message_id']!r:.100}; it must be text")
    subject = _read_subject(claims, body if kind == "track" else {}, settings)
    request_id = message.get("requestId")
    content = _read_track(body, locator) if kind == "track" else _PARSERS[kind](body, subject.kind)
    return ParsedMessage(
        type=kind,
        message_id=message_id,
        subject=subject,
        content=content,
        request_id=request_id if isinstance(request_id, str) else None,
        timestamp=message.get("timestamp"),
        issued_at=claims.get("iat"),
    )


def _read_subject(claims: Mapping[str, Any], body: Mapping[str, Any], settings: OrganizationSettings) -> Subject:
    given: dict[EntityKind, Any] = {"user": claims.get(AS_CLAIMS["user"]), "account": claims.get(AS_CLAIMS["account"])}
    kind = _subject_kind(claims, given)
    sub = claims.get("sub")
    if given[kind] is None and isinstance(sub, str) and sub:
        given[kind] = sub
    read: dict[EntityKind, EntityClaims | None] = {"user": None, "account": None}
    notes: list[str] = []
    for each, value in given.items():
        if value is None:
            continue
        try:
            read[each] = read_claims(each, value, settings)
        except NoIdentifierError as err:
            if each == kind:
                raise MessageError("NO_IDENTIFIER", str(err)) from err
            notes.append(f"{err}; the {each} is left out")
        except InvalidArgumentError as err:
            raise MessageError("INVALID_MESSAGE", str(err)) from err
    if read[kind] is None and (kind == "user" or read["user"] is None):
        raise MessageError("NO_IDENTIFIER", f"the token names no {kind}; add {AS_CLAIMS[kind]} with an identifier")
    return Subject(
        kind=kind,
        user=read["user"],
        account=read["account"],
        create=claims.get(CLAIM_CREATE) is not False,
        active=claims.get(CLAIM_ACTIVE) is True or body.get("active") is True,
        notes=tuple(notes),
    )


def _subject_kind(claims: Mapping[str, Any], given: Mapping[EntityKind, Any]) -> EntityKind:
    value = claims.get(CLAIM_SUBJECT_TYPE)
    if value is None:
        return "account" if given["user"] is None and given["account"] is not None else "user"
    text = value.lower() if isinstance(value, str) else value
    for kind in KINDS:
        if text == kind:
            return kind
    raise MessageError("INVALID_MESSAGE", f"{CLAIM_SUBJECT_TYPE} is {value!r:.100}; it must be 'user' or 'account'")


def _read_traits(body: Mapping[str, Any], kind: EntityKind) -> Traits:
    operations, notes, debug = [], [], []
    derived = DERIVED_FIELDS[kind]
    for key, value in body.items():
        written = str(key)
        name = normalize_name(written)
        if len(name) < len(written) and name != written.strip().lower():
            debug.append(f"'.' and '$' are left out of the attribute name {key!r}: it is {name!r}")
        if not name:
            notes.append(f"the attribute name {key!r} is empty without '.' and '$'; it is ignored")
        elif name in derived:
            notes.append(f"{name!r} is derived by the platform and cannot be written; it is ignored")
        else:
            try:
                operations.append((name, operation_of(value)))
            except InvalidArgumentError as err:
                raise MessageError("INVALID_MESSAGE", f"attribute {name!r}: {err}") from err
    return Traits(tuple(operations), tuple(notes), tuple(debug))


def _read_track(body: Mapping[str, Any], locator: Locator | None) -> Track:
    event = body.get("event")
    if not isinstance(event, str) or not event.strip():
        raise MessageError("INVALID_MESSAGE", f"the event name is {event!r:.100}; it must be text that is not empty")
    properties = body.get("properties")
    if properties is not None and not isinstance(properties, json.OBJECT):
        raise MessageError("INVALID_MESSAGE", f"the properties are {properties!r:.100}; they must be a JSON object")
    context = {key: value for key, value in body.items() if key not in _TRACK_KEYS}
    return Track(
        event=event.strip(),
        event_id=_text("event_id", body.get("event_id")),
        created_at=_moment(body.get("created_at")),
        properties={} if properties is None else properties,
        context=context,
        arranged=event_context(context, locator),
    )


_TRACK_KEYS: Final = frozenset({"event", "event_id", "created_at", "properties", "active"})


def _moment(value: Any) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        return checked_moment("created_at", value)
    except InvalidArgumentError as err:
        raise MessageError("INVALID_MESSAGE", err.message) from err


def _text(name: str, value: Any) -> str | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, (str, int, float)):
        raise MessageError("INVALID_MESSAGE", f"{name} is {value!r:.100}; it must be text")
    return str(value).strip() or None


def _read_alias(body: Mapping[str, Any], _kind: EntityKind) -> Alias:
    anonymous_id = _text("anonymous_id", body.get("anonymous_id"))
    if anonymous_id is None:
        raise MessageError("INVALID_MESSAGE", "the body has no anonymous_id; pass the id to add or to take away")
    return Alias(anonymous_id)


_PARSERS: Final[dict[str, Callable[[Mapping[str, Any], EntityKind], Traits | Alias]]] = {
    "traits": _read_traits,
    "alias": _read_alias,
    "unalias": _read_alias,
}
