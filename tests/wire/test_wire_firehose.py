"""Firehose messages: bodies, batches and answers."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.wire.firehose import (
    BATCH_BYTES,
    BATCH_MESSAGES,
    MAX_BODY_BYTES,
    MAX_MESSAGE_BYTES,
    MESSAGE_TYPES,
    REJECTION_CODES,
    Rejection,
    batch_body,
    parse_rejections,
    track_body,
)

NOW = 1_704_448_800.25


def test_an_event_of_a_server_call_has_no_address_of_a_visitor():
    """Without a context the body says so: no ip, url or referer, and the id that was made beforehand."""
    assert track_body("Ordered", {"total": 5}, {}, event_id="e1") == {
        "ip": None,
        "url": None,
        "referer": None,
        "event_id": "e1",
        "event": "Ordered",
        "properties": {"total": 5},
    }


def test_the_context_of_an_event_stands_beside_its_properties():
    """Context keys come along; an event id in the context counts instead of the one made."""
    body = track_body(
        "Ordered",
        {},
        {"source": "shop", "ip": "1.2.3.4", "event_id": "mine", "created_at": "2024-01-05"},
        event_id="e1",
    )
    assert (body["source"], body["ip"], body["event_id"], body["created_at"]) == (
        "shop",
        "1.2.3.4",
        "mine",
        "2024-01-05",
    )


def test_a_context_never_replaces_event_or_properties():
    """Keys of the context that are named like the event itself lose, and a null event id counts as absent."""
    body = track_body("Ordered", {"a": 1}, {"event": "x", "properties": {"b": 2}, "event_id": None}, event_id="e1")
    assert (body["event"], body["properties"], body["event_id"]) == ("Ordered", {"a": 1}, "e1")


def test_what_was_passed_is_not_kept_or_changed():
    """Properties and context are copied, so a later change does not reach the message."""
    properties, context = {"a": 1}, {"ip": "1.2.3.4"}
    body = track_body("Ordered", properties, context, event_id="e1")
    properties["a"] = 2
    assert body["properties"] == {"a": 1}
    assert context == {"ip": "1.2.3.4"}


@given(st.lists(st.dictionaries(st.text(), st.text()), max_size=5))
def test_a_batch_holds_its_messages_in_order_and_the_time_of_sending(messages):
    """Encoded messages are joined to one JSON object with the time of the sending, twice."""
    body = json.loads(batch_body([json.dumps(message).encode() for message in messages], NOW))
    assert body == {"batch": messages, "timestamp": "2024-01-05T10:00:00.250Z", "sentAt": "2024-01-05T10:00:00.250Z"}


def test_refused_messages_are_read_from_the_answer():
    """Index, id, code and reason of each refused message are read, and written again the same way."""
    entry = {"index": 1, "message_id": "m1", "code": "TOO_LARGE", "reason": "600 kB"}
    (rejection,) = parse_rejections({"accepted": 1, "rejected": [entry]})
    assert rejection == Rejection(1, "m1", "TOO_LARGE", "600 kB")
    assert rejection.to_wire() == entry


@pytest.mark.parametrize("body", [None, "ok", [], {}, {"rejected": None}, {"rejected": "all"}, {"rejected": []}])
def test_an_answer_without_refused_messages_accepts_all(body):
    """Whatever has no list of refused messages refuses none."""
    assert parse_rejections(body) == []


def test_entries_that_name_no_message_are_left_out():
    """An entry without a place in the batch cannot be matched, so it counts for nothing."""
    assert parse_rejections({"rejected": [None, {}, {"index": "1"}, {"index": True}, {"index": 0}]}) == [
        Rejection(0, None, "", "")
    ]


def test_the_limits_fit_into_each_other():
    """A full batch and the largest message both fit into what the platform reads."""
    assert MAX_MESSAGE_BYTES < BATCH_BYTES < MAX_BODY_BYTES
    assert BATCH_MESSAGES >= 1
    assert set(MESSAGE_TYPES) == {"traits", "track", "alias", "unalias"}
    assert sorted(REJECTION_CODES) == list(REJECTION_CODES)
