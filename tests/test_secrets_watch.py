"""The watch over secrets: a secret that comes to light is found, at whatever place, and fails its test."""

from __future__ import annotations

import logging
import socket
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from flask import Flask, redirect
from secrets_watch import TEXTS_OF_A_PLACE, WATCH
from sentry_server import sentry_server

from hull_sdk import Client, Connector
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import HullError
from hull_sdk.infra import Instrumentation, MemoryQueue, RecordingInstrumentation

pytest_plugins = ["pytester"]

SECRET = "planted+by/this=test"
PRINTS = f"print({SECRET!r})"


@pytest.fixture
def planted():
    """A secret that passed a door; what it leaves behind is forgotten again."""
    Client(id="5c0a1b2c3d4e5f6071829304", secret=SECRET, organization="acme.hullapp.io")
    assert SECRET in WATCH.planted
    WATCH.seen.clear()
    yield SECRET
    WATCH.begin()


def places() -> set[str]:
    """Return where something was found."""
    return {find.split(" stands in ")[1].split(":")[0] for find in WATCH.finds()}


def test_nothing_is_found_where_nothing_is(planted):
    """Texts without secrets pass."""
    logging.getLogger("shop").debug("a secret *** and a part: %s", SECRET[:10])
    assert places() == set()


@pytest.mark.parametrize("written", ["%s", "?x=planted%%2Bby%%2Fthis%%3Dtest %s", "%r"])
def test_logs_are_searched(planted, written):
    """A secret is found in any library's log, also at the debug level and encoded for an address."""
    logging.getLogger("somebody.else").debug(written, SECRET if written != "%r" else {"a": SECRET})
    assert places() == {"log"}


def test_tracebacks_in_logs_are_searched(planted):
    """A secret in the text of an error that is logged is found."""
    try:
        raise ValueError(SECRET)
    except ValueError:
        logging.getLogger("shop").exception("failed")
    assert places() == {"log"}


def test_tokens_are_known_by_their_form(planted):
    """A signed token needs not be planted."""
    token = Client(id="5c0a1b2c3d4e5f6071829304", secret=SECRET, organization="acme.hullapp.io").as_user("u1").token()
    logging.getLogger("shop").info("sent %s", token)
    assert places() == {"log"}


def fail_because_of(error):
    """Raise another error than the one that tells the secret."""
    raise KeyError("another") from error


def test_errors_are_searched(planted):
    """Errors of the package are searched when they are made, others where a test expects them, with their causes."""
    HullError(f"with {SECRET}")
    assert places() == {"error"}
    WATCH.seen.clear()
    with pytest.raises(KeyError):
        fail_because_of(ValueError(SECRET))
    assert places() == {"error"}


def test_output_is_searched(planted, capsys, start_process):
    """What tests and processes print is searched."""
    sys.stdout.write(SECRET)
    capsys.readouterr()
    assert places() == {"output"}
    WATCH.seen.clear()
    subprocess.run([sys.executable, "-c", PRINTS], capture_output=True, check=True)
    assert places() == {"output"}
    WATCH.seen.clear()
    start_process(["python", "-c", PRINTS]).wait()
    assert places() == {"output"}


def test_secrets_of_processes_are_planted(start_process):
    """Secrets in the environment of a process and in the ready line of a platform are searched for."""
    ready = '{"event": "platform.ready", "organizations": [{"admin_secret": "secret-of-an-operator"}]}'
    start_process(["python", "-c", f"print({ready!r})"], env={"HULL_SECRET": "secret-of-a-process"}).wait()
    assert {"secret-of-an-operator", "secret-of-a-process"} <= WATCH.planted
    assert places() == set()


@pytest.mark.parametrize("kind", [Client, Connector])
def test_text_forms_are_searched(planted, monkeypatch, kind):
    """The text form of each public object is searched."""
    monkeypatch.setattr(kind, "__repr__", lambda _self: SECRET)
    made = Connector() if kind is Connector else Client(id="5c0a1b2c3d4e5f6071829304", secret="s", organization="a.io")
    assert places() == {"repr"}
    del made


def test_reports_to_sentry_are_searched(planted):
    """What is handed to Sentry's library, and what arrives, are searched."""
    with sentry_server() as server:
        instrumentation = Instrumentation(f"http://public@127.0.0.1:{server.server_port}/42")
        instrumentation.capture_exception(ValueError(SECRET))
        instrumentation.close(5)
    assert places() == {"Sentry"}
    assert any(text.startswith("{") for text in WATCH.seen["Sentry"])
    assert len(WATCH.seen["Sentry"]) == 2


