"""Whole connectors: whatever strangers send, it is refused and never an error of the connector."""

from __future__ import annotations

import json
from types import SimpleNamespace
from urllib.parse import quote, urlencode

import pytest
from connector_world import CREDENTIALS, HOST, KEY_URL, World, user_message
from hypothesis import example, given
from hypothesis import strategies as st
from spoiling import broken, encoded, fuzzed, only, spoiled

from hull_sdk.client.answers import body_of, error_of
from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.exchange import Response
from hull_sdk.core.runtime import Runtime
from hull_sdk.doctor.patient import Options, Patient
from hull_sdk.errors import CredentialsError, HullError
from hull_sdk.handlers import action_handler, batcher_handler, notif_handler, smart_notifier_handler, status_handler
from hull_sdk.handlers.oauth_client import NoTokenError, OAuthClient
from hull_sdk.middleware import ContextTokens
from hull_sdk.wire import tokens
from hull_sdk.wire.signatures import signature_headers

BOX = ContextTokens(("a long random text",), Runtime.virtual())
SIGNED = tokens.encode({**CREDENTIALS, "iat": 1}, "a long random text")
NOTIFICATION = {
    "notification_id": "n-1",
    "configuration": CREDENTIALS,
    "connector": {},
    "channel": "user:update",
    "messages": [user_message("u1")],
    "segments": [],
}
ENVELOPE = {
    "Type": "SubscriptionConfirmation",
    "MessageId": "m-1",
    "Message": "x",
    "TopicArn": "arn:aws:sns:us-east-1:1:a",
    "Timestamp": "2024-01-01T00:00:00.000Z",
    "SubscribeURL": "https://sns.us-east-1.amazonaws.com/?x",
    "SigningCertURL": "https://elsewhere.test/a.pem",
    "SignatureVersion": "1",
    "Signature": "c2ln",
}
_token = st.one_of(
    st.text(max_size=60),
    st.sampled_from([BOX.encrypt(CREDENTIALS, "webhook") or "", BOX.encrypt(CREDENTIALS, "job") or "", SIGNED]).flatmap(
        lambda token: broken([token.encode()]).map(lambda data: data.decode("latin-1"))
    ),
)


@fuzzed
@given(token=_token)
def test_context_tokens(token):
    """Text that no box has made opens nothing, of neither generation."""
    for read in (lambda: BOX.decrypt(token, ["dashboard", "oauth", "webhook"]), lambda: BOX.read_signed(token)):
        only(CredentialsError, read)


@pytest.fixture(scope="module")
def client(signing_key):
    """A connector with a handler of each kind, and nobody else on its network but the organization."""
    world = World(signing_key)
    app = world.app(
        smart_notifier_handler({"user:update": lambda ctx, messages: None}),
        notif_handler({"user:update": lambda ctx, messages: None}),
        action_handler(lambda ctx, request: {"a": 1}),
        batcher_handler(lambda ctx, messages: None),
        status_handler(lambda ctx: None),
        accept_signed_tokens=True,
    )
    yield app.test_client()
    world.close()


@fuzzed
@given(
    path=st.sampled_from(["/b0", "/b1"]),
    body=st.one_of(encoded([NOTIFICATION]), encoded([ENVELOPE])),
    signature=_token.map(lambda token: quote(token, safe=".=")),
    key_url=st.sampled_from([KEY_URL, "https://elsewhere.test/key", "file:///etc/passwd", "http://[", ""]),
    legacy=st.booleans(),
)
def test_notifications_that_nobody_signed(client, path, body, signature, key_url, legacy):
    """A forgery is answered with a refusal, whatever its bytes, its signature and the address of its key."""
    headers = {"X-Amz-Sns-Message-Type": "Notification"} if legacy else signature_headers(signature, key_url)
    answer = client.post(path, data=body, headers=headers, query_string=CREDENTIALS)
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.data)


@fuzzed
@given(
    path=st.sampled_from(["/b0", "/b2", "/b3", "/b4"]),
    query=st.one_of(
        st.dictionaries(st.sampled_from(["hullToken", "token", "state"]), _token, max_size=2),
        st.dictionaries(
            st.sampled_from(["ship", "id", "organization", "secret"]),
            st.one_of(
                st.text(max_size=30), st.sampled_from([HOST, f"{HOST}:0", f"a@{HOST}", "127.0.0.1", "*", "[::1]"])
            ),
        ),
    ),
    body=encoded([{"url": "http://127.0.0.1/a", "format": "json"}, {"email": "ann@acme.test"}]),
    kind=st.sampled_from(
        ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"]
    ),
)
def test_requests_with_credentials_of_nobody(client, path, query, body, kind):
    """Tokens and credentials that are none are refused, with any body of any type."""
    text = urlencode({name: value.encode(errors="replace") for name, value in query.items()})
    answer = client.post(f"{path}?{text}", data=body, content_type=kind)
    assert 400 <= answer.status_code < 500, (answer.status_code, answer.data)


