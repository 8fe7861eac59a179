"""The session for the third party: typed errors, retries, metrics, and that nothing leaves the process."""

from __future__ import annotations

import gzip
import json
import logging
import tracemalloc
import zlib

import pytest

from hull_sdk.core.logs import fields_of
from hull_sdk.core.net import MAX_RESPONSE_BYTES, Network, Request, Response
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import (
    ApiError,
    ConfigurationError,
    InvalidArgumentError,
    NetworkError,
    RateLimitError,
    TransientError,
)
from hull_sdk.infra import Cache, RecordingInstrumentation, RedisCache
from hull_sdk.service import ServiceSession, UrlTemplate


class Scripted(Network):
    """A network that answers with what it was given, one after the other, the last one again and again."""

    def __init__(self, *answers: Response | Exception) -> None:
        self.answers = list(answers)
        self.requests: list[Request] = []

    def send(self, request: Request) -> Response:
        """Return or raise the next answer."""
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


OK = Response(200, {"content-type": "application/json"}, b'{"ok":true}')
DOWN = NetworkError("POST https://api.test/: connection refused")


def session_with(*answers: Response | Exception, **options) -> tuple[ServiceSession, Scripted]:
    """Return a session on a virtual clock whose network answers as told."""
    runtime = Runtime.virtual()
    network = Scripted(*answers)
    runtime.net = network
    return ServiceSession("https://api.test/v1", runtime=runtime, **options), network


def test_requests_go_through_the_runtimes_network():
    """Method, address, headers, query and body arrive at the network, and its answer comes back."""
    session, network = session_with(OK)
    session.headers["Authorization"] = "Bearer abc"
    response = session.post("/contacts", params={"dry": "1"}, json={"email": "ann@acme.test"})
    (request,) = network.requests
    assert (request.method, request.url) == ("POST", "https://api.test/v1/contacts?dry=1")
    assert request.headers["Authorization"] == "Bearer abc"
    assert json.loads(request.body) == {"email": "ann@acme.test"}
    assert (response.status_code, response.json(), response.url) == (200, {"ok": True}, request.url)
    assert response.reason == "OK"


def test_an_application_on_the_virtual_network_answers():
    """On the virtual network a mounted application answers and the exchange is recorded."""
    runtime = Runtime.virtual()

    def app(environ, start_response):
        start_response("201 Created", [("Content-Type", "text/plain")])
        return [environ["PATH_INFO"].encode()]

    runtime.net.mount("api.test", app)
    response = ServiceSession("https://api.test/v1", runtime=runtime).get("contacts")
    assert (response.status_code, response.text) == (201, "/v1/contacts")
    assert [exchange.request.url for exchange in runtime.net.exchanges] == ["https://api.test/v1/contacts"]


def test_a_runtime_assigned_later_is_used():
    """Assigning the runtime moves the session to its network."""
    session = ServiceSession("https://api.test")
    session.runtime = Runtime.virtual()
    with pytest.raises(NetworkError, match="nothing is mounted"):
        session.get("/")


@pytest.mark.parametrize(
    ("base", "path", "url"),
    [
        ("https://api.test/v1", "/contacts", "https://api.test/v1/contacts"),
        ("https://api.test/v1/", "contacts", "https://api.test/v1/contacts"),
        ("https://api.test", "/a/b?c=d", "https://api.test/a/b?c=d"),
        ("https://api.test/v1", "", "https://api.test/v1"),
        ("https://api.test/v1", "https://other.test/x", "https://other.test/x"),
        ("https://api.test/v1", "/contacts/a:b", "https://api.test/v1/contacts/a:b"),
        ("https://api.test/v1", "contacts:search", "https://api.test/v1/contacts:search"),
        ("https://api.test/v1", "//other.test/x", "https://api.test/v1/other.test/x"),
    ],
)
def test_relative_addresses_stand_below_the_base(base, path, url):
    """A relative address is appended to the base, with or without slashes; an absolute one stays as it is."""
    session, network = session_with(OK)
    session.base_url = base
    session.get(path)
    assert network.requests[0].url == url


def test_a_relative_address_without_a_base_is_one_clear_error():
    """Without a base a relative address is refused with the way out."""
    with pytest.raises(InvalidArgumentError, match="base_url"):
        ServiceSession().get("/contacts")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"base_url": "api.test/v1"}, "'api.test/v1'"),
        ({"base_url": "ftp://api.test"}, "ftp"),
        ({"base_url": "https://api.test/v1?key=a"}, "base_url"),
        ({"timeout_s": 0}, "timeout_s is 0"),
        ({"retries": -1}, "retries is -1"),
    ],
)
def test_options_out_of_range_are_refused(options, text):
    """A wrong option names its value and rule."""
    with pytest.raises(InvalidArgumentError, match=text):
        ServiceSession(**options)


