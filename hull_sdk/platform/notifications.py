"""What a notification says: messages built from what changed, frozen with their ids.

Rules: section "Notifications" of ``docs/protocol.md``. Pure functions; nothing here sends or keeps state. A change of a
list, such as ``anonymous_ids``, is told as one pair of lists, not entry by entry.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.clock import iso_seconds
from hull_sdk.platform.attributes import same_value
from hull_sdk.platform.reports import BOOKKEEPING_FIELDS, View
from hull_sdk.wire.entities import EntityKind

__all__ = [
    "Catalog",
    "changed_fields",
    "completed_message",
    "deletion_message",
    "entity_message",
    "notification_body",
    "object_message",
    "with_message_id",
]

#: Fields of a report that differ without anything having happened, or that are told elsewhere in the message.
_UNTOLD: Final = BOOKKEEPING_FIELDS | {"account", "segment_ids"}

_SEGMENT_FIELDS: Final = ("id", "name", "type", "created_at", "updated_at")

#: Where messages about users and accounts list segments.
_SEGMENT_LISTS: Final = {"user": ("segments", "account_segments"), "account": ("account_segments",)}

_NOBODY: Final = View({})


class Catalog:
    """The segments of an organization at one moment; made once, as long as none of them changes.

    Args:
        users: Segments of users, in their order.
        accounts: Segments of accounts, in their order.
    """

    def __init__(self, users: tuple[dict[str, Any], ...], accounts: tuple[dict[str, Any], ...]) -> None:
        kinds: dict[EntityKind, tuple[dict[str, Any], ...]] = {"user": users, "account": accounts}
        self._short: dict[EntityKind, dict[str, dict[str, Any]]] = {
            kind: {each["id"]: {name: each[name] for name in _SEGMENT_FIELDS if name in each} for each in segments}
            for kind, segments in kinds.items()
        }
        self._places = {kind: {each: place for place, each in enumerate(ids)} for kind, ids in self._short.items()}
        encoded = {kind: json.dumps(segments) for kind, segments in kinds.items()}
        #: The end of a notification's body, encoded once.
        self.body_end: bytes = b',"segments":%b,"users_segments":%b,"accounts_segments":%b}' % (
            encoded["user"],
            encoded["user"],
            encoded["account"],
        )

    def pick(self, kind: EntityKind, ids: Iterable[str]) -> list[dict[str, Any]]:
        """Return the short form of segments, in the catalog's order.

        Args:
            kind: Whose segments.
            ids: Their ids; one that does not exist any more is told by its id alone.
        """
        wanted, short, places = list(ids), self._short[kind], self._places[kind]
        if not wanted:  # as mostly; it is asked six times for a message
            return []
        known = sorted({each for each in wanted if each in short}, key=places.__getitem__)
        return [dict(short[each]) for each in known] + [{"id": each} for each in wanted if each not in short]

    def changes(self, kind: EntityKind, before: Iterable[str], after: Iterable[str]) -> dict[str, Any]:
        """Return ``entered`` and ``left``; a side without change is absent."""
        old, new = list(before), list(after)
        if old == new:
            return {}
        sides = {
            "entered": self.pick(kind, [each for each in new if each not in old]),
            "left": self.pick(kind, [each for each in old if each not in new]),
        }
        return {side: segments for side, segments in sides.items() if segments}


def changed_fields(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, list[Any]]:
    """Return ``{field: [old, new]}`` for every field of two reports that differs."""
    return {
        key: [old, new]
        for key in dict.fromkeys([*before, *after])
        if key not in _UNTOLD and not same_value(old := before.get(key), new := after.get(key))
    }


def entity_message(
    kind: EntityKind,
    baseline: View | None,
    present: View,
    *,
    events: list[dict[str, Any]],
    is_new: bool,
    catalog: Catalog,
) -> dict[str, Any] | None:
    """Build the message about one user or account, still without its id.

    Args:
        kind: ``"user"`` or ``"account"``.
        baseline: What the connector was told last; ``None`` when nothing.
        present: What it is now.
        events: What happened in between; users only.
        is_new: Whether the entity was created in between.
        catalog: The organization's segments.

    Returns:
        The message, or ``None`` when there is nothing to tell.
    """
    before = _NOBODY if baseline is None else baseline
    build = _user_content if kind == "user" else _account_content
    message = build(before, present, catalog)
    told = any(value for value in message["changes"].values())
    if not told and not events and not is_new:
        return None
    message["changes"] = {"is_new": is_new, **message["changes"]}
    if kind == "user":
        message["events"] = events
    return message


def deletion_message(kind: EntityKind, last: View, deleted_at: float, catalog: Catalog) -> dict[str, Any]:
    """Build the message about a user or account that was deleted, still without its id.

    Args:
        kind: ``"user"`` or ``"account"``.
        last: What it was before.
        deleted_at: Unix seconds of domain time.
        catalog: The organization's segments.
    """
    present = _present_user if kind == "user" else _present_account
    return {"deleted_at": iso_seconds(deleted_at), **present(last, catalog)}


def _present_user(view: View, catalog: Catalog) -> dict[str, Any]:
    user = {**view.report, "segment_ids": list(view.segment_ids)}
    user.pop("account", None)
    return {
        "user": user,
        "account": _account_report(view.account_report, view.account_segment_ids),
        "segments": catalog.pick("user", view.segment_ids),
        "segment_ids": list(view.segment_ids),
        "account_segments": catalog.pick("account", view.account_segment_ids),
        "account_segment_ids": list(view.account_segment_ids),
    }


def _present_account(view: View, catalog: Catalog) -> dict[str, Any]:
    return {
        "account": _account_report(view.report, view.segment_ids),
        "account_segments": catalog.pick("account", view.segment_ids),
        "account_segment_ids": list(view.segment_ids),
    }


def _user_content(before: View, after: View, catalog: Catalog) -> dict[str, Any]:
    return {
        **_present_user(after, catalog),
        "events": [],
        "changes": {
            "user": changed_fields(before.report, after.report),
            "account": changed_fields(before.account_report, after.account_report),
            "segments": catalog.changes("user", before.segment_ids, after.segment_ids),
            "account_segments": catalog.changes("account", before.account_segment_ids, after.account_segment_ids),
        },
    }


def _account_content(before: View, after: View, catalog: Catalog) -> dict[str, Any]:
    return {
        **_present_account(after, catalog),
        "changes": {
            "account": changed_fields(before.report, after.report),
            "account_segments": catalog.changes("account", before.segment_ids, after.segment_ids),
        },
    }


def _account_report(report: Mapping[str, Any], segment_ids: Iterable[str]) -> dict[str, Any]:
    return {**report, "segment_ids": list(segment_ids)} if report else {}


def object_message(value: Mapping[str, Any]) -> dict[str, Any]:
    """Return the message about a connector or a segment, or of a deletion, still without its id: the value itself."""
    return dict(value)


def completed_message(channel: str, message: Mapping[str, Any]) -> dict[str, Any]:
    """Add the parts that every message of a channel has to one that somebody worded, empty, and without its id.

    Args:
        channel: For example ``"user:update"``; messages of other channels than users' and accounts' stay as they are.
        message: For example ``{"user": {"email": "ann@acme.example"}}``.
    """
    kind, _, action = channel.partition(":")
    lists = _SEGMENT_LISTS.get(kind)
    if lists is None:
        return dict(message)
    segments = {name: message.get(name, []) for name in lists}
    ids = {f"{name[:-1]}_ids": [segment["id"] for segment in found] for name, found in segments.items()}
    whole = {"account": {}, **segments, **ids, **({"user": {}} if kind == "user" else {}), **message}
    if action == "delete":
        return whole
    changes = {"is_new": False, **({"user": {}, "segments": {}} if kind == "user" else {}), "account": {}}
    changes = {**changes, "account_segments": {}, **message.get("changes", {})}
    return {**({"events": []} if kind == "user" else {}), **whole, "changes": changes}


def with_message_id(content: dict[str, Any], notification_id: str) -> tuple[dict[str, Any], bytes]:
    """Give a message its id: 40 hexadecimal characters made from its content and the notification.

    Args:
        content: The message.
        notification_id: The notification that it is first part of.

    Returns:
        The message with its id, and the same in JSON, which is made once for the id and the body.
    """
    encoded = json.dumps(content)
    message_id = hashlib.sha1(encoded + notification_id.encode(), usedforsecurity=False).hexdigest()
    rest = b"," + encoded[1:] if content else b"}"
    return {"message_id": message_id, **content}, b'{"message_id":"%b"%b' % (message_id.encode(), rest)


def notification_body(
    *,
    notification_id: str,
    parent_id: str | None,
    configuration: Mapping[str, str],
    connector: Mapping[str, Any],
    channel: str,
    messages: Iterable[bytes],
    catalog: Catalog,
) -> bytes:
    """Encode a notification: the bytes that are signed and sent, the same on every try.

    Args:
        notification_id: Its id.
        parent_id: The notification that it is a part of, if any.
        configuration: The connector's ``id``, ``organization`` and ``secret``.
        connector: The connector object.
        channel: For example ``"user:update"``.
        messages: The messages with their ids, each in JSON.
        catalog: The organization's segments.
    """
    parent = {} if parent_id is None else {"parent_notification_id": parent_id}
    head = json.dumps(
        {
            "notification_id": notification_id,
            **parent,
            "configuration": configuration,
            "connector": connector,
            "channel": channel,
        }
    )
    return b'%b,"messages":[%b]%b' % (head.removesuffix(b"}"), b",".join(messages), catalog.body_end)
