"""The examination: it finds each fault that is planted, and none where there is none."""

from __future__ import annotations

from contextlib import ExitStack
from itertools import combinations

import pytest
from customerio_connector.app import connect
from customerio_connector.app import create_app as create_customerio_app
from flask import Flask
from kitchen_sink.app import create_app
from sloppy_connector import Sloppy

from hull_sdk import Connector
from hull_sdk.core.hosts import HostPatterns
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import ThreadTasks
from hull_sdk.doctor import CHECKS, Options, examine
from hull_sdk.doctor.visitor import Visitor
from hull_sdk.errors import HullError
from hull_sdk.handlers import smart_notifier_handler
from hull_sdk.middleware import connector as connector_middleware
from hull_sdk.middleware import keys
from hull_sdk.platform.server import serve_app
from hull_sdk.scaffold.project import project_names, write_project
from hull_sdk.wire.notifications import CHANNELS, DELETION_CHANNELS

NAMES = [check.name for check in CHECKS]
OPTIONS = Options(limit_s=3.0, pause_s=0.3, oversize_bytes=24 * 1024 * 1024)


@pytest.fixture
def serve():
    """Return a function that serves an application on a free loopback port and returns its address."""
    with ExitStack() as stack:

        def start(app) -> str:
            server = serve_app(app, ThreadTasks())
            stack.callback(server.close)
            return server.url

        yield start


@pytest.fixture
def impatient(monkeypatch):
    """Have applications of this package wait less for a platform that does not answer."""
    monkeypatch.setattr(keys, "FETCH_TIMEOUT_S", 0.8)
    monkeypatch.setattr(connector_middleware, "FETCH_TIMEOUT_S", 0.8)
    monkeypatch.setattr(connector_middleware, "FETCH_RETRY", RetryPolicy(base_s=0.1, cap_s=0.1, total_s=0.8))


def allow_when_told(allow):
    """Return what reads the organization's address off the first thing that is told, and allows it."""

    def tell(text: str) -> None:
        if text.startswith("the organization is "):
            allow(text.split()[3].strip(";"))

    return tell


def examine_sloppy(serve, *faults: str):
    """Examine the connector that knows nothing of this package."""
    connector = Sloppy(*faults)
    try:
        url = serve(connector.app)
        tell = allow_when_told(lambda host: setattr(connector, "allowed", host))
        return examine(url, port=0, options=OPTIONS, tell=tell)
    finally:
        connector.close()


def examine_app(serve, app):
    """Examine an application of this package, whose handlers have less time than usual."""
    extension = app.extensions["hull"]
    extension.timeout_s = 1.5
    try:
        tell = allow_when_told(lambda host: setattr(extension, "trust", HostPatterns([host])))
        return examine(serve(app), port=0, options=OPTIONS, tell=tell)
    finally:
        extension.senders.close(0.0)
        extension.connector.close(1.0)


def seen(found) -> dict[str, str]:
    """Return what was seen where something failed or was not tried."""
    return {each.name: each.seen.what for each in found.findings if each.seen.verdict != "pass"}


def test_a_sound_connector_in_other_hands_passes(serve):
    """A connector that shares no code with the package, and has no fault, passes every check."""
    found = examine_sloppy(serve)
    assert seen(found) == {}
    assert (found.ok, found.names("pass")) == (True, NAMES)


#: Six connectors with four faults each: every fault is in two of them, and no two faults are in the same two, so that
#: of any two faults there is a connector with the first one and without the second. In this order none hides another.
PAIRS = dict(zip(reversed(NAMES), (pair for pair in combinations(range(6), 2) if sum(pair) != 5), strict=True))
PLANTED = [[name for name in NAMES if number in PAIRS[name]] for number in range(6)]