def test_metrics_are_searched(planted):
    """Packets to an agent of Datadog and recorded metrics are searched."""
    plain = "planted-in-a-metric"
    WATCH.plant(plain)
    RecordingInstrumentation().metric().increment("seen", tags={"by": plain})
    assert "metric" in places()
    WATCH.seen.clear()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as agent:
        agent.bind(("127.0.0.1", 0))
        instrumentation = Instrumentation(dogstatsd=f"127.0.0.1:{agent.getsockname()[1]}")
        instrumentation.metric().increment("seen", tags={"by": plain})
        instrumentation.close(1)
    assert "metric" in places()


def test_pages_are_searched(planted, world):
    """Pages and refusals of applications are searched."""
    app = Flask("shop")
    app.add_url_rule("/", "page", lambda: f"<p>{SECRET}</p>")
    app.add_url_rule("/refused", "refused", lambda: ({"error": SECRET}, 400))
    app.add_url_rule("/away", "away", lambda: redirect(f"https://crm.example/?key={SECRET}"))
    world.setup(app)
    for path, found in (("/", {"page"}), ("/refused", {"page"}), ("/away", {"page", "address"})):
        WATCH.seen.clear()
        app.test_client().get(path)
        assert places() == found


def test_jobs_are_searched(planted):
    """What a job stores is searched."""
    MemoryQueue(runtime=Runtime.virtual()).enqueue("sync", {"said": SECRET}, context={})
    assert places() == {"stored job"}


def test_stores_are_searched(planted, own_valkey):
    """What stands in Redis or Valkey after a test is searched."""
    server = own_valkey()
    with server.client() as client:
        client.hset("rq:job:1", "data", f"of {SECRET}")
    server.show()
    assert places() == {"store"}
    with server.client() as client:
        client.flushall()


@pytest.mark.parametrize("network", [HttpNetwork(), Runtime.virtual().net])
def test_addresses_are_searched(planted, network):
    """Addresses that are called are searched, but for the queries that the platform makes."""
    with suppress(HullError):
        network.send(Request(method="GET", url=f"http://127.0.0.1:1/?ship=1&organization=2&secret={SECRET}"))
    assert places() == set()
    with suppress(HullError):
        network.send(Request(method="GET", url=f"http://127.0.0.1:1/?key={SECRET}"))
    network.close()
    assert places() == {"address"}


def test_a_find_fails_its_test(pytester):
    """The failure names the place, and the places where secrets may stand; a mark with a reason lets it pass."""
    pytester.makeini("[pytest]\nmarkers =\n  shows_secrets(place, reason): a\n")
    pytester.makeconftest(
        f"""
        import sys
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        from secrets_watch import SecretsPlugin

        def pytest_configure(config):
            config.pluginmanager.register(SecretsPlugin())
        """
    )
    pytester.makepyfile(
        """
        import logging
        import pytest
        from hull_sdk import Client

        @pytest.fixture(scope="module")
        def client():
            return Client(id="5c0a1b2c3d4e5f6071829304", secret="a-secret-of-many", organization="acme.hullapp.io")

        def test_says(client):
            logging.getLogger("shop").debug("with a-secret-of-many")

        def test_says_again(client):
            print("a-secret-of-many")

        @pytest.mark.shows_secrets("output", reason="a test")
        def test_may_say(client):
            print("a-secret-of-many")

        @pytest.mark.shows_secrets("log", reason="a test")
        def test_may_say_elsewhere(client):
            print("a-secret-of-many")

        def test_is_silent(client):
            pass
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "-p", "no:randomly")
    result.assert_outcomes(passed=5, errors=3)
    result.stdout.fnmatch_lines(["*stands in log*", "secrets belong into the header Hull-Access-Token*"])


def test_a_test_that_says_very_much_is_searched_while_it_runs(planted):
    """Of many texts few are kept; what was found in the others is told nevertheless."""
    for text in (SECRET, *["nothing"] * TEXTS_OF_A_PLACE):
        WATCH.saw("log", text)
    assert len(WATCH.seen["log"]) == 1
    assert places() == {"log"}
    WATCH.found.clear()
