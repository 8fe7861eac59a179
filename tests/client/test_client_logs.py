"""The connector's logger: standard logging with the client's identity."""

from __future__ import annotations

import json
import logging

import pytest
from client_sinks import HOST, ID, SECRET

from hull_sdk.client import logger
from hull_sdk.core.logs import JsonFormatter, fields_of


@pytest.mark.parametrize(
    ("method", "level"),
    [
        ("silly", "DEBUG"),
        ("verbose", "DEBUG"),
        ("debug", "DEBUG"),
        ("log", "INFO"),
        ("info", "INFO"),
        ("warn", "WARNING"),
        ("warning", "WARNING"),
        ("error", "ERROR"),
    ],
)
@pytest.mark.shows(
    "Client.logger.debug",
    "Client.logger.error",
    "Client.logger.info",
    "Client.logger.log",
    "Client.logger.silly",
    "Client.logger.verbose",
    "Client.logger.warn",
)
def test_every_level_has_its_method(client, caplog, method, level):
    """The names of the Node client and those of logging are there."""
    caplog.set_level(logging.DEBUG, "hull_sdk.client")
    getattr(client.logger, method)("incoming.user.success", {"count": 1})
    (record,) = [r for r in caplog.records if r.name == "hull_sdk.client"]
    assert (record.levelname, record.getMessage()) == (level, "incoming.user.success")
    assert fields_of(record) == {"context": {"organization": HOST, "id": ID}, "data": {"count": 1}}


@pytest.mark.shows("Client option: connectorName")
def test_the_context_says_who_and_for_whom(make_client, caplog):
    """Connector, request, subject and every claim stand beside the line."""
    caplog.set_level(logging.INFO)
    client = make_client(connector_name="crm", request_id="r-1")
    client.as_user({"email": "ann@acme.test", "external_id": 7}).account({"domain": "acme.test"}).logger.info("x")
    assert fields_of(caplog.records[-1]) == {
        "context": {
            "organization": HOST,
            "id": ID,
            "connector_name": "crm",
            "request_id": "r-1",
            "subject_type": "account",
            "user_external_id": "7",
            "user_email": "ann@acme.test",
            "account_domain": "acme.test",
        }
    }


def test_secrets_are_masked(client, caplog):
    """Neither the record nor its JSON line holds a secret."""
    caplog.set_level(logging.INFO)
    user = client.as_user("5a7962e2793d3e942a03b29b")
    user.logger.info("x", {"secret": SECRET, "token": user.token(), "text": f"token={user.token()}"})
    line = JsonFormatter().format(caplog.records[-1])
    assert SECRET not in line
    assert user.token() not in line
    assert json.loads(line)["context"]["user_id"] == "5a7962e2793d3e942a03b29b"


@pytest.mark.shows("Hull.logger")
def test_lines_of_no_client_have_a_logger_too(caplog):
    """What no client says is logged with an empty context."""
    caplog.set_level(logging.INFO)
    logger.info("process.started", {"version": 3})
    assert caplog.records[-1].name == "hull_sdk.client"
    assert fields_of(caplog.records[-1]) == {"context": {}, "data": {"version": 3}}