@pytest.mark.parametrize(
    ("timeout", "expected"), [(None, 7.0), (3, 3.0), ((1, 4), 4.0), ((None, 4), 4.0), ((None, None), 7.0)]
)
def test_the_timeout_of_the_call_wins_over_the_sessions(timeout, expected):
    """Without a timeout the session's is used; of a pair the larger counts."""
    session, network = session_with(OK, timeout_s=7)
    session.get("/", timeout=timeout)
    assert network.requests[0].timeout_s == expected


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, ApiError),
        (401, ConfigurationError),
        (403, ConfigurationError),
        (404, ApiError),
        (408, TransientError),
        (422, ApiError),
        (429, RateLimitError),
        (500, TransientError),
        (503, TransientError),
    ],
)
@pytest.mark.shows("README: superagent-plugins", "utils.superagentErrorPlugin")
def test_a_bad_status_raises_the_error_of_its_remedy(status, kind):
    """Each status of 400 or more raises the error that says what to do, and is not tried again."""
    session, network = session_with(Response(status, {}, b'{"why":"because"}'))
    with pytest.raises(kind, match=f"GET https://api.test/v1/contacts answered {status}") as caught:
        session.get("/contacts")
    assert type(caught.value) is kind
    assert len(network.requests) == 1


def test_an_api_error_carries_status_and_body():
    """The error of a refused request carries its status and the decoded answer."""
    session, _ = session_with(Response(422, {"content-type": "application/json"}, b'{"why":"no email"}'))
    with pytest.raises(ApiError, match="no email") as caught:
        session.post("/contacts")
    assert (caught.value.status, caught.value.body) == (422, {"why": "no email"})


@pytest.mark.parametrize(
    ("header", "pause"), [("120", 120.0), ("Mon, 01 Jan 2024 00:01:00 GMT", 60.0), ("soon", None), (None, None)]
)
def test_a_rate_limit_carries_its_pause(header, pause):
    """Retry-After is read as seconds or as a date; a useless one counts as none."""
    session, _ = session_with(Response(429, {} if header is None else {"retry-after": header}, b""))
    with pytest.raises(RateLimitError) as caught:
        session.get("/")
    assert caught.value.retry_after == pause


def test_answers_of_every_status_come_back_when_errors_are_off():
    """With raise_errors off a session returns bad answers as requests does."""
    session, _ = session_with(Response(500, {}, b"oops"), raise_errors=False)
    assert session.get("/").status_code == 500


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
@pytest.mark.shows("utils.superagentErrorPlugin")
def test_harmless_methods_are_tried_again_after_a_network_failure(method):
    """Methods that may be repeated are, after a pause, and the answer then counts."""
    session, network = session_with(DOWN, DOWN, OK)
    assert session.request(method, "/").status_code == 200
    assert len(network.requests) == 3
    assert session.runtime.clock.monotonic() > 0


def test_a_post_is_not_sent_twice_behind_the_developers_back():
    """A POST that failed may have been done; it is repeated only under an idempotency key."""
    session, network = session_with(DOWN, OK)
    with pytest.raises(NetworkError):
        session.post("/contacts")
    assert len(network.requests) == 1
    session, network = session_with(DOWN, OK)
    assert session.post("/contacts", headers={"Idempotency-Key": "1"}).status_code == 200


def test_a_post_that_was_never_sent_is_tried_again():
    """A POST is repeated when no connection was made, so that the service cannot have seen it."""
    session, network = session_with(NetworkError("connection refused", {"sent": False}), OK)
    assert session.post("/contacts").status_code == 200
    assert len(network.requests) == 2


def test_retries_end():
    """After the last try the failure is raised; zero retries means one try."""
    for retries in (0, 1, 2):
        session, network = session_with(DOWN, retries=retries)
        with pytest.raises(TransientError):
            session.get("/")
        assert len(network.requests) == retries + 1


