"""Webhooks in batches: answered at once, handed over by number and age, and before every orderly end."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from connector_world import CONNECTOR_ID, CREDENTIALS, OTHER_ID, query
from flask import Flask

from hull_sdk import Connector
from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.handlers import batcher_handler
from hull_sdk.middleware import batches
from hull_sdk.testing import Harness

URL = f"/b0?{query()}"
ANN = {"email": "ann@acme.example"}
ROOT = Path(__file__).parents[2]


def test_the_token_of_a_webhooks_address_opens_it(world):
    """Other services call it with what they were given."""
    app = world.app(batcher_handler(lambda *_: None))
    token = app.extensions["hull"].tokens.encrypt(CREDENTIALS, "webhook")
    assert app.test_client().post(f"/b0?token={token}").status_code == 200


@pytest.mark.shows("batcherHandler option: maxSize", "batcherHandler option: maxTime", "utils.batcherHandler")
def test_requests_are_collected_for_each_connector(world):
    """Bodies and queries come together in one call, with a context of their connector."""
    calls = []
    app = world.app(batcher_handler(lambda ctx, messages: calls.append((ctx.config.id, ctx.ship["name"], messages))))
    client = app.test_client()
    for number in range(2):
        response = client.post(f"/b0?{query(n=str(number))}", json={"a": number})
        assert (response.status_code, response.text) == (200, "ok")
    client.post(f"/b0?{query(ship=OTHER_ID)}", data={"a": "form"})
    assert calls == []
    world.runtime.tasks.sleep(10)
    by_connector = {connector_id: messages for connector_id, _, messages in calls}
    assert [m["body"] for m in by_connector[CONNECTOR_ID]] == [{"a": 0}, {"a": 1}]
    assert [m["query"]["n"] for m in by_connector[CONNECTOR_ID]] == ["0", "1"]
    assert by_connector[OTHER_ID][0]["body"] == {"a": "form"}


def test_two_endpoints_never_share_a_batch(world):
    """Each handler has batches of its own."""
    calls = []
    handlers = [batcher_handler(lambda _ctx, ms, n=n: calls.append((n, len(ms))), max_time_ms=500) for n in range(2)]
    app = world.app(*handlers)
    for path in ("/b0", "/b1", "/b0"):
        app.test_client().post(f"{path}?{query()}")
    world.runtime.tasks.sleep(0.5)
    assert sorted(calls) == [(0, 2), (1, 1)]


def test_a_function_of_use_sees_the_context_of_a_batch(world):
    """Connector.use runs for a batch as it does for a request."""
    connector = world.connector()
    connector.use(lambda ctx: setattr(ctx.service, "name", "shop"))
    names = []

    async def handle(ctx, _messages):
        names.append(ctx.service.name)

    app = world.app(batcher_handler(handle, max_size=1), setup=False)
    world.setup(app, connector)
    app.test_client().post(URL)
    world.runtime.tasks.sleep(0)
    assert names == ["shop"]


def test_a_batch_succeeds_once_what_it_sent_was_accepted(world):
    """A firehose that is down repeats the batch."""
    attempts = []

    def handle(ctx, _messages):
        attempts.append(ctx.attempt)
        ctx.client.as_user({"id": "u1"}).traits({"a": 1})

    world.platform.firehose_answer = lambda _batch: (
        ("no", 401) if len(attempts) < 2 else {"accepted": 1, "rejected": []}
    )
    world.app(batcher_handler(handle, max_size=1)).test_client().post(URL)
    world.runtime.tasks.sleep(120)
    assert attempts == [1, 2]


def test_what_a_later_try_sends_again_is_applied_once():
    """It has the ids that it had before, also when more has come meanwhile, which makes a batch of its own."""
    sizes = []

    def count(ctx, messages):
        ctx.client.as_user(ANN).traits({"hits": {"operation": "inc", "value": len(messages)}})
        sizes.append(len(messages))
        if len(sizes) < 3:
            raise TransientError("the other service is away")

    app = Flask("hits")
    app.register_blueprint(batcher_handler(count, max_time_ms=1000), url_prefix="/hits")
    app = Connector(host_secret="x" * 20, manifest={"name": "Hits"}).setup_app(app)
    with Harness(app) as harness:
        for _ in range(3):
            harness.request("/hits", body={})
        while not sizes:
            harness.advance(seconds=0.1)
        for _ in range(2):
            harness.request("/hits", body={})
        harness.advance(minutes=5)
        assert sizes == [3, 3, 3, 2]
        assert harness.user(ANN)["traits_hits"] == 5


def test_a_graceful_stop_hands_over_and_takes_no_more(world):
    """close() hands over what is held and sends what that wrote; later requests are answered 503."""
    connector = world.connector()
    app = world.app(batcher_handler(lambda ctx, _ms: ctx.client.as_user({"id": "u1"}).traits({"a": 1})), setup=False)
    world.setup(app, connector)
    client = app.test_client()
    client.post(URL)
    connector.close()
    assert len(world.platform.messages) == 1
    response = client.post(URL)
    assert (response.status_code, response.text) == (503, "transient-error")


def test_what_a_stop_leaves_is_logged(world, caplog):
    """A batch that fails to the end of the stop's time is counted in the log."""
    connector = world.connector()

    def fail(_ctx, _messages):
        raise TransientError("down", retry_after=1000)

    app = world.setup(world.app(batcher_handler(fail), setup=False), connector)
    app.test_client().post(URL)
    connector.close(1)
    (record,) = [record for record in caplog.records if record.getMessage() == "batcher.stopped.unfinished"]
    assert record.hull["items"] == 1


