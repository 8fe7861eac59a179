"""Access tokens: checked against pyjwt in both directions, and against the caller's clock."""

from __future__ import annotations

import base64
import json

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.errors import CredentialsError
from hull_sdk.wire.tokens import build_claims, encode, issuer_of, looks_like_token, verify

SECRET = "0123456789abcdef0123456789abcdef"
NOW = 1_704_448_800.0
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**53), 2**53), st.text(max_size=10)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=8,
)
names = st.text(max_size=12).filter(lambda name: name not in {"iss", "sub", "aud", "exp", "nbf", "iat", "jti"})
payloads = st.dictionaries(names, values, max_size=5)


def claims_for(**options):
    """Return the claims of a simple token."""
    return build_claims(
        **{"issuer": "5a79", "issued_at": NOW, "subject_type": "user", "user": {"email": "ann@acme.test"}, **options}
    )


@given(payloads)
def test_pyjwt_reads_what_we_write(payload):
    """Any claims that we sign are verified and read by pyjwt."""
    assert jwt.decode(encode(payload, SECRET), SECRET, algorithms=["HS256"]) == payload


@given(payloads)
def test_we_read_what_pyjwt_writes(payload):
    """Any claims that pyjwt signs are verified and read by us."""
    assert verify(jwt.encode(payload, SECRET, algorithm="HS256"), SECRET, NOW) == payload


@given(payloads)
def test_a_token_has_the_bytes_that_pyjwt_gives_it(payload):
    """Header, claims and signature are the same three parts, up to the spelling of the JSON inside."""
    ours, theirs = encode(payload, SECRET).split("."), jwt.encode(payload, SECRET, algorithm="HS256").split(".")
    assert [decoded(part) for part in ours[:2]] == [decoded(part) for part in theirs[:2]]
    assert all("=" not in part for part in ours)


def decoded(part: str):
    """Return the JSON inside a part of a token."""
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def test_the_claims_of_a_message():
    """Issuer, time, subjects and options stand under the names of the protocol."""
    assert claims_for(account={"domain": "acme.test"}, create=False, active=True, scopes=["admin"]) == {
        "iss": "5a79",
        "iat": int(NOW),
        "io.hull.asUser": {"email": "ann@acme.test"},
        "io.hull.asAccount": {"domain": "acme.test"},
        "io.hull.subjectType": "user",
        "io.hull.create": False,
        "io.hull.active": True,
        "scopes": ["admin"],
    }


def test_what_was_not_asked_for_is_left_out():
    """Options that were not given do not appear, so that the platform's defaults hold."""
    assert set(claims_for()) == {"iss", "iat", "io.hull.asUser", "io.hull.subjectType"}


def test_the_subject_is_the_id_of_whom_the_message_is_about():
    """The sub claim is the id of the subject's kind only."""
    assert claims_for(user={"id": "u1"})["sub"] == "u1"
    assert "sub" not in claims_for(user={"email": "a"}, account={"id": "a1"})
    assert claims_for(user={"id": "u1"}, account={"id": "a1"}, subject_type="account")["sub"] == "a1"


def test_an_empty_account_claim_is_not_written():
    """An empty account claim means the linked account, and needs no words."""
    claims = claims_for(account={}, subject_type="account")
    assert "io.hull.asAccount" not in claims
    assert claims["io.hull.subjectType"] == "account"


@pytest.mark.parametrize(
    "token",
    [
        "",
        "a",
        "a.b",
        "a.b.c",
        "..",
        "a.b.c.d",
        "eyJ.eyJ.x",
        "é.é.é",
        "e30.e30.",
        "W10.e30.x",
        "e30.W10.AAAA",
        "x" * 10_000,
    ],
)
def test_malformed_tokens_are_refused(token):
    """What is no token of three parts is refused with one clear error and no traceback of a library."""
    with pytest.raises(CredentialsError):
        verify(token, SECRET, NOW)


def test_extra_parts_are_refused():
    """A valid token with something behind it is no valid token."""
    with pytest.raises(CredentialsError, match="three parts"):
        verify(encode(claims_for(), SECRET) + ".x", SECRET, NOW)


