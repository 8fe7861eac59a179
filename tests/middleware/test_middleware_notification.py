"""Which notifications are believed, and how the others are refused."""

from __future__ import annotations

import io
import json
import logging

import pytest
from connector_world import CREDENTIALS, HOST, KEY_URL, user_message
from flask import request

from hull_sdk.handlers import smart_notifier_handler
from hull_sdk.middleware.notification import MAX_NAMED, MAX_UNVERIFIED_BYTES
from hull_sdk.wire.notifications import MAX_NOTIFICATION_BYTES, parse_notification
from hull_sdk.wire.signatures import HEADER_KEY_URL, HEADER_SIGNATURE, HEADER_VERSION, generate_key

RETRY = {"type": "retry", "in": 1000}


@pytest.fixture
def seen():
    """Collect what the handler gets."""
    return []


@pytest.fixture
def app(world, seen):
    """Return a connector with one handler."""
    return world.app(smart_notifier_handler({"user:update": lambda _ctx, messages: seen.append(messages)}))


def refusal(response):
    """Return status and code of a refused notification, after a look at the rest of the answer."""
    body = response.get_json()
    assert body["flow_control"] == RETRY
    assert body["metrics"] == []
    (error,) = body["errors"]
    assert error["reason"]
    return response.status_code, error["code"]


@pytest.mark.shows("README: notifications", "utils.smartNotifierMiddleware")
def test_a_signed_notification_is_handled(world, app, seen):
    """A notification that the platform signed reaches the handler."""
    assert world.notify(app).status_code == 200
    assert seen[0][0]["user"]["id"] == "u1"


def test_a_body_is_read_at_once(world, app):
    """A body is read in one call where the server can: gunicorn copies what it holds with each further one."""
    sizes: list[int | None] = []

    class Body(io.BytesIO):
        def read(self, size: int | None = -1):
            sizes.append(size)
            return super().read(size)

    body = json.dumps(world.notification([user_message("u1", traits_notes="x" * 200_000)])).encode()
    notification_id = json.loads(body)["notification_id"]
    client = app.test_client()
    response = client.post(
        "/b0", input_stream=Body(body), headers={**world.headers(body, notification_id), "Content-Length": len(body)}
    )
    assert response.status_code == 200
    assert sizes == [len(body)]


@pytest.mark.parametrize(
    ("without", "code"),
    [
        (HEADER_VERSION, "UNSUPPORTED_SIGNATURE_VERSION"),
        (HEADER_SIGNATURE, "MISSING_SIGNATURE_HEADERS"),
        (HEADER_KEY_URL, "MISSING_SIGNATURE_HEADERS"),
    ],
)
def test_missing_headers_are_named(world, app, without, code):
    """Without one of the signature headers the answer is 400 with a code, and nothing is fetched."""
    notification = world.notification()
    body = json.dumps(notification).encode()
    headers = world.headers(body, notification["notification_id"])
    del headers[without]
    assert refusal(app.test_client().post("/b0", data=body, headers=headers)) == (400, code)
    assert world.asked() == []
    assert world.metric_names().count("connector.invalid_notification") == 1


def test_another_version_is_refused(world, app):
    """Only version v1 of the signature is known."""
    notification = world.notification()
    body = json.dumps(notification).encode()
    headers = {**world.headers(body, notification["notification_id"]), HEADER_VERSION: "v2"}
    answer = refusal(app.test_client().post("/b0", data=body, headers=headers))
    assert answer == (400, "UNSUPPORTED_SIGNATURE_VERSION")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "MISSING_NOTIFICATION"),
        (b"{", "MISSING_NOTIFICATION"),
        (b"[]", "MISSING_NOTIFICATION"),
        (b'{"notification_id": "n", "channel": "user:update", "messages": []}', "MISSING_CONFIGURATION"),
    ],
)
def test_a_body_that_is_no_notification_is_refused(world, app, body, code):
    """A body without notification or configuration is answered 400 before anything is fetched."""
    response = app.test_client().post("/b0", data=body, headers=world.headers(body, "n"))
    assert refusal(response) == (400, code)
    assert world.asked() == []


@pytest.mark.attack("forged notification, with a key, an address or an organization of the attacker")
def test_a_forged_key_is_refused(world, app, seen):
    """A notification signed with somebody else's key is not believed."""
    assert refusal(world.notify(app, key=generate_key())) == (401, "INVALID_SIGNATURE")
    assert seen == []


