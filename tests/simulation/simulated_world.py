"""Playing a scenario: the platform, three connectors, a third party and two senders on one virtual clock.

What happens is written down as plain data; :mod:`simulation_oracle` alone judges it.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from simulated_connectors import SERVICE_HOST, Audit, Crm, Mail, RestartableHost, Service, manifest
from simulated_scenarios import BUSY_VISITS, ORGANIZATIONS, Breakage, Departure, Jump, Operation, Scenario

from hull_sdk import Client
from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.ids import SeededIds
from hull_sdk.core.net import WsgiNetwork
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.virtual_tasks import VirtualTasks
from hull_sdk.errors import HullError
from hull_sdk.platform import Platform

#: Deliveries after which a run counts as endless.
MAX_DELIVERIES = 3000
#: Tries of one message after which it counts as stuck.
MAX_ATTEMPTS = 100
NAMES = ("crm", "mail", "audit")

#: Whoever waits in virtual time has others work on top of it, so calls nest deeper than elsewhere.
DEPTH = 20_000


@cache
def quick_key() -> RSAPrivateKey:
    """Return a signing key that is too small for anything but tests: half of the time of a run would be signing."""
    return generate_private_key(public_exponent=65_537, key_size=1024)


class JumpingClock(VirtualClock):
    """A virtual clock whose time of day can be put forward and back."""

    def __init__(self) -> None:
        super().__init__()
        self.offset_s = 0.0

    @property
    def steady(self) -> bool:
        """``False``: it jumps, and nobody says so."""
        return False

    def time(self) -> float:
        """Return the time of day, jumps included."""
        return super().time() + self.offset_s


def _values(operation: Operation) -> dict[str, Any]:
    return {
        "step": operation.step,
        "visits": {"operation": "inc", "value": operation.amount},
        "plan": f"{operation.organization} {operation.step}",
    }


def _user(client: Client, operation: Operation) -> Any:
    return client.as_user({"external_id": operation.user}, active=operation.active)


def _visitor(client: Client, operation: Operation) -> Any:
    return client.as_user({"anonymous_id": operation.visitor}, active=operation.active)


def _both(client: Client, operation: Operation) -> Any:
    return client.as_user({"external_id": operation.user, "anonymous_id": operation.visitor})


#: How each operation is sent.
SENDS: dict[str, Callable[[Client, Operation], Any]] = {
    "traits": lambda client, one: _user(client, one).traits(_values(one)),
    "track": lambda client, one: _user(client, one).track("Ordered", {"step": one.step}),
    "account": lambda client, one: client.as_account({"domain": one.account}).traits(_values(one)),
    "link": lambda client, one: _user(client, one).account({"domain": one.account}).traits(_values(one)),
    "visit": lambda client, one: _visitor(client, one).track("Ordered", {"step": one.step}),
    "join": lambda client, one: _both(client, one).traits({"joined": True}),
    "alias": lambda client, one: _user(client, one).alias({"anonymous_id": one.visitor}),
}


class World:
    """Everything of one run.

    Args:
        scenario: What is to happen.
    """

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        #: What happened, in order.
        self.history: list[dict[str, Any]] = []
        #: How often each kind of fault struck; those of the platform also by what they hit, as in ``"delay api"``.
        self.fired: Counter[str] = Counter()
        self._clock = JumpingClock()
        self._tasks = VirtualTasks(self._clock)
        self._net = WsgiNetwork(self._clock.time)
        runtime = Runtime(tasks=self._tasks, ids=SeededIds(scenario.seed), net=self._net)
        self.platform = Platform(runtime=runtime, signing_key=quick_key())
        self._tap_deliveries()
        self._tap_faults()
        self._mount(runtime)
        self._names: dict[str, str] = {}
        self.clients = {
            host: self._found(host, dict(options))
            for host, options in zip(ORGANIZATIONS, scenario.sending, strict=True)
        }
        self._futures: list[tuple[int, Any]] = []

    def record(self, event: str, **fields: Any) -> None:
        """Write down something that happened."""
        self.history.append({"event": event, **fields})

    def play(self) -> dict[str, Any]:
        """Let everything happen, and return what an oracle needs to judge it."""
        for number, operation in enumerate(self.scenario.operations):
            self._at(operation.at, partial(self._send, number, operation))
        for breakage in self.scenario.breakages:
            self._at(breakage.at, partial(self._break, breakage))
        for jump in self.scenario.jumps:
            self._at(jump.at, partial(self._jump, jump))
        for departure in self.scenario.departures:
            for at in departure.written_at:
                self._at(at, partial(self._write, departure, at))
            self._at(departure.deleted_at, partial(self._delete, departure))
        endless = None
        try:
            self.platform.run_until_idle(max_deliveries=MAX_DELIVERIES, max_attempts=MAX_ATTEMPTS)
        except HullError as err:
            endless = err.message
        return self._outcome(endless)

    def close(self) -> None:
        """Stop everything."""
        for client in self.clients.values():
            client.close(0.0)
        self.platform.close()

    def _mount(self, runtime: Runtime) -> None:
        scenario, note = self.scenario, self._note
        for connector in (Crm(scenario.seed, self.record), Mail(scenario.seed, self.record)):
            name = type(connector).__name__.lower()
            restarts = [(each.moment, each.number, each.down_s) for each in scenario.restarts if each.connector == name]
            self._net.mount(
                f"{name}.test", RestartableHost(name, runtime, connector.build, restarts, self.record, note)
            )
        self._net.mount("audit.test", Audit(scenario.seed))
        service = Service(scenario.service, self.record, note, self._tasks.sleep, scenario.seed)
        self._net.mount(SERVICE_HOST, service)

    def _found(self, host: str, options: dict[str, int]) -> Client:
        organization = self.platform.create_organization(host)
        organization.create_segment("user", "Busy", query={"range": {"traits_visits": {"gte": BUSY_VISITS}}})
        self._net.mount(host, self.platform.wsgi_app)
        for name in NAMES:
            connector = organization.install(f"https://{name}.test", manifest=manifest(name))
            self._names[connector.id] = name
        source = organization.create_platform("Shop")
        client = Client(id=source.id, secret=source.secret, organization=host, runtime=self.platform.runtime, **options)
        self._net.mount(client.configuration()["firehose_url"].split("/")[2], self.platform.wsgi_app)
        return client

    def _at(self, seconds: float, action: Callable[[], None]) -> None:
        self._tasks.call_at(seconds, action)

    def _send(self, number: int, operation: Operation) -> None:
        self._futures.append((number, SENDS[operation.what](self.clients[operation.organization], operation)))

    def _break(self, breakage: Breakage) -> None:
        self.platform.faults.add(breakage.kind, target=breakage.target, **dict(breakage.options))

    def _jump(self, jump: Jump) -> None:
        self._note("clock_jump")
        if jump.clock == "domain":
            self.platform.shift(jump.seconds)
        else:
            self._clock.offset_s += jump.seconds

    def _write(self, departure: Departure, at: float) -> None:
        claims = {"io.hull.asUser": {"external_id": departure.user}}
        self.platform.organizations[departure.organization].ingest(
            {"type": "traits", "body": {"written_at": at}}, claims, None
        )

    def _delete(self, departure: Departure) -> None:
        organization = self.platform.organizations[departure.organization]
        leaver = organization.find_user({"external_id": departure.user})
        organization.delete_entity("user", leaver.id)
        self.record("deleted", id=leaver.id, organization=departure.organization)

    def _note(self, kind: str) -> None:
        self.fired[kind] += 1

    def _tap_faults(self) -> None:
        faults = self.platform.faults
        take = faults.take

        def tapped(target: str) -> Any:
            fault = take(target)
            if fault is not None:
                error = fault.kind.startswith("error")
                side = "after" if fault.kind == "error_after" else "before"
                kind = f"{fault.status}_{side}" if error else fault.kind
                self._note(kind)
                self._note(f"{kind} {target}")
            return fault

        faults.take = tapped

    def _tap_deliveries(self) -> None:
        carrier, clock = self.platform.carrier, self.platform.clock
        notify = carrier.notify

        def tapped(connector: Any, url: str, notification_id: str, body: bytes, host: str) -> Any:
            content = json.loads(body)
            entry: dict[str, Any] = {
                "event": "try",
                "organization": content["configuration"]["organization"],
                "connector": self._names[connector.id],
                "channel": content["channel"],
                "notification_id": notification_id,
                "parent_id": content.get("parent_notification_id"),
                "messages": content["messages"],
                "begin": clock.monotonic(),
                "end": None,
            }
            self.history.append(entry)
            reply = notify(connector, url, notification_id, body, host)
            entry.update(end=clock.monotonic(), status=reply.status, answer=reply.body)
            self.record("tried", of=entry)
            return reply

        carrier.notify = tapped

    def _outcome(self, endless: str | None) -> dict[str, Any]:
        lanes = {each.notification_id: each.lane for each in self.platform.deliveries}
        for entry in self.history:
            if entry["event"] == "try":
                entry["lane"] = lanes.get(entry["notification_id"])
        return {
            "endless": endless,
            "unsent": [number for number, future in self._futures if not future.done() or future.exception(0)],
            "history": self.history,
            "organizations": {host: self._state(host) for host in ORGANIZATIONS},
        }

    def _state(self, host: str) -> dict[str, Any]:
        organization = self.platform.organizations[host]
        users = [organization.user_report(entity) for entity in self._ids(host, "user")]
        return {
            "users": {user["external_id"]: user for user in users},
            "accounts": {
                account["domain"]: account
                for account in (organization.account_report(entity) for entity in self._ids(host, "account"))
            },
            "events": {user["external_id"]: organization.events(user["id"]) for user in users},
            "dead_letters": sum(len(organization.dead_letters(each.id)) for each in organization.connectors.values()),
            "records": dict(organization.record_counts),
        }

    def _ids(self, host: str, kind: str) -> list[str]:
        return [entity.id for entity in self.platform.organizations[host].entities(kind)]


def play(scenario: Scenario) -> tuple[dict[str, Any], Counter[str]]:
    """Play a scenario.

    Args:
        scenario: What is to happen.

    Returns:
        What happened, as plain data, and how often each kind of fault struck.
    """
    depth = sys.getrecursionlimit()
    sys.setrecursionlimit(DEPTH)
    world = World(scenario)
    try:
        return world.play(), world.fired
    finally:
        world.close()
        sys.setrecursionlimit(depth)


def digest(outcome: dict[str, Any]) -> str:
    """Return a fingerprint of everything that happened."""
    return hashlib.sha256(json.dumps(outcome, sort_keys=True).encode()).hexdigest()
