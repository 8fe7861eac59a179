"""Legacy notifications, from the signed envelope to the function."""

from __future__ import annotations

import pytest
from connector_world import CONNECTOR_ID, OTHER_ID, query, user_message
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from flask import redirect
from sns_sender import CERTIFICATE_URL, SNS_HOST, SUBSCRIBE_URL, SnsSender, envelope

from hull_sdk.errors import InvalidArgumentError, LogicError, TransientError
from hull_sdk.handlers import for_each, notif_handler
from hull_sdk.infra import Cache
from hull_sdk.wire.sns import HEADER_TYPE, MAX_MESSAGE_BYTES, NOTIFICATION, sign_message

URL = f"/b0?{query()}"
CONFIRMATION = {"Type": "SubscriptionConfirmation", "Token": "t1", "SubscribeURL": SUBSCRIBE_URL}


@pytest.fixture
def sns(world, signing_key):
    """SNS on the virtual network."""
    return SnsSender(world, signing_key)


@pytest.mark.shows(
    "notifHandler option: groupTraits",
    "notifHandler option: handlers",
    "notifHandler option: maxTime",
    "utils.notifHandler",
)
def test_users_are_collected_and_answered_at_once(world, sns):
    """Messages about users come together after ten seconds, prepared as smart notifications are."""
    world.platform.connector["private_settings"] = {"synchronized_segments": ["s1"]}
    calls = []
    handler = notif_handler({"user:update": lambda ctx, messages: calls.append((ctx, messages))}, group_traits=True)
    app = world.app(handler)
    for number, segments in enumerate(([{"id": "s1"}], [])):
        response = sns.post(app, sns.signed(user_message(f"u{number}", segments=segments)), URL)
        assert (response.status_code, response.text, calls) == (200, "ok", [])
    world.runtime.tasks.sleep(10)
    ((ctx, messages),) = calls
    assert [(m["user"]["id"], m["matches_filter"]) for m in messages] == [("u0", True), ("u1", False)]
    assert messages[0]["user"]["traits"] == {"plan": "pro"}
    assert (ctx.config.id, ctx.ship["name"], ctx.notification) == (CONNECTOR_ID, "Shop", None)
    assert ctx.request_id.startswith("sns-notifier:5a7962e2:")


def test_messages_about_somebody_can_be_handled_one_by_one(world, sns):
    """A payload without an id gets the envelope's, so that for_each knows its messages, and what was sent for them."""
    seen = []

    def handle(ctx, messages):
        for_each(ctx, messages, lambda message: seen.append((message["message_id"], message["user"]["id"])))

    app = world.app(notif_handler({"user:update": handle}))
    payload = user_message("u1")
    del payload["message_id"]
    message = sns.signed(payload)
    assert sns.post(app, message, URL).status_code == 200
    world.runtime.tasks.sleep(10)
    assert seen == [(message["MessageId"], "u1")]


def test_a_result_retry_has_the_batch_come_again(world, sns):
    """What fails under for_each is not lost: its batch comes again, and what was sent before is applied once."""
    seen = []

    def handle(ctx, messages):
        def one(message):
            seen.append(message["user"]["id"])
            ctx.client.as_user({"id": message["user"]["id"]}).traits({"n": 1})
            if seen.count("u1") == 1 and message["user"]["id"] == "u1":
                raise TransientError("busy")

        return for_each(ctx, messages, one)

    app = world.app(notif_handler({"user:update": handle}))
    for name in ("u1", "u2"):
        sns.post(app, sns.signed({**user_message(name), "message_id": f"m-{name}"}), URL)
    world.runtime.tasks.sleep(60)
    assert seen == ["u1", "u2"] * 2
    assert len({message["message_id"] for message in world.platform.messages}) == 2


def test_a_result_retry_at_once_is_an_answer_503(world, sns):
    """A message that is handled at once and is to be tried again is asked for again; what else is returned is nothing."""
    returned = [[{"message_id": "m1", "status": "retry", "reason": "busy"}], ["x", {"status": "retry"}, None]]
    app = world.app(notif_handler({"account:update": lambda _ctx, _message: returned.pop(0)}))
    message = sns.signed({"account": {"id": "a1"}}, "account_report:update")
    assert [sns.post(app, message, URL).status_code for _ in range(3)] == [503, 200, 200]
    assert returned == []


@pytest.mark.shows("notifHandler option: maxSize")
def test_a_full_batch_does_not_wait(world, sns):
    """A batch is handed over once it has its size, in the order in which the messages came."""
    sizes = []
    app = world.app(
        notif_handler({"user_report:update": lambda _ctx, messages: sizes.append(len(messages))}, max_size=2)
    )
    for number in range(5):
        sns.post(app, sns.signed(user_message(f"u{number}")), URL)
    world.runtime.tasks.sleep(0)
    assert sizes == [2, 2]
    world.runtime.tasks.sleep(10)
    assert sizes == [2, 2, 1]