@pytest.mark.parametrize(
    "key_url",
    [
        "https://evil.example/key",
        f"http://{HOST}/key",
        f"https://evil.example/{HOST}",
        f"https://{HOST}@evil.example/key",
        f"https://{HOST}.evil.example/key",
        "file:///etc/passwd",
        "https://hullapp.test/key",
    ],
)
@pytest.mark.attack("forged notification, with a key, an address or an organization of the attacker")
def test_a_key_address_elsewhere_is_refused_without_a_call(world, app, seen, key_url):
    """A key address on a host that is not allowed, or without https, is never fetched."""
    response = world.notify(app, key=generate_key(), key_url=key_url)
    assert refusal(response) == (401, "INVALID_SIGNATURE")
    assert world.asked() == []
    assert seen == []


@pytest.mark.attack("forged notification, with a key, an address or an organization of the attacker")
def test_another_organization_is_refused_without_a_call(world, app, seen):
    """An organization that is not allowed is refused before any call, and the reason names the option."""
    notification = world.notification(configuration={**CREDENTIALS, "organization": "evil.example"})
    response = world.notify(app, notification)
    assert response.status_code == 401
    assert response.get_json()["flow_control"] == RETRY
    assert "allowed_organizations" in response.get_json()["errors"][0]["reason"]
    assert world.asked() == []
    assert seen == []


@pytest.fixture
def decoded(monkeypatch):
    """Count the bodies that are decoded."""
    bodies = []

    def parse(body):
        bodies.append(body)
        return parse_notification(body)

    monkeypatch.setattr("hull_sdk.middleware.notification.parse_notification", parse)
    return bodies


def large(world, **fields):
    """Return a notification that is too large to be decoded before it was verified."""
    return world.notification([user_message("u1", note="x" * MAX_UNVERIFIED_BYTES)], **fields)


def test_a_large_notification_is_handled(world, app, seen, decoded):
    """A large notification that the platform signed is decoded once, after its signature, and handled."""
    assert world.notify(app, large(world)).status_code == 200
    assert len(seen) == len(decoded) == 1


def test_a_notification_is_decoded_after_its_signature(world, app, seen, decoded):
    """While the key is unknown a small notification is decoded for its organization, too; afterwards once."""
    for notification in (world.notification(), world.notification()):
        assert world.notify(app, notification).status_code == 200
    assert (len(seen), len(decoded)) == (2, 3)


@pytest.mark.attack("forged notification, with a key, an address or an organization of the attacker")
def test_a_forgery_is_not_decoded_once_the_key_is_known(world, app, seen, decoded):
    """However small, a body that the known key did not sign is refused without being decoded, and without a call."""
    assert world.notify(app, world.notification()).status_code == 200
    before = (world.asked(), len(seen), len(decoded))
    for organization in (HOST, "evil.example"):
        forged = world.notification(configuration={**CREDENTIALS, "organization": organization})
        assert refusal(world.notify(app, forged, key=generate_key())) == (401, "INVALID_SIGNATURE")
    assert (world.asked(), len(seen), len(decoded)) == before


@pytest.mark.parametrize("organization", ["evil.example", "a.b.c.d", "x" * 300, "", 'q"uote.hullapp.test'])
@pytest.mark.attack("forged notification, with a key, an address or an organization of the attacker")
def test_a_large_notification_from_elsewhere_is_refused_without_a_call(world, app, seen, decoded, organization):
    """However large, an organization that is not allowed costs neither a call nor the memory of its body."""
    response = world.notify(app, large(world, configuration={**CREDENTIALS, "organization": organization}))
    assert response.status_code in {400, 401}
    assert (world.asked(), seen, decoded) == ([], [], [])


@pytest.mark.attack("forged notification, with a key, an address or an organization of the attacker")
def test_a_large_forgery_is_never_decoded(world, app, seen, decoded):
    """A large body that nobody signed is refused without being decoded, whatever it names."""
    notification = {"notification_id": "n", "configuration": CREDENTIALS, "messages": [[]] * MAX_UNVERIFIED_BYTES}
    assert refusal(world.notify(app, notification, key=generate_key())) == (401, "INVALID_SIGNATURE")
    assert (seen, decoded) == ([], [])


@pytest.mark.attack("forged notification, with a key, an address or an organization of the attacker")
def test_a_decoy_does_not_let_another_organization_in(world, app, seen):
    """A signed body whose messages name an allowed organization and whose configuration another is refused."""
    decoy = {"configuration": {"organization": HOST}}
    foreign = {**CREDENTIALS, "organization": "evil.example"}
    notification = {"decoy": decoy, **large(world, configuration=foreign)}
    response = world.notify(app, notification)
    assert response.status_code == 401
    assert "allowed_organizations" in response.get_json()["errors"][0]["reason"]
    assert seen == []