@pytest.mark.attack("SSRF through redirects")
def test_redirects_pass_the_network_and_drop_credentials_on_other_hosts():
    """A redirect is another exchange on the network; keys in headers of any name do not follow to another host."""
    session, network = session_with(Response(302, {"location": "https://other.test/x"}, b""), OK)
    session.headers["Authorization"] = "Bearer abc"
    session.headers["X-Api-Key"] = "hunter2"
    response = session.get("/", headers={"Token": "hunter3", "Accept": "text/csv"}, cookies={"sid": "hunter4"})
    assert response.url == "https://other.test/x"
    first, second = (request.headers for request in network.requests)
    assert {"Authorization", "X-Api-Key", "Token", "Cookie"} <= first.keys()
    assert {name.lower() for name in second} <= {"user-agent", "accept", "accept-encoding", "connection"}
    assert second["Accept"] == "text/csv"


def test_keys_follow_a_redirect_on_the_same_host():
    """Within one host a redirect takes the headers along."""
    session, network = session_with(Response(302, {"location": "https://api.test/v1/new"}, b""), OK)
    session.headers["X-Api-Key"] = "abc"
    session.get("/old")
    assert [request.headers["X-Api-Key"] for request in network.requests] == ["abc", "abc"]


@pytest.mark.parametrize("template", ["/lists/{name}/contacts/{id}?f=1", "/lists/{{name}}/contacts/{{id}}?f=1"])
@pytest.mark.shows("utils.superagentUrlTemplatePlugin", "utils.superagentInstrumentationPlugin")
def test_variables_of_a_template_stay_out_of_metric_names(template, caplog):
    """The address is filled in and escaped; metrics name the template, the log line the template and the values."""
    caplog.set_level(logging.DEBUG, "hull_sdk.service")
    recording = RecordingInstrumentation()
    session, network = session_with(OK, metric=recording.metric())
    session.get(UrlTemplate(template, name="a/b ü", id=7))
    assert network.requests[0].url == "https://api.test/v1/lists/a%2Fb%20%C3%BC/contacts/7?f=1"
    written = template.removesuffix("?f=1")
    assert {record.tags["url"] for record in recording.metrics} == {f"https://api.test/v1{written}"}
    assert {record.tags["endpoint"] for record in recording.metrics} == {f"GET /v1{written}"}
    (fields,) = [fields_of(record) for record in caplog.records if record.message == "connector.service_api.call"]
    assert fields["vars"] == {"name": "a/b ü", "id": 7}
    assert {name: fields[name] for name in ("method", "url", "status")} == {
        "method": "GET",
        "url": f"https://api.test/v1{template}",
        "status": 200,
    }


def test_a_template_may_be_a_whole_address():
    """An absolute template is not put below the base."""
    session, network = session_with(OK)
    session.get(UrlTemplate("https://other.test/{a}", a="x"))
    assert network.requests[0].url == "https://other.test/x"


@pytest.mark.parametrize("value", ["..", ".", "", None])
def test_a_value_cannot_change_the_path(value):
    """A value that would lead to another address is refused; slashes and question marks are escaped."""
    with pytest.raises(InvalidArgumentError, match="'id' is"):
        UrlTemplate("/contacts/{id}/notes", id=value)
    assert UrlTemplate("/contacts/{id}", id="../x?y#z") == "/contacts/..%2Fx%3Fy%23z"


@pytest.mark.parametrize("variables", [{}, {"id": 1, "other": 2}, {"other": 1}])
def test_a_template_gets_just_its_variables(variables):
    """A missing and an unknown variable are errors that name the known ones."""
    with pytest.raises(InvalidArgumentError, match=r"\['id'\]"):
        UrlTemplate("/contacts/{id}", **variables)


@pytest.mark.parametrize(("statuses", "kind"), [((401,), ApiError), ((), ApiError), ((403, 418), ConfigurationError)])
def test_which_statuses_mean_wrong_settings_is_an_option(statuses, kind):
    """A service that answers 403 for a single record does not have the connector look misconfigured."""
    session, _ = session_with(Response(403, {}, b"not yours"), configuration_statuses=statuses)
    with pytest.raises(kind) as caught:
        session.get("/contacts/1")
    assert type(caught.value) is kind


def test_cookies_are_kept_and_sent_back():
    """Cookies of an answer, several in one header field included, come back with the next request."""
    session, network = session_with(Response(200, {"set-cookie": "a=1; Path=/\nb=2; Path=/"}, b""), OK)
    session.get("/")
    session.get("/")
    assert network.requests[1].headers["Cookie"] == "a=1; b=2"


