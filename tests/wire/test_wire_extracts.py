"""Extracts: what a connector is told, and messages made from rows."""

from __future__ import annotations

import pytest

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.extracts import RowReader, extract_path, is_notice, kind_of, read_notice

SEGMENTS = [{"id": "s1", "name": "One", "type": "users_segment", "query": {}}, {"id": "s2", "name": "Two"}]
ACCOUNTS = [{"id": "a1", "name": "Key", "type": "accounts_segment"}]


def reader(kind="user", **options):
    """Return a reader that knows the segments above."""
    return RowReader(kind=kind, source_id="j", users_segments=SEGMENTS, accounts_segments=ACCOUNTS, **options)


@pytest.mark.parametrize(
    ("object_type", "kind"),
    [(None, "user"), ("user_report", "user"), ("user", "user"), ("account_report", "account"), ("account", "account")],
)
def test_all_types_of_objects_are_known(object_type, kind):
    """Reports and their short names are understood; without a type the rows are users."""
    assert kind_of(object_type) == kind
    assert read_notice({"url": "https://x", "format": "csv", "object_type": object_type}) == ("https://x", "csv", kind)
    assert extract_path(kind_of(object_type)) == f"extract/{kind}_reports"


@pytest.mark.parametrize("object_type", ["event", 5, ["user"]])
def test_another_type_is_refused(object_type):
    """The error lists the known types."""
    with pytest.raises(InvalidArgumentError, match="account_report"):
        kind_of(object_type)


@pytest.mark.parametrize("body", [None, [], "x", {}, {"url": "u"}, {"format": "json"}, {"url": "", "format": "json"}])
def test_a_body_without_url_and_format_tells_of_no_file(body):
    """Both are needed."""
    assert not is_notice(body)


def test_a_user_row_becomes_a_message():
    """The account stands beside the user, known segments are picked in short form, and segment_ids stay."""
    row = {"id": "u", "segment_ids": ["s2", "gone"], "account": {"id": "a", "segment_ids": ["a1"]}}
    message = reader(segment_id="s1").message(3, row)
    assert message["user"] == {"id": "u", "segment_ids": ["s2", "gone"]}
    assert message["account"] == {"id": "a", "segment_ids": ["a1"]}
    assert message["segments"] == [{"id": "s1", "name": "One", "type": "users_segment"}, {"id": "s2", "name": "Two"}]
    assert message["segment_ids"] == ["s1", "s2"]
    assert message["account_segments"] == ACCOUNTS
    assert message["events"] == []
    assert row["account"] == {"id": "a", "segment_ids": ["a1"]}


def test_an_account_row_becomes_a_message():
    """An account's message has no user and no events."""
    message = reader("account").message(0, {"id": "a", "segment_ids": ["a1"]})
    assert message["account_segments"] == ACCOUNTS
    assert "user" not in message
    assert "events" not in message


def test_ids_of_messages_repeat_with_the_job_and_the_place():
    """The same row of the same job has the same id, another one has another."""
    ids = [reader().message(index, {})["message_id"] for index in (0, 0, 1)]
    assert ids[0] == ids[1] != ids[2]
    assert reader().message(0, {"segment_ids": None, "account": None})["account"] == {}
