"""The command hull trace."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from hull_sdk.cli import main
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


def ingest(organization, message_id):
    """Send a message about Ann."""
    claims = tokens.build_claims(
        issuer=CONNECTOR, issued_at=organization.runtime.clock.time(), subject_type="user", user={"email": "ann@a.test"}
    )
    organization.ingest({"type": "traits", "body": {"plan": "pro"}, "message_id": message_id}, claims, CONNECTOR)


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


def test_what_cannot_be_shown_is_one_clear_error(served):
    """An unknown message, controls that are off, nobody who listens, and an address that is none."""
    server, _organization = served
    assert run("none", "--platform", server.url) == (1, "Error: status 404: no message 'none' has arrived\n")
    server.close()
    code, text = run("none", "--platform", server.url)
    assert (code, text.startswith("Error: no platform answers at http://127.0.0.1:")) == (1, True)
    assert run("none", "--platform", "somewhere")[0] == 2
