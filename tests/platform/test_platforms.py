"""Platforms: websites and apps with credentials of their own."""

from __future__ import annotations

import pytest
from delivery_kit import FakeConnector

from hull_sdk.core import json
from hull_sdk.wire import tokens

ANN = {"external_id": "42"}


@pytest.fixture
def shop(call, admin, organization):
    """A platform, made over HTTP."""
    status, made = call("POST", "/api/v1/platforms", {"name": "Shop", "domains": ["*.Acme.test", "acme.test"]}, **admin)
    assert status == 201
    return made


def test_the_operator_makes_a_platform(call, admin, shop):
    """The first answer holds id and secret; later ones leave the secret out."""
    assert (shop["type"], shop["allowed_domains"]) == ("platform", ["*.acme.test", "acme.test"])
    assert len(shop["id"]) == 24
    listed = call("GET", "/api/v1/platforms", **admin)[1]
    assert listed == [{key: value for key, value in shop.items() if key != "secret"}]
    assert call("GET", f"/api/v1/{shop['id']}", **admin)[1] == listed[0]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": ""},
        {"name": "x", "domains": "acme.test"},
        {"name": "x", "domains": ["https://acme.test"]},
        {"name": "x", "domains": [1]},
        {"name": "x", "id": "one"},
        {"name": "x", "secret": ""},
        {"name": "x", "url": "https://acme.test"},
    ],
)
def test_malformed_platforms_are_refused(call, admin, organization, body):
    """The answer is 400 with the rule, and nothing is made."""
    assert call("POST", "/api/v1/platforms", body, **admin)[0] == 400
    assert organization.connectors == {}


def test_a_platform_of_another_kind_of_caller_is_refused(call, credentials):
    """A connector makes no platforms and does not list them."""
    assert call("POST", "/api/v1/platforms", {"name": "x"}, **credentials)[0] == 403
    assert call("GET", "/api/v1/platforms", **credentials)[0] == 403


def test_a_backend_signs_tokens_of_its_own_users(platform, call, shop, organization):
    """A token signed with the platform's secret writes and reads for the user whom the backend names."""
    now = platform.runtime.clock.time()
    claims = tokens.build_claims(issuer=shop["id"], issued_at=now, subject_type="user", user=ANN)
    token = {"Hull_App_Id": shop["id"], "Hull_Access_Token": tokens.encode(claims, shop["secret"])}
    assert call("PUT", "/api/v1/me/traits", {"plan": "pro"}, **token)[0] == 200
    assert call("GET", "/api/v1/me", **token)[1]["traits_plan"] == "pro"
    forged = {**token, "Hull_Access_Token": tokens.encode(claims, "guessed")}
    assert call("GET", "/api/v1/me", **forged)[0] == 401
    assert organization.records[-1].connector_id == shop["id"]


def test_messages_of_a_backend_go_through_the_firehose(platform, call, shop, organization):
    """Each has a token that names the backend's own user; ended tokens and those of another site are refused one by one."""
    now = platform.runtime.clock.time()
    other = organization.create_platform("Other")

    def message(user, secret, **more):
        claims = tokens.build_claims(issuer=shop["id"], issued_at=now, subject_type="user", user=user)
        token = tokens.encode({**claims, **more}, secret)
        return {"type": "traits", "body": {"plan": "pro"}, "headers": {"Hull-Access-Token": token}}

    batch = [
        message(ANN, shop["secret"]),
        message({"external_id": "43"}, shop["secret"], exp=int(now) - 3600),
        message({"external_id": "44"}, other.secret),
    ]
    headers = {"Hull_App_Id": shop["id"], "Hull_Access_Token": shop["secret"]}
    status, answer = call("POST", "/api/v1/firehose", {"batch": batch}, **headers)
    assert (status, answer["accepted"]) == (200, 1)
    assert [(each["index"], each["code"]) for each in answer["rejected"]] == [(1, "BAD_TOKEN"), (2, "BAD_TOKEN")]
    assert [user.external_id for user in organization.entities("user")] == ["42"]


def test_platforms_survive_a_reset_and_end_with_their_deletion(platform, call, admin, shop):
    """Reset keeps ids and secrets; deleting voids them."""
    platform.reset()
    headers = {"Hull_App_Id": shop["id"], "Hull_Access_Token": shop["secret"]}
    assert call("GET", "/api/v1/users_segments", **headers)[0] == 200
    assert call("DELETE", f"/api/v1/{shop['id']}", **admin)[0] == 200
    assert call("GET", "/api/v1/users_segments", **headers)[0] == 404


def test_a_reset_keeps_connectors_whatever_their_manifest_says_of_their_settings(platform, organization, fake):
    """Settings that a late manifest forbids stay, as before the reset, and the connectors after them too."""
    early = organization.install(fake, private_settings={"limit": "many"}, wait=False)
    fake.manifest = {**fake.manifest, "private_settings": [{"name": "limit", "type": "number"}]}
    platform.advance(minutes=1)
    later = organization.install(FakeConnector(), name="Later")
    organization.set_status(later, {"status": "warning"})
    platform.reset()
    kept = platform.organizations[organization.host].connectors
    assert [each.id for each in kept.values()] == [early.id, later.id]
    assert kept[early.id].private_settings == {"limit": "many"}
    assert kept[early.id].ready
    assert kept[later.id].status == {"status": "ok", "messages": []}
    assert kept[later.id].name == "Later"


def test_a_dump_leaves_private_settings_unsaid(platform, organization, fake):
    """Names are there, values are not, nor what is called a secret in the public settings."""
    organization.install(
        fake, private_settings={"api_key": "k1", "list": "l1"}, settings={"token": "t1", "colour": "red"}
    )
    dump = platform.state()["organizations"]["acme.hullapp.test"]["connectors"][0]
    assert dump["private_settings"] == {"api_key": "***", "list": "***"}
    assert dump["settings"]["colour"] == "red"
    text = json.dumps(platform.state()).decode()
    assert "k1" not in text
    assert "l1" not in text
    assert "t1" not in text
