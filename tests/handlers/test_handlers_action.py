"""Endpoints for schedules, buttons and webhooks."""

from __future__ import annotations

import pytest
from connector_world import CONNECTOR_ID, CREDENTIALS, SECRET, query
from flask import Response, request

from hull_sdk.errors import CredentialsError, InvalidArgumentError, RateLimitError, TransientError
from hull_sdk.handlers import action_handler, json_body

URL = f"/b0?{query()}"


def post(world, function, url=URL, **request):
    """POST to an action and return the response."""
    return world.app(action_handler(function)).test_client().post(url, **request)


@pytest.mark.parametrize(
    ("returned", "text", "mimetype"),
    [
        ("3 contacts", "3 contacts", "text/plain"),
        (None, "ok", "text/plain"),
        (17, "ok", "text/plain"),
        ({"n": 3}, '{"n":3}\n', "application/json"),
        ([1, 2], "[1,2]\n", "application/json"),
        (Response("made", 201, mimetype="text/html"), "made", "text/html"),
    ],
)
@pytest.mark.shows("utils.actionHandler")
def test_the_result_is_the_answer(world, returned, text, mimetype):
    """Text is answered as it is, dicts and lists as JSON, everything else as ok."""
    response = post(world, lambda _ctx, _request: returned)
    assert (response.text, response.mimetype) == (text, mimetype)


@pytest.mark.shows("utils.actionHandler")
def test_the_function_gets_body_and_query(world):
    """Body and query come beside the context."""
    seen = []
    post(world, lambda _ctx, parts: seen.append(parts), f"/b0?{query(page='2')}", json={"a": 1})
    post(world, lambda _ctx, parts: seen.append(parts), data={"a": "1"})
    post(world, lambda _ctx, parts: seen.append(parts))
    assert [parts["body"] for parts in seen] == [{"a": 1}, {"a": "1"}, {}]
    assert seen[0]["query"]["page"] == "2"


@pytest.mark.parametrize(
    ("body", "read"),
    [(b'{"a": 1}', {"a": 1}), (b"{", None), (b"", None), (b"[" * 100_000, None)],
    ids=["an object", "half of one", "nothing", "too deep"],
)
def test_json_is_read_whatever_the_header_says(world, body, read):
    """Once it was read by force, the function gets it too; what is no JSON, or nests too deeply, is none."""
    seen = []

    def force(_ctx):
        seen.append(json_body(request, force=True))

    app = world.app(action_handler(lambda _ctx, parts: seen.append(parts["body"])), setup=False)
    connector = world.connector()
    connector.use(force)
    assert world.setup(app, connector).test_client().post(URL, data=body, content_type="text/plain").status_code == 200
    assert seen == [read, read or {}]


@pytest.mark.parametrize("body", [b"[" * 100_000, b'{"a":' * 100_000])
@pytest.mark.attack("deep JSON")
def test_a_body_that_is_nested_too_deeply_counts_as_none(world, body):
    """Whoever has a webhook's address can send JSON that no reader gets through: it is no error of the connector."""
    seen = []

    def keep(ctx, parts):
        seen.append((parts["body"], ctx.options["ship"]))

    assert post(world, keep, data=body, content_type="application/json").status_code == 200
    assert seen == [({}, CONNECTOR_ID)]
    assert world.instrumentation.exceptions == []


def test_an_async_function_is_run(world):
    """An async def function is run to its end."""

    async def work(ctx, _parts):
        return ctx.ship["name"]

    assert post(world, work).text == "Shop"


@pytest.mark.shows("utils.requireHullMiddleware")
def test_without_credentials_the_answer_is_403(world):
    """Without credentials the function is not called, and the text names the ways to pass them."""
    response = post(world, lambda _ctx, _parts: pytest.fail("called"), "/b0")
    assert response.status_code == 403
    for name in ("token", "hullToken", "id", "ship", "organization", "secret"):
        assert name in response.text


def test_only_post_is_answered(world):
    """Other methods are not allowed, with and without a slash at the end."""
    client = world.app(action_handler(print)).test_client()
    assert [client.get(path).status_code for path in ("/b0", "/b0/")] == [405, 405]


def test_what_was_sent_is_accepted_before_the_answer(world):
    """A firehose that is down turns success into 503 transient-error."""

    def write(ctx, _parts):
        ctx.client.as_user({"email": "ann@acme.example"}).traits({"a": 1})
        return "written"

    assert post(world, write).text == "written"
    assert len(world.platform.messages) == 1
    world.platform.firehose_answer = lambda _batch: ("down", 500)
    response = post(world, write)
    assert (response.status_code, response.text) == (503, "transient-error")


