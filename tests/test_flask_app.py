"""The web edge: hooks, real threads, and success only after acceptance."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import pytest
from connector_world import CONNECTOR_ID, HOST, SECRET, query
from flask import Flask, Response, g, jsonify, redirect, request, stream_with_context

from hull_sdk import Connector, Middleware, current_context, incoming
from hull_sdk.core.net import HttpNetwork
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.handlers import action_handler, smart_notifier_handler

URL = f"/x?{query()}"


def serve(world, view, **options):
    """Return the test client of an application with one view."""
    app = world.app(setup=False)
    app.add_url_rule("/x", "x", view, methods=["GET", "POST"])
    return world.setup(app, **options).test_client()


def write():
    """Write an attribute."""
    current_context.client.as_user({"email": "ann@acme.example"}).traits({"a": 1})


def written(status=200):
    """Return a view that writes and answers a status."""
    return lambda: (write(), ("done", status))[1]


def test_a_plain_views_success_waits_for_acceptance(world):
    """A view that writes is answered once the platform has taken it."""
    response = serve(world, written()).get(URL)
    assert (response.status_code, response.text) == (200, "done")
    assert len(world.platform.messages) == 1


def test_a_plain_view_is_503_when_nothing_is_accepted(world):
    """When the platform takes nothing, success becomes 503 transient-error."""
    world.platform.firehose_answer = lambda _batch: ("down", 500)
    response = serve(world, written(201)).get(URL)
    assert (response.status_code, response.text) == (503, "transient-error")
    assert "connector.transient_error" in world.metric_names()


@pytest.mark.parametrize("status", [302, 400, 404, 500])
def test_other_answers_do_not_wait(world, status):
    """Answers that promise nothing go out at once; what was sent is on its way."""
    world.platform.firehose_answer = lambda _batch: ("down", 500)
    assert serve(world, written(status)).get(URL).status_code == status


def test_a_refused_message_does_not_fail_a_view(world, caplog):
    """A message that the platform refuses for good is logged; the view's answer stays."""
    world.platform.firehose_answer = lambda batch: {
        "accepted": 0,
        "rejected": [{"index": 0, "message_id": batch[0]["message_id"], "code": "TOO_LARGE", "reason": "big"}],
    }
    assert serve(world, written()).get(URL).status_code == 200
    assert "connector.message.rejected" in caplog.messages


def test_views_that_send_nothing_cost_nothing(world):
    """A view without credentials makes no call at all."""
    assert serve(world, lambda: "ok").get("/x").text == "ok"
    assert world.asked() == []


def test_what_an_after_request_function_sends_is_waited_for_too(world):
    """Functions of the application that run after the view may send as well."""
    world.platform.firehose_answer = lambda _batch: ("down", 500)
    app = world.app(setup=False)
    app.add_url_rule("/x", "x", lambda: "ok")
    world.setup(app)

    @app.after_request
    def send(response):
        write()
        return response

    assert app.test_client().get(URL).status_code == 503


