"""What traits do to an entity's values: types, operations, limits, and fields that cannot be written."""

import pytest
from ingestion_kit import Bench

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.attributes import same_value

ANN = {"email": "ann@acme.test"}


@pytest.fixture
def bench():
    """Return an empty organization."""
    return Bench()


def value_of(bench, name):
    """Return an attribute of Ann."""
    return bench.user(**ANN).attributes.get(name)


def test_names_are_lower_case_without_dots_and_dollars(bench):
    """Characters that cannot be stored are left out of names, which is logged at debug."""
    bench.traits(ANN, {"Sales.Force/$Status": "Open", "PLAN": "pro"})
    assert value_of(bench, "salesforce/status") == "Open"
    assert bench.report(**ANN)["traits_plan"] == "pro"
    assert [entry.level for entry in bench.organization.log] == ["info", "debug"]


def test_the_first_value_fixes_the_type(bench):
    """Later values are cast to the first one's type, for every entity of the kind; an impossible one clears."""
    bench.traits({"email": "bob@acme.test"}, {"seats": 3, "plan": "pro", "paying": True, "tags": []})
    record = bench.traits(ANN, {"seats": "4", "plan": 7, "paying": "false", "tags": "vip"})
    assert [value_of(bench, name) for name in ("seats", "plan", "paying", "tags")] == [4, "7", False, ["vip"]]
    assert record.notes == ()
    record = bench.traits(ANN, {"seats": "many"})
    assert value_of(bench, "seats") is None
    assert "'seats' is a number" in record.notes[0]


def test_what_all_organizations_share_has_its_type_whatever_comes_first(bench):
    """A number as the first name of all spoils nobody else's; accounts share the name alone."""
    bench.traits({"external_id": "0"}, {"name": 123, "phone": 33123, "accepts_marketing": "true", "picture": None})
    bench.traits(ANN, {"name": "Ann", "phone": "+33 1", "accepts_marketing": False})
    first = bench.report(external_id="0")
    assert (first["name"], first["phone"], first["accepts_marketing"]) == ("123", "33123", True)
    assert (value_of(bench, "name"), value_of(bench, "phone"), value_of(bench, "accepts_marketing")) == (
        "Ann",
        "+33 1",
        False,
    )
    bench.account_traits({"external_id": "1"}, {"name": 42, "phone": 33123})
    account = bench.account(external_id="1").attributes
    assert (account["name"], account["phone"]) == ("42", 33123)


def test_null_says_nothing_about_the_type(bench):
    """Null clears a value and fixes no type."""
    bench.traits(ANN, {"plan": None})
    assert "plan" not in bench.organization.schema("user")
    bench.traits(ANN, {"plan": "pro"})
    bench.traits(ANN, {"plan": None})
    assert "traits_plan" not in bench.report(**ANN)
    assert bench.organization.schema("user")["plan"]["type"] == "string"


def test_users_and_accounts_have_schemas_of_their_own(bench):
    """The same name may be a number of users and a string of accounts."""
    bench.traits(ANN, {"size": 3})
    bench.account_traits({"domain": "acme.test"}, {"size": "small"})
    assert bench.organization.schema("user")["size"]["type"] == "number"
    assert bench.organization.schema("account")["size"]["type"] == "string"


def test_a_type_can_be_declared_beforehand(bench):
    """A declared type wins over the first value, and cannot be declared otherwise later."""
    bench.organization.declare_attribute("user", "Zip", "string")
    bench.traits(ANN, {"zip": 75001})
    assert value_of(bench, "zip") == "75001"
    with pytest.raises(InvalidArgumentError, match="cannot become a number"):
        bench.organization.declare_attribute("user", "zip", "number")
    with pytest.raises(InvalidArgumentError, match="'text'"):
        bench.organization.declare_attribute("user", "city", "text")


def test_operations_apply_to_the_stored_value(bench):
    """Counting starts from zero, setIfNull keeps what is there, set replaces."""
    bench.traits(
        ANN,
        {
            "n": {"operation": "inc", "value": 2},
            "m": {"operation": "dec"},
            "plan": {"operation": "setIfNull", "value": "free"},
        },
    )
    bench.traits(ANN, {"n": {"operation": "dec", "value": 0.5}, "plan": {"operation": "setIfNull", "value": "pro"}})
    assert [value_of(bench, name) for name in ("n", "m", "plan")] == [1.5, -1, "free"]
    bench.traits(ANN, {"plan": {"operation": "set", "value": "pro"}})
    assert value_of(bench, "plan") == "pro"


