"""The signed cookie of the current user: what is believed, and what is not."""

from __future__ import annotations

import base64
import hashlib
import json
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.errors import CredentialsError
from hull_sdk.wire.current_user import COOKIE_AGE_S, cookie_name, user_of_cookie

SECRET = "0123456789abcdef0123456789abcdef"
USER = "5a7962e2793d3e942a03b29c"
SIGNED_AT = 1704067200

#: Made with the crypto module of Node.
FROM_NODE = (
    "eyJIdWxsLVVzZXItSWQiOiI1YTc5NjJlMjc5M2QzZTk0MmEwM2IyOWMiLCJIdWxsLVVzZXItU2lnIjoiMTcwNDA2NzIwMC5kNmYxOGIzMDc1NTBj"
    "OGMyMTg4MjEwMmJlYmI3NDAxZWMxODI0Yzc1In0="
)


def sha1_mac(key: bytes, data: bytes) -> str:
    """Return an HMAC-SHA1 that is put together by hand."""
    key = key.ljust(64, b"\0")
    inner = hashlib.sha1(bytes(b ^ 0x36 for b in key) + data).digest()
    return hashlib.sha1(bytes(b ^ 0x5C for b in key) + inner).hexdigest()


def encoded(value) -> str:
    """Return a value as a cookie holds it."""
    return base64.b64encode(json.dumps(value).encode()).decode()


def cookie(user=USER, time=SIGNED_AT, secret=SECRET) -> str:
    """Return a cookie that is signed by hand."""
    signature = sha1_mac(secret.encode(), f"{time}-{user}".encode())
    return encoded({"Hull-User-Id": user, "Hull-User-Sig": f"{time}.{signature}"})


@pytest.mark.parametrize("value", [FROM_NODE, cookie(), quote(FROM_NODE)], ids=["node", "by hand", "percent-encoded"])
def test_a_cookie_of_another_maker_is_believed(value):
    """Cookies that other programs sign with the secret name their user."""
    assert user_of_cookie(value, SECRET, SIGNED_AT + 60) == USER


def test_milliseconds_are_understood():
    """A time in milliseconds counts as such."""
    assert user_of_cookie(cookie(time=SIGNED_AT * 1000), SECRET, SIGNED_AT) == USER
    with pytest.raises(CredentialsError, match="ago"):
        user_of_cookie(cookie(time=SIGNED_AT * 1000), SECRET, SIGNED_AT + COOKIE_AGE_S + 1)


def test_a_cookie_is_named_after_its_connector():
    """Each connector has a cookie of its own."""
    assert cookie_name(USER) == f"hull_{USER}"


@pytest.mark.parametrize(
    ("late", "text"),
    [
        (COOKIE_AGE_S + 1, "signed 2592001 s ago; at most 2592000 s are accepted"),
        (-61, "signed 61 s in the future; check the clocks"),
    ],
)
def test_a_cookie_has_an_age(late, text):
    """One that is too old, or from the future, is refused with the difference."""
    with pytest.raises(CredentialsError, match=text):
        user_of_cookie(FROM_NODE, SECRET, SIGNED_AT + late)
    assert user_of_cookie(FROM_NODE, SECRET, SIGNED_AT - 60) == USER
    assert user_of_cookie(FROM_NODE, SECRET, SIGNED_AT + COOKIE_AGE_S) == USER


def test_the_caller_decides_about_the_age():
    """A stricter limit is obeyed."""
    with pytest.raises(CredentialsError, match="at most 10 s"):
        user_of_cookie(FROM_NODE, SECRET, SIGNED_AT + 11, max_age_s=10)


def forged(**fields) -> str:
    """Return a good cookie with other fields."""
    return encoded({**json.loads(base64.b64decode(FROM_NODE)), **fields})


GOOD = json.loads(base64.b64decode(FROM_NODE))["Hull-User-Sig"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (cookie(secret="another"), "does not match"),
        (forged(**{"Hull-User-Id": "5a7962e2793d3e942a03b29d"}), "does not match"),
        (forged(**{"Hull-User-Sig": f"{SIGNED_AT + 1}.{GOOD.partition('.')[2]}"}), "does not match"),
        (forged(**{"Hull-User-Sig": GOOD[:-1]}), "does not match"),
        (forged(**{"Hull-User-Sig": GOOD.upper()}), "does not match"),
        (forged(**{"Hull-User-Sig": f"{SIGNED_AT}."}), "does not match"),
        (forged(**{"Hull-User-Sig": "x.y"}), "malformed"),
        (forged(**{"Hull-User-Sig": f"{SIGNED_AT}.\u00e9"}), "malformed"),
        (forged(**{"Hull-User-Sig": 5}), "malformed"),
        (forged(**{"Hull-User-Id": None}), "malformed"),
        (forged(**{"Hull-User-Id": ""}), "malformed"),
        (forged(**{"Hull-User-Id": "\ud800"}), "malformed"),
        (forged(**{"Hull-User-Id": {"id": USER}}), "malformed"),
        (encoded([USER]), "malformed"),
        (encoded({}), "malformed"),
        ("", "malformed"),
        ("%%%", "malformed"),
        ("bm8ganNvbg==", "malformed"),
        ("A" * 5000, "malformed"),
    ],
)
def test_what_is_forged_or_malformed_is_refused(value, text):
    """Nothing but a cookie that the secret signed names a user, and no error shows the secret."""
    with pytest.raises(CredentialsError, match=text) as caught:
        user_of_cookie(value, SECRET, SIGNED_AT)
    assert SECRET not in str(caught.value)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda data: base64.b64encode(data).decode()))
def test_any_other_text_is_refused(value):
    """Whatever a browser sends, the answer is a refusal and no other error."""
    with pytest.raises(CredentialsError):
        user_of_cookie(value, SECRET, SIGNED_AT)
