"""OAuth 2, from the connector's page to the other service and back."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
from html import unescape
from urllib.parse import parse_qs, parse_qsl, urlsplit

import pytest
from connector_world import CREDENTIALS, OTHER_ID, SECRET, query
from flask import Flask, jsonify, request

from hull_sdk.context.credentials import MISSING_CREDENTIALS
from hull_sdk.errors import ConfigurationError, InvalidArgumentError, MissingExtraError
from hull_sdk.handlers import oauth_handler
from hull_sdk.middleware.tokens import OAUTH_TTL_S

PROVIDER = "crm.example"
CLIENT_SECRET = "client-s3cret"
PUBLIC = "https://shop.example"


class Provider:
    """An OAuth server that checks client, code, address and verifier."""

    def __init__(self, world) -> None:
        self.grants: dict[str, dict[str, str]] = {}
        self.answer = {"access_token": "at-1", "refresh_token": "rt-1", "expires_in": 3600, "token_type": "Bearer"}
        self.asked = 0
        self.app = Flask("provider")
        self.app.add_url_rule("/token", "token", self._token, methods=["POST"])
        world.net.mount(PROVIDER, self.app)

    def grant(self, location: str) -> str:
        """Agree to what the browser was sent to, and return where it is sent back, without the host."""
        parts = urlsplit(location)
        assert (parts.scheme, parts.netloc, parts.path) == ("https", PROVIDER, "/authorize")
        asked = {name: values[0] for name, values in parse_qs(parts.query).items()}
        code = f"code-{len(self.grants)}"
        self.grants[code] = asked
        back = urlsplit(asked["redirect_uri"])
        return f"{back.path}?state={asked['state']}&code={code}"

    def _token(self):
        self.asked += 1
        form = request.form
        asked = self.grants.pop(form["code"], None)
        authorization = request.authorization
        challenge = base64.urlsafe_b64encode(hashlib.sha256(form["code_verifier"].encode()).digest()).rstrip(b"=")
        if (
            asked is None
            or (authorization.username, authorization.password) != ("client-1", CLIENT_SECRET)
            or form["redirect_uri"] != asked["redirect_uri"]
            or challenge.decode() != asked["code_challenge"]
        ):
            return jsonify(error="invalid_grant", error_description=f"no {CLIENT_SECRET}"), 400
        return jsonify(self.answer)


@pytest.fixture
def provider(world):
    """The other service on the virtual network."""
    world.platform.connector["source_url"] = f"{PUBLIC}/"
    return Provider(world)


def handler(**options):
    """Return an OAuth handler that keeps the access token."""
    defaults = {
        "name": "CRM <b>",
        "authorize_url": f"https://{PROVIDER}/authorize",
        "token_url": f"https://{PROVIDER}/token",
        "client_id": "client-1",
        "client_secret": lambda _ctx: CLIENT_SECRET,
        "scope": "contacts",
        "is_setup": lambda ctx: "access_token" in ctx.ship["private_settings"],
        "on_authorize": lambda ctx, tokens: ctx.helpers.update_settings({"access_token": tokens["access_token"]}),
    }
    return oauth_handler(**{**defaults, **options})


def browser(app: Flask):
    """Return a browser that speaks https with the connector's public address."""
    client = app.test_client()
    client.environ_base["wsgi.url_scheme"] = "https"
    client.environ_base["HTTP_HOST"] = "shop.example"
    return client


def login(client, path="/b0/login"):
    """Begin an authorization and return where the browser is sent."""
    response = client.get(f"{path}?{query()}", base_url=PUBLIC)
    assert response.status_code == 302, response.text
    return response.headers["Location"]


def back(client, path: str):
    """Follow the way back and return the answer of the callback."""
    return client.get(path, base_url=PUBLIC)


def reason_of(response) -> str | None:
    """Return why the callback failed; its redirect must stay within its own routes."""
    parts = urlsplit(response.headers["Location"])
    assert (response.status_code, parts.scheme, parts.netloc) == (302, "", "")
    assert parts.path in {"/b0/success", "/b0/failure"}
    return dict(parse_qsl(parts.query)).get("reason")