@fuzzed
@given(
    path=st.sampled_from(["/b2", "/b3"]),
    body=st.one_of(encoded([{"email": "ann@acme.test"}, [1, 2]]), st.binary(max_size=50)),
    kind=st.sampled_from(
        ["application/json", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", ""]
    ),
)
def test_bodies_of_webhooks(client, path, body, kind):
    """Who has the address of a webhook may post anything; a handler that looks at nothing answers."""
    answer = client.post(path, data=body, content_type=kind, query_string=CREDENTIALS)
    assert answer.status_code == 200, json.dumps(answer.text)


TOKENS = {"access_token": "a", "refresh_token": "r", "token_type": "Bearer", "expires_in": 3600, "scope": "read"}
REFUSAL = {"error": "invalid_grant", "error_description": "it is too old", "error_uri": "https://crm.example/"}


@fuzzed
@example(status=200, body=json.dumps({**TOKENS, "expires_in": "\u00b2"}).encode(), kind="application/json")
@example(status=200, body=b'{"access_token": "a", "expires_in": 1e999}', kind="application/json")
@given(
    status=st.sampled_from([200, 200, 200, 201, 302, 400, 401, 429, 500, 503]),
    body=st.one_of(encoded([TOKENS, REFUSAL]), broken([b"access_token=a&expires_in=5"])),
    kind=st.sampled_from(["application/json", "text/html", "application/x-www-form-urlencoded", "x"]),
)
def test_answers_of_token_endpoints(status, body, kind):
    """Whatever another service answers for tokens, they are tokens, or there are none."""
    net = SimpleNamespace(send=lambda _request, **_options: Response(status, {"content-type": kind}, body))
    context = SimpleNamespace(runtime=SimpleNamespace(net=net, clock=VirtualClock()))
    client = OAuthClient(
        token_url="https://crm.example/token", client_id="c", client_secret="s", token_endpoint_auth_method=None
    )
    found = only(NoTokenError, client.ask, context, "refresh_token", refresh_token="r")
    if found is not None:
        assert found["access_token"]
        json.dumps(found)


@fuzzed
@given(
    status=st.sampled_from([400, 401, 402, 404, 429, 500, 503]),
    body=encoded([{"status": 404, "message": "no such object"}, {"error": {"reason": "x"}}]),
    pause=st.one_of(
        st.text(max_size=20), st.sampled_from(["5", "Wed, 21 Oct 2026 07:28:00 GMT", "-1", "1e9", "\u00b2"])
    ),
)
def test_answers_of_the_platform(status, body, pause):
    """An answer that is no success is one of the documented errors, with a pause that can be waited."""
    response = Response(status, {"retry-after": pause}, body)
    body_of(response)
    err = error_of(response, "GET app", VirtualClock())
    assert isinstance(err, HullError)
    assert str(err)
    assert 0 <= (getattr(err, "retry_after", None) or 0) < float("inf")


EXAMINED = {
    "name": "Shop",
    "admin": "/admin",
    "private_settings": [{"name": "api_key", "type": "string", "format": "password", "default": "x"}],
    "subscriptions": [{"url": "/notify"}],
    "schedules": [{"url": "https://shop.example/sync?a=1", "type": "interval", "value": "5"}],
    "status": {"url": "/status", "type": "interval", "value": "5"},
    "incoming": [{"url": "/webhook"}],
}


@fuzzed
@given(manifest=spoiled([EXAMINED]))
def test_manifests_that_doctor_reads(manifest):
    """The manifest of a connector under examination is anybody's; paths are found in it or not."""
    if not isinstance(manifest, dict):
        return
    patient = object.__new__(Patient)
    patient.manifest, patient.options, patient.runtime = manifest, Options(), Runtime.virtual()
    installed = []
    patient.visitor = SimpleNamespace(url="http://127.0.0.1:9")
    patient.organization = SimpleNamespace(install=lambda _url, settings: installed.append(settings))
    patient.install(patient.junk())
    assert json.dumps(installed)
    assert all(path.startswith("/") for path in [patient.notifications, *patient.paths])
    assert isinstance(patient.status, str | None)
