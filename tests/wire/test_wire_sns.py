"""Envelopes of SNS: what is signed, what verifies, and which addresses are believed."""

from __future__ import annotations

import base64
from datetime import UTC, datetime, timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st
from sns_sender import BEGIN, CERTIFICATE_URL, SUBSCRIBE_URL, TOPIC, certificate_of, envelope, pem_of

from hull_sdk.errors import NotificationError
from hull_sdk.wire.sns import (
    HANDLER_NAMES,
    canonical_text,
    handler_name,
    is_certificate_url,
    is_sns_host,
    legacy_notification,
    load_certificate,
    parse_message,
    request_id,
    sign_message,
    verify_message,
)

NOW = (BEGIN + timedelta(days=30)).timestamp()
#: What names the kind of an RSA key in a certificate.
RSA = bytes.fromhex("2a864886f70d010101")
CONFIRMATION = {"Type": "SubscriptionConfirmation", "Token": "t1", "SubscribeURL": SUBSCRIBE_URL, "Subject": None}


@pytest.fixture(scope="session")
def certificate(signing_key):
    """The certificate of the signing key."""
    return certificate_of(signing_key)


@pytest.mark.parametrize(
    ("subject", "name"),
    [
        ("user_report:update", "user:update"),
        ("account_report:update", "account:update"),
        ("users_segment:update", "segment:update"),
        ("users_segment:delete", "segment:delete"),
        ("ship:update", "ship:update"),
        ("user_report:delete", "user:delete"),
        ("account_report:delete", "account:delete"),
        ("accounts_segment:update", "accounts_segment:update"),
        ("", ""),
        ("user_report", "user"),
    ],
)
def test_subjects_become_names_of_handlers(subject, name):
    """Older names of entities give way to those of handlers; a name stands for itself."""
    assert handler_name(subject) == name
    assert handler_name(name) == name


def test_the_names_of_handlers_are_their_own_mapping():
    """Every documented name stays as it is."""
    assert [handler_name(name) for name in HANDLER_NAMES] == list(HANDLER_NAMES)


def test_the_text_of_a_notification():
    """Names and values stand on lines of their own, in the order of SNS, with a line feed at the end."""
    message = envelope({"a": 1})
    text = 'Message\n{"a": 1}\nMessageId\nm-1\nSubject\nuser_report:update\n'
    tail = f"Timestamp\n2024-01-01T00:00:00.000Z\nTopicArn\n{TOPIC}\nType\nNotification\n"
    assert canonical_text(message) == text + tail
    assert canonical_text(envelope({"a": 1}, None)) == 'Message\n{"a": 1}\nMessageId\nm-1\n' + tail


def test_the_text_of_a_confirmation():
    """A confirmation covers its address and its token too."""
    assert canonical_text(envelope(**CONFIRMATION)) == (
        f"Message\n{{}}\nMessageId\nm-1\nSubscribeURL\n{SUBSCRIBE_URL}\nTimestamp\n2024-01-01T00:00:00.000Z\n"
        f"Token\nt1\nTopicArn\n{TOPIC}\nType\nSubscriptionConfirmation\n"
    )


@pytest.mark.parametrize("version", ["1", "2"])
@pytest.mark.parametrize("fields", [{}, {"Subject": None}, CONFIRMATION])
def test_what_was_signed_verifies(signing_key, certificate, version, fields):
    """Both versions and all types verify."""
    message = sign_message(envelope({"é": "ü\n"}, **fields), signing_key, version=version)
    verify_message(message, certificate, NOW)


@given(st.sampled_from(["Message", "MessageId", "Subject", "Timestamp", "TopicArn"]), st.text())
@pytest.mark.attack("changed body under a valid signature")
def test_no_signed_field_can_be_changed(signing_key, certificate, field, value):
    """Another value of any signed field is refused, whatever it is."""
    message = sign_message(envelope({"a": 1}), signing_key)
    if message[field] == value:
        return
    with pytest.raises(NotificationError) as caught:
        verify_message({**message, field: value}, certificate, NOW)
    assert (caught.value.code, caught.value.status) == ("INVALID_SIGNATURE", 401)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"Signature": "AAAA"}, "does not verify"),
        ({"Signature": "no base64!"}, "base64"),
        ({"SignatureVersion": "3"}, "version is '3'; 1 and 2 are known"),
        ({"MessageId": None}, "no MessageId"),
        ({"MessageId": "m-1\nSubject\nship:update"}, "MessageId holds a line break"),
        ({"Type": "SubscriptionConfirmation"}, "no SubscribeURL"),
    ],
)
def test_a_bad_signature_says_what_is_wrong(signing_key, certificate, changes, reason):
    """The reason names what does not match."""
    message = {**sign_message(envelope(), signing_key), **changes}
    with pytest.raises(NotificationError, match=reason):
        verify_message({k: v for k, v in message.items() if v is not None}, certificate, NOW)