def test_compressed_answers_are_read():
    """An answer that the service compressed is unpacked for the caller."""
    body = gzip.compress(b'{"a":1}')
    session, _ = session_with(Response(200, {"content-encoding": "gzip", "content-type": "application/json"}, body))
    assert session.get("/").json() == {"a": 1}


@pytest.mark.parametrize(
    "answer",
    [
        Response(200, {"content-encoding": "gzip"}, b"not packed at all"),
        Response(503, {"content-encoding": "gzip"}, b"not packed at all"),
        Response(302, {"location": "/"}, b""),
        Response(302, {"location": "http://[::1"}, b""),
    ],
)
def test_an_answer_that_cannot_be_read_or_followed_is_a_network_error(answer):
    """Packed wrongly, or a redirect in circles or to no address: whoever tries again on errors of the network does."""
    session, _ = session_with(*[answer] * 40)
    with pytest.raises(NetworkError, match="cannot be read or followed"):
        session.get("/")


@pytest.mark.parametrize(("status", "kind"), [(500, TransientError), (400, ApiError)])
@pytest.mark.parametrize("charset", ["", "; charset=nonsense", "; charset=zlib"])
def test_a_reason_without_a_charset_is_utf_8(status, kind, charset):
    """What it is written in is not guessed, which is slow for a large one and often wrong."""
    body = "ä{}é".encode() * 1000
    session, _ = session_with(Response(status, {"content-type": f"application/problem+json{charset}"}, body))
    with pytest.raises(kind) as caught:
        session.get("/")
    assert "ä{}éä{}é" in str(caught.value if status == 500 else caught.value.body)


@pytest.mark.attack("decompression bomb")
@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
def test_an_answer_that_unpacks_to_too_much_is_refused(encoding):
    """What an answer unpacks to counts against the limit of answers, and is given up there."""
    pack = {"gzip": gzip.compress, "deflate": zlib.compress}[encoding]
    bomb = pack(bytes(2 * MAX_RESPONSE_BYTES))
    session, _ = session_with(Response(200, {"content-encoding": encoding}, bomb))
    tracemalloc.start()
    try:
        with pytest.raises(NetworkError, match=rf"the answer is larger than {MAX_RESPONSE_BYTES} bytes"):
            session.get("/")
        assert tracemalloc.get_traced_memory()[1] < 1.5 * MAX_RESPONSE_BYTES
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("body", [b"abc", "abc", [b"a", b"bc"]])
def test_bodies_of_every_form_arrive_whole(body):
    """Bytes, text and chunks arrive as the same bytes."""
    session, network = session_with(OK)
    session.put("/", data=iter(body) if isinstance(body, list) else body)
    assert network.requests[0].body == b"abc"


def test_uploads_arrive_as_a_form(tmp_path):
    """Files are sent as a multipart form."""
    (tmp_path / "a.csv").write_bytes(b"id,email\n")
    session, network = session_with(OK)
    with (tmp_path / "a.csv").open("rb") as file:
        session.post("/", files={"file": file})
    assert b"id,email\n" in network.requests[0].body
    assert network.requests[0].headers["Content-Type"].startswith("multipart/form-data")


@pytest.mark.parametrize("options", [{"verify": False}, {"cert": "client.pem"}])
def test_certificates_cannot_be_ignored(options):
    """Switching off certificate checks is refused instead of being silently without effect."""
    session, network = session_with(OK)
    with pytest.raises(InvalidArgumentError, match="SSL_CERT_FILE"):
        session.get("/", **options)
    assert network.requests == []


@pytest.mark.shows("utils.superagentInstrumentationPlugin")
def test_calls_are_measured_with_tags_of_few_values():
    """Each exchange gives a count and a duration; ids in addresses do not become tags."""
    recording = RecordingInstrumentation()
    session, _ = session_with(OK, metric=recording.metric({"ship": "5a79"}))
    session.get("/contacts/12345/lists/ann@acme.test?api_key=hunter2")
    assert [(record.name, record.kind) for record in recording.metrics] == [
        ("ship.service_api.call", "increment"),
        ("connector.service_api.response_time", "value"),
    ]
    assert recording.metrics[0].tags == {
        "ship": "5a79",
        "method": "GET",
        "url": "https://api.test/v1/contacts/:id/lists/:id",
        "status": "200",
        "statusGroup": "2xx",
        "endpoint": "GET /v1/contacts/:id/lists/:id",
    }


