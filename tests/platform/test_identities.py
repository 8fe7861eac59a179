"""Identities of users at other services, set by the operator."""

from __future__ import annotations

import pytest

ANN = {"external_id": "1"}
GITHUB = {"id": 42, "username": "ann", "connected_at": "2012-12-17 11:37:47"}


@pytest.fixture
def put(call, admin, organization, send):
    """A function that sets the identities of a user."""
    send.traits(ANN, {})
    path = f"/api/v1/{organization.find_user(ANN).id}/identities"
    return lambda body, headers=admin: call("PUT", path, body, **headers)


def test_identities_stand_at_the_root_of_a_report(put, organization, platform, fake):
    """Provider fields, the main identity and the password's presence are shown and notified."""
    platform.run_until_idle()
    status, user = put({"main_identity": "github", "has_password": True, "identities": {"github": GITHUB}})
    expected = {
        "main_identity": "github",
        "has_password": True,
        "github_id": "42",
        "github_username": "ann",
        "github_connected_at": "2012-12-17T11:37:47Z",
    }
    assert status == 200
    assert {name: user[name] for name in expected} == expected
    platform.run_until_idle()
    assert fake.messages()[-1]["changes"]["user"] == {name: [None, value] for name, value in expected.items()}
    organization.create_segment("user", "Hackers", query={"exists": {"field": "github_id"}})
    assert organization.user_report(ANN)["segment_ids"] != []


def test_an_identity_is_replaced_and_taken_away(put):
    """One provider is changed and the others stay; null takes it away."""
    put({"identities": {"github": GITHUB, "google": {"id": "7"}}, "main_identity": "google", "has_password": False})
    put({"identities": {"github": {"id": "43"}, "google": None}, "main_identity": None})
    user = put({})[1]
    assert (user["github_id"], user["has_password"]) == ("43", False)
    assert not {"github_username", "google_id", "main_identity"} & set(user)


@pytest.mark.parametrize(
    "body",
    [
        {"identities": {"GitHub": {"id": "1"}}},
        {"identities": {"external": {"id": "1"}}},
        {"identities": {"traits": {"id": "1", "username": "ann"}}},
        {"identities": {"traits_crm": {"id": "1"}}},
        {"identities": {"github": {}}},
        {"identities": {"github": {"id": ["1"]}}},
        {"identities": {"github": {"id": "1", "connected_at": "once"}}},
        {"identities": {"github": {"id": "1", "secret": "x"}}},
        {"identities": []},
        {"has_password": "yes"},
        {"main_identity": 5},
        {"main_identity": ""},
        {"colour": "red"},
    ],
)
def test_malformed_identities_are_refused(put, organization, body):
    """The answer is 400 with the rule, and nothing is changed."""
    before = organization.user_report(ANN)
    assert put(body)[0] == 400
    assert organization.user_report(ANN) == before


def test_only_the_operator_sets_them(put, call, admin, credentials, send, organization):
    """Connectors are refused, and traits cannot write them; nobody is made by it."""
    assert put({"has_password": True}, credentials)[0] == 403
    send.traits(ANN, {"has_password": True, "main_identity": "x"})
    report = organization.user_report(ANN)
    assert not [name for name in report if "password" in name or "main_identity" in name]
    assert call("PUT", "/api/v1/5a79000000000000000000ff/identities", {}, **admin)[0] == 404


def test_a_merge_brings_identities_along(put, call, admin, organization, send):
    """The recipient keeps its own and gains those that it lacks."""
    put({"identities": {"github": {"id": "1"}}})
    send.traits({"anonymous_id": "v"}, {})
    visitor = organization.find_user({"anonymous_id": "v"}).id
    call(
        "PUT", f"/api/v1/{visitor}/identities", {"identities": {"github": {"id": "2"}, "google": {"id": "3"}}}, **admin
    )
    send.traits({**ANN, "anonymous_id": "v"}, {})
    report = organization.user_report(ANN)
    assert (report["github_id"], report["google_id"]) == ("1", "3")
