"""Requests to the API: where they go, what they carry, what is repeated, and which errors come back."""

from __future__ import annotations

import io
import json

import pytest
from client_sinks import HOST, ID, SECRET, claims_of

from hull_sdk.core.retry import RetryPolicy
from hull_sdk.errors import (
    ApiError,
    CredentialsError,
    InvalidArgumentError,
    NetworkError,
    OrganizationDisabledError,
    RateLimitError,
    TransientError,
)


class Api:
    """A WSGI application that remembers requests and answers from a script."""

    def __init__(self):
        self.script = []
        self.requests = []
        self.retry_after = None

    def __call__(self, environ, start_response):
        body = environ.get("wsgi.input", io.BytesIO()).read()
        self.requests.append({**environ, "body": json.loads(body) if body else None})
        status, answer = self.script.pop(0) if self.script else (200, b'{"ok": true}')
        if status is None:
            return []
        start_response(f"{status} X", [("Retry-After", self.retry_after)] if self.retry_after else [])
        return [answer]


@pytest.fixture
def api(runtime):
    """The API of the organization."""
    api = Api()
    runtime.net.mount(HOST, api)
    return api


@pytest.mark.shows("Client.api")
@pytest.mark.parametrize("method", ["GET", "post", "Put", "delete"])
def test_a_method_can_be_named(client, api, method):
    """api() sends a request with the method that is named, in any case; without one it is a GET."""
    assert client.as_user("5a7962e2793d3e942a03b29b").api("me", method, {"a": 1}) == {"ok": True}
    client.api("app")
    assert [request["REQUEST_METHOD"] for request in api.requests] == [method.upper(), "GET"]
    assert claims_of({"headers": {"Hull-Access-Token": api.requests[0]["HTTP_HULL_ACCESS_TOKEN"]}})["sub"]


@pytest.mark.parametrize(
    ("method", "text"), [("PATCH", "method is 'PATCH'; use one of GET, POST"), (None, "method is None")]
)
def test_an_unknown_method_is_refused(client, api, method, text):
    """The error names the methods that there are, and nothing is sent."""
    with pytest.raises(InvalidArgumentError, match=text):
        client.api("app", method)
    assert api.requests == []


@pytest.mark.shows("Client.get")
def test_a_get_has_its_params_in_the_query(client, api):
    """Params of a GET are the query; a leading slash makes no difference."""
    assert client.get("/users_segments", {"page": 2, "all": True, "none": None, "q": "a b&c", "f": ["x"]}) == {
        "ok": True
    }
    (request,) = api.requests
    assert request["PATH_INFO"] == "/api/v1/users_segments"
    assert request["QUERY_STRING"] == "page=2&all=true&q=a+b%26c&f=%5B%22x%22%5D"
    assert request["body"] is None
    assert request["wsgi.url_scheme"] == "https"


def test_a_query_in_the_path_is_kept(client, api):
    """Params are added to it."""
    client.get("app?x=1", {"y": 2})
    assert api.requests[0]["QUERY_STRING"] == "x=1&y=2"


@pytest.mark.parametrize("method", ["post", "put", "delete"])
@pytest.mark.shows("Client.del", "Client.post", "Client.put")
def test_other_methods_have_their_params_in_the_body(client, api, method):
    """The params are the JSON body."""
    getattr(client, method)("app", {"a": [1, {"b": None}]})
    assert api.requests[0]["REQUEST_METHOD"] == method.upper()
    assert api.requests[0]["body"] == {"a": [1, {"b": None}]}
    assert api.requests[0]["CONTENT_TYPE"] == "application/json"


@pytest.mark.shows("Hull.Client", "README: hull-client")
def test_a_connector_is_named_by_headers(make_client, api):
    """Organization, id, secret and request id go along."""
    make_client(request_id="r-1").get("app")
    request = api.requests[0]
    assert [request[f"HTTP_{name}"] for name in ("HULL_ORGANIZATION", "HULL_APP_ID", "HULL_ACCESS_TOKEN")] == [
        HOST,
        ID,
        SECRET,
    ]
    assert request["HTTP_X_HULL_REQUEST_ID"] == "r-1"


def test_a_scoped_client_asks_with_its_token(client, api):
    """Requests of as_user carry the user's token instead of the secret."""
    client.as_user({"email": "ann@acme.test"}, create=False).get("me")
    token = api.requests[0]["HTTP_HULL_ACCESS_TOKEN"]
    assert claims_of({"headers": {"Hull-Access-Token": token}})["io.hull.asUser"] == {"email": "ann@acme.test"}


