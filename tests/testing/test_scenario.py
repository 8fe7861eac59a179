from __future__ import annotations

import base64
import json
import logging

import pytest
from flask import Flask, request

from hull_sdk import Connector
from hull_sdk.core.net import Exchange, Request, Response
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.handlers import action_handler, smart_notifier_handler
from hull_sdk.service import ServiceSession
from hull_sdk.testing import Harness, Scenario
from hull_sdk.testing.transcript import Naming, outgoing, pretty

MANIFEST = {
    "name": "Sign-ups",
    "tags": ["smart-notifier"],
    "subscriptions": [{"url": "/smart-notifier", "channels": ["user:update"]}],
}
ANN = {"email": "ann@acme.example"}
#: What the connector of these tests does beyond signing people up, when a request asks for it.
EXTRAS = {
    "firehose": lambda ctx: ctx.client.as_user(ANN).track("Extra"),
    "api": lambda ctx: ctx.client.get("app"),
    "outgoing": lambda ctx: ServiceSession("https://api.crm.example", runtime=ctx.runtime).get("/extra"),
    "logs": lambda ctx: logging.getLogger(__name__).info("extra.line"),
    "metrics": lambda ctx: ctx.metric.increment("extra.metric"),
    "metric_events": lambda ctx: ctx.metric.event("extra event"),
    "answer": lambda ctx: "extra answer",
}


def make_app():
    """Return a connector that signs people up, and does something else when it is asked to."""
    app = Flask(__name__)

    def sign_up(ctx, parts):
        ctx.client.as_user({"email": parts["body"]["email"]}).traits({"signed_up": True})
        ctx.client.logger.info("incoming.user.success", {"link": ctx.token_for("webhook")})
        extra = EXTRAS.get(parts["body"].get("extra"))
        return extra(ctx) if extra else "thanks"

    app.register_blueprint(action_handler(sign_up), url_prefix="/sign-up")
    app.register_blueprint(smart_notifier_handler({"user:update": lambda *_: None}), url_prefix="/smart-notifier")
    return Connector(host_secret="a secret of the host for tests", manifest=MANIFEST).setup_app(app)


@pytest.fixture
def harness():
    """The connector on a platform, with a third party."""
    crm = Flask("crm")
    crm.add_url_rule("/extra", view_func=lambda: {"seen": request.method})
    with Harness(make_app()) as harness:
        harness.service("api.crm.example", crm)
        yield harness


@pytest.fixture
def path(harness, tmp_path):
    """Return a file that states what a sign-up does; the connector is in the cache by then."""
    path = tmp_path / "folder" / "sign-up.json"
    sign_up(harness)
    harness.run_until_idle()
    with Scenario(harness, path, update=True):
        sign_up(harness)
    return path


def sign_up(harness, **more):
    """Have somebody signed up."""
    return harness.request("/sign-up", body={**ANN, **more})


def test_the_file_states_all_that_happened(harness, path):
    """Request, answer, firehose message, log line and metric are there, and nothing that differs between runs."""
    assert json.loads(path.read_text()) == {
        "incoming": [
            {
                "method": "POST",
                "path": "/sign-up",
                "query": {"ship": "<connector>", "organization": "acme.hullapp.test", "secret": "<secret>"},
                "body": ANN,
                "answer": {"status": 200, "body": "thanks"},
            }
        ],
        "firehose": [{"type": "traits", "user": ANN, "body": {"signed_up": True}}],
        "logs": [{"level": "info", "event": "incoming.user.success", "fields": {"data": {"link": "***"}}}],
        "metrics": [["increment", "connector.request", 1]],
    }


def test_the_same_again_passes(harness, path):
    """A second run in another world, with other ids, is what the file states."""
    with Scenario(harness, path):
        sign_up(harness)
    with Harness(make_app(), seed=7) as other:
        sign_up(other)
        other.run_until_idle()
        with Scenario(other, path):
            sign_up(other)


@pytest.mark.parametrize("kind", EXTRAS)
def test_what_is_not_stated_fails(harness, path, kind):
    """One more of any kind fails, and the difference shows it."""
    with (
        pytest.raises(AssertionError, match=r"--update-scenarios(.|\n)*\n\+.*([Ee]xtra|api/v1/app)"),
        Scenario(harness, path),
    ):
        sign_up(harness, extra=kind)


def test_what_is_stated_and_does_not_happen_fails(harness, path):
    """The difference shows what is missing."""
    stated = json.loads(path.read_text())
    stated["metrics"].append(["increment", "absent.metric", 1])
    path.write_text(json.dumps(stated))
    with pytest.raises(AssertionError, match=r"\n-.*absent\.metric"), Scenario(harness, path):
        sign_up(harness)


