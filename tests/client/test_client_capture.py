"""Capture: log lines and messages kept in lists, without any server."""

from __future__ import annotations

import json

import pytest
from client_sinks import HOST, ID, SECRET

from hull_sdk.client import Client, ClientConfig, Outbox
from hull_sdk.core.clock import iso_millis
from hull_sdk.errors import InvalidArgumentError

ANN = {"email": "ann@acme.test"}
WHO = {"organization": HOST, "id": ID}


@pytest.fixture
def captured(make_client):
    """A client that keeps both."""
    return make_client(capture_logs=True, capture_firehose_events=True, request_id="r-1")


@pytest.mark.shows("Client option: captureFirehoseEvents")
def test_messages_are_kept_instead_of_sent(captured, sink, runtime):
    """Each message stands in the configuration with type, body, request id and for whom it is."""
    user = captured.as_user(ANN)
    user.traits({"plan": "pro"})
    user.account({"domain": "acme.test"}).traits({"visits": {"operation": "inc", "value": 1}})
    user.alias({"anonymous_id": 7})
    runtime.tasks.run_until_idle()
    who = {**WHO, "request_id": "r-1", "subject_type": "user", "user_email": "ann@acme.test"}
    assert captured.configuration()["firehose_events"] == [
        {"context": who, "data": {"type": "traits", "body": {"plan": "pro"}, "requestId": "r-1"}},
        {
            "context": {**who, "subject_type": "account", "account_domain": "acme.test"},
            "data": {"type": "traits", "body": {"visits": {"operation": "inc", "value": 1}}, "requestId": "r-1"},
        },
        {"context": who, "data": {"type": "alias", "body": {"anonymous_id": "7"}, "requestId": "r-1"}},
    ]
    assert sink.batches == []


def test_a_kept_event_has_the_whole_body(make_client):
    """A track message is kept as it would stand on the wire, its defaults included."""
    client = make_client(capture_firehose_events=True)
    client.as_user(ANN).track("Ordered", {"sku": "A1"}, {"event_id": "e-1"})
    (event,) = client.configuration()["firehose_events"]
    body = {
        "ip": None,
        "url": None,
        "referer": None,
        "event_id": "e-1",
        "properties": {"sku": "A1"},
        "event": "Ordered",
    }
    assert event["data"] == {"type": "track", "body": body}


def test_a_kept_message_counts_as_accepted(captured):
    """Its Future is resolved with the message id at once, without any waiting."""
    future = captured.as_user(ANN).traits({"plan": "pro"})
    assert future.done()
    assert len(future.result()) == 36
    assert captured.flush().pending == 0


def test_capturing_refuses_what_sending_would_refuse(captured):
    """A wrong message raises the same error and is not kept."""
    with pytest.raises(InvalidArgumentError, match="is nan"):
        captured.as_user(ANN).traits({"a": float("nan")})
    assert captured.configuration()["firehose_events"] == []


@pytest.mark.shows("Client option: firehoseEvents", "Client option: logs")
def test_lists_of_the_caller_are_appended_to(make_client, runtime):
    """Lists that are passed receive what several clients say."""
    logs, events = [], []
    for name in ("crm", "shop"):
        client = make_client(connector_name=name, logs=logs, firehose_events=events)
        client.logger.info("started")
        client.as_user(ANN).traits({"from": name})
    config = ClientConfig(id=ID, secret=SECRET, organization=HOST, firehose_events=events)
    Client.from_config(config, runtime=runtime).as_user(ANN).traits({"from": "config"})
    assert [line["context"]["connector_name"] for line in logs] == ["crm", "shop"]
    assert [event["data"]["body"]["from"] for event in events] == ["crm", "shop", "config"]


@pytest.mark.shows("Client option: captureLogs")
def test_lines_are_kept_instead_of_logged(captured, caplog, runtime):
    """Every level is kept, from debug up, with context, data and time; nothing is logged."""
    captured.as_user(ANN).logger.debug("incoming.user.skip", {"reason": "none"})
    captured.logger.warning("slow")
    user = {**WHO, "request_id": "r-1", "subject_type": "user", "user_email": "ann@acme.test"}

    captured_at = runtime.clock.time()
    first, second = captured.configuration()["logs"]
    assert first.pop("timestamp") == second.pop("timestamp") == iso_millis(captured_at)
    assert first == {"message": "incoming.user.skip", "level": "debug", "data": {"reason": "none"}, "context": user}
    assert second == {"message": "slow", "level": "warn", "data": None, "context": {**WHO, "request_id": "r-1"}}
    assert caplog.records == []


def test_kept_lines_hold_no_secret(captured):
    """Secrets are masked in what is captured too."""
    user = captured.as_user(ANN)
    text = f"secret={SECRET}"
    user.logger.error(text, {"token": user.token()})
    text = json.dumps(captured.configuration()["logs"])
    assert SECRET not in text
    assert user.token() not in text


def test_what_was_read_is_a_copy(captured):
    """Changing what configuration returned changes nothing."""
    captured.as_user(ANN).traits({"plan": "pro"})
    captured.configuration()["firehose_events"].clear()
    captured.configuration()["firehose_events"][0]["data"]["body"].clear()
    assert captured.configuration()["firehose_events"][0]["data"]["body"] == {"plan": "pro"}


def test_nothing_is_captured_unless_asked_for(client):
    """A client without the options has neither list."""
    assert not {"logs", "firehose_events"} & client.configuration().keys()


def test_an_outbox_waits_for_nothing_that_was_kept(make_client, runtime):
    """What is captured is settled before anybody waits."""
    outbox = Outbox(runtime)
    make_client(capture_firehose_events=True, outbox=outbox).as_user(ANN).traits({"plan": "pro"})
    assert outbox.settle().pending == 0