@pytest.mark.parametrize(
    ("body", "found"), [(b"", None), (b" ", None), (b"ok", "ok"), (b"[1]", [1]), (b"\xff", "\ufffd")]
)
def test_any_success_is_returned(client, api, body, found):
    """JSON is decoded, other text returned as it is, nothing is None."""
    api.script = [(201, body)]
    assert client.get("app") == found


@pytest.mark.parametrize(
    "url",
    [
        f"https://{HOST}/api/v1/app",
        f"https://{HOST}:443/x?y=1",
        f"https://{HOST.upper()}/x",
    ],
)
def test_a_url_on_the_own_host_is_allowed(client, api, runtime, url):
    """Absolute URLs work on the organization's host, with or without the default port."""
    runtime.net.mount(f"{HOST}:443", api)
    assert client.get(url) == {"ok": True}


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.test/app",
        f"http://{HOST}/app",
        f"https://{HOST}:8443/app",
        f"https://{HOST}.evil.test/",
        f"https://{HOST}@evil.test/",
        f"https://evil.test\\@{HOST}/",
        f"ftp://{HOST}/",
        f"https://firehose.{HOST}/",
    ],
)
def test_credentials_never_leave_for_another_host(client, api, runtime, url):
    """Any other host, port or protocol is refused before anything is sent."""
    with pytest.raises(InvalidArgumentError, match="credentials are sent there only"):
        client.get(url)
    assert runtime.net.exchanges == []


@pytest.mark.parametrize("path", ["//evil.test/x", "/\\evil.test", "@evil.test", "../../x", ":80@evil.test"])
def test_no_path_leads_to_another_host(client, api, runtime, path):
    """Whatever stands in a path, the request goes to the organization."""
    client.get(path)
    assert runtime.net.exchanges[0].request.url.startswith(f"https://{HOST}/api/v1/")


@pytest.mark.parametrize(
    ("call", "text"),
    [
        (lambda c: c.get(None), "path is None; pass text"),
        (lambda c: c.get("a\r\nb"), "path is 'a"),
        (lambda c: c.get("app", ["x"]), r"params is \['x'\]; pass a dict"),
        (lambda c: c.get("app", {"x": object()}), r"params\['x'\] is of type object"),
        (lambda c: c.post("app", {"x": float("nan")}), r"params\['x'\] is nan"),
        (lambda c: c.get("app", timeout_s=0), "timeout_s is 0; pass seconds above 0"),
    ],
)
def test_a_wrong_request_is_refused_before_it_is_sent(client, api, call, text):
    """The error names the value and the rule."""
    with pytest.raises(InvalidArgumentError, match=text):
        call(client)
    assert api.requests == []


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, CredentialsError),
        (402, OrganizationDisabledError),
        (400, ApiError),
        (403, ApiError),
        (404, ApiError),
        (409, ApiError),
        (302, ApiError),
    ],
)
def test_a_refusal_is_an_error_at_once(client, api, status, kind):
    """Each status has its error, with the platform's own words, and is not repeated."""
    api.script = [(status, b'{"status": 1, "message": "App not found"}')]
    with pytest.raises(kind, match="App not found") as caught:
        client.get("app")
    assert type(caught.value) is kind
    assert caught.value.status == status
    assert len(api.requests) == 1


@pytest.mark.shows_secrets("address", reason="it asks for an address that holds one")
def test_an_error_keeps_the_body_and_hides_secrets(client, api):
    """The decoded answer is on the error; a token in it is not in the text."""
    api.script = [(404, json.dumps({"message": f"no token={SECRET}", "x": 1}).encode())]
    with pytest.raises(ApiError) as caught:
        client.get("app", {"secret": SECRET})
    assert caught.value.body["x"] == 1
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("method", ["get", "put", "delete"])
@pytest.mark.parametrize("failure", [(None, b""), (408, b""), (429, b""), (500, b""), (503, b"x")])
def test_what_may_pass_is_tried_three_times(client, api, method, failure, runtime):
    """Two failures are repeated with pauses; the third try counts."""
    api.script = [failure, failure]
    assert getattr(client, method)("app") == {"ok": True}
    assert len(api.requests) == 3
    assert 0.5 <= runtime.clock.monotonic() <= 1.5


