"""Masking: planted secrets are found in every form, and what is no secret stays readable."""

from __future__ import annotations

import base64
import json
import time
from datetime import UTC, datetime
from urllib.parse import quote, urlencode

import pytest
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core import masking
from hull_sdk.core.masking import MASK, is_secret_name, mask, mask_text, mask_url
from hull_sdk.wire.tokens import build_claims, encode

PLANTED = "hunter2-Planted.Secret_42"
JWT = encode(build_claims(issuer="5a79", issued_at=0, subject_type="user", user={"email": "ann@acme.test"}), "s")
FERNET = Fernet(base64.urlsafe_b64encode(bytes(32))).encrypt(b"secret").decode()


@pytest.mark.parametrize(
    "name",
    [
        "secret", "client_secret", "clientSecret", "CLIENT_SECRET", "host-secret", "password", "smtp.password", "passwd",
        "token", "access_token", "accessToken", "refresh_tokens", "Hull-Access-Token", "hullToken", "api_key", "apikey",
        "apiKey", "X-Api-Key", "X-API-KEY", "writeKey", "secret_key", "aws_secret_access_key", "privateKey", "Authorization",
        "Proxy-Authorization", "auth", "Cookie", "Set-Cookie", "X-Hull-Smart-Notifier-Signature", "credentials",
        "settings[api_key]", "api_key[]", "private_settings.api_key",
    ],
)  # fmt: skip
def test_names_of_secrets_are_known_in_every_spelling(name):
    """Snake case, camel case, header case, nested and repeated parameters are all recognised."""
    assert is_secret_name(name)


@pytest.mark.parametrize(
    "name",
    ["", "email", "address_state", "state", "token_type", "key", "keyboard", "monkey", "author", "design", "password_hint_shown",
     "public_key_url", "secretary", "tokenize", "external_id", "Content-Type"],
)  # fmt: skip
def test_other_names_stay_readable(name):
    """Names that only resemble one are no secrets."""
    assert not is_secret_name(name)


TEXTS = [
    "secret={}",
    "secret = {}",
    "?q=1&api_key={}&page=2",
    "password: {}",
    "password:'{} with blanks, commas; and more'",
    '{{"client_secret": "{} with blanks, commas; and more"}}',
    '{{"client_secret":"with \\"quotes\\" {}"}}',
    "{{'apiKey': '{}'}}",
    '"{{\\"token\\": \\"{} and more\\", \\"a\\": 1}}"',
    "Authorization: Bearer {}",
    "Authorization: Token token={}",
    "authorization: {}",
    "Proxy-Authorization: Basic {}",
    "Cookie: session={}; theme=dark",
    "Set-Cookie: id={}; Path=/; HttpOnly",
    "X-Api-Key: {}",
    "hull-access-token: {}",
    "https://ann:{}@api.test/contacts",
    "https://{}@api.test/contacts",
    "https://ann:p@{}@api.test/contacts",
    "redirect=https%3A%2F%2Fapi.test%2F%3Fsecret%3D{}%26page%3D2",
    "Session(api_key={}, timeout=10)",
    "Session(secret='{}', timeout=10)",
    "token={}\nnext line",
]


@pytest.mark.parametrize("text", TEXTS)
def test_a_planted_secret_is_not_in_the_masked_text(text):
    """Whatever the notation, nothing of the planted value is left and the mask stands there."""
    masked = mask_text(text.format(PLANTED))
    assert MASK in masked
    assert "hunter2" not in masked
    assert "Planted" not in masked
    assert "more" not in masked


@pytest.mark.parametrize(
    "text",
    [
        "the token expired 412 s ago, leeway 60 s; check the clocks",
        "a secret is missing; pass secret, or set HULL_SECRET",
        "GET https://api.test/contacts?page=2 answered 404",
        "token_type=bearer",
        '{"email": "ann@acme.test", "plan": "secret garden"}',
        "user:update at 10:00:01",
        "eyJ is how tokens begin",
        "ann@acme.test wrote to bob@acme.test",
        "",
    ],
)
def test_ordinary_text_is_left_alone(text):
    """Sentences about secrets, addresses and plain data are not touched."""
    assert mask_text(text) == text


def test_the_rest_of_a_text_stays_readable():
    """What stands beside a secret is kept, so that a log line still says what happened."""
    assert mask_text("POST /a?secret=abc&page=2 failed") == "POST /a?secret=***&page=2 failed"
    assert mask_text('{"token": "abc", "page": 2}') == '{"token": "***", "page": 2}'
    assert mask_text("https://ann:abc@api.test/x") == "https://***@api.test/x"
    assert mask_text("Authorization: Bearer abc\r\nAccept: */*") == "Authorization: ***\r\nAccept: */*"


@pytest.mark.parametrize("token", [JWT, JWT.rpartition(".")[0] + ".", FERNET], ids=["jwt", "unsigned", "fernet"])
@pytest.mark.parametrize("around", ["{}", "saw {} here", "/a/{}/b", "'{}'", "x_{}", "({}).", "a={}&b"])
def test_tokens_are_found_by_their_form(token, around):
    """Signed and encrypted tokens are masked wherever they stand, without any name beside them."""
    masked = mask_text(around.format(token))
    assert token[:20] not in masked
    assert token[-20:] not in masked