@pytest.mark.shows_secrets("page", reason="a planted fault, which the check finds")
@pytest.mark.parametrize("faults", PLANTED, ids="+".join)
def test_planted_faults_are_found_and_nothing_else(serve, faults):
    """Each fault is found by its name, with a way to mend it, and no check fails for another one's fault."""
    found = examine_sloppy(serve, *faults)
    assert list(seen(found)) == faults
    assert not found.ok
    entries = [each for each in found.to_dict()["checks"] if each["verdict"] == "fail"]
    assert [each["name"] for each in entries if each["mend"]] == faults
    assert all(f"fail     {fault}" in found.table() for fault in faults)


def test_what_hull_new_writes_passes(serve, impatient, tmp_path, monkeypatch):
    """A new connector has none of the faults, and every check finds something to look at."""
    write_project(project_names("acme-doctored"), tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    from acme_doctored.app import create_app as create_new_app

    found = examine_app(serve, create_new_app(host_secret="a long random text"))
    assert seen(found) == {}
    assert found.names("pass") == NAMES


def test_the_kitchen_sink_passes(serve, impatient):
    """Nor has the example that uses everything: OAuth, webhooks, batches, jobs, legacy notifications."""
    found = examine_app(serve, create_app({"host_secret": "a long random text"}))
    assert seen(found) == {}
    assert found.names("pass") == NAMES


def test_keys_that_count_beside_another_setting_only_pass(serve, impatient, monkeypatch):
    """The example for Customer.io, whose key is tried once there is a site id: before, it works without either."""
    monkeypatch.setenv("CUSTOMERIO_URL", "http://127.0.0.1:9")
    found = examine_app(serve, create_customerio_app(connect(host_secret="a long random text")))
    assert found.ok
    assert "status-always-ok" in found.names("pass")


def test_a_connector_that_does_not_let_doctor_in_is_left_alone(serve):
    """Without its owner's leave nothing but good notifications reach a connector, and the error names the setting."""
    connector = Sloppy(allowed="acme.hullapp.io")
    requests = []
    connector.app.before_request(lambda: requests.append(connector.app.name))
    url = serve(connector.app)
    with pytest.raises(HullError, match=r"start it with HULL_ALLOWED_ORGANIZATIONS=127\.0\.0\.1:\d+"):
        examine(url, port=0, options=OPTIONS)
    assert len(requests) == 1 + len(CHANNELS) - len(DELETION_CHANNELS)
    connector.close()


def test_what_cannot_be_looked_at_is_not_called_good(serve, impatient):
    """A connector without status and without a handler that writes has checks that say what would help."""
    app = Flask("mute")
    app.register_blueprint(smart_notifier_handler({"user:update": lambda ctx, messages: None}), url_prefix="/n")
    manifest = {"name": "Mute", "tags": ["smart-notifier"], "subscriptions": [{"url": "/n"}]}
    Connector(host_secret="a long random text", manifest=manifest).setup_app(app)
    found = examine_app(serve, app)
    assert found.ok
    assert found.names("untried") == ["status-always-ok", "next-before-flush", "double-run"]
    assert "--account" in seen(found)["double-run"]
    assert found.table().splitlines()[-1].startswith("ok: 9 passed, 0 failed, 3 untried, in ")


def test_headers_that_come_twice_are_all_looked_at(serve):
    """A secret may stand in the first of several cookies."""
    app = Flask("baker")
    app.get("/")(lambda: ("", 500, [("Set-Cookie", "first=a"), ("Set-Cookie", "second=b")]))
    answer = Visitor(serve(app), Runtime.system()).ask("GET", "/")
    assert (answer.status, answer.headers["set-cookie"]) == (500, "first=a\nsecond=b")


def test_an_address_where_nobody_is_is_one_error():
    """A port without a connector is told as such, and nothing is left running."""
    with pytest.raises(HullError, match=r"no manifest\.json at http://127\.0\.0\.1:9: GET /manifest\.json: no answer"):
        examine("http://127.0.0.1:9", port=0)


def test_a_port_that_is_taken_is_told(serve):
    """The error names the address and the option for another one."""
    taken = int(serve(Flask("taken")).rpartition(":")[2])
    with pytest.raises(HullError, match="cannot listen on"):
        examine("http://127.0.0.1:9", port=taken)
