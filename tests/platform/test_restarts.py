"""Restarts in the middle of work: nothing is lost, nothing happens twice, and everything goes on where it was."""

from __future__ import annotations

import pytest
from delivery_kit import MANIFEST, NEXT, FakeConnector, Sender

from hull_sdk.core import json
from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.ids import SeededIds
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform import Platform
from hull_sdk.platform.snapshots import load_snapshot, save_snapshot

DAY_S = 86_400.0


class BatchConnector(FakeConnector):
    """A connector that also takes batches, with the statuses that a test lays ready."""

    def __init__(self):
        super().__init__({**MANIFEST, "tags": ["smart-notifier", "batch"]})
        self.statuses, self.batches = [], []

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] != "/batch":
            return super().__call__(environ, start_response)
        self.batches.append(json.loads(environ["wsgi.input"].read()))
        return self._reply(start_response, self.statuses.pop(0) if self.statuses else 200, "ok")


class World:
    """A platform with a connector and a server of files, which is stopped and started again from a file."""

    def __init__(self, signing_key, path):
        self.key, self.path, self.lives = signing_key, path, 1
        self.fake, self.lines = BatchConnector(), b""
        self.platform = Platform(clock=VirtualClock(), seed=0, signing_key=signing_key)
        organization = self.platform.create_organization("acme.hullapp.test", admin_secret="operator")
        self.platform.runtime.net.mount("files.example.com", self.serve)
        organization.install(self.fake)
        self.find()

    def serve(self, _environ, start_response):
        start_response("200 OK", [("Content-Length", str(len(self.lines)))])
        return [self.lines]

    def find(self):
        self.organization = self.platform.organizations["acme.hullapp.test"]
        self.platform.runtime.net.mount("acme.hullapp.test", self.platform.wsgi_app)
        (self.connector,) = self.organization.connectors.values()
        self.send = Sender(self.organization, self.connector)

    def restart(self, down_s=0.0):
        """Stop as the command does, be down for a while, and go on with ids of another sequence."""
        self.platform.pause()
        save_snapshot(self.platform, self.path)
        self.platform.close()
        old = self.platform.runtime
        old.clock.move_to(old.clock.monotonic() + down_s)
        runtime = Runtime(tasks=old.tasks, ids=SeededIds(self.lives), net=old.net)
        self.lives += 1
        self.platform = Platform(runtime=runtime, signing_key=self.key)
        assert load_snapshot(self.platform, self.path)
        self.find()

    def settle(self):
        self.platform.advance(hours=1)


@pytest.fixture
def world(signing_key, tmp_path):
    """A world of its own for each test."""
    world = World(signing_key, tmp_path / "state")
    yield world
    world.platform.close()


def told(world):
    """Return the values that the connector took, by user, each in the order of its messages; repeated tries once."""
    taken, known = {}, set()
    for notification in world.fake.notifications:
        for message in notification["messages"] if notification["channel"] == "user:update" else ():
            if (notification["notification_id"], message["message_id"]) not in known:
                known.add((notification["notification_id"], message["message_id"]))
                taken.setdefault(message["user"]["external_id"], []).append(message["user"].get("traits_n"))
    return taken


@pytest.mark.parametrize("down_s", [0.0, 3 * DAY_S])
def test_an_import_goes_on_with_the_line_where_it_was(world, down_s):
    """Each line counts once, however often and long the platform is down, also after its message ids are forgotten."""
    people = [{"userId": str(n), "traits": {"visits": {"operation": "inc", "value": 1}}} for n in range(300)]
    people[7:7] = [{"userId": "x", "anonymousId": "refused"}]
    world.lines = b"\n\n".join(json.dumps(person) for person in people)
    job = world.organization.request_import("users", {"url": "https://files.example.com/1.json"}, world.connector)
    seen = []
    for _ in range(3):
        world.platform.advance(seconds=0.005)
        seen.append(world.organization.imports.get(job.id).lines)
        world.restart(down_s)
    assert 0 < seen[0] < seen[1] < seen[2] < 301
    world.settle()
    wire = world.organization.imports.get(job.id).to_wire()
    assert (wire["state"], wire["progress"]["lines"], wire["progress"]["applied"]) == ("completed", 301, 300)
    assert [error["line"] for error in wire["errors"]] == [15]
    assert {view.report["traits_visits"] for view in world.organization.views("user")} == {1}


def test_an_extract_is_brought_once_with_the_file_that_was_written(world):
    """A call in its backoff is made after the restart, under its id, counted on, and not again once it is answered."""
    world.send.people(3)
    world.settle()
    world.fake.statuses = [503, 503]
    world.organization.send_batch(world.connector)
    world.platform.advance(seconds=0.1)
    world.restart()
    world.send.people(1, start=3)
    world.settle()
    assert [(run.outcome, run.attempt) for run in world.platform.extract_runs] == [("retry", 2), ("done", 3)]
    world.restart()
    world.settle()
    assert len(world.fake.batches) == 3
    assert len({each["notification_id"] for each in world.fake.batches}) == 1
    address = world.fake.batches[-1]["url"]
    path, _, query = address.removeprefix("https://acme.hullapp.test").partition("?")
    pairs = dict(pair.split("=") for pair in query.split("&"))
    file = world.organization.extracts.file(path, pairs["expires"], pairs["signature"])
    assert file.rows == 3 == file.data.count(b"\n")