def test_empty_batchers_are_forgotten(world, monkeypatch):
    """Beyond a number of connectors, those that hold nothing make room, and nothing is lost."""
    monkeypatch.setattr(batches, "MAX_BATCHERS", 1)
    calls = []
    app = world.app(batcher_handler(lambda ctx, _ms: calls.append(ctx.config.id)))
    for connector_id in (CONNECTOR_ID, OTHER_ID):
        app.test_client().post(f"/b0?{query(ship=connector_id)}")
    world.runtime.tasks.sleep(10)
    app.test_client().post(URL)
    assert len(app.extensions["hull"].batches._batchers) == 1
    world.runtime.tasks.sleep(10)
    assert sorted(calls) == sorted([CONNECTOR_ID, OTHER_ID, CONNECTOR_ID])


def test_without_credentials_the_answer_is_403(world):
    """Nobody's messages are not collected."""
    assert world.app(batcher_handler(print)).test_client().post("/b0").status_code == 403


def test_what_cannot_be_collected_is_asked_for_again(world):
    """While nobody can say whose request it is, other services are told to repeat it."""
    app = world.app(batcher_handler(print, retry_status=503))
    world.platform.fail_with = 503
    answer = app.test_client().post(URL)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


def test_a_wrong_option_is_an_error_at_once():
    """Function and numbers are checked when the handler is made."""
    made = (
        lambda: batcher_handler("f"),
        lambda: batcher_handler(print, max_size=1.5),
        lambda: batcher_handler(print, retry_status=200),
    )
    for make in made:
        with pytest.raises(InvalidArgumentError):
            make()


PROGRAM = """
import os, signal, sys
from flask import Flask, jsonify, request
from hull_sdk import Connector
from hull_sdk.handlers import batcher_handler
from hull_sdk.platform import Platform
from hull_sdk.platform.server import serve

platform = Platform()
served = serve(platform, host="127.0.0.1", port=0)
organization = platform.create_organization("acme.hullapp.test")

def handle(ctx, messages):
    print("handled", len(messages), flush=True)
    ctx.client.as_user({"external_id": "u1"}).traits({"a": 1})

app = Flask("shop")
app.register_blueprint(batcher_handler(handle), url_prefix="/hook")
Connector(host_secret="s" * 32, manifest={"name": "x"}, allowed_organizations=["127.0.0.1"]).setup_app(app)
connector = organization.install(app, manifest={"name": "x"})
query = {"ship": connector.id, "secret": connector.secret, "organization": platform.address}
answer = app.test_client().post("/hook", query_string=query)
print(answer.text, flush=True)
"""


@pytest.mark.process
@pytest.mark.every_python
@pytest.mark.parametrize(
    ("ending", "code"), [("", 0), ("sys.exit(3)", 3), ("os.kill(os.getpid(), signal.SIGTERM)", -15)]
)
def test_the_end_of_a_process_hands_over(ending, code):
    """At a normal exit and at SIGTERM what is held is handed over, and the exit code stays."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM + ending],
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        check=False,
    )
    assert process.stdout.splitlines() == ["ok", "handled 1"], process.stderr
    assert (process.returncode, process.stderr) == (code, "")