def test_a_missing_file_shows_what_happened(harness, tmp_path):
    """Without a file the failure says how to write it, and does not write it."""
    with (
        pytest.raises(AssertionError, match=r"there is no .*new\.json(.|\n)*signed_up"),
        Scenario(harness, tmp_path / "new.json"),
    ):
        sign_up(harness)
    assert not (tmp_path / "new.json").exists()


def test_a_broken_file_is_named(harness, tmp_path):
    """A file that was damaged by hand is told apart from one that states something else."""
    path = tmp_path / "broken.json"
    path.write_text("{")
    with pytest.raises(AssertionError, match=r"broken\.json is no JSON"), Scenario(harness, path):
        sign_up(harness)


def test_an_error_in_the_block_is_left_alone(harness, tmp_path):
    """A block that fails on its own writes nothing and compares nothing."""
    path = tmp_path / "never.json"
    with pytest.raises(KeyError), Scenario(harness, path, update=True):
        raise KeyError("mine")
    assert not path.exists()


def test_what_is_under_way_is_waited_for_unless_told_otherwise(harness, tmp_path):
    """A message that is still queued counts as well; without settling it does not."""
    for settle in (True, False):
        path = tmp_path / f"{settle}.json"
        with Scenario(harness, path, update=True, settle=settle):
            harness.client.as_user(ANN).traits({"plan": "pro"})
        assert ('"plan"' in path.read_text()) is settle


def test_a_notification_of_ones_own_words_is_taken_as_the_platform_s(harness, tmp_path):
    """It is signed, its missing parts are added, and the file tells it without credentials and empty parts."""
    path = tmp_path / "told.json"
    sign_up(harness)
    harness.run_until_idle()
    with Scenario(harness, path, update=True, settle=False):
        answer = harness.notify("user:update", [{"user": ANN, "changes": {"user": {"plan": [None, "pro"]}}}])
    assert answer.status == 200
    (heard,) = json.loads(path.read_text())["incoming"]
    assert heard["notification"] == "user:update"
    assert heard["messages"] == [
        {"message_id": "<message 1>", "user": ANN, "changes": {"is_new": False, "user": {"plan": [None, "pro"]}}}
    ]
    assert harness.connector.secret not in path.read_text()


def test_a_notification_nobody_subscribed_to_is_refused(harness):
    """The error names the channel and where to subscribe."""
    with pytest.raises(InvalidArgumentError, match="'account:update'; add one to subscriptions"):
        harness.notify("account:update", [])


def test_a_request_may_come_without_credentials_and_with_bytes(harness):
    """A third party sends neither the platform's credentials nor JSON of ours."""
    assert harness.request("/sign-up", body=b"email=x", credentials=False).status == 403


def test_calls_to_third_parties_are_readable():
    """Basic credentials are shown as text, what the library adds is not shown, and a call may have no answer."""
    headers = {"Authorization": "Basic " + base64.b64encode(b"key:").decode(), "Accept": "*/*", "X-Own": b"1"}
    call = Request(method="POST", url="https://api.crm.example/v1/x?a=1", headers=headers, body=b"\xff\x00")
    assert outgoing(Exchange(call, None, 0.0)) == {
        "method": "POST",
        "url": "https://api.crm.example/v1/x",
        "query": {"a": "1"},
        "headers": {"Authorization": "Basic key:", "X-Own": "1"},
        "body": "<2 bytes>",
        "answer": None,
    }
    odd = Request(method="GET", url="https://api.crm.example/", headers={"Authorization": "Basic !"})
    answer = outgoing(Exchange(odd, Response(302, {"location": "/x"}, b""), 0.0))
    assert answer["headers"] == {"Authorization": "Basic !"}
    assert answer["answer"] == {"status": 302, "headers": {"location": "/x"}}


def test_ids_of_the_run_are_numbered_and_others_stay():
    """An id that the run made has one name everywhere, within texts and keys too; one that a test wrote stays."""
    made, written = "0b5c6b3e-8f43-4f3a-9d6e-0a6a5c1f7e2d", "5a7962e2793d3e942a03b29d"
    naming = Naming({"a" * 32: "<secret>"}, {made}.__contains__)
    told = {made: [f"job:{made}:1", written, "a" * 32, 7], "link": f"/x?token=gAAAA{'b' * 80}=="}
    assert naming.apply(told) == {"<id 1>": ["job:<id 1>:1", written, "<secret>", 7], "link": "/x?token=<token>"}


def test_long_values_are_folded_and_short_ones_are_not():
    """Whatever fits stands on one line, and what is printed is the JSON that it was."""
    value = {"short": [1, {"a": None}], "long": ["x" * 50, "y" * 50, "z" * 50], "empty": []}
    text = pretty(value)
    assert text.splitlines()[1] == '  "short": [1, {"a": null}],'
    assert json.loads(text) == value
    assert max(map(len, text.splitlines())) <= 120
