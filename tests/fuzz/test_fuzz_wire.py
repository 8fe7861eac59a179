"""Parsers of the wire: whatever comes, only the documented errors are raised, each with a reason."""

from __future__ import annotations

import base64
import gzip
import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sns_sender import certificate_of, envelope, pem_of
from spoiling import broken, encoded, fuzzed, only, spoiled

from hull_sdk.errors import CredentialsError, HullError, InvalidArgumentError, NotificationError, TransientError
from hull_sdk.wire import sns, tokens
from hull_sdk.wire.current_user import user_of_cookie
from hull_sdk.wire.extracts import RowReader, is_notice, read_notice
from hull_sdk.wire.firehose import parse_rejections
from hull_sdk.wire.flow_control import parse_answer
from hull_sdk.wire.manifest import check_settings, is_smart, load_manifest, schedules, setting_defaults, subscriptions
from hull_sdk.wire.notifications import organizations_named, parse_notification
from hull_sdk.wire.rows import plain_chunks, read_rows
from hull_sdk.wire.signatures import load_public_key, public_pem, verify_body

NOW = 1_704_448_800.0
SECRET = "c0nnector-s3cret"
NOTIFICATION = {
    "notification_id": "n-1",
    "configuration": {"id": "5a7962e2793d3e942a03b29a", "organization": "acme.hullapp.test", "secret": SECRET},
    "connector": {"id": "5a7962e2793d3e942a03b29a", "private_settings": {}},
    "channel": "user:update",
    "messages": [{"message_id": "m-1", "user": {"id": "u1", "email": "ann@acme.test"}, "changes": {"is_new": True}}],
    "segments": [{"id": "s1", "name": "Buyers"}],
}
MANIFEST = {
    "name": "Shop",
    "version": "1.0.0",
    "tags": ["smart-notifier", "batch"],
    "admin": "/auth",
    "private_settings": [
        {"name": "api_key", "title": "Key", "type": "string", "format": "password"},
        {"name": "segments", "type": "array", "format": "segment", "default": ["s1"]},
        {"name": "minutes", "type": "integer", "minimum": 1, "default": 60},
    ],
    "settings": [{"name": "mode", "type": "string", "enum": ["a", "b"], "default": "a"}],
    "settings_sections": [{"title": "Data", "properties": ["private_settings.minutes"]}],
    "subscriptions": [{"url": "/notify", "channels": [{"channel": "user:update"}, "account:update"]}],
    "schedules": [
        {"url": "/sync", "type": "cron", "value": "*/5 * * * *"},
        {"url": "/often", "type": "interval", "value_from": "private_settings.minutes", "value": "5"},
    ],
    "status": {"url": "/status", "type": "interval", "value": 5, "initial_value": "setupRequired"},
    "incoming": [{"url": "/webhook"}],
    "json": [{"name": "export", "title": "Export", "url": "/export", "format": "button"}],
}
SETTINGS = [
    {"private_settings": {"api_key": "k", "segments": ["s1"], "minutes": 5}, "settings": {"mode": "b"}},
    {"private_settings": {"minutes": None}, "settings": {}},
]
ANSWER = {
    "flow_control": {"type": "next", "size": 10, "in": 5, "at": "2024-01-05T10:00:00Z", "in_time": 3},
    "responses": [{"message_id": "m-1", "status": "retry", "reason": "later"}],
    "errors": [{"code": "X", "reason": "y"}],
}
ROWS = [
    {"id": "u1", "email": "ann@acme.test", "segment_ids": ["s1"], "account": {"id": "a1", "segment_ids": ["s2"]}},
    {"id": "u2", "name": 'Bob "the" Builder', "traits_a": [1, 2, {"b": None}], "account.domain": "acme.test"},
]
LINES = b"\n".join(json.dumps(row).encode() for row in ROWS)
ARRAY = json.dumps(ROWS).encode()
CSV = b'\xef\xbb\xbfid,email,segment_ids,account.domain\r\nu1,ann@acme.test,"[""s1""]","a,b"\r\nu2,,"",\r\n'
FILES = [LINES, ARRAY, CSV, gzip.compress(LINES, mtime=0), gzip.compress(CSV, mtime=0)]
CLAIMS = {
    "iss": "5a7962e2793d3e942a03b29a",
    "iat": int(NOW),
    "exp": int(NOW) + 60,
    "io.hull.asUser": {"email": "a@b.c"},
}


