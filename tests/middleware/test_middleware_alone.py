"""Middleware in a Flask application that is no connector: the whole way from a request to a context or a refusal."""

from __future__ import annotations

import json

import pytest
from connector_world import CONNECTOR_ID, CREDENTIALS, HOST, HOST_SECRET, OTHER_ID, SECRET, query
from flask import Flask

from hull_sdk import Middleware, current_context, incoming
from hull_sdk.context.credentials import MISSING_CREDENTIALS
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.handlers import takes_webhooks
from hull_sdk.middleware import ContextTokens

CONFIG = {"organization": HOST, "ship": OTHER_ID, "secret": SECRET}


@pytest.fixture
def given():
    """What a function that runs before the middleware sets."""
    return {}


@pytest.fixture
def app(world, given):
    """Return a plain application with the middleware."""
    app = Flask("plain")

    @app.before_request
    def tell():
        for name, value in given.items():
            setattr(incoming, name, value)

    @app.route("/show", methods=["GET", "POST"])
    def show():
        ctx = current_context
        return {"id": ctx.config and ctx.config.id, "request_id": ctx.request_id, "channel": ctx.notification}

    app.add_url_rule("/name", "name", lambda: current_context.client.get("app")["name"])
    Middleware(host_secret=HOST_SECRET, allowed_organizations=[HOST]).init_app(app)
    return world.adopt(app)


@pytest.fixture
def client(app):
    """Return the application's test client."""
    return app.test_client()


def token_of(app, connector_id, purpose):
    """Return an encrypted token for a connector."""
    return app.extensions["hull"].tokens.encrypt({**CREDENTIALS, "id": connector_id}, purpose)


def test_config_wins_over_token_and_token_over_query(app, client, given):
    """Credentials come from the application, else from a token, else from the query."""
    third = f"ship={CONNECTOR_ID}&secret={SECRET}&organization={HOST}"
    assert client.get(f"/show?{third}").get_json()["id"] == CONNECTOR_ID
    second = f"token={token_of(app, OTHER_ID, 'dashboard')}"
    assert client.get(f"/show?{third}&{second}").get_json()["id"] == OTHER_ID
    first = f"hullToken={token_of(app, CONNECTOR_ID, 'dashboard')}"
    assert client.get(f"/show?{second}&{first}").get_json()["id"] == CONNECTOR_ID
    given["token"] = token_of(app, OTHER_ID, "dashboard")
    assert client.get(f"/show?{first}").get_json()["id"] == OTHER_ID
    given["config"] = {**CONFIG, "ship": CONNECTOR_ID}
    assert client.get(f"/show?{first}").get_json()["id"] == CONNECTOR_ID


@pytest.mark.parametrize("missing", ["organization", "ship", "secret"])
def test_an_incomplete_config_counts_as_none(client, given, missing):
    """A config of two of the three is no config, and nothing else is looked for."""
    given["config"] = {name: value for name, value in CONFIG.items() if name != missing}
    assert client.get("/show").get_json()["id"] is None


@pytest.mark.parametrize("name", ["id", "ship"])
def test_a_config_names_the_connector_either_way(client, given, name):
    """A config may call the connector's id ship or id."""
    given["config"] = {"organization": f" {HOST} ", name: OTHER_ID, "secret": SECRET}
    assert client.get("/show").get_json()["id"] == OTHER_ID


def test_no_credentials_are_403_where_a_client_is_needed(client):
    """A view runs without credentials; one that needs the client is answered 403 with the ways to give them."""
    assert client.get("/show").status_code == 200
    response = client.get("/name")
    assert (response.status_code, response.text) == (403, MISSING_CREDENTIALS)


@pytest.mark.parametrize(
    ("status", "answer"),
    [
        (401, (401, "no")),
        (402, (402, None)),
        (404, (404, f"Connector not found: {CONNECTOR_ID!r}")),
        (503, (400, "transient-error")),
    ],
)
def test_the_platforms_refusals_are_answered(world, client, status, answer):
    """Bad credentials, a disabled organization, an unknown connector and an outage each have their answer."""
    world.platform.fail_with = status
    response = client.get(f"/show?{query()}")
    assert response.status_code == answer[0]
    assert answer[1] is None or answer[1] in response.text
    assert SECRET not in response.text


@pytest.mark.attack("SSRF through an organization")
def test_a_bad_token_and_a_foreign_organization_are_401(world, client):
    """An invalid token and an organization outside the trust root are answered 401 without a call."""
    assert (client.get("/show?token=x").status_code, client.get("/show?token=x").text) == (401, "Invalid Token")
    response = client.get(f"/show?{query(organization='evil.example')}")
    assert response.status_code == 401
    assert "allowed_organizations" in response.text
    assert world.asked() == []


def test_the_request_id_comes_from_application_header_or_notification(world, app, client, given):
    """The application's own id wins over the header's; a notification has one made of its own id."""
    headers = {"X-Hull-Request-Id": "r-7"}
    assert client.get("/show", headers=headers).get_json()["request_id"] == "r-7"
    given["request_id"] = "mine"
    assert client.get("/show", headers=headers).get_json()["request_id"] == "mine"
    response = world.notify(app, path="/show")
    assert response.get_json()["request_id"].startswith("smart-notifier:")
    assert response.get_json()["channel"]["channel"] == "user:update"


def test_notifications_are_verified(world, app, client):
    """A notification that nobody signed is answered with flow control, under the middleware alone too."""
    body = json.dumps(world.notification()).encode()
    response = client.post("/show", data=body, headers={"X-Hull-Smart-Notifier": "true"})
    assert response.status_code == 400
    assert response.get_json()["flow_control"]["type"] == "retry"


def test_the_applications_own_error_handlers_win(world):
    """A handler that the application registered answers refusals in its own way."""
    from hull_sdk.errors import CredentialsError

    app = Flask("own")
    app.register_error_handler(CredentialsError, lambda err: (f"mine: {err.status}", 418))
    app.add_url_rule("/show", "show", lambda: "ok")
    Middleware(HOST_SECRET, allowed_organizations=[HOST]).init_app(app)
    assert world.adopt(app).test_client().get("/show?token=x").text == "mine: 401"


def test_tokens_survive_the_rotation_of_the_host_secret(world):
    """Addresses given out under any of the host secrets open the application; after its secret was dropped, none do."""

    def ask(secrets, token):
        app = Flask("rotated")
        app.add_url_rule("/show", "show", takes_webhooks(lambda: dict(current_context.credentials())))
        Middleware(secrets, allowed_organizations=[HOST]).init_app(app)
        return world.adopt(app).test_client().get(f"/show?token={token}").status_code

    secrets = ["the newest", "an older one", "the oldest"]
    for secret in secrets:
        token = ContextTokens((secret,), world.runtime).encrypt(CREDENTIALS, "webhook")
        assert ask(secrets, token) == 200
        assert ask([other for other in secrets if other != secret], token) == 401


def test_a_second_middleware_is_an_error(app):
    """An application is set up once."""
    with pytest.raises(InvalidArgumentError, match="set up before"):
        Middleware(HOST_SECRET).init_app(app)
