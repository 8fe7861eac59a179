"""Claims and report fields."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.entities import CLAIM_NAMES, DERIVED_FIELDS, ROOT_ATTRIBUTES, attribute_of, claims_of, report_key


@pytest.mark.parametrize(
    ("kind", "value", "claims"),
    [
        ("user", "5a79", {"id": "5a79"}),
        ("user", {"email": "Ann@acme.test"}, {"email": "Ann@acme.test"}),
        ("user", {"email": " ann@acme.test ", "plan": "free", "domain": "acme.test"}, {"email": "ann@acme.test"}),
        ("user", {"external_id": 42}, {"external_id": "42"}),
        ("user", {"external_id": 42.0}, {"external_id": "42"}),
        ("user", {"external_id": 4.5}, {"external_id": "4.5"}),
        ("user", {"external_id": 0}, {"external_id": "0"}),
        ("user", {"id": "1", "external_id": None, "email": "", "anonymous_id": "  "}, {"id": "1"}),
        ("account", {"domain": "acme.test", "email": "ann@acme.test"}, {"domain": "acme.test"}),
        ("account", "5a79", {"id": "5a79"}),
    ],
)
def test_identifiers_are_picked_out_of_what_was_passed(kind, value, claims):
    """An id or a mapping gives its identifiers as text; other keys and empty identifiers are left out."""
    assert claims_of(kind, value) == claims


def test_claims_stand_in_order_of_strength():
    """The strongest identifier comes first, however the mapping was written."""
    value = dict.fromkeys(reversed(CLAIM_NAMES["user"]), "x")
    assert tuple(claims_of("user", value)) == CLAIM_NAMES["user"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({}, "no user identifier in .*external_id"),
        ({"plan": "free"}, r"\['plan'\]"),
        ({"email": None, "id": ""}, "no user identifier"),
        ("", "no user identifier"),
        (None, "None is no user claim"),
        (42, "42 is no user claim"),
        (["ann@acme.test"], "is no user claim"),
        ({"email": ["ann@acme.test"]}, "claim email is"),
        ({"external_id": True}, "claim external_id is True"),
        ({"external_id": float("nan")}, "claim external_id is nan"),
        ({"id": {"a": 1}}, "claim id is"),
    ],
)
def test_what_identifies_nobody_is_refused(value, text):
    """Without an identifier, or with one that is neither text nor a number, the error says what to pass."""
    with pytest.raises(InvalidArgumentError, match=text):
        claims_of("user", value)


def test_an_error_about_claims_shows_no_personal_data():
    """The error lists the names that were passed, not their values."""
    with pytest.raises(InvalidArgumentError) as caught:
        claims_of("user", {"phone": "+33123456789"})
    assert "+33" not in str(caught.value)


@pytest.mark.parametrize(
    ("kind", "attribute", "key"),
    [
        ("user", "plan", "traits_plan"),
        ("user", "salesforce/status", "traits_salesforce/status"),
        ("user", "email", "email"),
        ("user", "first_name", "first_name"),
        ("user", "last_seen_at", "last_seen_at"),
        ("user", "traits_plan", "traits_traits_plan"),
        ("account", "plan", "plan"),
        ("account", "domain", "domain"),
    ],
)
def test_report_fields_of_attributes(kind, attribute, key):
    """Custom attributes of users carry a prefix, root attributes and those of accounts do not."""
    assert report_key(kind, attribute) == key


attributes = st.one_of(
    st.text(max_size=12), st.sampled_from(sorted(ROOT_ATTRIBUTES)), st.text(max_size=5).map("traits_".__add__)
)


@given(st.sampled_from(["user", "account"]), attributes)
def test_the_attribute_behind_a_field_is_found_again(kind, attribute):
    """Reading a field gives the attribute it was made from, whatever its name."""
    assert attribute_of(kind, report_key(kind, attribute)) == attribute


def test_identifiers_of_the_platform_are_derived():
    """No message can write what identifies an entity, except its e-mail and an account's domain."""
    assert {"id", "external_id", "anonymous_ids", "segment_ids"} <= DERIVED_FIELDS["user"] & DERIVED_FIELDS["account"]
    assert "email" not in DERIVED_FIELDS["user"]
    assert "domain" not in DERIVED_FIELDS["account"]