@pytest.mark.shows("Connector option: timeout")
def test_a_late_action_is_503(world):
    """A function past the deadline is answered 503 and still does its work."""
    done = []

    def slow(ctx, _parts):
        ctx.runtime.tasks.sleep(30)
        done.append(True)

    response = post(world, slow)
    assert (response.status_code, response.text) == (503, "transient-error")
    assert done == [True]


@pytest.mark.shows_secrets(
    "log", "metric", reason="an error of its own with a secret in its text, of which no answer may tell"
)
def test_an_error_shows_no_secret(world):
    """An error's answer is the short text of the table."""

    def fail(ctx, _parts):
        raise RuntimeError(f"failed with {ctx.config.secret}")

    response = post(world, fail)
    assert (response.status_code, response.text) == (500, "unhandled-error")
    assert SECRET not in response.text


@pytest.mark.parametrize(
    ("error", "status", "pause"),
    [
        (TransientError("later"), 503, "1"),
        (RateLimitError("slow", retry_after=2.5), 503, "3"),
        (RateLimitError("slow", retry_after=9, status=429), 429, "9"),
        (TransientError("mine", status=400), 400, None),
        (CredentialsError("no"), 401, None),
        (RuntimeError("a bug"), 500, None),
    ],
)
def test_other_services_are_asked_to_come_again(world, error, status, pause):
    """With a ``retry_status`` what a later try may mend is answered so, with the pause; everything else stays."""

    def fail(_ctx, _parts):
        raise error

    answer = world.app(action_handler(fail, retry_status=503)).test_client().post(URL)
    assert (answer.status_code, answer.headers.get("Retry-After")) == (status, pause)


@pytest.mark.parametrize(("retry_status", "status"), [(503, 503), (None, 400)])
def test_a_webhook_is_not_lost_while_the_platform_is_away(world, retry_status, status):
    """Also what fails before the function runs is answered with the ``retry_status``, or with 400 without one."""
    ran = []
    app = world.app(action_handler(lambda *_: ran.append(1), retry_status=retry_status))
    world.platform.fail_with = 503
    answer = app.test_client().post(URL)
    assert (answer.status_code, answer.text, ran) == (status, "transient-error", [])


@pytest.mark.parametrize("retry_status", [200, 399, 600, 503.0, "503", True])
def test_a_status_to_retry_says_that_something_failed(retry_status):
    """Anything else is an error when the handler is made, and the message names the way out."""
    with pytest.raises(InvalidArgumentError, match="from 400 to 599"):
        action_handler(print, retry_status=retry_status)


@pytest.mark.parametrize(("duration_s", "status"), [(0.5, 200), (1.5, 503)])
def test_an_action_may_have_a_deadline_of_its_own(world, duration_s, status):
    """A caller that waits only so long is answered in that time, with 503 when the function needs longer."""
    app = world.app(action_handler(lambda ctx, _: ctx.runtime.tasks.sleep(duration_s), timeout_s=1))
    assert app.test_client().post(URL).status_code == status


def test_a_short_deadline_counts_for_reading_the_connector_too(world):
    """While the platform fails the caller is answered in its time all the same."""
    app = world.app(action_handler(lambda *_: "ok", timeout_s=1, retry_status=503))
    world.platform.fail_with = 503
    began = world.runtime.clock.monotonic()
    assert app.test_client().post(URL).status_code == 503
    assert world.runtime.clock.monotonic() - began <= 1


@pytest.mark.parametrize("timeout_s", [0, -1, "1", True])
def test_a_deadline_is_a_time(timeout_s):
    """Anything else is an error when the handler is made."""
    with pytest.raises(InvalidArgumentError, match=r"timeout_s is .* seconds above 0"):
        action_handler(print, timeout_s=timeout_s)


def test_an_action_is_a_function():
    """Anything else is an error when the handler is made."""
    with pytest.raises(InvalidArgumentError, match="action_handler is 'sync'"):
        action_handler("sync")


@pytest.mark.attack("a token of one purpose for another")
@pytest.mark.parametrize(("webhook", "status"), [(True, 200), (False, 401)])
def test_a_webhooks_token_opens_a_webhook_only(world, webhook, status, trials):
    """What another service was given opens the action that says it is a webhook, and neither buttons nor schedules."""
    ran = []
    app = world.app(action_handler(lambda *_: ran.append(1), webhook=webhook))
    token = app.extensions["hull"].tokens.encrypt(CREDENTIALS, "webhook")
    assert app.test_client().post(f"/b0?token={token}").status_code == status
    assert bool(ran) is webhook
    if not webhook:
        trials.count(let_in=len(ran))
