"""npm minihull plays the platform for a connector of ours, which does not ask for signatures: minihull makes none."""

from __future__ import annotations

import json
from contextlib import ExitStack
from queue import SimpleQueue

import pytest
from flask import Flask

from hull_sdk import Connector
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.handlers import notif_handler, smart_notifier_handler
from hull_sdk.platform.server import serve_app

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

ID = "5a7962e2793d3e942a03b29a"
SECRET = "made-up"
PATIENCE_S = 30
SEGMENT = {"id": "5b0000000000000000000001", "name": "Leads"}
USERS = [{"id": f"5c000000000000000000000{n}", "email": f"p{n}@acme.example", "_segment_ids": []} for n in range(5)]


class Ours:
    """A connector of ours over HTTP, which keeps what its functions were called with and writes it back."""

    def __init__(self, stack):
        self.calls = SimpleQueue()
        connector = Connector(
            host_secret="a secret of the host for tests",
            manifest={"name": "Ours", "tags": ["smart-notifier", "batch"]},
            allowed_organizations=["127.0.0.1"],
            skip_signature_validation=True,
        )
        app = Flask("ours")
        handlers = {"user:update": self.on_users, "ship:update": self.on_ship}
        app.register_blueprint(smart_notifier_handler(handlers, max_size=2), url_prefix="/smart-notifier")
        app.register_blueprint(smart_notifier_handler(handlers, max_size=2), url_prefix="/batch")
        legacy = {"user:update": self.on_users, "ship:update": self.on_payload}
        app.register_blueprint(notif_handler(legacy, max_size=1), url_prefix="/notify")
        connector.setup_app(app)
        server = serve_app(app, app.extensions["hull"].runtime.tasks, "127.0.0.1", 0)
        stack.callback(server.close)
        stack.callback(connector.close, 10.0)
        self.url = server.url
        self.finish_jobs = lambda: app.extensions["hull"].queue.stop(PATIENCE_S)

    def on_users(self, ctx, messages):
        """Keep the users, and write to the platform that they were seen."""
        for message in messages:
            ctx.client.as_user(message["user"]).traits({"seen": True})
        self.calls.put((ctx, [message["user"]["email"] for message in messages]))

    def on_ship(self, ctx, messages):
        """Keep the connectors."""
        self.calls.put((ctx, messages))

    def on_payload(self, ctx, payload):
        """Keep the payload."""
        self.calls.put((ctx, payload))

    def next_call(self):
        """Return context and messages of the next call of a function."""
        return self.calls.get(timeout=PATIENCE_S)


@pytest.fixture
def ours(start_process):
    """A connector of ours that is served on a free loopback port, and stops before the processes do."""
    with ExitStack() as stack:
        yield Ours(stack)


@pytest.fixture
def play(ours, start_process, node_environment, node_scripts, tmp_path):
    """Return a function that has minihull make calls; it returns their results and what minihull received since."""
    network = HttpNetwork()

    def play(*calls):
        connector = {"id": ID, "_url": ours.url, "manifest": {"subscriptions": [{"url": "/notify"}]}}
        plan = {"secret": SECRET, "connectors": [connector], "users": USERS, "segments": [SEGMENT], "calls": calls}
        (tmp_path / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
        command = ["node", str(node_scripts / "minihull.js"), str(tmp_path / "plan.json")]
        done = json.loads(start_process(command, env=node_environment).wait_for(r'^\{"event":"done".*').group())
        address = f"http://127.0.0.1:{done['port']}/_received"
        return done["results"], lambda: json.loads(network.send(Request(method="GET", url=address)).body)

    yield play
    network.close()


@pytest.mark.shows("Connector option: skipSignatureValidation", "utils.smartNotifierHandler")
def test_minihull_sends_smart_notifications(ours, play):
    """A smart notification of minihull is handled with its connector and segments, and answered with flow control."""
    connector = {"id": ID, "private_settings": {"color": "red"}}
    messages = [{"message_id": "m1", "user": USERS[0], "changes": {}, "events": [], "segments": [SEGMENT]}]
    url = f"{ours.url}/smart-notifier"
    (answer,), received = play(["smartNotifyConnector", connector, url, "user:update", messages, [SEGMENT]])
    assert (answer["status"], json.loads(answer["text"])["flow_control"]["type"]) == (200, "next")
    ctx, emails = ours.next_call()
    assert emails == ["p0@acme.example"]
    assert ctx.ship["private_settings"] == {"color": "red"}
    assert [segment["name"] for segment in ctx.segments] == ["Leads"]
    assert written(received()) == [{"seen": True}]


@pytest.mark.shows("channel: ship:update", "utils.notifHandler")
def test_minihull_sends_legacy_notifications(ours, play):
    """A change of settings and an update of a user, as minihull mimics them, reach the functions of notif_handler."""
    results, _received = play(
        ["mimicUpdateConnector", {"color": "blue"}],
        ["mimicUpdateUser", {"email": "p1@acme.example"}, {"plan": "pro"}],
    )
    assert [answer["status"] for answers in results for answer in answers] == [200, 200]
    ctx, payload = ours.next_call()
    assert payload["private_settings"] == {"color": "blue"}
    assert (ctx.config.id, ctx.message["Subject"]) == (ID, "ship:update")
    _ctx, emails = ours.next_call()
    assert emails == ["p1@acme.example"]


@pytest.mark.shows("README: batch-extracts")
def test_minihull_sends_batches(ours, play):
    """A batch call of minihull has its file read, and the users handed over in parts of max_size."""
    (answer,), received = play(["mimicBatchCall"])
    assert (answer["status"], answer["text"]) == (200, "ok")
    parts = [ours.next_call() for _ in range(3)]
    assert [emails for _ctx, emails in parts] == [
        ["p0@acme.example", "p1@acme.example"],
        ["p2@acme.example", "p3@acme.example"],
        ["p4@acme.example"],
    ]
    assert all(ctx.is_batch for ctx, _emails in parts)
    assert ours.finish_jobs() == 0
    assert [request["method"] for request in received() if request["url"] == "/_batch"] == ["GET"]
    assert written(received()) == [{"seen": True}] * 5


def written(received):
    """Return the attributes that were written to minihull's firehose."""
    bodies = [request["body"] for request in received if request["url"] == "/api/v1/firehose"]
    return [message["body"] for body in bodies for message in body["batch"]]
