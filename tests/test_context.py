"""The context and what is bound to it."""

from __future__ import annotations

import inspect
import threading

import pytest
from connector_world import BUYERS, CONNECTOR_ID, CREDENTIALS, CUSTOMERS, HOST, HOST_SECRET, OTHER_ID, SECRET, query

from hull_sdk import Context, current_context
from hull_sdk.context import Credentials, Helpers
from hull_sdk.core.masking import MASK
from hull_sdk.errors import CredentialsError, HullError, InvalidArgumentError
from hull_sdk.handlers import takes_webhooks
from hull_sdk.infra import MemoryQueue

URL = f"/run?{query()}"


@pytest.fixture
def run(world):
    """Return a function that runs another one within a request and returns its result."""

    def run(function, url=URL, method="GET", **request):
        result, options = [], request.pop("options", {})
        app = world.app(setup=False)

        @takes_webhooks
        def view():
            result.append(outcome(function))
            return "ok"

        app.add_url_rule("/run", "run", view, methods=["GET", "POST"])
        world.setup(app, **options).test_client().open(url, method=method, **request)
        if isinstance(result[0], Exception):
            raise result[0]
        return result[0]

    return run


def outcome(function):
    """Return what a function returns or raises."""
    try:
        return function()
    except HullError as err:
        return err


@pytest.mark.shows(
    "Connector option: connectorName",
    "README: context-object",
    "README: extended-context",
    "ctx.accounts_segments",
    "ctx.client",
    "ctx.connector",
    "ctx.connectorConfig",
    "ctx.hostname",
    "ctx.requestId",
    "ctx.segments",
    "ctx.ship",
    "ctx.smartNotifierResponse",
    "ctx.users_segments",
)
def test_a_complete_context(run):
    """A request with credentials has everything that connectors rely on."""

    def look():
        ctx = current_context
        assert dict(ctx.config) == CREDENTIALS
        assert (ctx.config.id, ctx.config.organization, ctx.config.secret) == (CONNECTOR_ID, HOST, SECRET)
        assert ctx.request_id == "r-1"
        assert ctx.ship is ctx.connector
        assert ctx.ship["name"] == "Shop"
        assert ctx.hostname == "connector.test"
        assert ctx.connector_config["connector_name"] == "web-shop"
        assert ctx.connector_config["timeout_s"] == 25
        assert ctx.segments == ctx.users_segments == [{**BUYERS, "filtered": False}]
        assert ctx.accounts_segments == [{**CUSTOMERS, "filtered": False}]
        assert (ctx.message, ctx.notification, ctx.attempt, ctx.is_batch) == (None, None, 1, False)
        assert ctx.smart_notifier_response.flow_control is None
        return ctx.client.configuration()

    configuration = run(
        look,
        f"http://connector.test:8082{URL}",
        headers={"X-Hull-Request-Id": "r-1"},
        options={"manifest": {"name": "Web Shop!"}},
    )
    assert configuration["id"] == CONNECTOR_ID
    assert (configuration["request_id"], configuration["connector_name"]) == ("r-1", "web-shop")


def test_without_credentials(run):
    """Without credentials the client raises, and the rest is empty."""

    def look():
        ctx = current_context
        assert (ctx.config, ctx.token, ctx.ship) == (None, None, None)
        assert ctx.segments == ctx.accounts_segments == []
        return outcome(lambda: ctx.client)

    with pytest.raises(CredentialsError, match="hullToken") as caught:
        raise run(look, "/run")
    assert caught.value.status == 403


@pytest.mark.shows("ctx.options")
def test_options_are_query_and_body(run):
    """Options are the query merged with the JSON body; the body wins, anything but an object is ignored."""
    assert run(lambda: current_context.options["a"], f"{URL}&a=1") == "1"
    assert run(lambda: current_context.options["a"], f"{URL}&a=1", "POST", json={"a": 2}) == 2
    assert run(lambda: current_context.options["a"], f"{URL}&a=1", "POST", json=[1]) == "1"
    assert run(lambda: current_context.options["a"], f"{URL}&a=1", "POST", data="{") == "1"


@pytest.mark.shows("ctx.token")
def test_the_token_stands_for_the_credentials(run, world):
    """ctx.token opens the same connector again, and hides the secret."""
    token = run(lambda: current_context.token)
    assert SECRET not in token
    assert run(lambda: dict(current_context.config), f"/run?token={token}") == CREDENTIALS
    webhook = run(lambda: current_context.token_for("webhook"))
    assert run(lambda: dict(current_context.config), f"/run?token={webhook}") == CREDENTIALS
    assert run(lambda: current_context.token, options={"host_secret": None}) is None