def test_another_secret_is_refused_without_being_shown():
    """A token signed with another secret is refused, and the error holds neither secret."""
    with pytest.raises(CredentialsError, match="does not match the connector's secret") as caught:
        verify(encode(claims_for(), "other-secret-of-somebody-else-42"), SECRET, NOW)
    assert SECRET not in str(caught.value)


def test_a_changed_token_is_refused():
    """Changing the claims, or borrowing the signature of other claims, is noticed."""
    head, _, tail = encode(claims_for(), SECRET).split(".")
    _, other, _ = encode(claims_for(issuer="evil"), SECRET).split(".")
    with pytest.raises(CredentialsError):
        verify(f"{head}.{other}.{tail}", SECRET, NOW)


@pytest.mark.parametrize("algorithm", ["none", "HS512", "HS384"])
@pytest.mark.attack("algorithm confusion and none")
def test_other_algorithms_are_refused(algorithm):
    """Only HS256 is accepted, whatever the token says of itself."""
    key = None if algorithm == "none" else SECRET * 2
    with pytest.raises(CredentialsError, match="only HS256"):
        verify(jwt.encode(claims_for(), key, algorithm=algorithm), SECRET, NOW)


@pytest.mark.parametrize("skew", [-400, -61, -60, -1, 0, 1, 59, 60])
def test_tokens_of_the_past_and_of_slightly_fast_clocks_are_accepted(skew):
    """A token may be old, and up to a minute early."""
    verify(encode(claims_for(issued_at=NOW + skew), SECRET), SECRET, NOW)


@pytest.mark.parametrize("skew", [61, 412])
@pytest.mark.attack("expired and future tokens")
def test_tokens_from_the_future_name_the_difference(skew):
    """A token of more than a minute ahead is refused with the difference and the advice to check the clocks."""
    with pytest.raises(CredentialsError, match=rf"issued {skew} s in the future, leeway 60 s; check the clocks"):
        verify(encode(claims_for(issued_at=NOW + skew), SECRET), SECRET, NOW)


@pytest.mark.parametrize(
    ("claims", "text"),
    [
        ({"exp": NOW - 61}, "expired 61 s ago"),
        ({"nbf": NOW + 61}, "not valid before 61 s in the future"),
        ({"iat": "yesterday"}, "'yesterday'"),
        ({"exp": True}, "True"),
        ({"exp": 10**400}, "Unix seconds"),
        ({"iat": -(10**400)}, "Unix seconds"),
        ({"nbf": []}, r"\[\]"),
    ],
)
@pytest.mark.attack("expired and future tokens")
def test_times_that_do_not_hold_are_refused(claims, text):
    """Expired tokens, tokens that are not valid yet and times that are none are refused with the reason."""
    with pytest.raises(CredentialsError, match=text):
        verify(encode(claims, SECRET), SECRET, NOW)


def test_times_within_the_leeway_are_accepted():
    """Expiry and begin are forgiven up to a minute; null times count as absent."""
    claims = {"exp": NOW - 60, "nbf": NOW + 60, "iat": None}
    assert verify(encode(claims, SECRET), SECRET, NOW) == claims


def test_the_issuer_is_read_without_checking():
    """The connector id is readable before the secret is known; what names none gives none."""
    assert issuer_of(encode(claims_for(), SECRET)) == "5a79"
    assert [issuer_of(token) for token in ("", "a.b.c", "a.W10.c", "a.e30.c", encode({"iss": 42}, SECRET))] == [
        None
    ] * 5


@given(st.text(max_size=60))
def test_reading_what_is_no_token_never_raises(text):
    """Whatever stands where a token is expected, reading its issuer gives an id or none."""
    assert issuer_of(text) is None
    assert looks_like_token(text) in {True, False}


def test_the_form_of_a_token_is_recognised():
    """Tokens look like tokens, and secrets do not."""
    assert looks_like_token(encode(claims_for(), SECRET))
    assert not looks_like_token(SECRET)
    assert not looks_like_token("a.b.c")