@pytest.mark.parametrize("days", [-1, 400])
def test_a_certificate_counts_in_its_time_only(signing_key, certificate, days):
    """Before its time and after it, a certificate verifies nothing."""
    message = sign_message(envelope(), signing_key)
    with pytest.raises(NotificationError, match="the certificate is valid from 2023-06-01"):
        verify_message(message, certificate, (BEGIN + timedelta(days=days)).timestamp())


def test_only_certificates_of_rsa_keys_are_read(certificate):
    """Other texts and other keys are refused."""
    assert load_certificate(pem_of(certificate)) == certificate
    other = certificate_of(ec.generate_private_key(ec.SECP256R1()))
    der = certificate.public_bytes(Encoding.DER).replace(RSA, b"\x3c" + RSA[1:])
    unknown = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    refused = "did not return a certificate"
    for pem, reason in ((b"no certificate", refused), (unknown, refused), (pem_of(other), "no RSA key")):
        with pytest.raises(NotificationError, match=reason):
            load_certificate(pem)


@pytest.mark.parametrize(
    ("url", "host", "certificate"),
    [
        (CERTIFICATE_URL, True, True),
        (CERTIFICATE_URL.replace(".com/", ".com:443/"), True, True),
        ("https://sns.us-gov-west-1.amazonaws.com/SimpleNotificationService-ab.pem", True, True),
        (SUBSCRIBE_URL, True, False),
        (f"{CERTIFICATE_URL}?x=1", True, False),
        (CERTIFICATE_URL.replace("https", "http"), False, False),
        (CERTIFICATE_URL.replace(".com/", ".com:8443/"), False, False),
        ("https://sns.us-east-1.amazonaws.com.evil.example/SimpleNotificationService-ab.pem", False, False),
        ("https://evil.example/sns.us-east-1.amazonaws.com/SimpleNotificationService-ab.pem", False, False),
        ("https://sns.us-east-1.amazonaws.com@evil.example/SimpleNotificationService-ab.pem", False, False),
        ("https://sns.evil.us-east-1.amazonaws.com/SimpleNotificationService-ab.pem", False, False),
        ("https://s3.us-east-1.amazonaws.com/SimpleNotificationService-ab.pem", False, False),
        ("https://sns.amazonaws.com/SimpleNotificationService-ab.pem", False, False),
        ("https://evil.example\\.sns.us-east-1.amazonaws.com/a.pem", False, False),
        ("", False, False),
    ],
)
def test_which_addresses_are_of_sns(url, host, certificate):
    """Only hosts of SNS over https count, and certificates lie at one kind of path."""
    assert (is_sns_host(url), is_certificate_url(url)) == (host, certificate)


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "Empty Message"),
        (b"  ", "Empty Message"),
        (b"{", "Invalid Message"),
        (b"[]", "Invalid Message"),
        (b"{}", "Invalid Message"),
        (b'{"Type": "Other"}', "Invalid Message"),
        (b'{"Type": ["Notification"]}', "Invalid Message"),
        (b'{"Type": "Notification", "Message": {}}', "Invalid Message"),
    ],
)
def test_what_is_no_envelope_is_refused(body, text):
    """The two texts of the Node generation say why."""
    with pytest.raises(NotificationError) as caught:
        parse_message(body)
    assert (caught.value.reason, caught.value.status) == (text, 400)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"Message": ""}, "Empty Message"),
        ({"Message": None}, "Empty Message"),
        ({"Message": "{"}, "Invalid Message"),
        ({"Timestamp": "yesterday"}, "Invalid Message"),
    ],
)
def test_what_cannot_be_read_inside_is_refused(fields, text):
    """An envelope without a payload that can be read is refused too."""
    with pytest.raises(NotificationError, match=text):
        legacy_notification(envelope(**fields))


def test_what_an_envelope_holds():
    """Subject, decoded payload and aware time; a time without a zone is UTC, none is none."""
    moment = datetime(2024, 1, 1, tzinfo=UTC)
    assert legacy_notification(envelope({"a": 1})) == {
        "subject": "user_report:update",
        "message": {"a": 1},
        "timestamp": moment,
    }
    assert legacy_notification(envelope(Timestamp="2024-01-01T00:00:00"))["timestamp"] == moment
    assert legacy_notification(envelope(None, None, Timestamp=None))["timestamp"] is None


def test_the_request_id_tells_topic_time_and_message():
    """It is safe in logs and headers, whatever the envelope says."""
    assert request_id(envelope(), 1.9) == "sns-notifier:5a7962e2:1:m-1"
    assert request_id(envelope(MessageId="a\r\nb: c" + "x" * 200, TopicArn=None), 1) == "sns-notifier::1:" + (
        "ab" + "c" + "x" * 97
    )
