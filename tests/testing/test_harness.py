from __future__ import annotations

import gc

import pytest
from flask import Flask, request

from hull_sdk import Connector
from hull_sdk.client.exits import exits
from hull_sdk.errors import HullError, InvalidArgumentError
from hull_sdk.handlers import action_handler, for_each, smart_notifier_handler
from hull_sdk.platform import Platform
from hull_sdk.service import ServiceSession
from hull_sdk.testing import Harness

MANIFEST = {
    "name": "CRM",
    "tags": ["smart-notifier"],
    "private_settings": [{"name": "api_key", "default": "none"}],
    "subscriptions": [{"url": "/smart-notifier", "channels": ["user:update"]}],
}
ANN = {"email": "ann@acme.example"}


def make_app():
    """Return a connector that pushes users to a CRM."""
    app = Flask("crm")

    def push(ctx, messages):
        session = ServiceSession("https://api.crm.example", runtime=ctx.runtime)
        for message in messages:
            session.post("/contacts", json={"email": message["user"]["email"]})
        ctx.metric.increment("crm.pushed", len(messages))
        ctx.metric.event("crm.pushing", "with the new API", {"contacts": len(messages)})
        logger = ctx.client.logger
        logger.info("outgoing.user.success", {"count": len(messages)})

    def settings(ctx, _request):
        return ctx.connector["private_settings"]["api_key"]

    app.register_blueprint(smart_notifier_handler({"user:update": push}), url_prefix="/smart-notifier")
    app.register_blueprint(action_handler(settings), url_prefix="/settings")
    return Connector(host_secret="a secret of the host for tests", manifest=MANIFEST).setup_app(app)


def make_crm(received):
    """Return a CRM that keeps what it receives."""
    crm = Flask("stub")

    @crm.post("/contacts")
    def contacts():
        received.append(request.get_json())
        return {"ok": True}

    return crm


def test_what_a_run_could_not_send_ends_with_it():
    """Messages that the platform never took are not sent through the real network once the application has it back."""
    app = Flask("writer")
    app.register_blueprint(
        action_handler(lambda ctx, _request: ctx.client.as_user(ANN).traits({"a": 1})), url_prefix="/w"
    )
    connector = Connector(host_secret="a secret of the host for tests", manifest={"name": "Writer"})
    others = set(exits._senders)
    with Harness(connector.setup_app(app)) as harness:
        harness.platform.faults.add("error", target="firehose", status=503)
        assert harness.request("/w").status == 503
        (sender,) = [each for each in set(exits._senders) - others if "1 waiting" in repr(each)]
    assert "1 waiting" in repr(sender)  # still there, and of no account to the end of the process
    assert sender.waiting == 0


def test_a_third_party_is_a_small_app_and_every_call_to_it_is_recorded():
    """Calls of a ServiceSession reach the mounted stub and stand in outgoing."""
    received = []
    with Harness(make_app()) as harness:
        harness.service("api.crm.example", make_crm(received))
        harness.client.as_user(ANN).traits({"name": "Ann"})
        harness.run_until_idle()
        assert received == [{"email": "ann@acme.example"}]
        assert [(e.request.method, e.request.url) for e in harness.outgoing] == [
            ("POST", "https://api.crm.example/contacts")
        ]


def test_firehose_logs_and_metrics_are_recorded():
    """What went through the firehose, the logs and the metrics can be compared."""
    with Harness(make_app()) as harness:
        harness.service("api.crm.example", make_crm([]))
        harness.client.as_user(ANN).traits({"name": "Ann"})
        harness.run_until_idle()
        assert harness.firehose == [
            {"type": "traits", "user": ANN, "account": None, "subject_type": "user", "body": {"name": "Ann"}}
        ]
        assert "outgoing.user.success" in [record["event"] for record in harness.logs]
        assert "crm.pushed" in [metric.name for metric in harness.metrics]
        (event,) = harness.metric_events
        assert (event.name, event.text, event.properties) == ("crm.pushing", "with the new API", {"contacts": 1})
        assert event.tags["ship"] == harness.connector.id


def test_settings_come_from_the_manifest_and_the_test():
    """Private settings given to the harness stand over the manifest's defaults."""
    with Harness(make_app()) as harness:
        assert harness.request("/settings").body == b"none"
    with Harness(make_app(), private_settings={"api_key": "k1"}) as harness:
        assert harness.request("/settings").body == b"k1"


def test_the_application_is_as_it_was_afterwards():
    """Two harnesses on one application do not see each other, and its own doors come back at the end."""
    app = make_app()
    doors = app.extensions["hull"].runtime.tasks
    for key in ("k1", "k2"):
        with Harness(app, private_settings={"api_key": key}) as harness:
            assert harness.request("/settings").body == key.encode()
            assert app.extensions["hull"].runtime.tasks is not doors
    assert app.extensions["hull"].runtime.tasks is doors


def test_an_application_without_connector_is_refused():
    """The error says which call is missing."""
    with pytest.raises(InvalidArgumentError, match="setup_app"):
        Harness(Flask("bare"))


def test_a_platform_on_real_time_is_refused():
    """A harness on the machine's clock would wait for real; the error names the way out."""
    platform = Platform()
    with pytest.raises(InvalidArgumentError, match="virtual_platform"):
        Harness(make_app(), platform=platform)
    platform.close()


@pytest.mark.parametrize("one_by_one", [True, False])
def test_a_mistake_in_a_handler_ends_the_run_soon_and_is_its_cause(one_by_one):
    """A handler that raises each time is given up after a few tries, and the error names what it raised."""

    def on_user(message):
        return message["user"]["firstname"]

    def on_users(ctx, messages):
        return for_each(ctx, messages, on_user) if one_by_one else [on_user(message) for message in messages]

    app = Flask("wrong")
    app.register_blueprint(smart_notifier_handler({"user:update": on_users}), url_prefix="/smart-notifier")
    with Harness(Connector(host_secret="a secret of the host for tests", manifest=MANIFEST).setup_app(app)) as harness:
        harness.client.as_user(ANN).traits({"first_name": "Ann"})
        with pytest.raises(HullError, match=r"same user:update message more than 30 times.*'firstname'") as caught:
            harness.run_until_idle()
        assert isinstance(caught.value.__cause__, KeyError)
        assert len(harness.deliveries) == 31


def test_the_garbage_collector_looks_rarely_while_the_harness_works():
    """While time passes, and while all is done that is under way, more has to come up before garbage is collected."""
    usual, seen = gc.get_threshold(), []
    app = Flask("watching")
    app.register_blueprint(
        smart_notifier_handler({"user:update": lambda *_: seen.append(gc.get_threshold())}),
        url_prefix="/smart-notifier",
    )
    with Harness(Connector(host_secret="a secret of the host", manifest=MANIFEST).setup_app(app)) as harness:
        harness.client.as_user(ANN).traits({"name": "Ann"}).result()
        harness.advance(minutes=1)
        harness.client.as_user(ANN).traits({"name": "Bea"}).result()
        harness.run_until_idle()
    assert [each[0] for each in seen] == [10_000, 10_000]
    assert gc.get_threshold() == usual
