"""What an application is set up with is what its requests use."""

from __future__ import annotations

import pytest
from connector_world import CONNECTOR_ID, HOST, HOST_SECRET, OTHER_ID, query
from flask import Flask

from hull_sdk import Middleware, current_context
from hull_sdk.infra import Cache, MemoryQueue, RecordingInstrumentation


def look(app, view):
    """Return what a view of an application sees in a request with credentials."""
    seen = []
    app.add_url_rule("/look", "look", lambda: seen.append(view()) or "ok")
    assert app.test_client().get(f"/look?{query()}").status_code == 200
    return seen[0]


@pytest.mark.shows("Connector option: clientConfig")
def test_the_clients_of_a_connector_have_its_options(world):
    """Options in client_config reach the client of every request."""
    app = world.setup(Flask("shop"), client_config={"flush_at": 7})
    assert look(app, lambda: current_context.client.configuration()["flush_at"]) == 7


@pytest.mark.shows("Middleware option: clientConfig")
def test_the_clients_of_the_middleware_have_its_options(world):
    """Options in client_config reach the client of every request where the middleware stands alone."""
    app = Flask("plain")
    Middleware(host_secret=HOST_SECRET, allowed_organizations=[HOST], client_config={"flush_at": 7}).init_app(app)
    assert look(world.adopt(app), lambda: current_context.client.configuration()["flush_at"]) == 7


@pytest.mark.parametrize("options", [{}, {"capture_logs": True}])
def test_a_client_is_of_its_request_alone(world, options):
    """Clients of one connector share what was checked, and neither the request's id nor lists of what is captured."""
    app, seen = world.setup(Flask("shop"), client_config=options), []

    @app.get("/look")
    def seeing():
        client = current_context.client
        client.logger.info("seen")
        found = client.configuration()
        seen.append((found["id"], found.get("request_id"), len(found.get("logs") or ())))
        return "ok"

    requests = [(CONNECTOR_ID, "r-1"), (CONNECTOR_ID, "r-2"), (OTHER_ID, "r-2"), (CONNECTOR_ID, None)]
    for connector_id, request_id in requests:
        headers = {} if request_id is None else {"X-Hull-Request-Id": request_id}
        app.test_client().get(f"/look?{query(ship=connector_id)}", headers=headers)
    assert seen == [(*each, 1 if options else 0) for each in requests]


@pytest.mark.shows("Connector option: cache")
def test_a_cache_of_ones_own_is_used(world):
    """What requests cache is in the cache that the connector was given, within its limit."""
    app = world.setup(Flask("shop"), cache=Cache(max_items=1))

    def cache_two():
        current_context.cache.set("color", "red")
        current_context.cache.set("size", "large")
        return current_context.cache.get("color"), current_context.cache.get("size")

    assert look(app, cache_two) == (None, "large")


class CountingQueue(MemoryQueue):
    """A queue that keeps the names of the jobs it was given."""

    def __init__(self):
        super().__init__()
        self.names = []

    def enqueue(self, job_name, payload, **options):
        """Keep the name, and line the job up."""
        self.names.append(job_name)
        return super().enqueue(job_name, payload, **options)


@pytest.mark.shows("Connector option: queue")
def test_a_queue_of_ones_own_is_used(world):
    """Jobs of a request go to the queue that the connector was given, and its functions run them."""
    mine, done = CountingQueue(), []
    connector = world.connector(queue=mine)
    connector.worker({"count": lambda ctx, payload: done.append((ctx.config.organization, payload))})
    app = world.setup(Flask("shop"), connector)
    look(app, lambda: current_context.enqueue("count", {"to": 3}))
    world.runtime.tasks.run_until_idle()
    assert (mine.names, done) == (["count"], [(HOST, {"to": 3})])


@pytest.mark.shows("Connector option: instrumentation")
def test_instrumentation_of_ones_own_is_used(world):
    """Metrics of a request go where the connector was told."""
    mine = RecordingInstrumentation()
    app = world.setup(Flask("shop"), instrumentation=mine)
    look(app, lambda: current_context.metric.increment("contacts", 3))
    assert [record.value for record in mine.metrics if record.name == "contacts"] == [3]
