"""Signed tokens in compact form: read as pyjwt reads them, and nothing that it would refuse."""

from __future__ import annotations

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.errors import CredentialsError, NotificationError
from hull_sdk.wire import jws
from hull_sdk.wire.signatures import sign_notification, verify_body
from hull_sdk.wire.tokens import verify

BODY = b'{"notification_id":"n1"}'
NOW = 1_704_448_800.0
UNTIMED: Any = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False}


def part(value) -> str:
    """Write a value as a part of a token."""
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


#: A header that is none of the usual ones.
HEAD = part({"alg": "RS512"})


def signed_with(key, header, claims) -> str:
    """Return a token whose signature by RS256 is good, whatever its header says."""
    signed = f"{part(header)}.{part(claims)}"
    return f"{signed}.{part(key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256()))}"


def pyjwt_accepts(token: str, key) -> bool:
    """Tell whether pyjwt takes a token by RS256."""
    try:
        jwt.decode(token, key, algorithms=["RS256"], options=UNTIMED)
    except (jwt.PyJWTError, ValueError):
        return False
    return True


def is_accepted(token: str, key) -> bool:
    """Tell whether a connector takes a signature."""
    try:
        verify_body(token, key, body=BODY, now=NOW)
    except NotificationError:
        return False
    return True


@given(data=st.data())
@pytest.mark.attack("changed body under a valid signature")
def test_a_changed_signature_is_refused_wherever_it_was_changed(signing_key, data):
    """No other text than the one that was signed is accepted, and none that pyjwt refuses."""
    good = sign_notification(signing_key, "n1", BODY, NOW)
    at = data.draw(st.integers(0, len(good)))
    cut = data.draw(st.integers(0, 2))
    letters = data.draw(st.text("AQZaqz059-_.=+/ \n\té", max_size=2))
    changed = good[:at] + letters + good[at + cut :]
    public = signing_key.public_key()
    if is_accepted(changed, public):
        # What stands behind the last whole byte of a signature is no part of it.
        assert changed[: changed.rindex(".")] == good[: good.rindex(".")]
        assert jws.read(changed).signature == jws.read(good).signature
    elif changed == good:
        pytest.fail("a good signature was refused")


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        ({"alg": "none"}, "'none' instead of RS256"),
        ({"alg": "HS256", "typ": "JWT"}, "'HS256' instead of RS256"),
        ({"alg": "RS512"}, "'RS512' instead of RS256"),
        ({"alg": "PS256"}, "'PS256' instead of RS256"),
        ({"alg": "rs256"}, "'rs256' instead of RS256"),
        ({"alg": ["RS256"]}, "names no algorithm: its alg is of type list"),
        ({"typ": "JWT"}, "names no algorithm: its alg is of type NoneType"),
        ({"alg": "RS256", "crit": ["b64"], "b64": False}, "b64, crit"),
        ({"alg": "RS256", "b64": False}, "b64"),
        (["RS256"], "not list"),
        (b"{", "does not verify"),
        (b"\xff", "does not verify"),
    ],
)
@pytest.mark.attack("algorithm confusion and none")
def test_headers_that_name_something_else_are_refused(signing_key, header, reason):
    """A good RS256 signature under another header is refused, as pyjwt refuses it, with the reason."""
    token = signed_with(signing_key, header, {"jti": "n1"})
    with pytest.raises(NotificationError, match=reason) as caught:
        verify_body(token, signing_key.public_key(), body=BODY, now=NOW)
    assert (caught.value.code, caught.value.status) == ("INVALID_SIGNATURE", 401)
    assert not pyjwt_accepts(token, signing_key.public_key())


def test_an_algorithm_that_is_nested_as_deep_as_can_be_read_is_refused(signing_key):
    """However deep it goes, the answer is that the signature is wrong, and not that something failed here."""
    for levels in range(900, 1100):
        header = part(b'{"alg":' + b"[" * levels + b"]" * levels + b"}")
        token = f"{header}.e30."
        assert not is_accepted(token, signing_key.public_key())
        with pytest.raises(CredentialsError):
            verify(token, "s3cret", NOW)


@pytest.mark.parametrize("letters", ["=", "==", "+", "/"])
def test_letters_of_plain_base64_are_refused(signing_key, letters):
    """A token is written in the base64 of URLs, which has no padding and other letters for two values."""
    head, claims, _ = sign_notification(signing_key, "n1", BODY, NOW).split(".")
    signature = part(b"\xfb\xff" * 128)
    changed = {"+": signature.replace("-", "+"), "/": signature.replace("_", "/")}.get(letters, signature + letters)
    assert changed != signature
    assert jws.read(f"{head}.{claims}.{signature}").signature == b"\xfb\xff" * 128
    with pytest.raises(ValueError, match="base64"):
        jws.read(f"{head}.{claims}.{changed}")


def test_a_digest_with_half_a_surrogate_pair_is_refused(signing_key):
    """What cannot be written as UTF-8 is no digest of any body."""
    token = signed_with(signing_key, {"alg": "RS256"}, {"jti": "n1", "body_sha256": "\ud800"})
    with pytest.raises(NotificationError, match="changed after it was signed"):
        verify_body(token, signing_key.public_key(), body=BODY, now=NOW)


@pytest.mark.parametrize("claims", [[], "n1", b"{", b"\xff", b"[" * 100_000])
def test_claims_that_are_no_object_are_refused(signing_key, claims):
    """Well-signed claims that are no JSON object are refused like any other wrong signature."""
    token = signed_with(signing_key, {"alg": "RS256"}, claims)
    with pytest.raises(NotificationError, match="does not verify"):
        verify_body(token, signing_key.public_key(), body=BODY, now=NOW)


@pytest.mark.parametrize("header", [{"alg": "RS256"}, {"typ": "JWT", "alg": "RS256"}, {"alg": "RS256", "kid": "1"}])
def test_good_signatures_are_accepted_under_any_such_header(signing_key, header):
    """What else a header says is no reason to refuse."""
    claims = jwt.decode(
        sign_notification(signing_key, "n1", BODY, NOW), signing_key.public_key(), algorithms=["RS256"], options=UNTIMED
    )
    token = signed_with(signing_key, header, claims)
    assert verify_body(token, signing_key.public_key(), body=BODY, now=NOW) == "n1"


def test_nothing_is_decoded_before_it_is_verified(signing_key, monkeypatch):
    """The claims of a token with a wrong signature are never looked at."""
    looked = []
    monkeypatch.setattr(jws, "claims_in", looked.append)
    head, _, tail = sign_notification(signing_key, "n1", BODY, NOW).split(".")
    assert not is_accepted(f"{head}.{part({'jti': 'n2'})}.{tail}", signing_key.public_key())
    assert looked == []


@pytest.mark.parametrize(
    "text", ["", ".", "a", "a.b", "..", "a.b.c.d", "é.é.é", f"{HEAD}.é.", f"{HEAD}.e30.é", f"{HEAD}.e30.a"]
)
def test_what_has_not_three_parts_is_no_token(text):
    """Texts with fewer or more parts, and parts in other letters, are no tokens."""
    with pytest.raises(ValueError, match=r"three parts|ascii|base64|padding|Expecting value"):
        jws.read(text)


def test_the_claims_of_a_token_stay_as_they_are():
    """Reading a token takes its parts apart and decodes its header alone."""
    assert jws.read(f"{HEAD}.no JSON.") == ("RS512", f"{HEAD}.no JSON".encode(), b"", "no JSON")
