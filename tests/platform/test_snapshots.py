"""Snapshots: what connectors observe is the same with and without a restart in between."""

from __future__ import annotations

import re
import stat

import pytest
from delivery_kit import NEXT, FakeConnector, Sender
from hypothesis import given, settings
from hypothesis import strategies as st

from hull_sdk.core import json
from hull_sdk.core.clock import VirtualClock
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform import Platform
from hull_sdk.platform.snapshots import load_snapshot, save_snapshot

ID = re.compile(r"[0-9a-f]{24,}|[0-9a-f]{8}-[0-9a-f-]{27}")
MANIFEST = {
    "name": "Fake",
    "tags": ["smart-notifier"],
    "subscriptions": [{"url": "/notify"}],
    "schedules": [{"url": "/status", "type": "interval", "value": "7"}],
}
USERS = (
    {"email": "ann@acme.test"},
    {"external_id": "1"},
    {"external_id": "1", "anonymous_id": "a"},
    {"anonymous_id": "a"},
)
ACTIONS = st.one_of(
    st.tuples(st.just("traits"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("track"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("account"), st.integers(0, 3), st.integers(0, 3)),
    st.tuples(st.just("again"), st.just(0), st.just(0)),
    st.tuples(st.just("wait"), st.just(0), st.sampled_from([1, 5, 600, 3_000])),
    st.tuples(st.just("answer"), st.just(0), st.integers(0, 3)),
    st.tuples(st.just("segment"), st.just(0), st.integers(0, 3)),
    st.tuples(st.just("delete"), st.integers(0, 3), st.just(0)),
    st.tuples(st.just("redrive"), st.just(0), st.just(0)),
)
ANSWERS = (
    lambda _n: NEXT,
    lambda _n: (503, "busy"),
    lambda n: {
        "flow_control": {"type": "next", "in": 0, "size": 2},
        "responses": [{"message_id": m["message_id"], "status": "error", "reason": "bad"} for m in n["messages"]],
    },
    lambda _n: {"flow_control": {"type": "retry", "in": 9_000}},
)


class World:
    """A platform with a connector, which may be saved and started anew at any time."""

    def __init__(self, signing_key):
        self.key = signing_key
        self.fake = FakeConnector(MANIFEST)
        self.platform = Platform(clock=VirtualClock(), seed=0, signing_key=signing_key)
        self.platform.file_key  # noqa: B018 - made here, so that it costs no id later
        organization = self.platform.create_organization("acme.hullapp.test", admin_secret="operator")
        organization.install(self.fake)
        organization.create_segment("user", "High", query={"range": {"traits_n": {"gt": 1}}})
        self.sent = []
        self.mount()

    def mount(self):
        """Find everything anew on the present platform."""
        self.organization = self.platform.organizations["acme.hullapp.test"]
        self.platform.runtime.net.mount("acme.hullapp.test", self.platform.wsgi_app)
        (connector,) = self.organization.connectors.values()
        self.send = Sender(self.organization, connector)

    def restart(self, path):
        """Save, end, and start another platform from the file."""
        save_snapshot(self.platform, path)
        self.platform.close()
        self.platform = Platform(runtime=self.platform.runtime, signing_key=self.key)
        assert load_snapshot(self.platform, path)
        self.mount()

    def do(self, action):
        """Do one thing."""
        name, who, number = action
        getattr(self, f"do_{name}")(who, number)

    def receive(self, message):
        self.sent.append(message)
        self.organization.receive([message], self.send.connector)

    def do_traits(self, who, number):
        claims = {"user": USERS[who], "account": {"domain": "acme.test"}} if number == 2 else {"user": USERS[who]}
        self.receive(self.send.message("traits", {"n": number}, **claims))

    def do_track(self, who, number):
        self.receive(self.send.message("track", {"event": f"E{number}", "event_id": f"e{number}"}, user=USERS[who]))

    def do_account(self, _who, number):
        self.receive(self.send.message("traits", {"size": number}, account={"domain": "acme.test"}, subject="account"))

    def do_again(self, _who, _number):
        for message in self.sent[-3:]:
            self.organization.receive([message], self.send.connector)

    def do_wait(self, _who, seconds):
        self.platform.advance(seconds=seconds)

    def do_answer(self, _who, number):
        self.fake.answer = ANSWERS[number]

    def do_segment(self, _who, number):
        self.organization.create_segment("user", "Exact", query={"term": {"traits_n": number}}, id="exact")

    def do_delete(self, who, _number):
        found = self.organization.find_user(USERS[who])
        if found is not None:
            self.organization.delete_entity("user", found.id)

    def do_redrive(self, _who, _number):
        self.organization.redrive(self.send.connector.id)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(ACTIONS, st.booleans()), max_size=12))
def test_nobody_notices_a_restart(signing_key, tmp_path_factory, steps):
    """Whatever happens before and after, notifications, calls, state and log are those of a platform that ran on."""
    path = tmp_path_factory.getbasetemp() / "snapshot"
    through, restarted = World(signing_key), World(signing_key)
    for action, restart in steps:
        through.do(action)
        restarted.do(action)
        if restart:
            restarted.restart(path)
    for world in (through, restarted):
        world.fake.answer = ANSWERS[0]
        world.platform.advance(hours=1)
    assert told(restarted) == told(through)
    assert kept(restarted) == kept(through)
    for world in (through, restarted):
        world.platform.close()


def told(world):
    """Return what a connector was told on each channel, ids by their first appearance."""
    found = {}
    for notification in world.fake.notifications:
        found.setdefault(notification["channel"], []).append(notification)
    return {channel: numbered(each) for channel, each in found.items()}


def kept(world):
    """Return what is there in the end."""
    state = world.platform.state()["organizations"]["acme.hullapp.test"]
    parts = ("users", "accounts", "events", "attributes")
    counts = world.organization.record_counts, len(state["dead_letters"]), len(world.fake.paths("/status"))
    log = [(entry.event, entry.timestamp) for entry in world.organization.log]
    return [numbered(state[part]) for part in parts], counts, log


def numbered(value):
    """Return JSON with each id replaced by its number, since the order of channels decides about ids."""
    known = {}
    return ID.sub(lambda found: f"#{known.setdefault(found[0], len(known))}", json.dumps(value).decode())


def test_a_snapshot_is_for_its_owner_only_and_whole(platform, organization, send, tmp_path):
    """Mode 0600, no temporary file is left, and a directory that is not there costs nothing but an error."""
    path = tmp_path / "state"
    save_snapshot(platform, path)
    save_snapshot(platform, path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(InvalidArgumentError, match="not written"):
        save_snapshot(platform, tmp_path / "none" / "state")


def test_what_is_no_snapshot_is_refused(platform, organization, tmp_path, signing_key):
    """Foreign, damaged, cut and later files are refused with what to do; no file at all is an empty start."""
    path = tmp_path / "state"
    save_snapshot(platform, path)
    data = path.read_bytes()
    header = json.loads(data.partition(b"\n")[0])
    later = json.dumps({**header, "version": 2}) + b"\n{}"
    for bad, told in (
        (b"", "no snapshot"),
        (b"\x00\xff", "no snapshot"),
        (b'{"organizations": []}', "no snapshot"),
        (data[:-20], "damaged"),
        (data.replace(b"acme", b"acne"), "damaged"),
        (later, "version 2"),
    ):
        path.write_bytes(bad)
        with pytest.raises(InvalidArgumentError, match=told):
            load_snapshot(Platform(clock=VirtualClock(), signing_key=signing_key), path)
    assert load_snapshot(platform, tmp_path / "none") is False
