"""A connector that uses everything, at the debug level: none of its secrets comes to light, whole, in part or encoded."""

from __future__ import annotations

import logging
from typing import Any
from urllib.parse import quote, quote_plus, urlencode

import pytest
from flask import Flask, request
from kitchen_sink.app import create_app
from sentry_server import sentry_server

from hull_sdk.core.logs import JsonFormatter
from hull_sdk.errors import ConfigurationError, LogicError, RateLimitError, TransientError
from hull_sdk.handlers import action_handler
from hull_sdk.infra import Instrumentation
from hull_sdk.testing import Harness

HOST_SECRET = "Zq7+host/secret=of&this%connector"
CLIENT_SECRET = "Xw3+client/secret=of&the%crm"
ACCESS_TOKEN = "Kd9+access/token=of&the%crm"
REFRESH_TOKEN = "Jf5+refresh/token=of&the%crm"
WEBHOOK_KEY = "Vb1+hook/key=of&somebody%else"
PLANTED = (HOST_SECRET, CLIENT_SECRET, ACCESS_TOKEN, REFRESH_TOKEN, WEBHOOK_KEY)
#: So many characters of a secret in a row are a part of it.
PART = 10
ANN = {"email": "ann@acme.example"}
FAILURES = (ValueError, TransientError, ConfigurationError, RateLimitError, LogicError)


class Lines(logging.Handler):
    """Keeps what each record would look like, as text and as JSON, its error included."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []
        self._json = JsonFormatter()

    def emit(self, record: logging.LogRecord) -> None:
        self.lines += [self.format(record), self._json.format(record)]


@pytest.fixture
def lines():
    """Everything that anybody logs, from the debug level up."""
    handler, root, own = Lines(), logging.getLogger(), logging.getLogger("hull_sdk")
    levels = root.level, own.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    own.setLevel(logging.DEBUG)
    yield handler.lines
    root.removeHandler(handler)
    root.setLevel(levels[0])
    own.setLevel(levels[1])


@pytest.fixture
def sentry():
    """A server that keeps what Sentry's library posts, as path and text."""
    with sentry_server() as server:
        yield server


class TellTale:
    """A CRM that repeats credentials in what it answers, as careless services do."""

    def __init__(self) -> None:
        self.status = 200
        self.app = Flask("tell-tale")
        self.app.add_url_rule("/v1/<path:path>", "any", self._answer, methods=["GET", "PUT", "POST"])
        self.app.add_url_rule("/token", "token", self._token, methods=["POST"])

    def _answer(self, path: str) -> Any:
        if self.status != 200:
            sent = request.headers["Authorization"]
            return {"message": f"Authorization: {sent} refused", "access_token": ACCESS_TOKEN}, self.status
        return [] if request.method == "GET" else {"id": "c-1"}

    def _token(self) -> Any:
        return {"error": "invalid_grant", "refresh_token": REFRESH_TOKEN, "client_secret": CLIENT_SECRET}, 400


def fail(ctx, parts):
    """Say secrets in an error, a metric and the log, each in a form that is told apart by its name."""
    local_secret = CLIENT_SECRET
    what = f"secret={quote(local_secret)} and Authorization: Bearer {ACCESS_TOKEN}"
    ctx.metric.increment(
        "failing", tags={"api_key": WEBHOOK_KEY, "url": f"https://crm.example/?token={quote(REFRESH_TOKEN)}"}
    )
    ctx.metric.event("failing", what, {"headers": {"Authorization": f"Bearer {ACCESS_TOKEN}"}})
    ctx.client.logger.error("incoming.job.error", {"settings": ctx.ship["private_settings"], "said": what})
    raise FAILURES[parts["body"]["number"]](f"failed with {what}")


def show(ctx, _parts):
    """Return all that can be printed of a context."""
    return [
        repr(each)
        for each in (
            ctx,
            ctx.client,
            ctx.client.configuration(),
            ctx.config,
            ctx.metric,
            ctx.cache,
            ctx.service.crm,
            ctx.runtime,
        )
    ]


@pytest.fixture
def crm():
    """A CRM that tells what it knows."""
    return TellTale()


