"""From a message of Hull to calls of Segment; pure functions.

Every call says ``integrations: {"Hull": false}``, so that it does not come back from a workspace in which Hull is a
destination, and has a ``messageId`` that is the same whenever the same is sent again: Segment keeps one of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

__all__ = ["Outcome", "calls_of"]

_LIBRARY: Final = {"name": "hull-sdk-python", "version": "1.0.0"}
_NOT_BACK: Final = {"Hull": False}
_EVERYBODY: Final = frozenset({"ALL", "all_segments"})
_OPT_IN_CALLS: Final = {"page": "browser", "screen": "mobile"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What one message means for Segment.

    Args:
        calls: What to send, in order.
        skipped: Why nothing is sent about the user, or ``None``.
        skipped_events: Names of events that are not sent, with the reason.
    """

    calls: tuple[dict[str, Any], ...] = ()
    skipped: str | None = None
    skipped_events: tuple[tuple[str, str], ...] = ()


def calls_of(message: Mapping[str, Any], settings: Mapping[str, Any], *, is_batch: bool = False) -> Outcome:
    """Return the calls that a message of ``user:update`` becomes.

    Args:
        message: User, account, segments, events and changes.
        settings: All settings of the connector, private ones included.
        is_batch: ``True`` when an operator sends users by hand: no filter counts, and everything is sent.
    """
    user = message["user"]
    ids = _ids(user, message, settings)
    if not ids:
        return Outcome(skipped=f"there is neither {settings['public_id_field']} nor an anonymous id")
    if not is_batch and not _is_chosen(message.get("segment_ids"), settings["synchronized_segments"]):
        return Outcome(skipped="the user is in none of the segments of the user filter")
    traits = _user_traits(message, settings)
    calls = []
    if is_batch or _is_user_news(message, settings):
        calls.append(
            _call("identify", ids, f"{message['message_id']}-identify", traits=traits, context=_quiet_context())
        )
    group = _group(message, settings, ids, is_batch=is_batch)
    events, skipped = _events(message, settings, ids, traits)
    return Outcome(calls=(*calls, *group, *events), skipped_events=tuple(skipped))


def _ids(user: Mapping[str, Any], message: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, str]:
    """Return ``userId`` and ``anonymousId``, those that there are."""
    user_id = user.get(settings["public_id_field"])
    of_events = [event.get("anonymous_id") for event in message.get("events") or ()]
    # Ids with a colon were made by connectors, the others by browsers.
    of_browsers = [each for each in user.get("anonymous_ids") or () if ":" not in str(each)]
    anonymous_id = next((each for each in (*of_events, *of_browsers) if each), None)
    found = {"userId": user_id, "anonymousId": anonymous_id}
    return {name: str(value) for name, value in found.items() if value}


def _group(
    message: Mapping[str, Any], settings: Mapping[str, Any], ids: Mapping[str, str], *, is_batch: bool
) -> list[dict[str, Any]]:
    account = message.get("account") or {}
    group_id = account.get(settings["public_account_id_field"])
    if not settings["handle_accounts"] or not group_id:
        return []
    if not is_batch and not _is_chosen(message.get("account_segment_ids"), settings["synchronized_account_segments"]):
        return []
    if not is_batch and not _is_account_news(message, settings):
        return []
    traits = {
        "hull_segments": _names(message.get("account_segments")),
        **_account_attributes(message, settings["synchronized_account_properties"], ""),
    }
    message_id = f"{message['message_id']}-group"
    return [_call("group", ids, message_id, groupId=str(group_id), traits=traits, context=_quiet_context())]


def _events(
    message: Mapping[str, Any], settings: Mapping[str, Any], ids: Mapping[str, str], traits: Mapping[str, Any]
) -> tuple[list[dict[str, Any]], list[tuple[str, str]]]:
    calls, skipped = [], []
    group_id = (message.get("account") or {}).get(settings["public_account_id_field"])
    for event in message.get("events") or ():
        reason = _reason_to_skip(event, settings)
        if reason is None:
            calls.append(_event(event, ids, traits, group_id))
        else:
            skipped.append((str(event.get("event")), reason))
    return calls, skipped


def _reason_to_skip(event: Mapping[str, Any], settings: Mapping[str, Any]) -> str | None:
    if event.get("event_source") == "segment" and not settings["forward_events"]:
        return "it came from Segment, and event forwarding is off"
    if settings["send_events"] and event.get("event") not in settings["send_events"]:
        return "it is not in the list of events"
    return None