@pytest.mark.shows(
    "README: installation-authorization",
    "oAuthHandler option: Strategy",
    "oAuthHandler option: isSetup",
    "oAuthHandler option: name",
    "oAuthHandler option: onAuthorize",
    "utils.oAuthHandler",
)
def test_the_whole_way(world, provider):
    """Login page, the other service, callback, settings, success page, home page."""
    tokens = []
    keep = lambda ctx, found: (tokens.append(found), ctx.helpers.update_settings({"access_token": "at-1"}))  # noqa: E731
    client = browser(world.app(handler(on_authorize=keep)))
    assert "Not connected yet" in client.get(f"/b0/?{query()}", base_url=PUBLIC).text
    location = login(client)
    asked = dict(parse_qsl(urlsplit(location).query))
    assert asked["redirect_uri"] == f"{PUBLIC}/b0/callback"
    assert (asked["client_id"], asked["scope"], asked["code_challenge_method"]) == ("client-1", "contacts", "S256")
    response = back(client, provider.grant(location))
    assert reason_of(response) is None
    assert "You can close this window" in back(client, response.headers["Location"]).text
    assert (tokens[0]["access_token"], tokens[0]["refresh_token"]) == ("at-1", "rt-1")
    assert 3590 <= tokens[0]["expires_at"] - world.runtime.clock.time() <= 3600
    assert world.platform.connector["private_settings"] == {"access_token": "at-1"}
    assert "Connected" in client.get(f"/b0?{query()}", base_url=PUBLIC).text
    assert PROVIDER in world.asked()


@pytest.mark.attack("CSRF and reuse of a state")
def test_a_state_is_good_once(world, provider):
    """The same callback a second time fails, and asks for no token."""
    client = browser(world.app(handler()))
    path = provider.grant(login(client))
    cookies = [str(cookie.value) for cookie in client._cookies.values()]
    name = next(iter(client._cookies.values())).key
    assert reason_of(back(client, path)) is None
    client.set_cookie(name, cookies[0], domain="shop.example", path="/b0/callback")
    assert reason_of(back(client, path)) == "state"
    assert provider.asked == 1


@pytest.mark.attack("CSRF and reuse of a state")
def test_another_process_completes_an_authorization_once(world, provider, valkey):
    """An authorization that one process began, another one completes, and no process does so a second time."""
    apps = [world.app(handler(), redis_url=valkey.url) for _ in range(2)]
    began, other = (browser(app) for app in apps)
    path = provider.grant(login(began))
    (cookie,) = began._cookies.values()
    reasons = []
    for client in (other, began, other):
        client.set_cookie(cookie.key, cookie.value, domain="shop.example", path="/b0/callback")
        reasons.append(reason_of(back(client, path)))
    assert reasons == [None, "state", "state"]
    assert provider.asked == 1
    for app in apps:
        app.extensions["hull"].runs.close()


@pytest.mark.attack("CSRF and reuse of a state")
def test_a_state_belongs_to_a_browser(world, provider):
    """Somebody else's browser cannot complete an authorization; the right one still can."""
    app = world.app(handler())
    client = browser(app)
    path = provider.grant(login(client))
    assert reason_of(back(browser(app), path)) == "state"
    assert provider.asked == 0
    assert reason_of(back(client, path)) is None


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.attack("CSRF and reuse of a state")
def test_another_site_cannot_begin_an_authorization(world, provider, method):
    """A browser that another site sent to the login sees the page with the button first; the connector's own goes on."""
    app = world.app(handler(on_login=lambda _ctx: pytest.fail("called")))
    sent = browser(app).open(
        f"/b0/login?{query()}", base_url=PUBLIC, method=method, headers={"Sec-Fetch-Site": "cross-site"}
    )
    assert (sent.status_code, "Not connected yet" in sent.text, "Set-Cookie" in sent.headers) == (200, True, False)
    for site in ("same-origin", "same-site", "none"):
        response = browser(world.app(handler())).get(
            f"/b0/login?{query()}", base_url=PUBLIC, headers={"Sec-Fetch-Site": site}
        )
        assert response.status_code == 302


def test_two_windows_do_not_disturb_each_other(world, provider):
    """Two authorizations of one browser are completed, in any order."""
    client = browser(world.app(handler()))
    paths = [provider.grant(login(client)) for _ in range(2)]
    assert [reason_of(back(client, path)) for path in reversed(paths)] == [None, None]


@pytest.mark.attack("CSRF and reuse of a state")
def test_a_state_grows_old(world, provider):
    """After ten minutes a state opens nothing any more."""
    client = browser(world.app(handler()))
    path = provider.grant(login(client))
    world.runtime.tasks.sleep(OAUTH_TTL_S + 61)
    response = back(client, path)
    assert (response.status_code, response.text) == (401, "Invalid Token")
    assert provider.asked == 0


@pytest.mark.attack("a token of one purpose for another")
def test_a_state_opens_nothing_but_the_callback(world, provider):
    """What the other service gets to see is no key to the connector's other pages."""
    client = browser(world.app(handler()))
    asked = dict(parse_qsl(urlsplit(provider.grant(login(client))).query))
    response = client.get(f"/b0/login?state={asked['state']}")
    assert (response.status_code, response.text) == (403, MISSING_CREDENTIALS)


