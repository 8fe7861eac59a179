"""Extracts: how one is asked for, what a connector is told when its file is ready, and messages made from rows.

Rules: section "Extracts" of ``docs/protocol.md``. Files themselves are the matter of ``hull_sdk.wire.rows``.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NotRequired, TypedDict

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.rows import FORMATS

__all__ = [
    "OBJECT_TYPES",
    "PATHS",
    "TAGS",
    "ExtractNotice",
    "ExtractRequest",
    "RowReader",
    "extract_path",
    "is_notice",
    "kind_of",
    "read_notice",
]

#: What the rows of a file are; the platform writes the first two, files of others may say ``user`` and ``account``.
OBJECT_TYPES: Final[dict[str, EntityKind]] = {
    "user_report": "user",
    "account_report": "account",
    "user": "user",
    "account": "account",
}

#: Tags of a manifest that offer sending a segment to the connector, by kind, and the paths that then are called.
TAGS: Final[dict[EntityKind, str]] = {"user": "batch", "account": "batch-accounts"}
PATHS: Final[dict[EntityKind, str]] = {"user": "/batch", "account": "/batch-accounts"}

_SEGMENT_FIELDS: Final = ("id", "name", "type", "created_at", "updated_at")


class ExtractRequest(TypedDict):
    """The body of ``POST /extract/user_reports`` and ``/extract/account_reports``."""

    query: dict[str, Any]
    format: str
    url: str
    fields: list[str]
    gzip: NotRequired[bool]


class ExtractNotice(TypedDict):
    """What a connector is told when a file is ready."""

    url: str
    format: str
    object_type: str
    channel: str
    notification_id: str
    segments: list[dict[str, Any]]
    account_segments: list[dict[str, Any]]


def extract_path(kind: EntityKind) -> str:
    """Return the path that extracts of a kind are asked for at, for example ``"extract/user_reports"``."""
    return f"extract/{kind}_reports"


def kind_of(object_type: Any) -> EntityKind:
    """Return what the rows of a file are.

    Args:
        object_type: One of :data:`OBJECT_TYPES`; ``None`` means users.

    Raises:
        InvalidArgumentError: It is unknown.
    """
    if object_type is None:
        return "user"
    kind = OBJECT_TYPES.get(object_type) if isinstance(object_type, str) else None
    if kind is None:
        raise InvalidArgumentError(f"object_type is {object_type!r:.100}; use one of {', '.join(OBJECT_TYPES)}")
    return kind


def is_notice(body: Any) -> bool:
    """Tell whether a decoded body is meant to say that a file is ready: it has ``url`` and ``format``."""
    return isinstance(body, Mapping) and bool(body.get("url")) and bool(body.get("format"))


def read_notice(body: Mapping[str, Any]) -> tuple[str, str, EntityKind]:
    """Check what a connector is told.

    Args:
        body: One that :func:`is_notice` knows.

    Returns:
        The file's address, its format and the kind of its rows.

    Raises:
        InvalidArgumentError: A value breaks a rule.
    """
    url, file_format = body["url"], body["format"]
    if not isinstance(url, str):
        raise InvalidArgumentError(f"the extract's url is {type(url).__name__}; it must be text")
    if file_format not in FORMATS:
        raise InvalidArgumentError(f"the extract's format is {file_format!r:.100}; use one of {', '.join(FORMATS)}")
    return url, file_format, kind_of(body.get("object_type"))


@dataclass(frozen=True, slots=True, kw_only=True)
class RowReader:
    """Turns rows of a file into messages, as ``user:update`` and ``account:update`` have them.

    Args:
        kind: What the rows are.
        source_id: What makes the ids of the messages: the same file under the same id gives the same ones.
        users_segments: The segments of users that the connector knows.
        accounts_segments: Its segments of accounts.
        segment_id: A segment that everybody in the file is in, or ``None``.
    """

    kind: EntityKind
    source_id: str
    users_segments: Iterable[Mapping[str, Any]]
    accounts_segments: Iterable[Mapping[str, Any]]
    segment_id: str | None = None

    def message(self, index: int, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return the message of a row; its events and changes are empty, since files have none.

        Args:
            index: Its place in the file, from 0.
            row: A report; a user's may have an ``account``.
        """
        digest = hashlib.sha1(f"{self.source_id}\n{index}".encode(), usedforsecurity=False)
        own = _ids(row, self.segment_id)
        if self.kind == "account":
            found = _pick(self.accounts_segments, own)
            return {
                "message_id": digest.hexdigest(),
                "account": dict(row),
                "account_segments": found,
                "account_segment_ids": [segment["id"] for segment in found],
                "changes": {"is_new": False, "account": {}, "account_segments": {}},
            }
        account = row.get("account")
        account = dict(account) if isinstance(account, Mapping) else {}
        found, found_accounts = _pick(self.users_segments, own), _pick(self.accounts_segments, _ids(account))
        return {
            "message_id": digest.hexdigest(),
            "user": {name: value for name, value in row.items() if name != "account"},
            "account": account,
            "segments": found,
            "segment_ids": [segment["id"] for segment in found],
            "account_segments": found_accounts,
            "account_segment_ids": [segment["id"] for segment in found_accounts],
            "events": [],
            "changes": {"is_new": False, "user": {}, "account": {}, "segments": {}, "account_segments": {}},
        }


def _ids(report: Mapping[str, Any], also: str | None = None) -> set[str]:
    ids = report.get("segment_ids")
    found = {each for each in ids if isinstance(each, str)} if isinstance(ids, list) else set()
    return found if also is None else found | {also}


def _pick(segments: Iterable[Mapping[str, Any]], ids: set[str]) -> list[dict[str, Any]]:
    return [{key: each[key] for key in _SEGMENT_FIELDS if key in each} for each in segments if each.get("id") in ids]