@pytest.fixture
def harness(crm):
    """The connector of the examples, with actions that fail and show, and planted secrets."""
    app = create_app({"host_secret": HOST_SECRET})
    app.register_blueprint(action_handler(fail), url_prefix="/fail")
    app.register_blueprint(action_handler(show), url_prefix="/show")
    tokens = {"access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN, "token_type": "Bearer"}
    settings = {"client_id": "hull", "client_secret": CLIENT_SECRET, "oauth_tokens": tokens}
    with Harness(app, private_settings=settings) as harness:
        harness.service("api.crm.example", crm.app)
        harness.service("login.crm.example", crm.app)
        yield harness


def work(harness, crm) -> list[str]:
    """Have every kind of handler do its work, and fail at it; return what was answered."""
    said = []
    for status in (200, 401, 500, 429):
        crm.status = status
        harness.client.as_user(ANN).traits({"name": f"Ann {status}"})
        harness.client.as_account({"domain": "acme.example"}).traits({"employees": status})
        harness.advance(seconds=20)
        said += [
            show_answer(harness, path) for path in ("sync", "status", "auth", "auth/failure", "auth/success", "export")
        ]
    for number in range(len(FAILURES)):
        said.append(show_answer(harness, "fail", body={"number": number}))
    hook = {"email": "ann@acme.example", "event": "Seen", "secret": WEBHOOK_KEY}
    said += [
        show_answer(harness, path, body=hook, query={"api_key": WEBHOOK_KEY})
        for path in ("webhook", "hits", "notify", "smart-notifier")
    ]
    said += [show_answer(harness, "sync", query={name: WEBHOOK_KEY}) for name in ("token", "hullToken", "state")]
    said += [show_answer(harness, "auth/callback", method="GET", query={"state": WEBHOOK_KEY, "code": ACCESS_TOKEN})]
    expired = {"access_token": ACCESS_TOKEN, "refresh_token": REFRESH_TOKEN, "expires_at": 1}
    harness.organization.update_connector(
        harness.connector, {"private_settings": {**harness.connector.private_settings, "oauth_tokens": expired}}
    )
    said += [show_answer(harness, path) for path in ("sync", "status", "show")]
    harness.advance(minutes=5)
    return said


def show_answer(harness, path, **options) -> str:
    """Return an answer with its headers."""
    if path.startswith("auth"):
        options["method"] = "GET"
    response = harness.request(f"/{path}", **options)
    return f"{response.status} {dict(response.headers)} {response.body.decode()}"


def parts_of(secret: str) -> set[str]:
    """Return what must not be seen of a secret: each part that is long enough, as it is and encoded for a URL."""
    parts = {secret[start : start + PART] for start in range(len(secret) - PART + 1)}
    return {
        form
        for part in parts
        for form in (part, quote(part), quote(part, safe=""), quote_plus(part), urlencode({"": part})[1:])
    }


def leaks(texts, secrets) -> list[str]:
    """Return where a part of a secret is found, with what stands around it."""
    everything = "\n".join(texts)
    parts = {part for secret in secrets for part in parts_of(secret)}
    found = [(part, everything.find(part)) for part in parts]
    return [f"{part}: {everything[max(0, at - 200) : at + 200]}" for part, at in found if at >= 0]


@pytest.mark.shows_secrets("error", reason="errors of its own with secrets in their texts, of which no log may tell")
@pytest.mark.attack("secrets outside their lawful places")
def test_no_secret_comes_to_light(harness, crm, lines, sentry):
    """Logs, answers, pages, prints, metrics, events and what goes to Sentry hold no part of any secret."""
    said = work(harness, crm)
    secrets = (*PLANTED, harness.connector.secret)
    recorded = harness._instrumentation.exceptions
    reporting = Instrumentation(f"http://public@127.0.0.1:{sentry.server_port}/42")
    for record in recorded:
        reporting.record(record)
    reporting.close(5)
    printed = [
        repr(each)
        for each in (
            harness.client,
            harness.connector,
            harness.organization,
            harness.platform,
            harness.app.extensions["hull"],
        )
    ]
    printed += [f"{record.context} {record.tags}" for record in recorded]
    assert len(lines) > 200
    assert recorded
    assert sentry.posts
    assert len(said) > 30
    assert leaks(lines, secrets) == []
    assert leaks(said, secrets) == []
    assert leaks(printed, secrets) == []
    assert leaks([repr(each) for each in (*harness.metrics, *harness.metric_events)], secrets) == []
    assert leaks([text for _, text in sentry.posts], secrets) == []


def test_the_search_finds_a_part_in_each_form():
    """What looks for leaks finds a secret in the middle of a text, cut at both ends, and encoded."""
    for form in (CLIENT_SECRET, CLIENT_SECRET[4:-3], quote(CLIENT_SECRET, safe=""), urlencode({"q": CLIENT_SECRET})):
        assert leaks([f"a text with {form} in it"], PLANTED)
    assert leaks(["a text with *** in it"], PLANTED) == []
