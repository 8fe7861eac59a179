"""Encrypted context tokens."""

from __future__ import annotations

import pytest
from connector_world import CREDENTIALS, SECRET
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import CredentialsError, InvalidArgumentError
from hull_sdk.middleware import ContextTokens, host_secrets

PURPOSES = ["dashboard", "webhook", "oauth", "job"]


def box(*secrets):
    """Return tokens with these host secrets."""
    return ContextTokens(secrets, Runtime.virtual())


@given(st.text(min_size=1), st.sampled_from(PURPOSES), st.text(), st.text(), st.text())
def test_a_token_gives_back_what_went_in(secret, purpose, connector_id, organization, connector_secret):
    """Whatever credentials went into a token come out of it."""
    values = {"id": connector_id, "organization": organization, "secret": connector_secret}
    tokens = box(f"x{secret}")
    assert dict(tokens.decrypt(tokens.encrypt(values, purpose), [purpose])) == values


@pytest.mark.parametrize("made_for", PURPOSES)
@pytest.mark.parametrize("used_for", PURPOSES)
@pytest.mark.attack("a token of one purpose for another")
def test_a_token_serves_its_purpose_only(made_for, used_for):
    """A token decrypts for the purpose it was made for and for no other."""
    tokens = box("one")
    token = tokens.encrypt(CREDENTIALS, made_for)
    if made_for == used_for:
        assert tokens.decrypt(token, [used_for]) == CREDENTIALS
    else:
        with pytest.raises(CredentialsError, match="Invalid Token"):
            tokens.decrypt(token, [used_for])


@pytest.mark.attack("keys and secrets that were exchanged")
def test_secrets_can_be_rotated():
    """The newest secret encrypts; older ones still decrypt, until they are dropped."""
    old = box("old").encrypt(CREDENTIALS, "webhook")
    both = box("new", "old")
    assert both.decrypt(old, ["webhook"]) == CREDENTIALS
    fresh = both.encrypt(CREDENTIALS, "webhook")
    assert box("new").decrypt(fresh, ["webhook"]) == CREDENTIALS
    for tokens, token in ((box("old"), fresh), (box("new"), old)):
        with pytest.raises(CredentialsError, match="Invalid Token"):
            tokens.decrypt(token, ["webhook"])


def test_the_secret_cannot_be_read_from_a_token():
    """Nothing of the credentials stands in a token, and no two tokens are equal."""
    tokens = box("one")
    first, second = (tokens.encrypt(CREDENTIALS, "dashboard") for _ in range(2))
    assert first != second
    assert SECRET not in first
    assert tokens.decrypt(first, ["dashboard"]) == tokens.decrypt(second, ["dashboard"])


def test_without_a_host_secret_there_are_no_tokens():
    """Without a host secret nothing is encrypted and nothing decrypts."""
    assert box().encrypt(CREDENTIALS, "dashboard") is None
    with pytest.raises(CredentialsError, match="Invalid Token"):
        box().decrypt(box("one").encrypt(CREDENTIALS, "dashboard"), ["dashboard"])


@pytest.mark.parametrize("token", ["", "é", "gAAAA", "=" * 100, "\x00"])
@pytest.mark.attack("tampered or truncated context token")
def test_any_text_is_refused_alike(token):
    """Text that is no token at all is refused like a damaged one."""
    with pytest.raises(CredentialsError, match="Invalid Token"):
        box("one").decrypt(token, ["dashboard"])


def test_an_unknown_purpose_is_an_error():
    """A purpose that does not exist names those that do."""
    with pytest.raises(InvalidArgumentError, match="dashboard, webhook, oauth, job"):
        box("one").encrypt(CREDENTIALS, "everything")


@pytest.mark.parametrize("value", ["", "  ", [], ["good", ""], ["good", 3]])
def test_an_empty_host_secret_is_refused(value):
    """An empty secret is an error that does not show the others."""
    with pytest.raises(InvalidArgumentError, match="host_secret") as caught:
        host_secrets(value)
    assert "good" not in str(caught.value)


def test_no_representation_shows_a_secret():
    """Neither the box nor the credentials show a secret."""
    tokens = box("the host secret")
    credentials = tokens.decrypt(tokens.encrypt(CREDENTIALS, "dashboard"), ["dashboard"])
    assert "the host secret" not in repr(tokens)
    for text in (repr(credentials), str(credentials), f"{credentials}", "%s" % credentials):  # noqa: UP031
        assert SECRET not in text
        assert CREDENTIALS["id"] in text
