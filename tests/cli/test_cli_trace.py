"""The command hull trace."""

from __future__ import annotations

import json
import re
from contextlib import suppress

import pytest
from click.testing import CliRunner

from hull_sdk.cli import main
from hull_sdk.core.runtime import Runtime
from hull_sdk.platform import Platform
from hull_sdk.platform.server import serve
from hull_sdk.wire import tokens

CONNECTOR = "5a7962e2793d3e942a03b29a"


@pytest.fixture
def served():
    """A platform over HTTP with test controls and one connector that only writes."""
    platform = Platform()
    platform.test_controls = True
    organization = platform.create_organization("acme.test")
    organization.install(None, manifest={}, id=CONNECTOR, secret="hush")
    server = serve(platform)
    yield server, organization
    server.close()
    platform.close()


def run(*arguments):
    """Run the command and return exit code and output."""
    result = CliRunner().invoke(main, ["trace", *arguments])
    return result.exit_code, result.output


def ingest(organization, message_id, request_id=None, **traits):
    """Send a message about Ann."""
    claims = tokens.build_claims(
        issuer=CONNECTOR, issued_at=organization.runtime.clock.time(), subject_type="user", user={"email": "ann@a.test"}
    )
    body = traits or {"plan": "pro"}
    message = {"type": "traits", "body": body, "message_id": message_id, "requestId": request_id}
    organization.ingest(message, claims, CONNECTOR)


def wait_until(met):
    """Wait for what happens on other threads."""
    tasks = Runtime.system().tasks
    for _ in range(1000):
        with suppress(IndexError):
            if met():
                return
        tasks.sleep(0.01)
    pytest.fail("it did not happen within ten seconds")


def test_it_prints_what_became_of_a_message(served):
    """State, entity and changes stand in lines; --json prints the whole answer."""
    server, organization = served
    ingest(organization, "m/1?")
    code, text = run("m/1?", "--platform", server.url)
    assert code == 0
    assert text.startswith("m/1?  traits  applied\n")
    assert '    traits_plan: null -> "pro"\n' in text
    code, text = run("m/1?", "--platform", server.url, "--json")
    assert (code, json.loads(text)["changes"][0]["is_new"]) == (0, True)


def test_it_goes_on_to_the_answer_and_what_came_back(served):
    """Segments, events, the notification, each try with the result of the message, and what the connector wrote then."""
    server, organization = served

    def connector(environ, start_response):
        told = json.loads(environ["wsgi.input"].read())
        ingest(organization, "m2", score=1, request_id=f"smart-notifier:1:{told['notification_id']}")
        results = [{"message_id": each["message_id"], "status": "skip", "reason": "seen"} for each in told["messages"]]
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"flow_control": {"type": "next", "in": 60_000}, "responses": results}).encode()]

    subscriptions = [{"url": "/n", "channels": ["user:update"]}]
    scorer = organization.install(connector, manifest={"tags": ["smart-notifier"], "subscriptions": subscriptions})
    organization.create_segment("user", "Pros", query={"term": {"traits_plan": "pro"}}, id="pros")
    ingest(organization, "m1")
    wait_until(lambda: organization.full_trace("m1")["notifications"][0]["came_back"])
    code, text = run("m1", "--platform", server.url)
    user_id = organization.entities("user")[0].id
    lines = [re.sub(r" (at|in|, from) \S+Z?:?", "", line) for line in text.splitlines()]
    assert code == 0
    for line in (f"  about user {user_id}", f"  created: user {user_id}", "    entered segment pros"):
        assert line in lines
    assert "    event 'Segments changed'" in lines
    assert f"  told {scorer.id} on user:update" in lines
    (tried,) = [line for line in lines if line.startswith("    try 1")]
    assert "status 200, next" in tried
    assert '"reason":"seen"' in tried
    assert "    came back: m2  traits  applied" in lines


def test_what_cannot_be_shown_is_one_clear_error(served):
    """An unknown message, controls that are off, nobody who listens, and an address that is none."""
    server, _organization = served
    assert run("none", "--platform", server.url) == (1, "Error: status 404: no message 'none' has arrived\n")
    server.close()
    code, text = run("none", "--platform", server.url)
    assert (code, text.startswith("Error: no platform answers at http://127.0.0.1:")) == (1, True)
    assert run("none", "--platform", "somewhere")[0] == 2
