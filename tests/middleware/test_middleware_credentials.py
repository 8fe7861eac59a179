"""Where the credentials of a request come from."""

from __future__ import annotations

from functools import partial

import pytest
from connector_world import CONNECTOR_ID, CREDENTIALS, HOST, HOST_SECRET, SECRET, query
from flask import Flask

from hull_sdk import Middleware, current_context, incoming
from hull_sdk.context.credentials import MISSING_CREDENTIALS
from hull_sdk.errors import CredentialsError, InvalidArgumentError
from hull_sdk.handlers import takes_state, takes_webhooks
from hull_sdk.middleware import Incoming, RequestFacts
from hull_sdk.outcomes import judge

OTHER_ID = "5a7962e2793d3e942a03b29b"


def show():
    """Answer whose request it is."""
    config = current_context.config
    return {"config": None if config is None else dict(config), "request_id": current_context.request_id}


@pytest.fixture
def app(world):
    """Return an application that is not set up yet."""
    app = world.app(setup=False)
    app.add_url_rule("/show", "show", show)
    return app


@pytest.fixture
def client(world, app):
    """Set the application up and return its test client."""
    return world.setup(app).test_client()


def tokens(app):
    """Return what encrypts and decrypts the application's tokens."""
    return app.extensions["hull"].tokens


def test_no_credentials_are_no_error(client):
    """A request without credentials gets a context without them."""
    assert client.get("/show").get_json()["config"] is None


@pytest.mark.parametrize("changes", [{}, {"ship": None, "id": CONNECTOR_ID}, {"id": OTHER_ID}])
@pytest.mark.shows("README: configuration-resolve-strategy")
def test_the_query_names_the_connector(client, changes):
    """Both ship and id name the connector; ship wins."""
    assert client.get(f"/show?{query(**changes)}").get_json()["config"] == CREDENTIALS


def test_values_are_trimmed(client):
    """Blanks around the query's values are dropped, and a host is lower-cased."""
    padded = query(ship=f" {CONNECTOR_ID} ", secret=f"{SECRET} ", organization=f" {HOST.upper()}")
    assert client.get(f"/show?{padded}").get_json()["config"] == CREDENTIALS


def test_the_way_to_credentials_is_readable():
    """What a request without credentials is answered holds no secret, and nothing of it is taken for one."""
    assert judge(CredentialsError(MISSING_CREDENTIALS)).text == MISSING_CREDENTIALS


@pytest.mark.parametrize("missing", ["ship", "secret", "organization"])
def test_an_incomplete_query_counts_as_none(client, missing):
    """Two of three values are no credentials."""
    assert client.get(f"/show?{query(**{missing: None})}").get_json()["config"] is None


@pytest.mark.parametrize(
    ("parameter", "purpose"),
    [("hullToken", "dashboard"), ("token", "dashboard")],
)
@pytest.mark.shows("README: configuration-resolve-strategy", "utils.tokenMiddleware")
def test_a_token_in_the_query_is_decrypted(client, app, parameter, purpose):
    """An encrypted token in the query stands for the credentials."""
    token = tokens(app).encrypt(CREDENTIALS, purpose)
    assert client.get(f"/show?{parameter}={token}").get_json()["config"] == CREDENTIALS


@pytest.mark.parametrize(
    ("parameter", "purpose"),
    [("hullToken", "webhook"), ("token", "webhook"), ("hullToken", "oauth"), ("token", "oauth"), ("token", "job")],
)
@pytest.mark.attack("a token of one purpose for another")
def test_a_token_of_another_purpose_is_refused(client, app, parameter, purpose):
    """A token made for one purpose opens nothing else, even beside a good query."""
    token = tokens(app).encrypt(CREDENTIALS, purpose)
    response = client.get(f"/show?{parameter}={token}&{query()}")
    assert (response.status_code, response.text) == (401, "Invalid Token")


@pytest.mark.parametrize(("purpose", "status"), [("webhook", 200), ("dashboard", 200), ("oauth", 401), ("job", 401)])
def test_a_webhooks_token_opens_what_takes_webhooks(world, app, purpose, status):
    """A view that other services call is opened by the tokens in their addresses, and by those of the dashboard."""
    app.add_url_rule("/called", "called", takes_webhooks(partial(show)))
    client = world.setup(app).test_client()
    response = client.get(f"/called?token={tokens(app).encrypt(CREDENTIALS, purpose)}")
    assert response.status_code == status
    assert status == 401 or response.get_json()["config"] == CREDENTIALS


