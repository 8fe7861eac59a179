"""Many tenants at once on real threads: nothing of one is ever seen by another."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Semaphore
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest
from flask import Flask

from hull_sdk import Connector, current_context
from hull_sdk.core.logs import fields_of
from hull_sdk.errors import LogicError
from hull_sdk.infra import RecordingInstrumentation

TENANTS = 20
THREADS = 16
REQUESTS = 2_000
PATIENCE_S = 30
#: Seconds after which another thread has its turn: five hundred times as often as usual.
TURN_S = 1e-5

#: Connector ids by the setting that each has.
SETTINGS: dict[int, str] = {}


def seen(ctx):
    """Return what a place sees of whose it is; all of it must name one tenant."""
    return {
        "config": ctx.config.id,
        "current": current_context.config.id,
        "client": ctx.client.configuration()["id"],
        "ship": ctx.ship["id"],
        "setting": SETTINGS[ctx.ship["private_settings"]["tenant"]],
        "service": ctx.service.tenant,
        "cache": ctx.cache.wrap("tenant", lambda: ctx.config.id),
        "tags": ctx.tags()["ship"],
        "helpers": ctx.helpers.filter_notification.args[0].config.id,
    }


class Shop:
    """A connector that does everything at every level: in the request, in what it submits, and in jobs."""

    def __init__(self) -> None:
        self.instrumentation = RecordingInstrumentation()
        self.finished = Semaphore(0)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.connector = Connector(
            host_secret="a secret of the host for tests",
            manifest={"name": "Shop"},
            allowed_organizations=["127.0.0.1"],
            instrumentation=self.instrumentation,
        )
        self.connector.use(self._fill)
        self.connector.worker({"outer": self._outer, "inner": self._inner})
        self.app = Flask("shop")
        self.app.add_url_rule("/work", "work", self._work)
        self.connector.setup_app(self.app)

    def _fill(self, ctx):
        ctx.service.tenant = None if ctx.config is None else ctx.config.id

    def _note(self, ctx, place):
        self.seen.append((ctx.request_id.partition("/")[0], seen(ctx)))
        ctx.client.logger.info("shop.seen", {"setting": ctx.ship["private_settings"]["tenant"]})
        ctx.metric.increment(f"shop.{place}")
        ctx.client.as_user({"external_id": "u1"}).track(place, {"tenant": ctx.config.id})

    def _work(self):
        ctx = current_context._target()
        self._note(ctx, "request")

        def inner():
            self._note(current_context._target(), "inner submit")
            return current_context.config.id

        def outer():
            self._note(current_context._target(), "outer submit")
            return current_context.submit(inner).result(PATIENCE_S)

        assert ctx.submit(outer).result(PATIENCE_S) == ctx.config.id
        ctx.enqueue("outer")
        return "ok"

    def _outer(self, ctx, _payload):
        self._note(ctx, "outer job")
        ctx.submit(self._note, ctx, "submit in job").result(PATIENCE_S)
        ctx.enqueue("inner")
        # No try can mend it, so it is reported at once.
        raise LogicError("no try can mend this", ctx.config.id)

    def _inner(self, ctx, _payload):
        self._note(ctx, "inner job")
        self.finished.release()


PLACES = ("request", "outer submit", "inner submit", "outer job", "submit in job", "inner job")


@pytest.fixture
def quick_turns():
    """Have threads take turns in the middle of whatever they do."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    yield
    sys.setswitchinterval(usual)


@pytest.fixture
def tenants(served_platform, monkeypatch):
    """Twenty organizations on one platform, each with a connector of its own."""
    found = []
    for number in range(TENANTS):
        organization = served_platform.create_organization(f"t{number}.hullapp.test")
        connector = organization.install(
            "http://127.0.0.1:9", manifest={"name": "Shop"}, private_settings={"tenant": number}
        )
        monkeypatch.setitem(SETTINGS, number, connector.id)
        query = {"ship": connector.id, "secret": connector.secret, "organization": served_platform.address}
        found.append(SimpleNamespace(id=connector.id, organization=organization, query=urlencode(query)))
    return found


def test_twenty_tenants_on_sixteen_threads_never_mix(tenants, quick_turns, caplog):
    """Contexts, clients, caches, settings, services, logs, metrics and errors stay apart, in submits and jobs too."""
    shop = Shop()
    caplog.set_level(logging.INFO, "hull_sdk.client")

    def ask(number):
        tenant = tenants[number % TENANTS]
        headers = {"X-Hull-Request-Id": f"{tenant.id}/{number}"}
        return shop.app.test_client().get(f"/work?{tenant.query}", headers=headers).status_code

    with ThreadPoolExecutor(THREADS) as pool:
        assert set(pool.map(ask, range(REQUESTS))) == {200}
    for _ in range(REQUESTS):
        assert shop.finished.acquire(timeout=PATIENCE_S)
    shop.connector.close()
    assert len(shop.seen) == REQUESTS * len(PLACES)
    assert [(whose, what) for whose, what in shop.seen if set(what.values()) != {whose}] == []
    lines = [fields_of(record) for record in caplog.records if record.getMessage() == "shop.seen"]
    assert len(lines) == REQUESTS * len(PLACES)
    assert [line for line in lines if line["context"]["id"] != SETTINGS[line["data"]["setting"]]] == []
    errors = [(record.tags["ship"], record.error.action) for record in shop.instrumentation.exceptions]
    assert len(errors) == REQUESTS
    assert [(tag, whose) for tag, whose in errors if tag != whose] == []
    each = REQUESTS // TENANTS
    for tenant in tenants:
        events = [event for event in tenant.organization.state()["events"] if event["tracked"]]
        assert Counter(event["event"] for event in events) == dict.fromkeys(PLACES, each)
        assert {event["properties"]["tenant"] for event in events} == {tenant.id}
        metrics = Counter(m.name for m in shop.instrumentation.metrics if m.tags.get("ship") == tenant.id)
        assert {name: metrics[f"shop.{name}"] for name in PLACES} == dict.fromkeys(PLACES, each)