@fuzzed
@given(body=encoded([NOTIFICATION]))
def test_notifications(body):
    """A notification that can be read has all that the middleware looks at."""
    found = only(NotificationError, parse_notification, body)
    list(organizations_named(body))
    if found is not None:
        assert all(isinstance(value, str) for value in (found["notification_id"], found["channel"]))
        assert isinstance(found["configuration"]["organization"], str)
        assert isinstance(found["messages"], list)


@fuzzed
@given(body=encoded([envelope({"user": {"id": "u1"}}), envelope({"a": [1]}, "ship:update")]))
def test_envelopes_of_sns(body):
    """An envelope that can be read can be asked for what it holds, its id and what is signed."""
    message = only(NotificationError, sns.parse_message, body)
    if message is None:
        return
    only(NotificationError, sns.legacy_notification, message)
    only(NotificationError, sns.canonical_text, message)
    assert isinstance(sns.request_id(message, NOW), str)


@pytest.fixture(scope="module")
def certificate(signing_key):
    """The certificate of the signing key."""
    return certificate_of(signing_key)


@pytest.fixture(scope="module")
def envelope_signed(signing_key):
    """An envelope that the key signed."""
    return sns.sign_message(envelope({}, "ship:update"), signing_key)


@fuzzed
@given(data=st.data())
def test_certificates_signatures_and_keys(data, certificate, signing_key, envelope_signed):
    """What a stranger's server answers for a certificate or a key, and what a message says of its signature."""
    pem, key = pem_of(certificate), public_pem(signing_key).encode()
    only(NotificationError, sns.load_certificate, data.draw(broken([pem])))
    only(NotificationError, load_public_key, data.draw(broken([key, pem])))
    message = only(NotificationError, sns.parse_message, json.dumps(data.draw(spoiled([envelope_signed]))).encode())
    if message is not None:
        only(NotificationError, sns.verify_message, message, certificate, NOW)


def _parts(*values: Any) -> str:
    return ".".join(base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode() for value in values)


GOOD_TOKENS = [tokens.encode(CLAIMS, SECRET), tokens.encode({"iat": int(NOW)}, SECRET)]
_texts = st.one_of(
    broken([token.encode() for token in GOOD_TOKENS]).map(lambda data: data.decode("latin-1")),
    st.text(max_size=80),
    st.text(alphabet="ey.=-_Aa1", max_size=60),
    spoiled([[{"typ": "JWT", "alg": "HS256"}, CLAIMS]]).map(
        lambda parts: _parts(*(parts if isinstance(parts, list) else [parts])) + ".c2ln"
    ),
)


@fuzzed
@given(token=_texts)
def test_tokens(token):
    """Access tokens, of users and of the Node generation, are believed or refused."""
    only(CredentialsError, tokens.verify, token, SECRET, NOW)
    assert isinstance(tokens.issuer_of(token), str | None)
    assert isinstance(tokens.looks_like_token(token), bool)


@fuzzed
@given(claims=spoiled([CLAIMS]))
def test_tokens_that_are_signed(claims):
    """Whoever has the secret may still write nonsense into the claims."""
    if isinstance(claims, dict):
        found = only(CredentialsError, tokens.verify, tokens.encode(claims, SECRET), SECRET, NOW)
        assert found is None or isinstance(found, dict)


@fuzzed
@given(signature=_texts, body=st.binary(max_size=20))
def test_signatures_of_notifications(signature, body, signing_key):
    """The header of the signature is anybody's text."""
    only(NotificationError, verify_body, signature, signing_key.public_key(), body=body, now=NOW)


