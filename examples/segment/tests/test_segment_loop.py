"""Hull as a source and as a destination of one workspace: what goes around does so once."""

from __future__ import annotations

import base64
from typing import Any

import pytest

BOTH = {"write_key": "wk-1", "synchronized_segments": ["ALL"], "synchronized_properties": ["plan"]}
#: A loop would go on for ever.
MOST_ROUNDS = 5


class Workspace:
    """Sends on to Hull what its sources bring: what a website calls, and what Hull itself sends as a source.

    Args:
        harness: The connector.
        segment: Segment, which keeps what the connector sends.
        key: The connector's API key.
        honest: Whether it leaves out destinations that a call excludes, as Segment does.
    """

    def __init__(self, harness: Any, segment: Any, key: str, *, honest: bool) -> None:
        self.harness, self.segment, self.honest = harness, segment, honest
        self.headers = {"Authorization": "Basic " + base64.b64encode(f"{key}:".encode()).decode()}
        self.forwarded: list[str] = []

    def call(self, body: dict[str, Any]) -> None:
        """Bring one call to Hull."""
        if self.honest and (body.get("integrations") or {}).get("Hull") is False:
            return
        self.forwarded.append(body["messageId"])
        answer = self.harness.request("/segment", body=body, headers=self.headers, credentials=False)
        assert answer.body == b"thanks"

    def go_around(self) -> int:
        """Bring everything to Hull until nothing new comes; return how many rounds that took."""
        seen: set[str] = set()
        for number in range(MOST_ROUNDS):
            self.harness.run_until_idle()
            fresh = [call for key, call in self.segment.calls.items() if key not in seen]
            if not fresh:
                return number
            seen.update(call["messageId"] for call in fresh)
            for call in fresh:
                self.call(call)
        pytest.fail(f"it still goes around after {MOST_ROUNDS} rounds")


@pytest.mark.parametrize("honest", [True, False])
@pytest.mark.parametrize("forwarding", [True, False])
def test_the_loop_stops(installed, segment, api_key, honest, forwarding):
    """Each event is in Hull once and goes out at most once, also when the workspace brings everything back."""
    harness = installed({**BOTH, "forward_events": forwarding}, handle_pages=True, handle_accounts=True)
    workspace = Workspace(harness, segment, api_key(harness), honest=honest)
    workspace.call({"type": "page", "userId": "u-1", "messageId": "m-1", "name": "Home"})
    workspace.call({"type": "track", "userId": "u-1", "messageId": "m-2", "event": "Ordered"})
    workspace.call({"type": "identify", "userId": "u-1", "messageId": "m-3", "traits": {"plan": "pro"}})
    workspace.call({"type": "group", "userId": "u-1", "messageId": "m-4", "groupId": "g", "traits": {"name": "G"}})
    assert workspace.go_around() <= 2
    names = [event["event"] for event in harness.events({"external_id": "u-1"})]
    assert (names.count("page"), names.count("Ordered")) == (1, 1)
    assert ("m-1" in segment.calls, "m-2" in segment.calls) == (forwarding, forwarding)
    assert all(call["integrations"] == {"Hull": False} for call in segment.calls.values())
    assert "hull_segments" not in str(harness.user({"external_id": "u-1"}))


def test_without_forwarding_a_workspace_that_forgets_what_calls_exclude_stops_too(installed, segment, api_key):
    """Even when the exclusion is lost on the way, events from Segment do not go back, and traits change nothing."""
    harness = installed(BOTH, handle_pages=True)
    workspace = Workspace(harness, segment, api_key(harness), honest=False)
    bring = workspace.call
    workspace.call = lambda body: bring({name: value for name, value in body.items() if name != "integrations"})
    workspace.call({"type": "page", "userId": "u-1", "messageId": "m-1", "name": "Home"})
    workspace.call({"type": "identify", "userId": "u-1", "messageId": "m-3", "traits": {"plan": "pro"}})
    assert workspace.go_around() < MOST_ROUNDS
    assert "m-1" not in segment.calls
    assert [event["event"] for event in harness.events({"external_id": "u-1"})].count("page") == 1