def test_a_million_organizations_are_not_all_looked_at(world, app, seen):
    """A large body is refused, without a call, once it has named a thousand organizations that are not allowed."""
    decoys = [{"configuration": {"organization": f"o{number}.example"}} for number in range(MAX_NAMED)]
    assert world.notify(app, {"decoys": decoys, **large(world)}).status_code == 401
    assert world.asked() == []
    assert world.notify(app, {"decoys": decoys[1:], **large(world)}).status_code == 200
    assert len(seen) == 1


@pytest.mark.attack("changed body under a valid signature")
def test_a_large_signature_of_another_notification_is_refused(world, app, seen):
    """A large body with the id of another notification than the signed one is refused."""
    notification = large(world)
    body = json.dumps(notification).encode()
    response = app.test_client().post("/b0", data=body, headers=world.headers(body, "another"))
    assert refusal(response) == (401, "INVALID_SIGNATURE")
    assert seen == []


@pytest.mark.attack("changed body under a valid signature")
def test_a_changed_body_is_refused(world, app, seen):
    """A body that differs from what was signed in one byte is refused."""
    notification = world.notification()
    body = json.dumps(notification).encode()
    headers = world.headers(body, notification["notification_id"])
    response = app.test_client().post("/b0", data=body + b" ", headers=headers)
    assert refusal(response) == (401, "INVALID_SIGNATURE")
    assert seen == []


@pytest.mark.attack("changed body under a valid signature")
def test_the_signature_of_another_notification_is_refused(world, app):
    """A signature whose id is another notification's is refused."""
    notification = world.notification()
    body = json.dumps(notification).encode()
    response = app.test_client().post("/b0", data=body, headers=world.headers(body, "another"))
    assert refusal(response) == (401, "INVALID_SIGNATURE")


@pytest.mark.attack("replay")
def test_an_old_signature_is_refused(world, app):
    """A signature that has expired is refused, and the reason says by how much."""
    notification = world.notification()
    body = json.dumps(notification).encode()
    headers = world.headers(body, notification["notification_id"])
    world.runtime.tasks.sleep(1000)
    response = app.test_client().post("/b0", data=body, headers=headers)
    assert refusal(response) == (401, "INVALID_SIGNATURE")
    assert "expired 700 s ago" in response.get_json()["errors"][0]["reason"]


def unbound(world, notification):
    """Return body and headers as the original platform makes them: the signature covers the id alone."""
    import jwt

    body = json.dumps(notification).encode()
    headers = world.headers(body, notification["notification_id"])
    claims = {"jti": notification["notification_id"]}
    return body, {**headers, HEADER_SIGNATURE: jwt.encode(claims, world.platform.key, algorithm="RS256")}


def test_a_signature_that_does_not_cover_the_body_needs_consent(world, seen):
    """The original platform's signatures are accepted only when the connector says so."""
    handler = {"user:update": lambda _ctx, messages: seen.append(messages)}
    strict = world.app(smart_notifier_handler(handler))
    lenient = world.app(smart_notifier_handler(handler), accept_unbound_signatures=True)
    body, headers = unbound(world, world.notification())
    response = strict.test_client().post("/b0", data=body, headers=headers)
    assert refusal(response) == (401, "INVALID_SIGNATURE")
    assert "accept_unbound_signatures" in response.get_json()["errors"][0]["reason"]
    assert lenient.test_client().post("/b0", data=body, headers=headers).status_code == 200
    assert len(seen) == 1


@pytest.mark.shows("Connector option: skipSignatureValidation")
def test_validation_can_be_switched_off_with_a_warning(world, seen, caplog):
    """skip_signature_validation believes everything, warns at start, and still knows whom it may talk to."""
    with caplog.at_level(logging.WARNING):
        app = world.app(
            smart_notifier_handler({"user:update": lambda _ctx, messages: seen.append(messages)}),
            skip_signature_validation=True,
        )
    assert "connector.signatures.off" in caplog.messages
    client, headers = app.test_client(), {"X-Hull-Smart-Notifier": "dummy"}
    assert client.post("/b0", json=world.notification(), headers=headers).status_code == 200
    elsewhere = world.notification(configuration={**CREDENTIALS, "organization": "evil.example"})
    assert client.post("/b0", json=elsewhere, headers=headers).status_code == 401
    assert len(seen) == 1