def test_an_error_handler_that_answers_success_waits(world):
    """A success that an error handler of the application makes is a success like any other."""
    world.platform.firehose_answer = lambda _batch: ("down", 500)
    app = world.app(setup=False)

    @app.errorhandler(ZeroDivisionError)
    def recover(_err):
        write()
        return "recovered"

    app.add_url_rule("/x", "x", lambda: str(1 // 0))
    assert world.setup(app).test_client().get(URL).status_code == 503


def test_streams_and_redirects_work(world):
    """A streamed answer keeps its context."""
    client = serve(world, lambda: Response(stream_with_context(iter([current_context.ship["name"]]))))
    assert client.get(URL).text == "Shop"
    assert serve(world, lambda: redirect("/y")).get(URL).status_code == 302


def test_use_may_answer(world):
    """A function given to use may return the response; then the view does not run."""
    connector = world.connector()
    connector.use(lambda ctx: ("no", 418) if ctx.config is None else None)
    app = world.app(setup=False)
    app.add_url_rule("/x", "x", lambda: "view")
    client = world.setup(app, connector).test_client()
    assert client.get("/x").status_code == 418
    assert client.get(URL).text == "view"


def test_use_takes_functions_only():
    """Anything but a function is an error."""
    with pytest.raises(InvalidArgumentError, match="'x'"):
        Connector(host_secret="s").use("x")


@pytest.mark.shows("README: custom-middleware")
def test_the_three_places_run_in_order(world):
    """Functions before setup_app run first, then use, then functions after setup_app, then the view."""
    order = []
    connector = world.connector()
    connector.use(lambda _ctx: order.append("use"))
    app = world.app(setup=False)
    app.before_request(lambda: order.append("before"))
    world.setup(app, connector)
    app.before_request(lambda: order.append("after"))
    app.add_url_rule("/x", "x", lambda: (order.append("view"), "ok")[1])
    app.test_client().get("/x")
    assert order == ["before", "use", "after", "view"]


def test_each_request_is_counted(world):
    """connector.request goes up with each request that leads to a view."""
    client = serve(world, lambda: "ok")
    client.get("/x")
    client.get(URL)
    client.get("/nowhere")
    client.get("/manifest.json")
    assert world.metric_names().count("connector.request") == 2


def test_a_second_setup_is_an_error(world):
    """An application is set up once."""
    app = world.app()
    with pytest.raises(InvalidArgumentError, match="set up before"):
        world.connector().setup_app(app)
    with pytest.raises(InvalidArgumentError, match="set up before"):
        Middleware().init_app(app)


def test_incoming_belongs_to_requests():
    """Outside a request there is nothing to set."""
    with pytest.raises(RuntimeError):
        incoming.config = {}


# -- real threads


def test_a_handler_on_a_thread_has_request_g_and_context(world):
    """Flask's request, g and the current context are there in the handler's own thread."""
    seen = {}

    def work(ctx, _parts):
        seen.update(path=request.path, user=g.user, same=current_context == ctx, thread=threading.current_thread().name)
        return "done"

    app = Flask("threads")
    app.register_blueprint(action_handler(work), url_prefix="/work")

    @app.before_request
    def remember():
        g.user = "ann"

    assert world.threaded(app).test_client().post(f"/work?{query()}").text == "done"
    assert seen == {"path": "/work", "user": "ann", "same": True, "thread": "hull-handler"}


def test_a_late_handler_goes_on_and_is_answered_from_the_store(world):
    """Past the deadline the answer is retry; a duplicate meanwhile is retry; afterwards the stored answer is next."""
    release, finished, calls = threading.Event(), threading.Event(), []

    def handler(ctx, messages):
        calls.append(request.path)
        release.wait(10)
        assert current_context == ctx
        ctx.client.as_user(messages[0]["user"]).traits({"late": True})
        finished.set()

    app = Flask("threads")
    app.register_blueprint(smart_notifier_handler({"user:update": handler}), url_prefix="/n")
    world.threaded(app, timeout_s=1.0)
    deliver = partial(world.notify_threaded, app, world.notification(), "/n")
    first = deliver()
    assert (first.status_code, first.get_json()["flow_control"]["type"]) == (503, "retry")
    during = deliver()
    assert (during.status_code, during.get_json()["flow_control"]["type"]) == (200, "retry")
    release.set()
    assert finished.wait(10)
    answers = []
    while not answers or answers[-1]["flow_control"]["type"] == "retry":
        answers.append(deliver().get_json())
        assert len(answers) < 2000
    assert calls == ["/n"]
    assert len(world.platform.messages) == 1


def test_a_firehose_that_hangs_holds_no_answer_beyond_its_deadline(world):
    """What a handler sent is waited for until the deadline; when it has arrived, a delivery that comes again is next."""
    release, callbacks = threading.Event(), threading.Event()

    def hang(batch):
        release.wait(20)
        return jsonify(accepted=len(batch), rejected=[])

    def handler(ctx, messages):
        future = ctx.client.as_user(messages[0]["user"]).traits({"n": 1})
        future.add_done_callback(lambda _: callbacks.wait(20))

    world.platform.firehose_answer = hang
    app = Flask("threads")
    app.register_blueprint(smart_notifier_handler({"user:update": handler}), url_prefix="/n")
    world.threaded(app, timeout_s=1.0, client_config={"timeout_s": 0.5})
    deliver = partial(world.notify_threaded, app, world.notification(), "/n")
    started = time.monotonic()
    first = deliver()
    assert time.monotonic() - started < 10
    assert (first.status_code, first.get_json()["flow_control"]["type"]) == (503, "retry")
    release.set()
    during = deliver()
    assert (during.status_code, during.get_json()["flow_control"]["type"]) == (200, "retry")
    callbacks.set()
    answers = []
    while not answers or answers[-1]["flow_control"]["type"] == "retry":
        answers.append(deliver().get_json())
        assert len(answers) < 2000
    assert len(world.platform.messages) == 1


def test_contexts_never_mix_between_threads(world):
    """Of many requests on many threads each sees its own connector's token, also in what it submits."""
    app = Flask("threads")

    def who():
        inner = current_context.submit(lambda: (current_context.request_id, request.args["n"])).result(10)
        return f"{current_context.request_id} {inner[0]} {inner[1]}"

    app.add_url_rule("/who", "who", who)
    world.threaded(app)

    def ask(number):
        response = app.test_client().get(f"/who?n={number}", headers={"X-Hull-Request-Id": f"r{number}"})
        return response.text == f"r{number} r{number} {number}"

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(ask, range(100)))


def test_a_real_network_is_the_default(world):
    """An application that was set up runs on the machine's own clock and sockets."""
    app = Flask("real")
    Connector(host_secret="s", allowed_organizations=[HOST]).setup_app(app)
    extension = app.extensions["hull"]
    assert isinstance(extension.runtime.net, HttpNetwork)
    assert extension.cache.runtime is extension.queue.runtime is extension.runtime
    assert CONNECTOR_ID not in repr(extension.trust)
    assert SECRET not in repr(extension.connector)