def _event(
    event: Mapping[str, Any], ids: Mapping[str, str], traits: Mapping[str, Any], group_id: Any
) -> dict[str, Any]:
    name, properties = str(event["event"]), dict(event.get("properties") or {})
    sent = event.get("context") or {}
    page = dict(sent.get("page") or {})
    referrer = (sent.get("referrer") or {}).get("url")
    context = {
        "active": True,
        "ip": sent.get("ip") or "0",
        "userAgent": sent.get("useragent"),
        **{part: sent.get(part) for part in ("os", "device", "campaign", "location")},
        "page": {**page, **({"referrer": referrer} if referrer else {})},
        "groupId": None if group_id is None else str(group_id),
        "traits": traits,
        "library": _LIBRARY,
    }
    fields: dict[str, Any] = {
        "timestamp": event.get("created_at"),
        "properties": properties,
        "context": {key: value for key, value in context.items() if value not in (None, {})},
    }
    event_ids = {**ids, **({"anonymousId": str(event["anonymous_id"])} if event.get("anonymous_id") else {})}
    if name not in _OPT_IN_CALLS:
        return _call("track", event_ids, str(event["event_id"]), event=name, **fields)
    title = properties.get("name")
    named = {"name": title} if isinstance(title, str) else {}
    fields["properties"] = {**page, **properties}
    return _call(name, event_ids, str(event["event_id"]), **named, channel=_OPT_IN_CALLS[name], **fields)


def _call(kind: str, ids: Mapping[str, str], message_id: str, **fields: Any) -> dict[str, Any]:
    return {"type": kind, **ids, "messageId": message_id, "integrations": _NOT_BACK, **fields}


def _quiet_context() -> dict[str, Any]:
    """Return the context of a call that a server makes on nobody's behalf."""
    return {"active": False, "ip": "0", "library": _LIBRARY}


def _user_traits(message: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    user, changed = message["user"], _changes(message, "user")
    found: dict[str, Any] = {"hull_segments": _names(message.get("segments"))}
    for name in settings["synchronized_properties"]:
        if name.startswith("account."):
            found.update(_account_attributes(message, [name], "account_"))
            continue
        key = _key(user, changed, name)
        _add(found, name.removeprefix("traits_"), user.get(key), cleared=key in changed)
    return found


def _account_attributes(message: Mapping[str, Any], names: Iterable[str], prefix: str) -> dict[str, Any]:
    account, changed = message.get("account") or {}, _changes(message, "account")
    found: dict[str, Any] = {}
    for name in names:
        plain = name.removeprefix("account.")
        _add(found, f"{prefix}{plain}", account.get(plain), cleared=plain in changed)
    return found


def _add(found: dict[str, Any], name: str, value: Any, *, cleared: bool) -> None:
    """Add an attribute; one without a value is sent when it has just lost it."""
    if value is not None or cleared:
        found[name.replace("/", "_")] = value


def _key(user: Mapping[str, Any], changed: Mapping[str, Any], name: str) -> str:
    """Return an attribute's name in reports, where those of a user's own have a prefix."""
    return name if name in user or name in changed else f"traits_{name.removeprefix('traits_')}"


def _is_user_news(message: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    changes = message.get("changes") or {}
    changed = _changes(message, "user")
    names = settings["synchronized_properties"]
    return bool(
        changes.get("is_new")
        or changes.get("segments")
        or settings["public_id_field"] in changed
        or any(_key(message["user"], changed, name) in changed for name in names)
        or _is_selected_account_change(message, [name for name in names if name.startswith("account.")])
    )


def _is_account_news(message: Mapping[str, Any], settings: Mapping[str, Any]) -> bool:
    changes = message.get("changes") or {}
    # A user who is linked to another account sees a change of its identifiers.
    names = ["id", settings["public_account_id_field"], *settings["synchronized_account_properties"]]
    return bool(changes.get("account_segments") or _is_selected_account_change(message, names))


def _is_selected_account_change(message: Mapping[str, Any], names: Iterable[str]) -> bool:
    changed = _changes(message, "account")
    return any(name.removeprefix("account.") in changed for name in names)


def _is_chosen(segment_ids: Iterable[Any] | None, chosen: Iterable[str]) -> bool:
    wanted = set(chosen)
    return not wanted.isdisjoint(_EVERYBODY) or not wanted.isdisjoint(segment_ids or ())


def _changes(message: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = (message.get("changes") or {}).get(kind) or {}
    return found


def _names(segments: Iterable[Mapping[str, Any]] | None) -> list[Any]:
    return [segment["name"] for segment in segments or () if segment.get("name")]
