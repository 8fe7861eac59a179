"""Notifications: what is one, and which refusal says what is missing."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.errors import NotificationError
from hull_sdk.wire.notifications import (
    CHANNELS,
    ERROR_CODES,
    MAX_NOTIFICATION_BYTES,
    missing_signature_headers,
    parse_notification,
    too_large,
    unsupported_signature_version,
)

GOOD = {
    "notification_id": "n1",
    "configuration": {"id": "5a79", "organization": "acme.hullapp.io", "secret": "abc"},
    "channel": "user:update",
    "messages": [{"message_id": "m1"}],
}


def without(*path: str):
    """Return a notification without one of its parts."""
    value = json.loads(json.dumps(GOOD))
    inner = value
    for key in path[:-1]:
        inner = inner[key]
    del inner[path[-1]]
    return value


def test_a_notification_is_read_with_everything_in_it():
    """Known and unknown keys come out as they arrived."""
    value = {**GOOD, "later": [1]}
    assert parse_notification(json.dumps(value).encode()) == value


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"notification_id": 5}',
        b"\xff\xfe",
        b'{"notification_id": NaN}',
        b"[" * 100_000,
    ],
)
def test_other_bodies_are_no_notifications(body):
    """What is no JSON object with an id is refused as missing."""
    with pytest.raises(NotificationError) as caught:
        parse_notification(body)
    assert (caught.value.code, caught.value.status) == ("MISSING_NOTIFICATION", 400)


@pytest.mark.parametrize(
    ("value", "code"),
    [
        (without("notification_id"), "MISSING_NOTIFICATION"),
        (without("channel"), "MISSING_NOTIFICATION"),
        (without("messages"), "MISSING_NOTIFICATION"),
        ({**GOOD, "messages": {}}, "MISSING_NOTIFICATION"),
        ({**GOOD, "channel": None}, "MISSING_NOTIFICATION"),
        (without("configuration"), "MISSING_CONFIGURATION"),
        (without("configuration", "id"), "MISSING_CONFIGURATION"),
        (without("configuration", "organization"), "MISSING_CONFIGURATION"),
        (without("configuration", "secret"), "MISSING_CONFIGURATION"),
        ({**GOOD, "configuration": {"id": "", "organization": "a", "secret": "b"}}, "MISSING_CONFIGURATION"),
        ({**GOOD, "configuration": {"id": 5, "organization": "a", "secret": "b"}}, "MISSING_CONFIGURATION"),
        ({**GOOD, "configuration": ["id"]}, "MISSING_CONFIGURATION"),
    ],
)
def test_each_missing_part_has_its_refusal(value, code):
    """Id, channel, messages and the credentials must all be there."""
    with pytest.raises(NotificationError) as caught:
        parse_notification(json.dumps(value).encode())
    assert caught.value.code == code
    assert code in ERROR_CODES


def test_refusals_show_no_credentials():
    """The reason of a refusal never holds the secret of the configuration."""
    value = {**GOOD, "configuration": {"id": "", "organization": "a", "secret": "hunter2"}}
    with pytest.raises(NotificationError) as caught:
        parse_notification(json.dumps(value).encode())
    assert "hunter2" not in caught.value.reason


@given(st.binary(max_size=60))
def test_reading_any_bytes_gives_a_notification_or_a_refusal(body):
    """Whatever arrives, the only error is a refusal."""
    with contextlib.suppress(NotificationError):
        parse_notification(body)


def test_the_refusals_before_the_body_is_read():
    """Version, headers and size each have a code, a status and a reason with the facts."""
    version, headers, large = (
        unsupported_signature_version("v2"),
        missing_signature_headers(["X-A", "X-B"]),
        too_large(30_000_000),
    )
    assert (version.code, version.status) == ("UNSUPPORTED_SIGNATURE_VERSION", 400)
    assert "'v2'" in version.reason
    assert "None" in unsupported_signature_version(None).reason
    assert (headers.code, headers.reason) == ("MISSING_SIGNATURE_HEADERS", "missing headers: X-A, X-B")
    assert (large.code, large.status, large.size) == ("ENTITY_TOO_LARGE", 413, 1)
    assert str(MAX_NOTIFICATION_BYTES) in large.reason
    assert "30000000" in large.reason
    assert "without a stated size" in too_large(None).reason


def test_the_channels_of_users_accounts_and_segments_are_known():
    """Every entity has an update channel, every segment also one for its end."""
    assert {"user:update", "account:update", "ship:update"} <= set(CHANNELS)
    assert len(CHANNELS) == len(set(CHANNELS))
