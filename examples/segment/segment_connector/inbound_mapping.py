"""From a call of Segment to what is written to Hull; pure functions."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from hull_sdk.infra import parse_time

__all__ = ["CallError", "Skip", "UnsupportedError", "Write", "is_for_hull", "normalized", "writes"]

# Anybody's browser writes what these read: each letter is looked at a bounded number of times.
_EMAIL = re.compile(r"[^@\s]{1,200}@[^@\s.]{1,63}(?:\.[^@\s.]{1,63})+")
_UNDERSCORE = re.compile(r"(?<!_)_+([a-z0-9])")

#: Attributes with a name of their own in Hull, by their name in lower case without underscores.
_RENAMED: Final = {"firstname": "first_name", "lastname": "last_name", "createdat": "created_at"}
#: Characters that Hull leaves out of names, so that a name of nothing else is none.
_UNNAMED: Final = " \t\n.$"
#: Identifiers, which are claims and no attributes, and what this connector itself sends.
_DROPPED: Final = frozenset({"id", "external_id", "guest_id", "uniqToken", "visitToken", "hull_segments"})
#: Parts of Segment's context that are Hull's under another name or in another form, and names that Hull has for
#: something else. All other parts are passed on as they are.
_TRANSLATED: Final = frozenset(
    {"active", "event", "ip", "latitude", "longitude", "page", "properties", "referer", "referrer", "source", "type"}
    | {"url", "useragent", "userAgent"}
)
_TIMES: Final = ("timestamp", "receivedAt", "sentAt", "originalTimestamp")
#: The kinds of calls that are events, and the setting that has the optional ones stored.
_OPT_IN: Final = {"page": "handle_pages", "screen": "handle_screens"}


class CallError(ValueError):
    """A call that can never be taken, whoever repeats it."""


class UnsupportedError(CallError):
    """A call of a type that Segment's specification does not have."""