def test_a_batch_of_large_messages_is_full_earlier(world, sns):
    """A batch with a million bytes does not wait for more messages."""
    sizes = []
    app = world.app(notif_handler({"user:update": lambda _ctx, messages: sizes.append(len(messages))}))
    for number in range(5):
        sns.post(app, sns.signed(user_message(f"u{number}", note="x" * 400_000)), URL)
    world.runtime.tasks.sleep(0)
    assert sizes == [2, 2]
    world.runtime.tasks.sleep(10)
    assert sizes == [2, 2, 1]


def test_connectors_never_share_a_batch(world, sns):
    """Each connector has a batch of its own, and a context of its own."""
    calls = []
    app = world.app(notif_handler({"user:update": lambda ctx, ms: calls.append((ctx.config.id, len(ms)))}))
    for connector_id in (CONNECTOR_ID, OTHER_ID, CONNECTOR_ID):
        sns.post(app, sns.signed(user_message("u1")), f"/b0?{query(ship=connector_id)}")
    world.runtime.tasks.sleep(10)
    assert sorted(calls) == sorted([(CONNECTOR_ID, 2), (OTHER_ID, 1)])


@pytest.mark.parametrize(
    ("key", "subject"),
    [
        ("segment:update", "users_segment:update"),
        ("users_segment:delete", "segment:delete"),
        ("ship:update", "ship:update"),
        ("account_report:update", "account:update"),
        ("user_report:delete", "user:delete"),
    ],
)
@pytest.mark.shows("channel: ship:update", "ctx.message", "ctx.notification")
def test_other_subjects_are_handled_at_once(world, sns, key, subject):
    """The function gets the payload itself, with envelope and notification on the context."""
    calls = []
    app = world.app(
        notif_handler({key: [lambda ctx, payload: calls.append((ctx, payload)), lambda _c, _p, b: calls.append(b)]})
    )
    message = sns.signed({"id": "x1"}, subject)
    assert sns.post(app, message, URL).text == "ok"
    (ctx, payload), batch = calls
    assert (payload["id"], batch) == ("x1", None)
    assert ctx.message == message
    assert ctx.notification["subject"] == subject
    assert ctx.notification["timestamp"].year == 2024
    assert set(ctx.notification) == {"subject", "message", "timestamp"}


def test_a_subject_without_a_function_is_ok(world, sns):
    """What nobody handles is acknowledged."""
    assert sns.post(world.app(notif_handler({})), sns.signed({}, "users_segment:update"), URL).text == "ok"


@pytest.mark.shows("utils.notifMiddleware")
def test_both_versions_of_signatures_count(world, sns):
    """Version 1 and 2 are believed; the certificate is fetched once, by GET."""
    app = world.app(notif_handler({}))
    assert [sns.post(app, sns.signed(version=v), URL).status_code for v in ("1", "2")] == [200, 200]
    assert len(sns.asked) == 1


@pytest.mark.attack("forged notification, with a key, an address or an organization of the attacker")
def test_a_forged_message_is_refused(world, sns):
    """A message that somebody else signed or changed is answered 401 with a reason, before any call of a function."""
    app = world.app(notif_handler({"ship:update": lambda _ctx, _payload: pytest.fail("called")}))
    other = sign_message(envelope({}, "ship:update"), generate_private_key(65537, 2048))
    changed = {**sns.signed({}, "ship:update"), "Message": "[]"}
    for message, reason in ((other, "does not verify"), (changed, "changed"), (envelope(), "no Signature")):
        response = sns.post(app, message, URL)
        assert (response.status_code, reason in response.text) == (401, True)
    assert set(world.asked()) <= {SNS_HOST}
    assert "connector.invalid_notification" in world.metric_names()


@pytest.mark.parametrize(
    "url",
    [
        "https://evil.example/SimpleNotificationService-ab.pem",
        "http://sns.us-east-1.amazonaws.com/SimpleNotificationService-ab.pem",
        "http://acme.hullapp.test/a.pem",
        "https://sns.us-east-1.amazonaws.com/?Action=Other",
        "https://127.0.0.1/a.pem",
        "nonsense",
    ],
)
@pytest.mark.attack("forged notification, with a key, an address or an organization of the attacker")
def test_certificates_of_strangers_are_not_fetched(world, sns, url):
    """An address that is not allowed is refused without any outgoing connection."""
    app = world.app(notif_handler({}))
    response = sns.post(app, sns.signed(SigningCertURL=url), URL)
    assert response.status_code == 401
    assert "SigningCertURL" in response.text
    assert world.asked() == []