def test_bytes_count_not_their_parse(world, seen):
    """Key order, blanks and characters beyond ASCII are signed as they stand; a form type changes nothing."""
    app = world.app(smart_notifier_handler({"user:update": lambda _ctx, messages: seen.append(messages)}))
    notification = world.notification([{"message_id": "m", "user": {"id": "u", "name": "Zoë"}, "segments": []}])
    body = json.dumps(dict(reversed(notification.items())), indent=3, ensure_ascii=False).encode()
    headers = {
        **world.headers(body, notification["notification_id"]),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    assert app.test_client().post("/b0", data=body, headers=headers).status_code == 200
    assert seen[0][0]["user"]["name"] == "Zoë"


def test_a_parse_before_us_does_not_empty_the_body(world, seen):
    """A function that reads the form before the middleware leaves the signed bytes untouched, also for views."""
    app = world.app(setup=False)
    app.before_request(lambda: (request.form.to_dict(), None)[1])
    app.add_url_rule("/raw", "raw", lambda: str(len(request.environ["wsgi.input"].read())), methods=["POST"])
    app.register_blueprint(
        smart_notifier_handler({"user:update": lambda _ctx, messages: seen.append(messages)}), url_prefix="/b0"
    )
    world.setup(app)
    notification = world.notification()
    body = json.dumps(notification).encode()
    headers = {
        **world.headers(body, notification["notification_id"]),
        "Content-Type": "application/x-www-form-urlencoded",
    }
    client = app.test_client()
    assert client.post("/b0", data=body, headers=headers).status_code == 200
    assert client.post("/raw", data=body, headers=headers).text == str(len(body))
    assert len(seen) == 1


def chunked(world, app, stream, notification_id, body):
    """POST a body without a stated length, as servers hand on chunked requests."""
    headers = {**world.headers(body, notification_id), "Transfer-Encoding": "chunked"}
    environ = {"wsgi.input": stream, "wsgi.input_terminated": True}
    return app.test_client().post("/b0", headers=headers, environ_overrides=environ)


def test_a_chunked_body_is_read(world, app, seen):
    """A body without a stated length is verified like any other."""
    notification = world.notification()
    body = json.dumps(notification).encode()
    response = chunked(world, app, io.BytesIO(body), notification["notification_id"], body)
    assert response.status_code == 200
    assert len(seen) == 1


class Endless(io.RawIOBase):
    """A stream that never ends; knows how much was read."""

    taken = 0

    def read(self, size=-1):
        self.taken += size
        return b" " * size


@pytest.mark.attack("bodies of 20 MB and more")
def test_too_large_is_413_and_asks_for_single_messages(world, app):
    """A body over the limit is not read beyond it, and the platform is asked for one message at a time."""
    stream = Endless()
    response = chunked(world, app, stream, "n", b"")
    assert response.status_code == 413
    assert response.get_json()["flow_control"] == {**RETRY, "size": 1}
    assert response.get_json()["errors"][0]["code"] == "ENTITY_TOO_LARGE"
    assert stream.taken <= MAX_NOTIFICATION_BYTES + 1
    announced = {"CONTENT_LENGTH": str(MAX_NOTIFICATION_BYTES + 1)}
    headers = world.headers(b"", "n")
    assert app.test_client().post("/b0", headers=headers, environ_overrides=announced).status_code == 413


def test_other_requests_are_not_buffered(world):
    """A request without the notifier's header keeps its own input stream."""
    app = world.app(setup=False)
    app.add_url_rule("/raw", "raw", lambda: type(request.environ["wsgi.input"]).__name__, methods=["POST"])
    world.setup(app)
    stream = Endless()
    response = app.test_client().post("/raw", environ_overrides={"wsgi.input": stream, "CONTENT_LENGTH": "5"})
    assert response.text == "Endless"
    assert stream.taken == 0


def test_the_request_id_names_the_notification(world):
    """The request id of a notification is made of the time and its id."""
    ids = []
    app = world.app(smart_notifier_handler({"user:update": lambda ctx, _messages: ids.append(ctx.request_id)}))
    world.notify(app)
    assert ids == [f"smart-notifier:{int(world.runtime.clock.time())}:n-1"]


def test_the_key_is_fetched_once(world, app):
    """One address is asked for its key once, by POST."""
    for _ in range(3):
        assert world.notify(app).status_code == 200
    assert world.platform.requests == [f"POST {KEY_URL.removeprefix(f'https://{HOST}')}"]
