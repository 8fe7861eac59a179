"""Tokens of npm hull open a connector of ours behind the switch, as the addresses that hold them were given out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from connector_world import CONNECTOR_ID, CREDENTIALS, HOST, HOST_SECRET, SECRET
from running_process import PATIENCE_S

from hull_sdk import current_context

SCRIPTS = Path(__file__).parent / "node"

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


@pytest.fixture
def node_token(node_environment):
    """Return the token that npm hull makes for the connector."""
    plan = {"hostSecret": HOST_SECRET, "config": {"organization": HOST, "ship": CONNECTOR_ID, "secret": SECRET}}
    command = ["node", str(SCRIPTS / "token.js"), json.dumps(plan)]
    done = subprocess.run(
        command, env=node_environment, stdout=subprocess.PIPE, text=True, timeout=PATIENCE_S, check=True
    )
    return done.stdout


@pytest.mark.shows_secrets("output", reason="the script hands npm hull's token over in what it prints")
@pytest.mark.parametrize(("accepted", "status"), [(True, 200), (False, 401)])
def test_a_token_of_npm_hull_opens_a_webhook(world, node_token, accepted, status):
    """A webhook address that npm hull gave out keeps working with the switch, and only with it."""
    app = world.app(setup=False)
    app.add_url_rule("/hook", "hook", lambda: dict(current_context.credentials()), methods=["POST"])
    client = world.setup(app, accept_signed_tokens=accepted).test_client()
    response = client.post(f"/hook?token={node_token}")
    assert response.status_code == status
    assert not accepted or response.get_json() == CREDENTIALS