COOKIE = {"Hull-User-Id": "5a79", "Hull-User-Sig": f"{int(NOW)}.0123456789abcdef"}


@fuzzed
@given(
    cookie=st.one_of(
        encoded([COOKIE]).map(lambda data: base64.b64encode(data).decode()),
        broken([base64.b64encode(json.dumps(COOKIE).encode())]).map(lambda data: data.decode("latin-1")),
        st.text(max_size=60),
    )
)
def test_signed_cookies(cookie):
    """A cookie that nobody signed names no user."""
    assert only(CredentialsError, user_of_cookie, cookie, SECRET, NOW) is None


@fuzzed
@given(data=broken(FILES), file_format=st.sampled_from(["json", "csv"]), step=st.integers(1, 64))
def test_rows_of_extracts(data, file_format, step):
    """Files of rows, as JSON lines, an array or CSV, with and without gzip, cut anywhere on their way."""
    chunks = [data[at : at + step] for at in range(0, len(data), step)]
    reader = RowReader(kind="user", source_id="f", users_segments=[{"id": "s1"}], accounts_segments=[], segment_id="s9")

    def read() -> None:
        for index, row in enumerate(read_rows(plain_chunks(chunks), file_format, max_row_bytes=4096)):
            assert isinstance(row, dict)
            reader.message(index, row)

    only((InvalidArgumentError, TransientError), read)


@fuzzed
@given(row=spoiled(ROWS), kind=st.sampled_from(["user", "account"]))
def test_messages_of_rows(row, kind):
    """A row is any object; the message about it has the usual shape."""
    if isinstance(row, dict):
        segments = [{"id": "s1", "name": "A"}]
        reader = RowReader(kind=kind, source_id="f", users_segments=segments, accounts_segments=segments)
        assert reader.message(0, row)["message_id"]


NOTICE = {"url": "https://files.acme.test/f.json", "format": "csv", "object_type": "user_report", "segments": []}


@fuzzed
@given(body=spoiled([NOTICE]))
def test_notices_of_extracts(body):
    """What tells a connector of a file may come from anybody with credentials."""
    if is_notice(body):
        only(InvalidArgumentError, read_notice, body)


@fuzzed
@example(value={**MANIFEST, "status": {"url": "/s", "type": "interval", "value": 10**400}}, settings=None)
@given(value=spoiled([MANIFEST]), settings=spoiled(SETTINGS))
def test_manifests_and_settings(value, settings):
    """A manifest that is accepted can be asked for everything, also under settings that do not fit it."""
    manifest = only(InvalidArgumentError, load_manifest, value)
    if manifest is None:
        return
    subscriptions(manifest)
    is_smart(manifest)
    schedules(manifest)
    for key in ("settings", "private_settings"):
        setting_defaults(manifest, key)
        given_values = settings.get(key) if isinstance(settings, dict) else None
        if isinstance(given_values, dict):
            only(InvalidArgumentError, check_settings, manifest, key, given_values)
            schedules(manifest, {key: given_values})


@fuzzed
@given(body=spoiled([ANSWER]))
def test_answers_of_connectors(body):
    """The platform understands an answer or takes it for none; a pause that it understood can be waited."""
    answer = parse_answer(body)
    if answer.flow_control is not None:
        assert answer.flow_control.delay_s(NOW) >= 0.0
        json.dumps(answer.flow_control.to_wire())


@fuzzed
@given(body=spoiled([{"accepted": 1, "rejected": [{"index": 0, "message_id": "m", "code": "X", "reason": "y"}]}]))
def test_answers_of_the_firehose(body):
    """The client understands refusals or takes the batch for accepted."""
    assert all(isinstance(each.index, int) for each in parse_rejections(body))


def test_the_errors_of_parsers_are_the_packages():
    """All documented errors have one root, so that callers can catch them."""
    assert all(issubclass(each, HullError) for each in (NotificationError, InvalidArgumentError, CredentialsError))