def test_what_takes_webhooks_is_a_view():
    """Something else than a view is refused with its value."""
    with pytest.raises(InvalidArgumentError, match="takes_webhooks got 'called'"):
        takes_webhooks("called")


@pytest.mark.parametrize("purpose", ["oauth", "dashboard"])
@pytest.mark.attack("a token of one purpose for another")
def test_a_state_opens_no_plain_route(client, app, purpose):
    """A state in the query of any route but the callback of an authorization is nothing to the middleware."""
    state = tokens(app).encrypt(CREDENTIALS, purpose)
    assert client.get(f"/show?state={state}").get_json()["config"] is None
    assert client.get(f"/show?state=open&{query()}").get_json()["config"] == CREDENTIALS


@pytest.mark.parametrize(("purpose", "status"), [("oauth", 200), ("dashboard", 401), ("webhook", 401), ("job", 401)])
def test_a_state_opens_the_callback(world, app, purpose, status):
    """Where an authorization comes back to, a state made for it holds the credentials, and no other token does."""
    app.add_url_rule("/back", "back", takes_state(partial(show)))
    client = world.setup(app).test_client()
    response = client.get(f"/back?state={tokens(app).encrypt(CREDENTIALS, purpose)}")
    assert response.status_code == status
    assert status == 401 or response.get_json()["config"] == CREDENTIALS


def test_a_callback_of_ones_own_takes_the_state_of_its_context(world, app):
    """A view under takes_state gets the credentials back that the state of ``ctx.token_for`` holds, for ten minutes."""
    app.add_url_rule("/leave", "leave", lambda: current_context.token_for("oauth"))
    app.add_url_rule("/back", "back", takes_state(partial(show)))
    client = world.setup(app).test_client()
    state = client.get(f"/leave?{query()}").text
    assert client.get("/back", query_string={"state": state}).get_json()["config"] == CREDENTIALS
    world.runtime.tasks.sleep(601)
    assert client.get("/back", query_string={"state": state}).status_code == 401


class Callback:
    """A view that is a method of an object."""

    def back(self):
        return show()


def test_a_method_of_an_object_may_take_the_state(world, app):
    """A method of an object, on which no mark can be set, takes the state too and keeps its name; unmarked it does not."""
    view = Callback().back
    app.add_url_rule("/back", view_func=takes_state(view))
    app.add_url_rule("/unmarked", "unmarked", view)
    client = world.setup(app).test_client()
    state = tokens(app).encrypt(CREDENTIALS, "oauth")
    assert "back" in app.view_functions
    assert client.get("/back", query_string={"state": state}).get_json()["config"] == CREDENTIALS
    assert client.get("/unmarked", query_string={"state": state}).get_json()["config"] is None


def test_what_takes_the_state_is_a_view():
    """Something else than a view is refused with its value."""
    with pytest.raises(InvalidArgumentError, match="takes_state got 'back'"):
        takes_state("back")


@pytest.mark.attack("tampered or truncated context token")
def test_a_damaged_token_is_refused(client, app):
    """A token that was cut or changed is answered 401."""
    token = tokens(app).encrypt(CREDENTIALS, "dashboard")
    for damaged in (token[:-3], token[:40] + ("A" if token[40] != "A" else "B") + token[41:], "x", "eyJ.a.b"):
        response = client.get(f"/show?token={damaged}")
        assert (response.status_code, response.text) == (401, "Invalid Token")


@pytest.mark.shows("README: configuration-resolve-strategy", "ctx.config")
def test_the_application_may_pass_config_token_and_request_id(world, app):
    """A function that runs before the middleware may say whose request it is; its config wins over all else."""
    given = {}

    @app.before_request
    def tell():
        for name, value in given.items():
            setattr(incoming, name, value)

    client = world.setup(app).test_client()
    given.update(config={**CREDENTIALS, "ship": CONNECTOR_ID}, request_id="r-1")
    answer = client.get("/show?token=broken", headers={"X-Hull-Request-Id": "r-2"}).get_json()
    assert answer == {"config": CREDENTIALS, "request_id": "r-1"}
    given.clear()
    given["token"] = tokens(app).encrypt(CREDENTIALS, "dashboard")
    assert client.get("/show?token=broken").get_json()["config"] == CREDENTIALS