def test_the_trust_root_may_serve_certificates(world, sns):
    """A host of allowed_organizations may sign as well, over https."""
    world.net.mount("sns.hullapp.test", sns.app)
    message = sns.signed(SigningCertURL="https://sns.hullapp.test/cert.pem")
    assert sns.post(world.app(notif_handler({})), message, URL).status_code == 200


@pytest.mark.attack("SSRF through redirects")
def test_a_redirect_of_the_certificate_is_not_followed(world, sns):
    """A redirect, an error and a text that is no certificate are refused."""
    app = world.app(notif_handler({}))
    sns.certificate = b"nothing"
    assert "did not return a certificate" in sns.post(app, sns.signed(), URL).text
    sns.status = 500
    assert "answered 500" in sns.post(app, sns.signed(), URL).text
    sns.app.view_functions["certificate"] = lambda _path: redirect("https://evil.example/a.pem")
    assert "answered 302" in sns.post(app, sns.signed(), URL).text
    assert set(world.asked()) == {SNS_HOST}


def test_the_validation_can_be_switched_off(world):
    """Without validation an envelope needs no signature."""
    app = world.app(notif_handler({}), skip_signature_validation=True)
    assert SnsSender(world, world.platform.key).post(app, envelope(), URL).text == "ok"


@pytest.mark.attack("replay")
def test_a_message_is_handled_once(world, sns):
    """A repeated message is acknowledged and not handled again; one that failed is handled again."""
    calls = []

    def handle(_ctx, _payload):
        calls.append(1)
        if len(calls) == 1:
            raise TransientError("later")

    app = world.app(notif_handler({"ship:update": handle}))
    message = sns.signed({}, "ship:update")
    assert [sns.post(app, message, URL).status_code for _ in range(3)] == [400, 200, 200]
    assert len(calls) == 2


def test_a_message_whose_first_run_has_just_failed_comes_again(world, sns, monkeypatch):
    """When another run ends with an error in the very moment of the second delivery, that one is not acknowledged."""
    app = world.app(notif_handler({"ship:update": lambda _ctx, _payload: pytest.fail("called")}))
    monkeypatch.setattr(Cache, "add", lambda *_args: False)
    assert sns.post(app, sns.signed({}, "ship:update"), URL).status_code == 503


@pytest.mark.shows("notifHandler option: onSubscribe")
def test_a_subscription_is_confirmed(world, sns):
    """A verified confirmation is fetched, told to the connector, and answered."""
    seen = []
    app = world.app(notif_handler({}, on_subscribe=lambda ctx: seen.append(ctx.config.id)))
    assert sns.post(app, sns.signed(None, None, **CONFIRMATION), URL).text == "subscribed"
    assert seen == [CONNECTOR_ID]
    assert sns.asked[-1].startswith("/?Action=ConfirmSubscription")


@pytest.mark.parametrize("skip", [False, True])
@pytest.mark.attack("SSRF through SubscribeURL")
def test_subscriptions_of_strangers_are_not_confirmed(world, sns, skip):
    """An address elsewhere is refused without a call, also when signatures are not validated."""
    app = world.app(notif_handler({}, on_subscribe=lambda _ctx: pytest.fail("called")), skip_signature_validation=skip)
    message = sns.signed(None, None, **{**CONFIRMATION, "SubscribeURL": "https://evil.example/?Action=x"})
    response = sns.post(app, message, URL)
    assert (response.status_code, "SubscribeURL" in response.text) == (401, True)
    forged = {**sns.signed(None, None, **CONFIRMATION), "Token": "other"}
    if not skip:
        assert sns.post(app, forged, URL).status_code == 401
    assert "evil.example" not in world.asked()
    assert not any("Confirm" in path for path in sns.asked)


def test_a_confirmation_that_fails_is_tried_again(world, sns):
    """SNS repeats a confirmation whose address did not answer well; on_subscribe is not called."""
    app = world.app(notif_handler({}, on_subscribe=lambda _ctx: pytest.fail("called")), skip_signature_validation=True)
    sns.status = 403
    response = sns.post(app, sns.signed(None, None, **CONFIRMATION), URL)
    assert (response.status_code, response.text) == (400, "transient-error")


def test_the_end_of_a_subscription_is_acknowledged(world, sns):
    """Nothing is fetched, which would subscribe again."""
    message = sns.signed(None, None, **{**CONFIRMATION, "Type": "UnsubscribeConfirmation"})
    assert sns.post(world.app(notif_handler({})), message, URL).text == "ok"
    assert sns.asked == ["/" + CERTIFICATE_URL.rpartition("/")[2]]


@pytest.mark.parametrize(("body", "text"), [(b"", "Empty Message"), (b"{", "Invalid Message")])
def test_what_cannot_be_read_is_400(world, sns, body, text):
    """No message, and one that is no JSON, are answered with the texts of the Node generation."""
    response = sns.post(world.app(notif_handler({})), body, URL)
    assert (response.status_code, response.text) == (400, text)
    assert world.app(notif_handler({})).test_client().post(URL).text == "Empty Message"