@pytest.mark.shows("ctx.cache", "infra.Cache.contextMiddleware")
def test_the_cache_belongs_to_the_connector(world):
    """What one connector caches no other one sees, and the connector's own entry is out of the way."""
    app = world.app(setup=False)
    app.add_url_rule("/set", "set", lambda: (current_context.cache.set("connector", "mine"), "ok")[1])
    app.add_url_rule("/get", "get", lambda: str(current_context.cache.get("connector")))
    client = world.setup(app).test_client()
    assert client.get(f"/set?{query()}").text == "ok"
    assert client.get(f"/get?{query()}").text == "mine"
    assert client.get(f"/get?{query(ship=OTHER_ID)}").text == "None"


@pytest.mark.shows("ctx.metric", "infra.Instrumentation.contextMiddleware")
def test_metrics_carry_the_connector(run, world):
    """Metrics are tagged with organization and connector."""
    run(lambda: current_context.metric.increment("contacts", 3))
    (record,) = (r for r in world.instrumentation.metrics if r.name == "contacts")
    assert record.value == 3
    assert record.tags["organization"] == HOST
    assert record.tags["ship"] == CONNECTOR_ID
    assert record.tags["ship_name"] == "Web Shop"


def test_submit_keeps_the_context(run, world):
    """A submitted function runs beside the request with the same current context."""

    def submit():
        ctx = current_context._target()
        return ctx, ctx.submit(lambda a: (current_context == ctx, a), 7)

    _, future = run(submit)
    assert future.result(1) == (True, 7)


@pytest.mark.shows("README: worker", "ctx.enqueue", "infra.Queue.contextMiddleware")
def test_enqueue_stores_the_encrypted_token(run, world):
    """A job carries the token, never the secret, and runs with a context of its own."""
    ran = []
    connector = world.connector()
    connector.worker(
        {"import": lambda ctx, payload: ran.append((dict(ctx.config), ctx.ship["name"], ctx.attempt, payload))}
    )
    app = world.app(setup=False)
    app.add_url_rule("/run", "run", lambda: current_context.enqueue("import", {"n": 1}, delay_ms=500))
    world.setup(app, connector)
    stored = []
    extension = app.extensions["hull"]
    enqueue = extension.queue.enqueue
    extension.queue.enqueue = lambda *args, **kwargs: (stored.append((args, kwargs)), enqueue(*args, **kwargs))[1]
    assert app.test_client().get(URL).status_code == 200
    assert SECRET not in repr(stored)
    assert ran == []
    world.runtime.tasks.sleep(1)
    assert ran == [(CREDENTIALS, "Shop", 1, {"n": 1})]
    extension.queue.stop(0)


@pytest.mark.parametrize(
    "options", [{"delay_ms": 500}, {"queue_name": "slow"}, {"priority": -1}, {"ttl_ms": 60_000}, {}]
)
def test_enqueue_hands_its_options_on(world, options):
    """Delay, queue name, priority and ttl reach the queue, whichever it is."""
    taken = []

    class OtherQueue(MemoryQueue):
        def enqueue(self, job_name, payload, **options):
            taken.append((job_name, payload, options))
            return "job-1"

    app = world.app(setup=False)
    app.add_url_rule("/run", "run", lambda: current_context.enqueue("import", [1], **options))
    assert world.setup(app, queue=OtherQueue()).test_client().get(URL).text == "job-1"
    ((name, payload, found),) = taken
    stored = found.pop("context")
    assert (name, payload) == ("import", [1])
    assert found == {"delay_ms": 0, "queue_name": "queueApp", "priority": None, "ttl_ms": None, **options}
    assert set(stored) >= {"token", "request_id", "hostname"}
    assert SECRET not in repr(stored)


def test_enqueue_needs_credentials_and_a_host_secret(run):
    """Without credentials, or without a host secret to encrypt them, there are no jobs."""
    with pytest.raises(CredentialsError):
        run(lambda: current_context.enqueue("import"), "/run")
    with pytest.raises(InvalidArgumentError, match="host_secret"):
        run(lambda: current_context.enqueue("import"), options={"host_secret": None})


@pytest.mark.shows("Connector.use", "ctx.service")
def test_service_is_filled_by_use(world):
    """Functions given to use fill the namespace that views read."""
    connector = world.connector()

    @connector.use
    def add(ctx):
        ctx.service.double = lambda n: 2 * n

    app = world.app(setup=False)
    app.add_url_rule("/run", "run", lambda: str(current_context.service.double(4)))
    assert world.setup(app, connector).test_client().get(URL).text == "8"