def test_what_the_application_sets_ends_with_the_request(world, app):
    """Nothing of one request's incoming values is left for the next."""
    first = [True]

    @app.before_request
    def tell():
        if first:
            incoming.config = CREDENTIALS
            first.clear()

    client = world.setup(app).test_client()
    assert client.get("/show").get_json()["config"] == CREDENTIALS
    assert client.get("/show").get_json()["config"] is None


@pytest.mark.parametrize(
    "organization",
    [
        "evil.example",
        "hullapp.test",
        "acme.hullapp.test.evil.example",
        "evil.example/acme.hullapp.test",
        "a@b.hullapp.test",
        "-eyJaaaa" * 10_000,
    ],
)
@pytest.mark.parametrize("way", ["query", "token", "config", "incoming token"])
@pytest.mark.attack("SSRF through an organization")
def test_another_organization_is_refused_before_any_call(world, app, organization, way):
    """Whichever way an organization arrives, one that is not allowed is answered 401 without a single call."""
    values = {**CREDENTIALS, "organization": organization}
    ways = {"config": values}

    @app.before_request
    def tell():
        if way == "config":
            incoming.config = ways["config"]
        if way == "incoming token":
            incoming.token = ways["token"]

    client = world.setup(app).test_client()
    ways["token"] = tokens(app).encrypt(values, "dashboard")
    urls = {"query": query(organization=organization), "token": f"token={ways['token']}"}
    response = client.get(f"/show?{urls.get(way, '')}")
    assert response.status_code == 401
    assert "allowed_organizations" in response.text
    assert SECRET not in response.text
    assert world.asked() == []


@pytest.mark.parametrize("changes", [{"ship": "5a79"}, {"ship": "../../x"}, {"secret": "a\nb"}])
def test_credentials_that_cannot_be_are_401(world, client, changes):
    """An id or a secret that no connector can have is answered 401 without a call."""
    response = client.get(f"/show?{query(**changes)}")
    assert response.status_code == 401
    assert world.asked() == []


@pytest.mark.shows("ctx.requestId")
def test_the_request_id_comes_from_the_header(client):
    """X-Hull-Request-Id is taken over when it is one line of plain text."""
    assert client.get("/show", headers={"X-Hull-Request-Id": "r-7"}).get_json()["request_id"] == "r-7"
    assert client.get("/show", headers={"X-Hull-Request-Id": "r\u00e9"}).get_json()["request_id"] is None
    assert client.get("/show").get_json()["request_id"] is None


def test_the_environment_names_the_trust_root(world, monkeypatch):
    """Without the option, HULL_ALLOWED_ORGANIZATIONS counts, else the platform's own domain."""
    monkeypatch.setenv("HULL_ALLOWED_ORGANIZATIONS", " acme.hullapp.test , localhost:3000")
    app = world.app(allowed_organizations=None)
    assert app.extensions["hull"].trust.patterns == ("acme.hullapp.test", "localhost:3000")
    monkeypatch.delenv("HULL_ALLOWED_ORGANIZATIONS")
    app = world.app(allowed_organizations=None)
    assert app.extensions["hull"].trust.patterns == ("*.hullapp.io",)


@pytest.mark.shows(
    "Connector.clientMiddleware",
    "Hull.Middleware",
    "Middleware option: hostSecret",
    "README: base-context",
    "README: example-usage",
    "README: hull-middleware",
)
def test_the_middleware_alone_builds_the_context(world):
    """Middleware in any Flask application builds the same context and answers bad credentials."""
    app = Flask("plain")
    app.add_url_rule("/show", "show", show)
    Middleware(host_secret=HOST_SECRET, allowed_organizations=[HOST]).init_app(app)
    client = world.adopt(app).test_client()
    assert client.get(f"/show?{query()}").get_json()["config"] == CREDENTIALS
    assert client.get("/show?token=x").status_code == 401


def test_what_stands_for_a_request_shows_no_secret():
    """Neither what a request brought nor what the application set appears in a text form, as in a traceback."""
    facts = RequestFacts(header=CREDENTIALS.get, query=CREDENTIALS, body=SECRET.encode())
    assert SECRET not in f"{facts} {Incoming(config=CREDENTIALS, token=SECRET)}"
