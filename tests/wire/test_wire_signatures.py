"""Signatures of notifications: bound to id and body, checked against the receiver's clock."""

from __future__ import annotations

import hashlib
import hmac
from base64 import urlsafe_b64encode

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hull_sdk.errors import NotificationError
from hull_sdk.wire.signatures import (
    HEADER_FLAG,
    HEADER_KEY_URL,
    HEADER_SIGNATURE,
    HEADER_VERSION,
    LIFETIME_S,
    generate_key,
    load_public_key,
    public_pem,
    sign_notification,
    signature_headers,
    verify_notification,
)

NOW = 1_704_448_800.0
HS256 = b'{"alg":"HS256","typ":"JWT"}'
BODY = '{"notification_id":"n1","name":"Ännchen"}'.encode()


@pytest.fixture
def public_key(signing_key):
    """Return the public half of the platform's key, as a connector loads it."""
    return load_public_key(public_pem(signing_key).encode())


def base64url(data: bytes) -> str:
    """Write bytes as a part of a token."""
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def refused(match: str):
    """Expect a refusal with a reason."""
    return pytest.raises(NotificationError, match=match)


def verify(signature, key, **options):
    """Verify a signature with the usual arguments."""
    verify_notification(signature, key, **{"notification_id": "n1", "body": BODY, "now": NOW, **options})


def signed(key, **claims) -> str:
    """Sign claims of a test's own making."""
    return jwt.encode({"jti": "n1", "body_sha256": hashlib.sha256(BODY).hexdigest(), **claims}, key, algorithm="RS256")


def test_a_signed_notification_verifies(signing_key, public_key):
    """What the platform signs, a connector with its public key accepts."""
    verify(sign_notification(signing_key, "n1", BODY, NOW), public_key)


def test_other_readers_understand_the_signature(signing_key, public_key):
    """The signature is an ordinary RS256 token with id, times and digest."""
    claims = jwt.decode(
        sign_notification(signing_key, "n1", BODY, NOW), public_key, algorithms=["RS256"], options={"verify_exp": False}
    )
    assert claims == {
        "jti": "n1",
        "iat": int(NOW),
        "exp": int(NOW) + LIFETIME_S,
        "body_sha256": hashlib.sha256(BODY).hexdigest(),
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"body": BODY + b" "}, "body was changed"),
        ({"body": BODY.replace(b"n1", b"n2")}, "body was changed"),
        ({"body": b""}, "body was changed"),
        ({"notification_id": "n2"}, "another notification_id"),
        ({"notification_id": None}, "another notification_id"),
    ],
)
@pytest.mark.attack("changed body under a valid signature")
def test_a_signature_holds_for_its_id_and_its_bytes_only(signing_key, public_key, change, reason):
    """Another id or one changed byte is refused, and the reason says which."""
    with refused(reason) as caught:
        verify(sign_notification(signing_key, "n1", BODY, NOW), public_key, **change)
    assert (caught.value.code, caught.value.status) == ("INVALID_SIGNATURE", 401)


def test_another_key_is_refused(public_key):
    """A signature of anybody else's key does not verify."""
    with refused("does not verify"):
        verify(sign_notification(generate_key(), "n1", BODY, NOW), public_key)


@pytest.mark.attack("algorithm confusion and none")
def test_a_symmetric_signature_with_the_public_key_is_refused(signing_key, public_key):
    """The public key cannot be used as a shared secret to sign with."""
    claims = sign_notification(signing_key, "n1", BODY, NOW).split(".")[1]
    for key in (public_pem(signing_key), public_pem(signing_key).strip(), ""):
        signed = f"{base64url(HS256)}.{claims}"
        mac = hmac.new(key.encode(), signed.encode(), hashlib.sha256)  # by hand: libraries refuse such a key
        with refused("does not verify"):
            verify(f"{signed}.{base64url(mac.digest())}", public_key)


@pytest.mark.parametrize("signature", ["", "abc", "a.b.c", "e30.e30.", "é.é.é"])
def test_what_is_no_signature_is_refused(public_key, signature):
    """Malformed tokens are refused without a traceback of a library."""
    with refused("does not verify"):
        verify(signature, public_key)


@pytest.mark.parametrize("digest", [5, ["a"], "", "ä", hashlib.sha256(b"other").hexdigest()])
@pytest.mark.attack("changed body under a valid signature")
def test_digests_that_do_not_match_are_refused(signing_key, public_key, digest):
    """A digest of another body or of another type is no match."""
    with refused("body was changed"):
        verify(signed(signing_key, body_sha256=digest), public_key)


def test_a_signature_without_a_digest_is_refused_unless_accepted(signing_key, public_key):
    """A signature that does not cover the body names the option that accepts it, and the option does."""
    bare = jwt.encode({"jti": "n1"}, signing_key, algorithm="RS256")
    with refused("accept_unbound_signatures=True"):
        verify(bare, public_key)
    verify(bare, public_key, accept_unbound=True)
    with refused("body was changed"):
        verify(signed(signing_key), public_key, body=b"other", accept_unbound=True)


@pytest.mark.parametrize("skew", [-60, 0, 60, LIFETIME_S, LIFETIME_S + 60])
def test_clocks_may_differ_by_a_minute(signing_key, public_key, skew):
    """A signature holds from a minute before its time to a minute after its end."""
    verify(sign_notification(signing_key, "n1", BODY, NOW), public_key, now=NOW + skew)


@pytest.mark.parametrize(
    ("skew", "reason"),
    [(-61, "signed 61 s in the future"), (LIFETIME_S + 61, "expired 61 s ago"), (86_400, "check the clocks")],
)
@pytest.mark.attack("expired and future tokens")
def test_other_differences_are_named(signing_key, public_key, skew, reason):
    """Outside of that it is refused with the difference of the clocks."""
    with refused(reason):
        verify(sign_notification(signing_key, "n1", BODY, NOW), public_key, now=NOW + skew)


@pytest.mark.parametrize("name", ["iat", "exp"])
@pytest.mark.parametrize("value", ["1704448800", True, [1], 10**400, -(10**400), 1e300])
def test_times_that_are_none_are_refused(signing_key, public_key, name, value):
    """A time that is no number, or beyond all calendars, is refused like any other wrong signature."""
    with refused(f"its {name} is "):
        verify(signed(signing_key, **{name: value}), public_key)


def test_the_machines_clock_does_not_matter(signing_key, public_key):
    """A signature of another century verifies at that time, so that a virtual clock works."""
    verify(sign_notification(signing_key, "n1", BODY, 86_400.0), public_key, now=86_400.0)


@pytest.mark.parametrize(
    "pem", [b"", b"no key", b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", b"<html>"]
)
def test_what_is_no_key_is_refused(pem):
    """An address that returns something else than a key gives a refusal with that reason."""
    with refused("did not return a PEM key") as caught:
        load_public_key(pem)
    assert caught.value.status == 401


@pytest.mark.attack("algorithm confusion and none")
def test_keys_of_another_kind_are_refused():
    """Only RSA keys sign notifications."""
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    pem = key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    with refused("no RSA key but"):
        load_public_key(pem)


def test_the_headers_of_a_signature():
    """The four headers carry flag, signature, version and the key's address."""
    assert signature_headers("sig", "https://acme.test/key") == {
        HEADER_FLAG: "true",
        HEADER_SIGNATURE: "sig",
        HEADER_VERSION: "v1",
        HEADER_KEY_URL: "https://acme.test/key",
    }