def test_private_keys_are_found_by_their_form():
    """A private key in PEM form is masked whole, also when its end is cut off; a public one is not."""
    pem = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIB\nAAKCAQEA\n-----END RSA PRIVATE KEY-----"
    assert mask_text(f"key: {pem} end") == "key: *** end"
    assert mask_text(pem[:60]) == MASK
    assert "MIIB" in mask_text("-----BEGIN PUBLIC KEY-----\nMIIB\n-----END PUBLIC KEY-----")


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("https://api.test/a?secret=abc&page=2", "https://api.test/a?secret=***&page=2"),
        ("https://api.test/a?state=abc&conf=abc&code=abc", "https://api.test/a?state=***&conf=***&code=***"),
        ("https://ann:abc@api.test/a", "https://***@api.test/a"),
        ("https://ann:a@bc@api.test/a", "https://***@api.test/a"),
        ("https://api.test/cb#access_token=abc&type=b", "https://api.test/cb#access_token=***&type=b"),
        (f"https://api.test/{JWT}/x", "https://api.test/***/x"),
        ("https://api.test/a?q=" + quote("x secret=abc y"), "https://api.test/a?q=x+secret%3D***+y"),
        ("https://api.test/a?settings[api_key]=abc", "https://api.test/a?settings%5Bapi_key%5D=***"),
        ("/relative?token=abc", "/relative?token=***"),
        ("https://api.test/a", "https://api.test/a"),
        ("https://[broken?token=abc", "https://[broken?token=***"),
        ("", ""),
    ],
)
def test_addresses_are_masked_in_all_their_parts(url, masked):
    """Parameters, user names, paths and fragments lose their secrets; the rest stays readable."""
    assert mask_url(url) == masked


def test_values_are_masked_by_name_and_by_form():
    """Whole values under secret names go, others are searched, and nothing is changed in place."""
    value = {
        "secret": {"deep": "abc"},
        "private_settings": {"api_key": "abc", "lists": [{"token": "abc"}, f"saw {JWT}"]},
        "count": 3,
        "ok": True,
        "token": None,
        "raw": b"secret=abc",
        ("a", 1): {1, 2},
        f"key {JWT}": 1,
    }
    before = repr(value)
    assert mask(value) == {
        "secret": MASK,
        "private_settings": {"api_key": MASK, "lists": [{"token": MASK}, "saw ***"]},
        "count": 3,
        "ok": True,
        "token": None,
        "raw": "<10 bytes>",
        ("a", 1): [1, 2],
        "key ***": 1,
    }
    assert repr(value) == before


def test_objects_become_their_masked_text():
    """An error or any other object among the fields is written as text, without its secrets."""
    assert mask({"error": ValueError("token=abc"), "at": datetime(2024, 1, 5, tzinfo=UTC)}) == {
        "error": "token=***",
        "at": "2024-01-05 00:00:00+00:00",
    }


def test_what_lies_too_deep_is_replaced():
    """Below twelve levels everything but plain numbers and searched texts is replaced, so loops end too."""
    loop: dict = {"a": 1}
    loop["self"] = loop
    masked = mask(loop)
    for _ in range(11):
        masked = masked["self"]
    assert masked["self"] == MASK


@given(
    st.text(
        st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="\"'&,;}])\\%"), min_size=8, max_size=40
    )
)
def test_any_plain_value_behind_a_secret_name_disappears(value):
    """Whatever a secret looks like, it is not in the masked pair, JSON, query or address."""
    for text in (f"secret={value}", json.dumps({"api_key": value}), f"token: {value}"):
        assert value not in mask_text(text).removeprefix("token: ").replace(MASK, "")
    assert mask_url("https://api.test/?" + urlencode({"secret": value})) == "https://api.test/?secret=***"


PIECES = st.sampled_from(
    ["secret", "Secret", "\u017fecret", "to\u212aen", "API-Key", "authorization", "Cookie2", "Bearer ", "=", ":", ": ", "%3D", "%3a", "://", "@", "/",
     "'", '"', '\\"', "eyJ", "abcd", ".", "gAAAA", "x" * 20, "-----BEGIN PRIVATE KEY-----", "-----END PRIVATE KEY-----", "ann", "2024-01-05", " ", "\n"]
)  # fmt: skip


@given(st.lists(PIECES | st.text(max_size=3), max_size=12).map("".join))
def test_looking_first_for_what_a_secret_cannot_do_without_misses_none(text):
    """A text is masked as it is when every pattern is tried on it."""
    masked = masking._JWT.sub(masking._mask_token, text)
    masked = masking._FERNET.sub(MASK, masked)
    masked = masking._PEM.sub(MASK, masked)
    masked = masking._USERINFO.sub(f"{MASK}@", masked)
    masked = masking._HEADER.sub(rf"\1{MASK}", masked)
    assert mask_text(text) == masking._pair().sub(masking._mask_pair, masked)


@given(st.text(max_size=200))
def test_masking_twice_changes_nothing_more(text):
    """Masking is stable: a text that was masked once is masked."""
    once = mask_text(text)
    assert mask_text(once) == once


@pytest.mark.parametrize(
    "text",
    [
        "a-" * 50_000,
        "token" * 20_000,
        "secret=" * 15_000,
        "x" * 100_000,
        "\\" * 50_000,
        "token" + " " * 99_000,
        "eyJaaaa." * 12_000,
        "-eyJaaaa" * 12_000,
        "_eyJ" * 25_000,
        "://" * 30_000,
        'token="' + "\\a" * 40_000,
    ],
)
def test_long_hostile_texts_are_masked_quickly(text):
    """A hundred thousand characters take no noticeable time, whatever they are."""
    began = time.perf_counter()
    mask_text(text)
    assert time.perf_counter() - began < 5


def test_an_address_with_half_a_character_is_masked():
    """Text that UTF-8 cannot hold is replaced, instead of keeping an error from being told."""
    assert mask_url("0?a\ud800=1&secret=s") == "0?a%3F=1&secret=***"
