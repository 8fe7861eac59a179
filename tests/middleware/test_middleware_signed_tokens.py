"""Signed tokens of the Node generation, which webhook addresses given out earlier still carry."""

from __future__ import annotations

import logging

import jwt
import pytest
from connector_world import CONNECTOR_ID, CREDENTIALS, HOST, SECRET

from hull_sdk import Middleware, current_context, incoming
from hull_sdk.errors import InvalidArgumentError

CONFIG = {"organization": HOST, "ship": CONNECTOR_ID, "secret": SECRET}
HOST_SECRET = "a long random text of the host, as long as the library wants it"
OLD_SECRET = "the host secret before it was rotated, long enough for anybody"


def signed(config=CONFIG, secret=HOST_SECRET, algorithm="HS256"):
    """Return a token as the Node generation makes it, made by another library."""
    return jwt.encode(config, secret, algorithm=algorithm)


@pytest.fixture
def ask(world):
    """Return a function that asks an application with some options and returns the response."""

    def ask(address, **options):
        app = world.app(setup=False)

        @app.before_request
        def tell():
            if address.startswith("cookie "):
                incoming.token = address.removeprefix("cookie ")

        @app.get("/hook")
        def hook():
            config = current_context.config
            return {"config": None if config is None else dict(config), "token": current_context.token}

        client = world.setup(app, **{"host_secret": HOST_SECRET, **options}).test_client()
        return client.get("/hook" if address.startswith("cookie ") else f"/hook?{address}")

    return ask


@pytest.mark.parametrize("way", ["hullToken={}", "token={}", "cookie {}"])
@pytest.mark.parametrize("config", [CONFIG, CREDENTIALS, {**CONFIG, "id": CONNECTOR_ID, "more": {"a": 1}}])
def test_a_signed_token_is_accepted_when_asked_for(ask, way, config):
    """Behind the switch a signed token stands for the credentials; what goes out is encrypted all the same."""
    answer = ask(way.format(signed(config)), accept_signed_tokens=True).get_json()
    assert answer["config"] == CREDENTIALS
    assert answer["token"].startswith("gAAAA")


def test_a_signed_token_is_refused_by_default(ask):
    """Without the switch a signed token is an invalid one."""
    response = ask(f"token={signed()}")
    assert (response.status_code, response.text) == (401, "Invalid Token")


def test_encrypted_tokens_are_accepted_beside_signed_ones(world, ask):
    """The switch takes nothing away: encrypted tokens count as before."""
    token = world.app(host_secret=HOST_SECRET).extensions["hull"].tokens.encrypt(CREDENTIALS, "dashboard")
    assert ask(f"token={token}", accept_signed_tokens=True).get_json()["config"] == CREDENTIALS


@pytest.mark.attack("keys and secrets that were exchanged")
def test_signed_tokens_survive_a_rotation(ask):
    """Tokens signed with any of the host secrets count, and with no other."""
    secrets = [HOST_SECRET, OLD_SECRET]
    for secret in secrets:
        response = ask(f"token={signed(secret=secret)}", accept_signed_tokens=True, host_secret=secrets)
        assert response.get_json()["config"] == CREDENTIALS
    assert ask(f"token={signed(secret=OLD_SECRET)}", accept_signed_tokens=True).status_code == 401


@pytest.mark.parametrize(
    "token",
    [
        signed(secret="some other text that is long enough to be a secret"),
        signed(algorithm="HS512", secret=HOST_SECRET * 3),
        jwt.encode(CONFIG, None, algorithm="none"),
        signed()[:-2],
        "ey.ey.ey",
        signed({"organization": HOST, "ship": CONNECTOR_ID}),
        signed({"organization": HOST, "ship": {"id": 1}, "secret": 5}),
        signed({**CONFIG, "exp": 1}),
    ],
)
@pytest.mark.attack("algorithm confusion and none")
def test_a_signed_token_that_does_not_verify_is_refused(world, ask, token):
    """Another secret or algorithm, no signature, damage, missing values and an expired one are answered 401."""
    response = ask(f"token={token}", accept_signed_tokens=True)
    assert (response.status_code, response.text) == (401, "Invalid Token")
    assert world.asked() == []


@pytest.mark.attack("SSRF through an organization")
def test_a_signed_token_stays_within_the_trust_root(world, ask):
    """A signed token that names another organization is refused without a call."""
    response = ask(f"token={signed({**CONFIG, 'organization': 'evil.example'})}", accept_signed_tokens=True)
    assert response.status_code == 401
    assert "allowed_organizations" in response.text
    assert world.asked() == []


@pytest.mark.attack("a token of one purpose for another")
def test_a_signed_token_is_no_state(ask):
    """A signed token in the state of a plain route is nothing."""
    assert ask(f"state={signed()}", accept_signed_tokens=True).get_json()["config"] is None


def test_each_use_is_logged_without_the_token(ask, caplog):
    """Every use names connector and organization, never token or secret."""
    caplog.set_level(logging.DEBUG)
    ask(f"token={signed()}", accept_signed_tokens=True)
    (record,) = [record for record in caplog.records if record.message == "connector.token.signed"]
    assert (record.levelno, record.hull["id"], record.hull["organization"]) == (logging.INFO, CONNECTOR_ID, HOST)
    assert signed() not in caplog.text
    assert SECRET not in str([record.__dict__ for record in caplog.records])


def test_the_middleware_alone_takes_the_switch(world):
    """Middleware has the switch too."""
    app = world.app(setup=False)
    app.add_url_rule("/hook", "hook", lambda: dict(current_context.credentials()))
    Middleware(HOST_SECRET, allowed_organizations=[HOST], accept_signed_tokens=True).init_app(app)
    client = world.adopt(app).test_client()
    assert client.get(f"/hook?token={signed()}").get_json() == CREDENTIALS


@pytest.mark.parametrize("option", ["skip_signature_validation", "accept_unbound_signatures", "accept_signed_tokens"])
@pytest.mark.parametrize("value", ["false", 1, None])
def test_a_switch_is_true_or_false(world, option, value):
    """A text or a number is no switch: what was meant as off must not count as on."""
    with pytest.raises(InvalidArgumentError, match=f"{option} is {value!r}; pass True or False"):
        world.connector(**{option: value})
    with pytest.raises(InvalidArgumentError, match=option):
        Middleware(HOST_SECRET, **{option: value})