@pytest.mark.parametrize(("answer", "group"), [(Response(500, {}, b""), "5xx"), (DOWN, "none")])
def test_failures_are_measured_as_errors(answer, group):
    """A bad status and a network failure both count as errors."""
    recording = RecordingInstrumentation()
    session, _ = session_with(answer, metric=recording.metric(), retries=0)
    with pytest.raises(TransientError):
        session.get("/")
    assert recording.total("connector.service_api.error") == 1
    assert {record.tags["statusGroup"] for record in recording.metrics} == {group}


@pytest.mark.attack("secrets outside their lawful places")
def test_no_secret_reaches_logs_metrics_or_errors(caplog):
    """Keys in addresses, headers and answers appear in no log line, metric or error."""
    caplog.set_level(logging.DEBUG)
    recording = RecordingInstrumentation()
    answers = [Response(status, {}, b'{"error": "bad", "token": "hunter2"}') for status in (401, 404, 429, 500)]
    session, _ = session_with(*answers, metric=recording.metric())
    session.headers["X-Api-Key"] = "hunter2"
    errors = []
    for _ in answers:
        with pytest.raises(Exception, match="answered") as caught:
            session.get("https://user:hunter2@api.test/x?api_key=hunter2&q=1")
        errors.append((str(caught.value), getattr(caught.value, "extra", None)))
    records = [vars(record) for record in caplog.records]
    assert records
    assert "hunter2" not in repr((records, recording.metrics, errors))


def test_calls_wait_for_their_turn_of_a_limit():
    """With a limit each try takes a turn, those that are repeated too, and waits for it."""
    session, network = session_with(OK, DOWN, OK)
    session.limit = Cache(runtime=session.runtime).rate_limit("api", calls=1, per_s=3)
    began = session.runtime.clock.monotonic()
    for _ in range(2):
        session.get("/")
    assert len(network.requests) == 3
    assert session.runtime.clock.monotonic() - began == pytest.approx(6)


def test_a_turn_that_comes_too_late_is_an_error_and_no_call():
    """When the next turn comes later than the limit waits, nothing is sent, and the error says when to come back."""
    session, network = session_with(OK)
    session.limit = Cache(runtime=session.runtime).rate_limit("api", calls=1, per_s=60)
    session.get("/")
    with pytest.raises(RateLimitError, match="next turn comes in 60 s") as caught:
        session.get("/")
    assert (caught.value.retry_after, len(network.requests)) == (60, 1)


@pytest.mark.parametrize(("headers", "pause"), [({"Retry-After": "40"}, 40), ({}, 20), ({"Retry-After": "0"}, None)])
def test_an_answer_of_429_holds_the_limit_for_all(headers, pause):
    """After a 429 nobody calls for the time that the service asks for, else for the limit's own."""
    session, network = session_with(Response(429, headers, b""), OK)
    cache = Cache(runtime=session.runtime)
    session.limit = cache.rate_limit("api", calls=5, per_s=20, wait_s=0)
    with pytest.raises(RateLimitError, match="answered 429"):
        session.get("/")
    other = cache.rate_limit("api", calls=5, per_s=20, wait_s=0)
    if pause is None:
        other.acquire()
    else:
        with pytest.raises(RateLimitError) as caught:
            other.acquire()
        assert caught.value.retry_after == pytest.approx(pause)
    assert len(network.requests) == 1


def test_a_limit_on_a_store_that_is_away_lets_nothing_through(valkey):
    """Without the store nothing is called; one that goes away during the call does not hide the service's answer."""
    session, network = session_with(Response(429, {"Retry-After": "3"}, b""))
    cache = RedisCache("redis://127.0.0.1:1", runtime=session.runtime)
    session.limit = cache.rate_limit("api", calls=1, per_s=1)
    with pytest.raises(NetworkError, match=r"store .* cannot be used now"):
        session.get("/")
    assert network.requests == []
    working = RedisCache(valkey.url, runtime=session.runtime)
    session.limit.acquire = working.rate_limit("api", calls=1, per_s=1).acquire
    with pytest.raises(RateLimitError, match="answered 429"):
        session.get("/")
    working.close()


def test_user_names_of_the_machine_are_not_sent(monkeypatch, tmp_path):
    """Credentials of a .netrc file never travel to the service."""
    netrc = tmp_path / "netrc"
    netrc.write_text("machine api.test login ann password hunter2\n")
    monkeypatch.setenv("NETRC", str(netrc))
    session, network = session_with(OK)
    session.get("/")
    assert "Authorization" not in network.requests[0].headers