@pytest.mark.attack("a token of one purpose for another")
def test_a_webhooks_address_connects_no_account(world, provider):
    """A token that other services have leads to no page of the authorization, where it would become one of people."""
    app = world.app(handler())
    webhook, dashboard = (
        app.extensions["hull"].tokens.encrypt(CREDENTIALS, purpose) for purpose in ("webhook", "dashboard")
    )
    client = browser(app)
    for page in ("", "login", "callback", "success", "failure"):
        answers = [client.get(f"/b0/{page}?token={token}", base_url=PUBLIC) for token in (webhook, dashboard)]
        assert (answers[0].status_code, answers[0].text) == (401, "Invalid Token"), page
        assert answers[1].status_code in {200, 302}, page


@pytest.mark.attack("CSRF and reuse of a state")
def test_a_state_that_was_made_up_is_refused(world, provider):
    """Texts, tokens for other purposes, and states of other connectors lead nowhere."""
    app = world.app(handler())
    tokens = app.extensions["hull"].tokens
    client = browser(app)
    assert back(client, "/b0/callback?state=made-up&code=c").status_code == 401
    dashboard = tokens.encrypt(CREDENTIALS, "dashboard")
    assert back(client, f"/b0/callback?state={dashboard}&code=c").status_code == 401
    unused = tokens.encrypt(CREDENTIALS, "oauth")
    assert reason_of(back(client, f"/b0/callback?state={unused}&code=c")) == "state"
    other = tokens.encrypt({**CREDENTIALS, "id": OTHER_ID}, "dashboard")
    path = provider.grant(login(client))
    assert reason_of(back(client, f"{path}&token={other}")) == "state"
    assert provider.asked == 0


def test_a_refusal_is_shown_in_words_of_ours(world, provider):
    """What the other service writes into the address is not repeated on the page."""
    client = browser(world.app(handler()))
    path = provider.grant(login(client)).partition("&code")[0]
    response = back(client, f"{path}&error=access_denied&error_description=<script>")
    assert reason_of(response) == "denied"
    page = back(client, response.headers["Location"])
    assert "was not granted" in page.text
    assert "script" not in page.text
    assert "The authorization failed" in back(client, "/b0/failure?reason=<script>").text


@pytest.mark.parametrize("case", ["error", "empty", "down", "redirect"])
def test_no_token_leads_to_the_failure_page(world, provider, case, caplog):
    """An error, an answer without token, a service that is down and a redirect are reported without secrets."""
    client = browser(world.app(handler(on_authorize=lambda _ctx, _tokens: pytest.fail("called"))))
    path = provider.grant(login(client))
    if case == "error":
        provider.grants.clear()
    elif case == "empty":
        provider.answer = {}
    else:
        status, headers = (503, None) if case == "down" else (302, {"Location": "https://evil.example/"})
        provider.app.view_functions["token"] = lambda: ("", status, headers)
    response = back(client, path)
    assert reason_of(response) == "token"
    assert "evil.example" not in world.asked()
    assert CLIENT_SECRET not in caplog.text + response.text
    assert "connector.transient_error" in world.metric_names()


def test_a_failing_function_leads_to_the_failure_page(world, provider):
    """An error of on_authorize is reported, and the browser gets a page."""
    client = browser(world.app(handler(on_authorize=lambda _ctx, _tokens: 1 / 0)))
    assert reason_of(back(client, provider.grant(login(client)))) == "setup"


@pytest.mark.attack("secrets outside their lawful places")
def test_no_secret_stands_in_addresses_and_pages(world, provider):
    """Neither the connector's secret nor the client's nor a token of the service appears; pages leave no trace."""
    client = browser(world.app(handler()))
    seen = []
    location = login(client)
    seen.append(location)
    response = back(client, provider.grant(location))
    seen.append(response.headers["Location"])
    for path in (f"/b0?{query()}", response.headers["Location"], "/b0/failure"):
        page = back(client, path)
        assert page.headers["Cache-Control"] == "no-store"
        assert page.headers["Referrer-Policy"] == "no-referrer"
        seen.append(unescape(page.text))
        assert "CRM &lt;b&gt;" in page.text
    for secret in (SECRET, CLIENT_SECRET, "at-1", "rt-1"):
        assert not any(secret in text for text in seen)
    dashboard = dict(parse_qsl(urlsplit(response.headers["Location"]).query))["token"]
    assert dashboard not in location