@pytest.mark.parametrize("subject", ["user_report:update", "ship:update"])
def test_a_payload_that_is_no_json_is_400(world, sns, subject):
    """The payload inside the envelope has to be JSON as well."""
    app = world.app(notif_handler({"user:update": print, "ship:update": print}))
    response = sns.post(app, sns.signed(None, subject, Message="{"), URL)
    assert (response.status_code, response.text) == (400, "Invalid Message")


def test_without_credentials_the_answer_is_403(world, sns):
    """A signature says that SNS sent it; whose it is, the query has to say."""
    assert sns.post(world.app(notif_handler({})), sns.signed(), "/b0").status_code == 403


def test_a_changed_connector_is_read_anew(world, sns):
    """ship:update forgets the cached connector before the function runs."""
    names = []
    app = world.app(notif_handler({"ship:update": lambda ctx, _payload: names.append(ctx.ship["name"])}))
    sns.post(app, sns.signed({}, "ship:update"), URL)
    world.platform.connector["name"] = "New"
    sns.post(app, sns.signed({}, "ship:update"), URL)
    assert names == ["Shop", "New"]


def test_changed_segments_are_read_anew(world, sns):
    """A subject about segments forgets the cached ones."""
    names = []
    handle = lambda ctx, _payload: names.append([s["name"] for s in ctx.segments])  # noqa: E731
    app = world.app(notif_handler({"segment:update": handle, "ship:update": handle}))
    sns.post(app, sns.signed({}, "ship:update"), URL)
    world.platform.segments["users_segments"] = []
    sns.post(app, sns.signed({}, "ship:update"), URL)
    sns.post(app, sns.signed({}, "users_segment:update"), URL)
    assert names == [["Buyers"], ["Buyers"], []]


def test_a_failing_batch_is_tried_again(world, sns):
    """A batch that fails keeps its messages, and the context counts the tries."""
    attempts = []

    def handle(ctx, messages):
        attempts.append((ctx.attempt, len(messages)))
        if len(attempts) < 3:
            raise RuntimeError("bug")
        ctx.client.as_user({"id": "u1"}).traits({"a": 1})

    sns.post(world.app(notif_handler({"user:update": handle})), sns.signed(user_message("u1")), URL)
    world.runtime.tasks.sleep(60)
    assert attempts == [(1, 1), (2, 1), (3, 1)]
    assert len(world.platform.messages) == 1


@pytest.mark.parametrize(("error", "tries"), [(RuntimeError("bug"), 5), (LogicError("never"), 1)])
def test_a_batch_is_given_up_in_the_end(world, sns, caplog, error, tries):
    """After five tries, or at once after a LogicError, a batch is dropped, said so, and the next one goes on."""
    seen = []

    def handle(_ctx, messages):
        seen.append(messages[0]["user"]["id"])
        if messages[0]["user"]["id"] == "bad":
            raise error

    app = world.app(notif_handler({"user:update": handle}, max_size=1))
    for name in ("bad", "good"):
        sns.post(app, sns.signed(user_message(name)), URL)
    world.runtime.tasks.sleep(3600)
    assert seen == ["bad"] * tries + ["good"]
    (record,) = [record for record in caplog.records if record.getMessage() == "connector.batch.dropped"]
    assert (record.hull["items"], record.hull["attempt"]) == (1, tries)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: notif_handler({"user:updat": print}), "'user:updat' is no legacy notification"),
        (lambda: notif_handler({"user:update": "f"}), "the handler of 'user:update' is 'f'"),
        (lambda: notif_handler({"user:update": [print, 1]}), "the handler of 'user:update' is 1"),
        (lambda: notif_handler({}, on_subscribe=1), "on_subscribe is 1"),
        (lambda: notif_handler({}, max_size=0), "max_size is 0"),
        (lambda: notif_handler({}, max_time_ms=0), "max_time_ms is 0"),
        (lambda: notif_handler({}, max_time_ms=True), "max_time_ms is True"),
    ],
)
def test_a_wrong_option_is_an_error_at_once(make, text):
    """Names, functions and limits are checked when the handler is made."""
    with pytest.raises(InvalidArgumentError, match=text):
        make()


@pytest.mark.attack("bodies of 20 MB and more")
def test_a_larger_body_is_not_read(world):
    """An envelope of more than 2 MiB, far more than SNS sends, is answered 413 without a call."""
    app = world.app(notif_handler({}))
    announced = {"CONTENT_LENGTH": str(MAX_MESSAGE_BYTES + 1)}
    response = app.test_client().post(URL, headers={HEADER_TYPE: NOTIFICATION}, environ_overrides=announced)
    assert response.status_code == 413
    assert str(MAX_MESSAGE_BYTES) in response.text
    assert world.asked() == []