def test_the_current_context_exists_in_requests_only(run):
    """Outside a request the proxy is false and says what to do."""
    assert not current_context
    assert repr(current_context) == "<no current context>"
    with pytest.raises(InvalidArgumentError, match="no current context"):
        current_context.client.get("app")
    assert run(lambda: bool(current_context)) is True
    assert not current_context


def test_the_proxy_sets_attributes_and_equals_its_context(run):
    """Setting an attribute of the proxy sets it on the context."""

    def look():
        current_context.message = "x"
        target = current_context._target()
        assert isinstance(target, Context)
        return target.message, current_context == target, hash(current_context) == hash(target)

    assert run(look) == ("x", True, True)


def test_nested_requests_have_contexts_of_their_own(world):
    """A request inside a request has its own context, and the outer one is back afterwards."""
    app = world.app(setup=False)
    app.add_url_rule("/inner", "inner", lambda: str(current_context.request_id))

    def outer():
        inner = app.test_client().get("/inner", headers={"X-Hull-Request-Id": "inner"}).text
        return f"{inner} {current_context.request_id}"

    app.add_url_rule("/outer", "outer", outer)
    world.setup(app)
    assert app.test_client().get("/outer", headers={"X-Hull-Request-Id": "outer"}).text == "inner outer"
    assert not current_context


def test_no_representation_shows_a_secret(run, world):
    """Context, credentials, services and connector hide every secret."""

    def texts():
        ctx = current_context._target()
        services = ctx._services
        return [
            repr(item)
            for item in (
                ctx,
                current_context,
                ctx.config,
                ctx.client,
                services.tokens,
                services.cache,
                services.connector,
            )
        ] + [str(ctx.config), f"{ctx.config}", repr(ctx.connector_config)]

    for text in run(texts):
        assert SECRET not in text
        assert HOST_SECRET not in text
    assert MASK in repr(Credentials(**CREDENTIALS))


def test_collected_messages_are_settled_apart(run, world):
    """What is sent inside collect is counted by its own record, not by the context's."""

    def send():
        ctx = current_context
        ctx.client.as_user("5a7962e2793d3e942a03b29c").traits({"a": 1})
        with ctx.collect() as outbox:
            ctx.client.as_user("5a7962e2793d3e942a03b29c").traits({"a": 2})
        return outbox.settle(5).accepted, ctx.settle(5).accepted

    assert run(send) == (1, 1)


def test_settling_without_sending_costs_nothing(run):
    """A context whose client was never used has nothing to settle."""
    assert run(lambda: current_context.settle(5), "/run") is None


def test_threads_of_one_context_share_its_client(run, monkeypatch):
    """Whoever asks first, everything is sent through the client whose record is settled before the answer."""
    make, begun = Context._open, threading.Event()

    def make_slowly(ctx):
        begun.wait(0.05)
        return make(ctx)

    def look():
        ctx, found = current_context._target(), []
        threads = [threading.Thread(target=lambda: found.append(ctx.client)) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return found

    monkeypatch.setattr(Context, "_open", make_slowly)
    clients = run(look)
    assert len({id(client) for client in clients}) == 1


def test_the_bound_helpers_have_the_shapes_that_are_documented(run):
    """Each helper on a context takes what the function of hull_sdk.helpers takes after the context."""
    ctx = run(current_context._target)
    documented = {name: member for name, member in vars(Helpers).items() if not name.startswith("_")}
    assert set(documented) == set(vars(ctx.helpers))
    for name, member in documented.items():
        bound = list(inspect.signature(getattr(ctx.helpers, name)).parameters.values())
        described = list(inspect.signature(member).parameters.values())[1:]
        assert [(p.name, p.kind, p.annotation) for p in bound] == [(p.name, p.kind, p.annotation) for p in described]


def test_a_rate_limit_is_one_for_all_connectors_of_the_application(world):
    """A limit of one name is shared by all connectors, and by all processes when they share a store."""
    refused = []

    def take():
        try:
            current_context.rate_limit("crm/7", calls=1, per_s=60, wait_s=0).acquire()
        except HullError as err:
            refused.append(str(err))
        return "ok"

    app = world.app(setup=False)
    app.add_url_rule("/run", "run", take)
    client = world.setup(app).test_client()
    client.get(URL)
    assert refused == []
    client.get(f"/run?{query(ship=OTHER_ID)}")
    assert len(refused) == 1
    assert "'crm/7' takes 1 calls in 60 s" in refused[0]