@pytest.mark.parametrize("step", [1e308, 10**400], ids=["float", "int"])
def test_counting_out_of_range_keeps_the_value(bench, step):
    """A count that leaves the range of numbers is refused and logged; the rest of the message is applied."""
    bench.traits(ANN, {"n": 1.5e308})
    record = bench.traits(ANN, {"n": {"operation": "inc", "value": step}, "plan": "pro"})
    assert record.state == "applied"
    assert (value_of(bench, "n"), value_of(bench, "plan")) == (1.5e308, "pro")
    assert bench.organization.log[-1].event == "incoming.user.error"


def test_counting_on_text_is_refused(bench):
    """Counting on an attribute that is no number leaves it as it is and is logged as an error."""
    bench.traits(ANN, {"plan": "pro"})
    bench.traits(ANN, {"plan": {"operation": "inc", "value": 1}})
    assert value_of(bench, "plan") == "pro"
    assert "inc needs a number" in bench.organization.log[-1].fields["reason"]


def test_derived_fields_cannot_be_written(bench):
    """What the platform derives is ignored and noted; the rest is written."""
    record = bench.traits(
        ANN, {"id": "x", "segment_ids": ["s"], "domain": "other.test", "external_id": "9", "plan": "pro"}
    )
    assert len(record.notes) == 4
    report = bench.report(**ANN)
    assert (report["domain"], report["external_id"], report["traits_plan"]) == ("acme.test", None, "pro")


def test_the_attribute_limit_refuses_new_names_only():
    """At the limit known attributes are still written; a new one is refused and logged."""
    bench = Bench(limits={"attributes": 3})
    bench.traits(ANN, {"a": 1, "b": 2, "c": 3})
    assert set(bench.user(**ANN).attributes) == {"created_at", "a", "b"}
    assert "the limit is 3" in bench.organization.log[-1].fields["reason"]
    bench.traits(ANN, {"a": 9})
    assert value_of(bench, "a") == 9
    assert "c" not in bench.organization.schema("user")


def test_the_value_limit_counts_bytes():
    """A value that is too large is refused and logged, and the old one stays."""
    bench = Bench(limits={"value_bytes": 10})
    bench.traits(ANN, {"a": "12345678"})
    record = bench.traits(ANN, {"a": "äöüäöü", "b": "x"})
    assert (value_of(bench, "a"), value_of(bench, "b")) == ("12345678", "x")
    assert "the limit is 10" in record.notes[0]


def test_hidden_attributes_are_in_no_report(bench):
    """Hiding takes an attribute out of reports and segments, and showing brings it back."""
    bench.organization.create_segment("user", "Rich", query={"exists": {"field": "traits_salary"}})
    bench.traits(ANN, {"salary": 1})
    bench.organization.hide_attribute("user", "Salary")
    assert "traits_salary" not in bench.report(**ANN)
    assert bench.names(**ANN) == []
    bench.organization.hide_attribute("user", "salary", hidden=False)
    assert bench.report(**ANN)["traits_salary"] == 1


def test_objects_are_replaced_whole(bench):
    """A JSON attribute is replaced on each write; one that differs only in true and 1 is a change."""
    bench.traits(ANN, {"raw": {"a": 1, "b": 2}})
    bench.traits(ANN, {"raw": {"a": True}})
    assert value_of(bench, "raw") == {"a": True}
    bench.changes.clear()
    bench.traits(ANN, {"raw": {"a": 1}})
    assert len(bench.changes) == 1


@pytest.mark.parametrize("value", ["", "  ", [1], {"operation": "inc"}])
def test_an_unusable_email_is_not_written(bench, value):
    """An e-mail that is no text is ignored and noted."""
    record = bench.traits({"external_id": "1", "email": "ann@acme.test"}, {"email": value})
    assert bench.user(external_id="1").handle == "ann@acme.test"
    assert "email is not written" in record.notes[0]


def test_an_email_can_be_cleared_with_an_external_id(bench):
    """Null clears the e-mail of a user with an external_id, and is ignored for others, who would lose themselves."""
    bench.traits({"external_id": "1", "email": "ann@acme.test"}, {"email": None})
    assert bench.user(external_id="1").handle is None
    bench.traits({"email": "bob@acme.test"}, {"email": None})
    assert bench.user(email="bob@acme.test") is not None


def test_a_free_domain_is_not_written(bench):
    """An account does not take a free e-mail domain."""
    record = bench.account_traits({"external_id": "1"}, {"domain": "GMAIL.com"})
    assert bench.account(external_id="1").handle is None
    assert "free e-mail domain" in record.notes[0]


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        (1, True, False),
        (1, 1.0, True),
        ({"a": [1]}, {"a": [1]}, True),
        ({"a": [1]}, {"a": [True]}, False),
        ([], None, False),
        ("1", 1, False),
    ],
)
def test_values_are_compared_as_json(left, right, same):
    """Equal JSON values are the same; true is not 1."""
    assert same_value(left, right) is same
