"""A connector and a real OAuth server: the way to tokens, and tokens that stay fresh."""

from __future__ import annotations

import contextlib
import threading
from urllib.parse import parse_qsl, urlencode, urlsplit

import pytest
from connector_world import query
from flask import Flask, redirect, request
from oauth_server import CLIENT_ID, CLIENT_SECRET, HOST, LIFETIME_S, OAuthServer

from hull_sdk import current_context
from hull_sdk.core.tasks import ThreadTasks
from hull_sdk.errors import ConfigurationError, InvalidArgumentError, TransientError
from hull_sdk.handlers import action_handler, fresh_tokens, oauth_handler
from hull_sdk.service import ServiceSession

PUBLIC = "https://shop.example"
CRM = {"token_url": f"https://{HOST}/token", "client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}


def raise_again(error):
    """Let an error through to the test."""
    raise error


@pytest.fixture
def server(world):
    """The OAuth server, at its host."""
    found = OAuthServer(f"{PUBLIC}/auth/callback")
    world.net.mount(HOST, found.app)
    world.platform.connector["source_url"] = PUBLIC
    return found


@pytest.fixture
def app(world, server):
    """A connector that keeps its tokens in a setting and uses them in an action."""

    def call(ctx, _request):
        tokens = fresh_tokens(ctx, **CRM)
        session = ServiceSession(f"https://{HOST}", runtime=ctx.runtime)
        return session.get("/me", headers={"Authorization": f"Bearer {tokens['access_token']}"}).json()

    app = Flask("shop")
    app.config["TESTING"] = True
    app.register_error_handler(Exception, raise_again)
    handler = oauth_handler(
        name="CRM",
        authorize_url=f"https://{HOST}/authorize",
        **CRM,
        scope="contacts",
        is_setup=lambda ctx: "oauth_tokens" in ctx.ship["private_settings"],
        on_authorize=lambda ctx, tokens: ctx.helpers.update_settings({"oauth_tokens": tokens}),
    )
    app.register_blueprint(handler, url_prefix="/auth")
    app.register_blueprint(action_handler(call), url_prefix="/call")
    app.add_url_rule("/fresh", "fresh", lambda: fresh_tokens(current_context, **{**CRM, **app.config["options"]}))
    return world.setup(app)


def connect(app, server):
    """Connect the connector with the service, as a user does, and return the browser and the last address."""
    browser = app.test_client()
    location = browser.get(f"/auth/login?{query()}", base_url=PUBLIC).headers["Location"]
    back = server.agree(location)
    return browser, browser.get(back, base_url=PUBLIC)


def call(app):
    """Use the tokens once."""
    return app.test_client().post(f"/call?{query()}").get_json()


def fresh(app, **options):
    """Return the tokens that a request of the connector gets."""
    app.config["options"] = options
    return app.test_client().get(f"/fresh?{query()}").get_json()


@pytest.fixture
def connected(app, server):
    """The connector after it was connected."""
    _, response = connect(app, server)
    assert urlsplit(response.headers["Location"]).path == "/auth/success"
    return app


def stored(world):
    """Return the tokens in the connector's settings."""
    return world.platform.connector["private_settings"]["oauth_tokens"]


def test_the_whole_way_with_a_real_server(world, server, connected):
    """A real server accepts redirect address, secret and verifier; its tokens are kept and work."""
    tokens = stored(world)
    assert (tokens["access_token"], tokens["token_type"]) == (server.issued[0], "Bearer")
    assert tokens["expires_at"] == pytest.approx(world.runtime.clock.time() + LIFETIME_S, abs=2)
    assert call(connected) == {"name": "Ann"}
    assert server.asked == ["authorization_code"]
    assert server.codes == {}


def test_a_stolen_code_is_worth_nothing(world, server, app):
    """The server gives nothing for a code with another verifier, so a code from somebody else's login fails."""
    browser, other = app.test_client(), app.test_client()
    stolen = server.agree(browser.get(f"/auth/login?{query()}", base_url=PUBLIC).headers["Location"])
    location = other.get(f"/auth/login?{query()}", base_url=PUBLIC).headers["Location"]
    state = dict(parse_qsl(urlsplit(location).query))["state"]
    code = dict(parse_qsl(urlsplit(stolen).query))["code"]
    response = other.get(f"/auth/callback?{urlencode({'state': state, 'code': code})}", base_url=PUBLIC)
    found = urlsplit(response.headers["Location"])
    assert (found.path, dict(parse_qsl(found.query))["reason"]) == ("/auth/failure", "token")
    assert (server.issued, world.platform.connector["private_settings"]) == ([], {})


def test_a_callback_that_is_not_registered_is_refused_by_the_server(server, app):
    """The connector asks with its public address only; the server knows no other."""
    server.client.redirect_uris.clear()
    location = app.test_client().get(f"/auth/login?{query()}", base_url=PUBLIC).headers["Location"]
    response = server.app.test_client().get(location)
    assert response.status_code == 400


def test_tokens_are_refreshed_shortly_before_they_expire(world, server, connected):
    """A minute before its end an access token is exchanged, saved and used; before that nobody is asked."""
    first = stored(world)
    world.runtime.tasks.sleep(LIFETIME_S - 70)
    assert call(connected) == {"name": "Ann"}
    assert server.asked == ["authorization_code"]
    world.runtime.tasks.sleep(15)
    assert call(connected) == {"name": "Ann"}
    assert server.asked == ["authorization_code", "refresh_token"]
    assert stored(world)["access_token"] == server.issued[1]
    assert stored(world)["refresh_token"] != first["refresh_token"]
    assert stored(world)["scope"] == "contacts"
    world.runtime.tasks.sleep(LIFETIME_S)
    assert call(connected) == {"name": "Ann"}
    assert len(server.asked) == 3


def test_many_threads_that_find_a_token_expired_refresh_it_once(world, server, connected):
    """Of many threads one asks the server, which would refuse a second use of the refresh token; all get its answer."""
    world.runtime.tasks.sleep(LIFETIME_S)
    now = world.runtime.clock.time()
    tokens = stored(world)
    world.runtime.tasks = ThreadTasks()
    tokens["expires_at"] = min(tokens["expires_at"], now)
    several = threading.Barrier(2, timeout=0.3)

    def wait_for_another():
        with contextlib.suppress(threading.BrokenBarrierError):
            several.wait()

    server.app.before_request_funcs[None] = [lambda: wait_for_another() if request.path == "/token" else None]
    connected.extensions["hull"].runtime.become(world.runtime)
    calls = [world.runtime.tasks.spawn(call, connected) for _ in range(8)]
    assert [each.result(30) for each in calls] == [{"name": "Ann"}] * 8
    connected.extensions["hull"].leases.stop()
    assert server.asked == ["authorization_code", "refresh_token"]
    assert stored(world)["access_token"] == server.issued[-1]


def test_a_token_that_the_service_refuses_is_refreshed_whatever_its_age(world, server, connected):
    """Who names a refused token gets another one; who names one that was replaced meanwhile asks nobody."""
    first = stored(world)["access_token"]
    second = fresh(connected, rejected=first)["access_token"]
    assert (second != first, second) == (True, server.issued[-1])
    assert fresh(connected, rejected=first)["access_token"] == second
    assert server.asked == ["authorization_code", "refresh_token"]


def test_a_refreshed_token_survives_a_save_that_fails(world, server, connected):
    """When the platform takes no settings, the new tokens are kept and saved by the next call; nobody connects again."""
    world.runtime.tasks.sleep(LIFETIME_S)
    failing = {"on": True}
    world.platform.app.before_request_funcs[None].insert(
        0, lambda: ("no", 503) if failing["on"] and server.asked[1:] else None
    )
    with pytest.raises(TransientError):
        call(connected)
    failing["on"] = False
    assert call(connected) == {"name": "Ann"}
    assert server.asked == ["authorization_code", "refresh_token"]
    assert stored(world)["access_token"] == server.issued[1]


def test_a_connection_that_was_ended_has_to_be_made_again(world, server, connected):
    """When the service refuses the refresh token, a ConfigurationError says what to do and shows no token."""
    world.runtime.tasks.sleep(LIFETIME_S)
    for token in server.tokens.values():
        token.revoked = True
    with pytest.raises(ConfigurationError, match=r"refused with invalid_grant; somebody has to .* connect") as caught:
        call(connected)
    assert stored(world)["refresh_token"] not in str(caught.value)


def test_a_service_that_is_down_is_asked_again_later(world, connected):
    """A token endpoint that does not answer well is a transient failure, and the tokens stay."""
    world.runtime.tasks.sleep(LIFETIME_S)
    before = dict(stored(world))
    down = Flask("down")
    down.add_url_rule("/token", "token", lambda: redirect("https://evil.example/"), methods=["POST"])
    world.net.mount(HOST, down)
    with pytest.raises(TransientError, match="handed out no token") as caught:
        call(connected)
    assert not isinstance(caught.value, ConfigurationError)
    assert stored(world) == before
    assert "evil.example" not in world.asked()


@pytest.mark.parametrize(
    ("tokens", "words"),
    [
        (None, "are missing"),
        ({}, "are missing"),
        ("text", "are missing"),
        ({"access_token": "a", "expires_at": 1}, "no refresh_token"),
    ],
)
def test_a_connector_that_is_not_connected_says_so(world, connected, tokens, words):
    """Without usable tokens a ConfigurationError names the setting."""
    world.platform.connector["private_settings"] = {"oauth_tokens": tokens}
    world.runtime.tasks.sleep(120)
    with pytest.raises(ConfigurationError, match=f"'oauth_tokens' .*{words}"):
        call(connected)


def test_tokens_without_an_end_are_never_refreshed(world, server, connected):
    """A service that does not say how long a token is good is not asked for another one."""
    world.platform.connector["private_settings"] = {"oauth_tokens": {"access_token": server.issued[0]}}
    world.runtime.tasks.sleep(86_400)
    assert call(connected) == {"name": "Ann"}
    assert server.asked == ["authorization_code"]


def test_the_address_of_tokens_is_https(world, connected):
    """Tokens are asked for over https only."""
    with pytest.raises(InvalidArgumentError, match="https"):
        fresh(connected, token_url="http://crm.example/token", rejected=stored(world)["access_token"])
    assert "crm.example" not in world.asked()
