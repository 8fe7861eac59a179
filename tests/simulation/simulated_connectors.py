"""The three connectors of a simulated run, and the third party that one of them writes to.

``crm`` handles message by message and writes to the third party, ``mail`` handles batches plainly; both run the SDK
and their processes can end at any moment. ``audit`` is plain WSGI and answers whatever a connector may answer.
"""

from __future__ import annotations

import io
import json
import random
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

from hull_sdk import Connector
from hull_sdk.core.net import HostPatterns, Network, Request, Response
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import NetworkError, TransientError
from hull_sdk.handlers import for_each, smart_notifier_handler
from hull_sdk.infra import RecordingInstrumentation
from hull_sdk.service import ServiceSession

CHANNELS = ("user:update", "account:update", "user:delete")
WATCHED = {"user": ("traits_step", "traits_visits"), "account": ("step", "visits")}
SERVICE_HOST = "api.crm.example"

Record = Callable[..., None]


def manifest(name: str) -> dict[str, Any]:
    """Return the manifest of a connector."""
    channels = [{"channel": channel} for channel in CHANNELS]
    return {"name": name, "tags": ["smart-notifier"], "subscriptions": [{"url": "/notify", "channels": channels}]}


def kind_of(message: dict[str, Any]) -> str:
    """Return whom a message is about."""
    return "user" if "user" in message else "account"


def concerns(message: dict[str, Any]) -> bool:
    """Tell whether a message says more than what the connectors themselves have written."""
    kind = kind_of(message)
    changes = message.get("changes", {}).get(kind, {})
    ordered = any(event["event"] == "Ordered" for event in message.get("events", ()))
    return ordered or any(name in changes for name in WATCHED[kind])


def scope_of(client: Any, entity: dict[str, Any], kind: str) -> Any:
    """Return for whom to write, by what outlives a merge: ids of those who are merged away lead nowhere."""
    if kind == "account":
        return client.as_account({"domain": entity["domain"]})
    if entity["external_id"] is None:
        return client.as_user({"anonymous_id": entity["anonymous_ids"][0]})
    return client.as_user({"external_id": entity["external_id"]})


class ProcessNetwork(Network):
    """The network of one process; when the process has ended, nothing gets through any more.

    Args:
        inner: The network of all.
        process: Whose it is.
    """

    def __init__(self, inner: Network, process: Process) -> None:
        self._inner = inner
        self._process = process

    def send(self, request: Request) -> Response:
        """Send a request while the process lives."""
        self._process.reach("before_call")
        self._check(request)
        response = self._inner.send(request)
        self._process.reach("after_call")
        self._check(request)
        return response

    def _check(self, request: Request) -> None:
        if not self._process.alive:
            raise NetworkError(f"{request.method} {request.url}: the process has ended", {"sent": False})


class Process:
    """One life of a connector's application.

    Args:
        host: Whose.
        number: Which life, from 1.
    """

    def __init__(self, host: RestartableHost, number: int) -> None:
        self.alive = True
        self.number = number
        self._host = host
        self.runtime = Runtime(
            tasks=host.runtime.tasks, ids=host.runtime.ids, net=ProcessNetwork(host.runtime.net, self)
        )
        self.app = host.build(self)
        extension = self.app.extensions["hull"]
        extension.use_doubles(
            runtime=self.runtime, trust=HostPatterns(["*.hullapp.test"]), instrumentation=RecordingInstrumentation()
        )
        self._extension = extension

    def reach(self, moment: str) -> None:
        """Come to a moment at which a process may end."""
        if self.alive:
            self._host.reach(moment)

    def end(self) -> None:
        """End as a killed process does: what waits in its memory is gone."""
        self.alive = False
        for sender in self._extension.senders._all():
            with sender._backlog.lock:
                for lane in sender._lanes:
                    lane.drop()
        self._extension.leases.stop()