def test_the_cookie_is_for_the_callback_alone(world, provider):
    """It is invisible to scripts, only sent over https, and not along with requests of other sites."""
    client = browser(world.app(handler()))
    cookie = client.get(f"/b0/login?{query()}", base_url=PUBLIC).headers["Set-Cookie"]
    for part in ("HttpOnly", "Secure", "SameSite=Lax", "Path=/b0/callback", "Max-Age=600"):
        assert part in cookie


@pytest.mark.shows("oAuthHandler option: tokenInUrl")
def test_the_token_can_be_left_out_of_addresses(world, provider):
    """Without token_in_url the pages are shown without a context."""
    client = browser(world.app(handler(token_in_url=False)))
    response = back(client, provider.grant(login(client)))
    assert response.headers["Location"] == "/b0/success"
    assert back(client, "/b0/success").status_code == 200


@pytest.mark.shows("oAuthHandler option: onLogin", "oAuthHandler option: options")
def test_the_login_may_add_parameters(world, provider):
    """What on_login returns goes to the other service; what the handler sets itself cannot be replaced."""
    client = browser(
        world.app(handler(on_login=lambda _ctx: {"prompt": "consent"}), handler(on_login=lambda _ctx: {"state": "x"}))
    )
    assert "prompt=consent" in login(client)
    assert client.get(f"/b1/login?{query()}", base_url=PUBLIC).status_code == 500


@pytest.mark.parametrize("fail", [ConfigurationError("no key"), None])
def test_a_check_that_fails_means_not_connected(world, provider, fail):
    """A configuration error of is_setup, or a false result, shows the login page."""

    def is_setup(_ctx):
        if fail is not None:
            raise fail

    client = browser(world.app(handler(is_setup=is_setup)))
    assert "Not connected yet" in client.get(f"/b0?{query()}", base_url=PUBLIC).text


@pytest.mark.shows("oAuthHandler option: views")
def test_the_application_may_bring_its_pages(world, provider, tmp_path):
    """Its templates get what the check returned, escaped."""
    (tmp_path / "mine.html").write_text("Hello {{ setup.name }} {{ name }} {{ urls.login|length > 20 }}")
    app = world.app(handler(is_setup=lambda _ctx: {"name": "<i>Ann"}, views={"home": "mine.html"}))
    app.jinja_loader.searchpath.append(str(tmp_path))
    text = browser(app).get(f"/b0?{query()}", base_url=PUBLIC).text
    assert text == "Hello &lt;i&gt;Ann CRM &lt;b&gt; True"


def test_without_a_known_address_the_request_tells_it(world):
    """When the platform knows no address, host and path of the request are the public ones."""
    Provider(world)
    asked = dict(parse_qsl(urlsplit(login(browser(world.app(handler())))).query))
    assert asked["redirect_uri"] == f"{PUBLIC}/b0/callback"


def test_without_credentials_the_answer_is_403(world, provider):
    """Home, login and callback need to know whose they are."""
    client = world.app(handler()).test_client()
    assert [client.get(f"/b0{path}").status_code for path in ("", "/login", "/callback")] == [403, 403, 403]


def test_a_missing_client_id_names_the_option(world, provider, caplog):
    """A setting that is not there is an error that names the option, in the log."""
    client = browser(world.app(handler(client_id=lambda ctx: ctx.ship["private_settings"].get("client_id"))))
    assert client.get(f"/b0/login?{query()}", base_url=PUBLIC).status_code == 500
    assert "client_id of oauth_handler" in caplog.text


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"authorize_url": "http://crm.example/"}, "authorize_url is 'http://crm.example/'; write an https address"),
        ({"token_url": "crm"}, "token_url is 'crm'"),
        ({"is_setup": 1}, "is_setup is 1"),
        ({"on_authorize": 1}, "on_authorize is 1"),
        ({"on_login": 1}, "on_login is 1"),
        ({"views": {"other": "a.html"}}, "'other' is no view"),
        ({"views": {"home": "a.txt"}}, "others are not escaped"),
    ],
)
def test_a_wrong_option_is_an_error_at_once(options, text):
    """Options are checked when the handler is made."""
    with pytest.raises(InvalidArgumentError, match=text):
        handler(**options)


def test_the_library_is_asked_for_when_needed(monkeypatch):
    """Without authlib the error names the command that installs it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r"hull-sdk\[oauth\]"):
        handler()


def test_without_a_host_secret_there_is_no_way(world, provider, caplog):
    """The state is encrypted, so a host secret is needed."""
    app = world.app(handler(), host_secret=None)
    assert browser(app).get(f"/b0/login?{query()}", base_url=PUBLIC).status_code == 500
    assert "host_secret" in caplog.text