def test_a_backlog_is_told_once_and_in_order(world):
    """What waited while a connector was down is told after the restart; a notification in its backoff keeps its bytes."""
    world.fake.answer = lambda _n: (503, "down")
    world.send.people(25)
    world.platform.advance(seconds=2)
    for number in range(25):
        world.send.traits({"external_id": str(number)}, {"n": 100 + number})
    first = world.fake.bodies[-1]
    world.restart(down_s=120)
    world.fake.answer = lambda _n: NEXT
    before = len(world.fake.bodies)
    world.settle()
    world.restart()
    world.settle()
    assert world.fake.bodies[before] == first
    assert len({n["notification_id"] for n in world.fake.notifications}) == len(world.fake.bodies[before:])
    values = told(world)
    assert len(values) == 25
    assert all(each in ([100 + int(who)], [int(who), 100 + int(who)]) for who, each in values.items())


def test_dead_letters_are_kept_and_redriven_once(world):
    """Listed under the same ids before and after, each is sent again once, naming the notification it came from."""
    world.fake.answer = lambda n: {
        "flow_control": {"type": "next", "in": 0, "size": 2},
        "responses": [{"message_id": m["message_id"], "status": "error", "reason": "bad"} for m in n["messages"]],
    }
    world.send.people(5)
    world.platform.run_until_idle()
    before = [letter.to_wire() for letter in world.organization.dead_letters(world.connector.id)]
    world.restart(down_s=2 * DAY_S)
    assert [letter.to_wire() for letter in world.organization.dead_letters(world.connector.id)] == before
    world.fake.answer = lambda _n: NEXT
    world.fake.bodies.clear()
    assert world.organization.redrive(world.connector.id) == 5
    world.restart()
    world.settle()
    assert sorted(told(world)) == ["0", "1", "2", "3", "4"]
    assert sum(len(n["messages"]) for n in world.fake.notifications) == 5
    parents = {n["parent_notification_id"] for n in world.fake.notifications}
    assert parents == {letter["notification_id"] for letter in before}
    assert world.organization.dead_letters(world.connector.id) == []


def test_ids_and_counters_go_on(world):
    """Numbers continue where they were, nothing gets an id that was given before, and late repetitions are known."""
    message = world.send.message("track", {"event": "Ordered", "event_id": "e1"}, user={"external_id": "1"})
    world.organization.receive([message], world.connector)
    world.settle()
    before, last = world.organization.state(), world.platform.deliveries[-1].sequence
    world.restart()
    world.organization.receive([message], world.connector)
    world.send.traits({"external_id": "2"}, {"n": 1})
    world.settle()
    after = world.organization.state()
    assert after["record_counts"] == {**before["record_counts"], "applied": before["record_counts"]["applied"] + 1}
    assert after["users"][0] == before["users"][0]
    assert after["events"][: len(before["events"])] == before["events"]
    assert after["log"][: len(before["log"])] == before["log"]
    assert min(delivery.sequence for delivery in world.platform.deliveries) > last
    ids = [entity["id"] for entity in after["users"]] + [event["event_id"] for event in after["events"]]
    assert len(ids) == len(set(ids))


def test_who_is_stopped_finishes_what_is_under_way_and_begins_nothing(world):
    """After a pause no connector is called, and what was saved then holds all that is left to tell, once each."""
    stopped = []

    def answer(_notification):
        if not stopped:
            stopped.append(world.platform.pause(0))
        return NEXT

    world.fake.answer = answer
    world.send.people(30)
    world.send.account({"domain": "acme.test"}, {"n": 1})
    world.organization.send_batch(world.connector)
    world.settle()
    assert stopped == [False]
    assert (len(world.fake.bodies), world.fake.batches) == (1, [])
    assert world.platform.pause()
    world.restart()
    world.settle()
    assert {who: len(values) for who, values in told(world).items()} == {str(n): 1 for n in range(30)}
    assert len(world.fake.batches) == 1


@pytest.mark.parametrize("spoil", [lambda data: data[:-40], lambda data: data.replace(b'"version":1', b'"version":9')])
def test_a_file_that_cannot_be_read_is_left_as_it_is(world, spoil):
    """Who is refused a damaged or foreign file finds it untouched, and nothing has been taken from it."""
    world.send.people(2)
    save_snapshot(world.platform, world.path)
    spoiled = spoil(world.path.read_bytes())
    world.path.write_bytes(spoiled)
    again = Platform(clock=VirtualClock(), signing_key=world.key)
    with pytest.raises(InvalidArgumentError, match=r"damaged|version 9"):
        load_snapshot(again, world.path)
    assert world.path.read_bytes() == spoiled
    assert again.organizations == {}