class RestartableHost:
    """Where a connector answers, whichever process does.

    Args:
        name: Of the connector.
        runtime: The doors of the run.
        build: Makes the application of a process.
        restarts: Moments and numbers at which the process ends, and the seconds until the next one is up.
        record: Told what it answers.
        note: Told the name of each fault that happens.
    """

    def __init__(
        self,
        name: str,
        runtime: Runtime,
        build: Callable[[Process], Flask],
        restarts: Iterable[tuple[str, int, float]],
        record: Record,
        note: Callable[[str], None],
    ) -> None:
        self._record = record
        self.name = name
        self.runtime = runtime
        self.build = build
        self._restarts = {(moment, number): down_s for moment, number, down_s in restarts}
        self._up_at = 0.0
        self._note = note
        self._counts: Counter[str] = Counter()
        self.process = Process(self, 1)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, unless the process ends meanwhile."""
        if self.runtime.clock.monotonic() < self._up_at:
            return []
        process = self.process
        head: list[Any] = []

        def begin(*args: Any) -> Callable[[bytes], None]:
            head[:] = args[:2]
            return lambda _chunk: None

        content = environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))
        body = b"".join(process.app({**environ, "wsgi.input": io.BytesIO(content)}, begin))
        process.reach("before_answer")
        if not process.alive:
            return []
        self._record(
            "answered",
            connector=self.name,
            process=process.number,
            notification_id=json.loads(content)["notification_id"],
            answer=json.loads(body),
        )
        start_response(*head)
        process.reach("after_answer")
        return [body]

    def reach(self, moment: str) -> None:
        """Count a moment, and end the process when it is time."""
        self._counts[moment] += 1
        down_s = self._restarts.get((moment, self._counts[moment]))
        if down_s is not None:
            self._note("restart")
            self._restart(down_s)

    def _restart(self, down_s: float) -> None:
        old = self.process
        old.end()
        self.process = Process(self, old.number + 1)
        self._up_at = self.runtime.clock.monotonic() + down_s


class Crm:
    """The connector that handles message by message: each is put into the third party and counted on its user.

    Args:
        seed: Of its moods.
        record: Told what it does.
    """

    def __init__(self, seed: int, record: Record) -> None:
        self._dice = random.Random(f"crm {seed}")
        self._record = record

    def build(self, process: Process) -> Flask:
        """Make its application."""

        def handle(ctx: Any, messages: list[Any]) -> Any:
            with Run(self._record, process, "crm", ctx):
                ctx.smart_notifier_response.set_flow_control(
                    type="next", size=self._dice.choice((1, 3, 10)), in_ms=self._dice.choice((0, 200, 3000))
                )
                if self._dice.random() < 0.05:
                    raise TransientError("the connector has a bad moment")
                return for_each(ctx, messages, lambda message: self._one(ctx, message))

        return application("crm", process, handle)

    def _one(self, ctx: Any, message: dict[str, Any]) -> str | None:
        if not concerns(message):
            return "skip"
        kind = kind_of(message)
        entity = message[kind]
        if self._dice.random() < 0.1:
            raise TransientError("this record is locked")
        session = ServiceSession(f"https://{SERVICE_HOST}", runtime=ctx.runtime, retries=1)
        step = entity.get(WATCHED[kind][0])
        session.put(
            f"/{ctx.client.configuration()['organization']}/{kind}/{entity['id']}",
            json={"message_id": message["message_id"], "step": step},
        )
        scope = scope_of(ctx.client, entity, kind)
        scope.traits({"crm/handled": {"operation": "inc", "value": 1}})
        for event in message.get("events", ()):
            if event["event"] == "Ordered":
                scope.track("Shipped", {"step": event["properties"]["step"]})
        return None


class Mail:
    """The connector that handles batches plainly, and marks each step that it was told of.

    Args:
        seed: Of its moods.
        record: Told what it does.
    """

    def __init__(self, seed: int, record: Record) -> None:
        self._dice = random.Random(f"mail {seed}")
        self._record = record

    def build(self, process: Process) -> Flask:
        """Make its application."""

        def handle(ctx: Any, messages: list[Any]) -> None:
            with Run(self._record, process, "mail", ctx):
                if self._dice.random() < 0.3:
                    ctx.client.get("app")
                if self._dice.random() < 0.1:
                    raise TransientError("the connector has a bad moment")
                for message in filter(concerns, messages):
                    kind = kind_of(message)
                    step = message[kind].get(WATCHED[kind][0])
                    scope_of(ctx.client, message[kind], kind).traits({f"mail/step_{step}": True})
                ctx.smart_notifier_response.set_flow_control(
                    type="next", size=self._dice.randint(1, 5), in_ms=self._dice.choice((0, 50, 1000))
                )

        return application("mail", process, handle)


class Audit:
    """The connector that answers whatever a connector may answer, over plain WSGI.

    Args:
        seed: Of its moods.
    """

    def __init__(self, seed: int) -> None:
        self._dice = random.Random(f"audit {seed}")

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a notification."""
        notification = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        status, answer = self._answer([message["message_id"] for message in notification["messages"]])
        body = json.dumps(answer).encode()
        start_response(f"{status} X", [("Content-Type", "application/json"), ("Content-Length", str(len(body)))])
        return [body]

    def _answer(self, ids: list[str]) -> tuple[int, Any]:
        mood = self._dice.random()
        control = {
            "type": "next",
            "size": self._dice.choice((1, 2, 4, 8)),
            "in": self._dice.choice((0, 100, 1000, 5000)),
        }
        if len(ids) > 1 and mood < 0.25:
            return 413, self._dice.choice(({}, {"flow_control": {**control, "size": 1}}))
        if mood < 0.35:
            return 200, {"flow_control": {**control, "type": "retry"}}
        if mood < 0.45:
            return self._dice.choice(
                ((200, {"flow_control": {"type": "next", "size": 0, "in": -1}}), (502, "no"), (200, {}))
            )
        if mood < 0.65:
            results = [{"message_id": each, "status": self._dice.choice(("ok", "skip", "retry"))} for each in ids]
            return 200, {"flow_control": control, "responses": results[: self._dice.randint(1, len(ids))]}
        return 200, {"flow_control": control}