@pytest.mark.parametrize(
    ("failure", "kind"), [((None, b""), NetworkError), ((500, b""), TransientError), ((429, b""), RateLimitError)]
)
def test_the_last_failure_is_the_error(client, api, failure, kind):
    """After three tries its error is raised."""
    api.script = [failure] * 4
    with pytest.raises(kind) as caught:
        client.get("app")
    assert type(caught.value) is kind
    assert len(api.script) == 1


@pytest.mark.parametrize(("status", "tries"), [(429, 2), (503, 2), (500, 1), (None, 1)])
def test_a_post_is_repeated_only_when_nothing_was_done(client, api, status, tries):
    """429 and 503 are repeated; after any other failure the platform may have acted."""
    api.script = [(status, b"")]
    try:
        client.post("import/users", {})
    except TransientError:
        assert tries == 1
    assert len(api.requests) == tries


def test_a_post_is_repeated_when_no_connection_was_made(client, runtime):
    """Nobody answers at all, so nothing can have been done."""
    with pytest.raises(NetworkError):
        client.post("import/users", {})
    assert len(runtime.net.exchanges) == 3


def test_retry_after_is_obeyed_or_raised(client, api, runtime):
    """A short pause is kept; one that is too long ends the tries with the pause on the error."""
    api.script, api.retry_after = [(429, b"")], "5"
    client.get("app")
    assert 5 <= runtime.clock.monotonic() <= 5.5
    api.script, api.retry_after = [(429, b"")], "3600"
    with pytest.raises(RateLimitError) as caught:
        client.get("app")
    assert caught.value.retry_after == 3600
    assert runtime.clock.monotonic() <= 5.5


@pytest.mark.shows("Client option: retry")
def test_the_caller_may_decide_how_to_retry(client, api):
    """None tries once; a policy bounds the time."""
    for policy in (None, RetryPolicy(total_s=0.01)):
        api.script = [(500, b""), (200, b"{}")]
        with pytest.raises(TransientError):
            client.get("app", retry=policy)


@pytest.mark.shows("Client option: timeout")
def test_timeouts_reach_the_network(make_client, api, runtime):
    """Per call, else the client's."""
    client = make_client(timeout_s=7)
    client.get("app")
    client.get("app", timeout_s=2)
    assert [exchange.request.timeout_s for exchange in runtime.net.exchanges] == [7, 2]


@pytest.mark.shows("Client.utils.settings.update")
def test_settings_are_merged_and_written_back(client, api):
    """settings.update reads the connector, merges, writes, and returns the connector."""
    api.script = [(200, json.dumps({"id": ID, "private_settings": {"a": 1, "b": 1}}).encode()), (200, b'{"id": "x"}')]
    assert client.utils.settings.update({"b": 2}) == {"id": "x"}
    assert [r["PATH_INFO"] for r in api.requests] == ["/api/v1/app", f"/api/v1/{ID}"]
    assert api.requests[1]["body"] == {"private_settings": {"a": 1, "b": 2}}


def test_settings_need_a_dict_and_a_connector(client, api):
    """A wrong argument or answer is named."""
    with pytest.raises(InvalidArgumentError, match="settings is 3"):
        client.utils.settings.update(3)
    api.script = [(200, b"ok")]
    with pytest.raises(ApiError, match="did not answer with a connector"):
        client.utils.settings.update({})


@pytest.mark.shows("Client.utils.properties.get")
def test_properties_are_flattened(client, api):
    """properties.get lists the attributes with the path of their groups, by either name of id and title."""
    tree = [
        {"text": "User", "children": [{"id": "email", "text": "Email", "type": "string"}]},
        {
            "text": "CRM",
            "app_id": "a1",
            "children": [{"name": "Deals", "children": [{"key": "traits_crm/n", "name": "n"}]}],
        },
        {"text": "broken"},
    ]
    api.script = [(200, json.dumps({"version": "new", "tree": tree}).encode())]
    assert client.utils.properties.get() == {
        "email": {
            "id": "email",
            "text": "Email",
            "type": "string",
            "title": "Email",
            "key": "email",
            "path": ["User"],
            "id_path": ["User"],
        },
        "traits_crm/n": {
            "name": "n",
            "title": "n",
            "key": "traits_crm/n",
            "path": ["CRM", "Deals"],
            "id_path": ["a1", "Deals"],
        },
    }
    assert api.requests[0]["PATH_INFO"] == "/api/v1/search/user_reports/bootstrap"
    assert client.utils.properties.get() == {}