class Skip(Exception):  # noqa: N818 - nothing went wrong
    """A call that means nothing to this connector, and why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Write:
    """One message to Hull.

    Args:
        user: Identifiers of the user, or ``None``.
        account: Identifiers of the account, or ``None``; with ``user`` the two are linked.
        active: ``True`` for somebody who is there at the moment.
        traits: Attributes of the account if there is one, else of the user.
        event: Name of an event, instead of attributes.
        properties: Of the event.
        context: Of the event.
    """

    user: dict[str, str] | None = None
    account: dict[str, str] | None = None
    active: bool = False
    traits: dict[str, Any] = field(default_factory=dict)
    event: str | None = None
    properties: dict[str, Any] = field(default_factory=dict)
    context: dict[str, Any] = field(default_factory=dict)


def normalized(call: Any) -> dict[str, Any]:
    """Return a call with names in camel case: of its own fields, and of those of its context.

    Args:
        call: The decoded body, in camel or snake case.

    Raises:
        CallError: It is no object.
    """
    if not isinstance(call, Mapping):
        raise CallError(f"the body is {type(call).__name__}; send one call of Segment, a JSON object")
    fields = {_camel(name): value for name, value in call.items()}
    fields["context"] = {_camel(name): value for name, value in _mapping(fields.get("context")).items()}
    return fields


def is_for_hull(call: Mapping[str, Any]) -> bool:
    """Tell whether a call is meant for Hull: ``integrations`` may say that it is not, or came from there."""
    chosen = _mapping(call.get("integrations"))
    return chosen.get("Hull", chosen.get("All", chosen.get("all", True))) is not False


def writes(call: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Write]:
    """Return what a call writes to Hull.

    Args:
        call: What :func:`normalized` returned.
        settings: The connector's settings.

    Raises:
        Skip: Nothing, for the reason that it names.
        CallError: The call lacks what its type needs; its subclass ``UnsupportedError``: it has no known type.
    """
    kind = call.get("type")
    make = {"identify": _identify, "group": _group, "track": _event, "page": _event, "screen": _event}.get(str(kind))
    if kind == "alias":
        raise Skip("alias calls are acknowledged and not handled")
    if make is None:
        raise UnsupportedError(f"{kind!r:.100} is no type of call; send identify, group, track, page, screen or alias")
    if not is_for_hull(call):
        raise Skip("its integrations leave Hull out")
    return make(call, settings)


def _identify(call: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Write]:
    traits = _clean(_mapping(call.get("traits")))
    email = _address(traits.get("email"))
    if email is not None:
        traits["email"] = email
    # Without traits it still says that there is somebody, and whose browser it was.
    claims = _user_claims(call, settings, email)
    return [Write(user=claims, active=_is_active(call), traits=traits)]


def _group(call: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Write]:
    if not settings.get("handle_accounts"):
        raise Skip("groups are not handled as accounts")
    group_id = _identifier(call.get("groupId"))
    if group_id is None:
        raise Skip("it has no groupId")
    traits = _clean(_mapping(call.get("traits")))
    account = {"external_id": group_id}
    if isinstance(traits.get("domain"), str) and traits["domain"].strip():
        account["domain"] = traits["domain"].strip()
    try:
        user = _user_claims(call, settings)
    except Skip:
        user = None
    return [Write(user=user, account=account, active=_is_active(call), traits=traits)]


def _event(call: Mapping[str, Any], settings: Mapping[str, Any]) -> list[Write]:
    kind = str(call["type"])
    if kind in _OPT_IN and not settings.get(_OPT_IN[kind]):
        raise Skip(f"{kind} calls are not stored")
    name = kind if kind in _OPT_IN else call.get("event")
    if not isinstance(name, str) or not name.strip():
        raise CallError(f"the event of a track call is {name!r:.100}; send its name")
    properties = dict(_mapping(call.get("properties")))
    if kind in _OPT_IN and isinstance(call.get("name"), str):
        properties.setdefault("name", call["name"])
    claims = _user_claims(call, settings)
    active = kind in _OPT_IN or _is_active(call)
    context = _event_context(call, active=active)
    return [Write(user=claims, active=active, event=name, properties=properties, context=context)]


def _user_claims(call: Mapping[str, Any], settings: Mapping[str, Any], email: str | None = None) -> dict[str, str]:
    claims = {}
    ignored = settings.get("ignore_segment_userId")
    user_id = None if ignored else _identifier(call.get("userId"))
    anonymous_id = _identifier(call.get("anonymousId"))
    if user_id is not None:
        options = _mapping(_mapping(call.get("integrations")).get("Hull"))
        claims["id" if options.get("id") is True else "external_id"] = user_id
    if anonymous_id is not None:
        claims["anonymous_id"] = anonymous_id
    # An address alone names somebody only where user ids do not count.
    if not claims and not (ignored and email):
        raise Skip("it names nobody: there is neither a userId nor an anonymousId")
    return claims if email is None else {**claims, "email": email}


def _event_context(call: Mapping[str, Any], *, active: bool) -> dict[str, Any]:
    sent = call["context"]
    page = _mapping(sent.get("page"))
    location = _mapping(sent.get("location"))
    browser = _identifier(call.get("anonymousId")) or _identifier(call.get("userId"))
    # Hull refuses an event whose time it cannot read.
    at = next((call[name] for name in _TIMES if parse_time(call.get(name)) is not None), None)
    referrer = page.get("referrer") or _mapping(sent.get("referrer")).get("url")
    context = {
        **{name: value for name, value in sent.items() if name not in _TRANSLATED},
        "source": "segment",
        "event_id": _identifier(call.get("messageId")),
        "created_at": at,
        "_bid": browser,
        "_sid": f"{browser}-{day}" if (day := _day(at)) else None,
        "page": {name: value for name, value in page.items() if name != "referrer"} or None,
        "url": page.get("url"),
        "referer": referrer,
        "referrer": referrer,
        "useragent": sent.get("userAgent"),
        "ip": sent.get("ip") or "0",
        "latitude": location.get("latitude"),
        "longitude": location.get("longitude"),
        "active": active or None,
    }
    return {name: value for name, value in context.items() if value is not None}


def _clean(traits: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes under the names that Hull has for them, without identifiers, null and what has no name."""
    kept = {
        name: value
        for name, value in traits.items()
        if name.strip(_UNNAMED) and name not in _DROPPED and value is not None
    }
    return {_RENAMED.get(name.lower().replace("_", ""), name): _plain(value) for name, value in kept.items()}


def _plain(value: Any) -> Any:
    """Return a value as what it is: what looks like an operation of Hull's is none when a stranger sends it."""
    return {"operation": "set", "value": value} if isinstance(value, Mapping) and "operation" in value else value


def _is_active(call: Mapping[str, Any]) -> bool:
    return call["context"].get("active") is True


def _address(value: Any) -> str | None:
    """Return an e-mail address as Hull keeps it; what is none says nothing about who somebody is."""
    text = value.strip().lower() if isinstance(value, str) else ""
    return text if _EMAIL.fullmatch(text) else None


def _identifier(value: Any) -> str | None:
    """Return an identifier as text; numbers are taken, since some libraries send them."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None


def _day(at: Any) -> str | None:
    if not isinstance(at, str):
        return None
    try:
        return datetime.fromisoformat(at).date().isoformat()
    except ValueError:
        return None


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _camel(name: str) -> str:
    return _UNDERSCORE.sub(lambda found: found[1].upper(), name)
