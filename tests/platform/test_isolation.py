"""Organizations on one server: each goes on as if it were alone."""

from __future__ import annotations

import re

from delivery_kit import FakeConnector, Sender
from hypothesis import given, settings
from hypothesis import strategies as st

from hull_sdk.core import json
from hull_sdk.core.clock import VirtualClock
from hull_sdk.platform import Platform

HOSTS = ("acme.hullapp.test", "globex.hullapp.test")
ID = re.compile(r"[0-9a-f]{24,}|[0-9a-f]{8}-[0-9a-f-]{27}")
USERS = (
    {"email": "ann@acme.test"},
    {"external_id": "1"},
    {"external_id": "1", "anonymous_id": "a"},
    {"anonymous_id": "a"},
)
ACTIONS = st.tuples(
    st.sampled_from(HOSTS),
    st.sampled_from(["traits", "track", "account", "delete", "wait", "segment"]),
    st.integers(0, 3),
    st.integers(0, 3),
)


class Server:
    """A platform with some of the organizations, each with a connector that keeps what it is told."""

    def __init__(self, signing_key, hosts):
        self.platform = Platform(clock=VirtualClock(), seed=0, signing_key=signing_key)
        self.fakes, self.senders = {}, {}
        for host in hosts:
            organization = self.platform.create_organization(host)
            self.fakes[host] = FakeConnector()
            self.senders[host] = Sender(organization, organization.install(self.fakes[host]))
            organization.create_segment("user", "High", query={"range": {"traits_n": {"gt": 1}}}, id=f"high-{host}")

    def do(self, host, what, who, number):
        """Do one thing in one organization; time passes on the whole server."""
        if what == "wait":
            self.platform.advance(seconds=(1, 60, 700, 4_000)[number])
            return
        if host not in self.senders:
            return
        send, organization = self.senders[host], self.platform.organizations[host]
        if what == "traits":
            link = {"account": {"domain": "acme.test"}} if number == 2 else {}
            send.traits(USERS[who], {"n": number}, **link)
        elif what == "track":
            send._send(send.message("track", {"event": f"E{number}", "event_id": f"e{number}"}, user=USERS[who]))
        elif what == "account":
            send.account({"domain": "acme.test"}, {"size": number})
        elif what == "segment":
            organization.create_segment("user", "Exact", query={"term": {"traits_n": number}}, id=f"exact-{host}")
        else:
            found = organization.find_user(USERS[who])
            if found is not None:
                organization.delete_entity("user", found.id)

    def seen(self, host):
        """Return the state of an organization and all that its connector was told, ids by their first appearance."""
        state = self.platform.organizations[host].state()
        parts = {name: value for name, value in state.items() if name not in {"connectors", "records"}}
        told = {}
        for notification in self.fakes[host].notifications:
            told.setdefault(notification["channel"], []).append(notification["messages"])
        return [numbered(each) for each in (*parts.values(), *(told[name] for name in sorted(told)))]


def numbered(value):
    """Return JSON with each id replaced by its number."""
    known = {}
    return ID.sub(lambda found: f"#{known.setdefault(found[0], len(known))}", json.dumps(value).decode())


@settings(max_examples=60, deadline=None)
@given(st.lists(ACTIONS, max_size=14))
def test_two_organizations_on_one_server_are_as_two_servers(signing_key, actions):
    """However what happens in two organizations is mixed, states, logs and notifications are those of servers apart."""
    both, apart = Server(signing_key, HOSTS), [Server(signing_key, [host]) for host in HOSTS]
    for server in (both, *apart):
        for action in actions:
            server.do(*action)
        server.platform.advance(hours=1)
    for host, alone in zip(HOSTS, apart, strict=True):
        assert both.seen(host) == alone.seen(host)
    for server in (both, *apart):
        server.platform.close()