class Run:
    """A handler's run, from its begin to its end, as a context manager."""

    def __init__(self, record: Record, process: Process, name: str, ctx: Any) -> None:
        self._record = record
        self._process = process
        self._fields = {
            "connector": name,
            "process": process.number,
            "notification_id": ctx.notification["notification_id"],
        }

    def __enter__(self) -> None:
        if self._process.alive:
            self._record("run", stage="begin", **self._fields)

    def __exit__(self, *_error: object) -> None:
        if self._process.alive:
            self._record("run", stage="end", **self._fields)


class Service:
    """The third party: keeps what is put into it, and fails as the scenario says.

    Args:
        failures: Numbers of requests that go wrong, and how.
        record: Told what arrives.
        note: Told the name of each fault that happens.
        sleep: Lets virtual time pass.
        seed: Of how long it takes.
    """

    def __init__(
        self,
        failures: Iterable[tuple[int, str]],
        record: Record,
        note: Callable[[str], None],
        sleep: Callable[[float], None],
        seed: int,
    ) -> None:
        self._failures = dict(failures)
        self._record = record
        self._note = note
        self._sleep = sleep
        self._dice = random.Random(f"service {seed}")
        self._requests = 0

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        self._requests += 1
        failure = self._failures.get(self._requests)
        content = json.loads(environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"])))
        if self._dice.random() < 0.3:
            self._sleep(self._dice.choice((0.05, 1.0)))
        if failure is not None:
            self._note("service")
        if failure in {None, "500_after", "drop_after"}:
            self._record("put", path=environ["PATH_INFO"], **content)
        if failure in {"drop_before", "drop_after"}:
            return []
        status = "200" if failure is None else failure[:3]
        start_response(f"{status} X", [("Content-Type", "application/json"), ("Content-Length", "2")])
        return [b"{}"]


def application(name: str, process: Process, handle: Callable[..., Any]) -> Flask:
    """Return a connector's application around a handler for all channels."""
    app = Flask(name)
    app.register_blueprint(smart_notifier_handler(dict.fromkeys(CHANNELS, handle)), url_prefix="/notify")
    connector = Connector(host_secret="a long random text", manifest=manifest(name), client_config={"flush_at": 20})
    return connector.setup_app(app)
