"""Notifications run in one thread and are answered in time, by the application's own functions."""

from __future__ import annotations

import gc
import logging
import sys
import threading
import weakref
from contextlib import nullcontext
from functools import partial
from logging.handlers import QueueHandler
from queue import SimpleQueue

import pytest
from connector_world import query
from flask import Flask, current_app, g, jsonify, request
from werkzeug.routing import BaseConverter
from werkzeug.test import create_environ

from hull_sdk import current_context
from hull_sdk.core.wsgi import run_wsgi
from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.flask_thread import OneThread, _Awaited
from hull_sdk.handlers import action_handler, smart_notifier_handler


def app_with(handler, prefix="/n"):
    """Return an application, not set up yet, with a handler of notifications."""
    app = Flask("one-thread")
    app.register_blueprint(smart_notifier_handler({"user:update": handler}), url_prefix=prefix)
    return app


def note_threads(app, seen):
    """Have functions around the requests of an application note in which thread they run."""

    def note(name):
        return lambda *_: seen.append((name, threading.get_ident()))

    app.before_request(note("before"))
    app.after_request(lambda response: (note("after")(), response)[1])
    app.teardown_request(note("teardown"))
    app.teardown_appcontext(note("end"))
    return note("handler")


def test_all_about_a_notification_runs_in_one_thread(world):
    """Verification, functions before and after the request, handler and teardown share a thread, not the caller's."""
    seen = []
    app = Flask("one-thread")
    handler = note_threads(app, seen)
    app.register_blueprint(smart_notifier_handler({"user:update": handler}), url_prefix="/n")
    assert world.notify_threaded(world.threaded(app), path="/n").status_code == 200
    assert [name for name, _ in seen] == ["before", "handler", "after", "teardown", "end"]
    assert len({thread for _, thread in seen} | {threading.get_ident()}) == 2


def test_other_requests_stay_in_the_callers_thread(world):
    """What is no notification, or is not posted, changes no thread but for the function of its handler."""
    seen = []
    app = app_with(lambda _ctx, _messages: None)
    note = note_threads(app, seen)
    app.register_blueprint(action_handler(note), url_prefix="/action")
    client = world.threaded(app).test_client()
    assert client.post(f"/action?{query()}").status_code == 200
    assert client.post("/nowhere", data=b"{}").status_code == 404
    assert client.get("/n", headers={"X-Hull-Smart-Notifier": "true"}).status_code == 405
    assert client.post(f"/n?{query()}", json={}).status_code == 400
    assert {thread for name, thread in seen if name != "handler"} == {threading.get_ident()}


def test_a_plain_view_of_notifications_has_no_deadline(world, monkeypatch):
    """A view of the application's own is waited for beyond the deadline, in one thread too."""
    seen, late = [], threading.Event()
    leads = OneThread._leads_to_marked

    def at_the_deadline(self, environ):
        late.set()
        return leads(self, environ)

    monkeypatch.setattr(OneThread, "_leads_to_marked", at_the_deadline)
    app = Flask("one-thread")
    note = note_threads(app, seen)

    @app.post("/plain")
    def plain():
        note()
        notification = current_context.notification
        assert notification is not None
        return f"{late.wait(20)} {len(notification['messages'])}"

    response = world.notify_threaded(world.threaded(app, timeout_s=0.1), path="/plain")
    assert (response.status_code, response.text) == (200, "True 1")
    assert [name for name, _ in seen] == ["before", "handler", "after", "teardown", "end"]
    assert len({thread for _, thread in seen}) == 1


def test_a_late_answer_passes_the_applications_own_functions(world):
    """It is made by the error handler of the application, and sees what functions before the request left on g."""
    release, done = threading.Event(), threading.Event()

    def handler(_ctx, _messages):
        assert request.get_data()
        release.wait(20)
        done.set()

    app = app_with(handler)

    @app.before_request
    def remember():
        g.who = "ann"

    @app.errorhandler(TransientError)
    def answer(error):
        return jsonify(error=error.message, body=request.get_json()["channel"]), 529

    @app.after_request
    def sign(response):
        response.headers["X-Who"] = g.who
        return response

    response = world.notify_threaded(world.threaded(app, timeout_s=0.2), path="/n")
    assert (response.status_code, response.headers["X-Who"]) == (529, "ann")
    assert response.get_json()["body"] == "user:update"
    assert "within 0.2 s" in response.get_json()["error"]
    release.set()
    assert done.wait(20)


def test_a_late_answer_tears_nothing_down_that_the_handler_uses(world):
    """What functions before the request opened is closed once, by the handler's thread, when the handler has ended."""
    release, ended = threading.Event(), threading.Event()
    open_in, seen = [], []

    def handler(_ctx, _messages):
        release.wait(20)
        seen.append(g.opened)

    app = app_with(handler)

    @app.before_request
    def open_one():
        g.opened = threading.get_ident()
        open_in.append(g.opened)

    @app.teardown_appcontext
    def close(_error):
        open_in.remove(g.pop("opened"))
        seen.append(threading.get_ident())
        ended.set()

    assert world.notify_threaded(world.threaded(app, timeout_s=0.2), path="/n").status_code == 503
    assert len(open_in) == 1
    release.set()
    assert ended.wait(20)
    assert open_in == []
    assert len(seen) == 2
    assert len(set(seen)) == 1


def test_a_handler_that_ends_at_its_deadline_waits_for_the_late_answer(world):
    """Nothing is torn down while a late answer is being made with it, whenever the handler ends."""
    release, ended = threading.Event(), threading.Event()
    server = threading.get_ident()
    app = app_with(lambda _ctx, _messages: release.wait(20))

    @app.before_request
    def remember():
        g.who = "ann"

    @app.after_request
    def sign(response):
        if threading.get_ident() == server:
            release.set()
            ended.wait(0.2)
        response.headers["X-Who"] = g.who
        return response

    @app.teardown_appcontext
    def forget(_error):
        del g.who
        ended.set()

    response = world.notify_threaded(world.threaded(app, timeout_s=0.2), path="/n")
    assert (response.status_code, response.headers["X-Who"]) == (503, "ann")
    assert ended.wait(20)


def test_a_request_that_hangs_before_it_has_a_context_is_answered(world):
    """A function before the request that takes too long is answered at the deadline, too."""
    release, ended = threading.Event(), threading.Event()
    server = threading.get_ident()
    app = app_with(lambda _ctx, _messages: None)

    @app.before_request
    def hang():
        release.wait(20)

    app.teardown_request(lambda _error: None if threading.get_ident() == server else ended.set())
    response = world.notify_threaded(world.threaded(app, timeout_s=0.2), path="/n")
    assert (response.status_code, response.get_json()["flow_control"]["type"]) == (503, "retry")
    release.set()
    assert ended.wait(20)


def test_functions_after_a_late_request_have_its_context(world):
    """The current context of a late answer is that of its notification, with what is known of it by then."""
    release, ended = threading.Event(), threading.Event()
    app = app_with(lambda _ctx, _messages: release.wait(20))
    app.teardown_request(lambda _error: ended.set())

    @app.after_request
    def sign(response):
        response.headers["X-Id"] = f"{current_context.request_id}"[-4:]
        return response

    response = world.notify_threaded(world.threaded(app, timeout_s=0.2), path="/n")
    assert (response.status_code, response.headers["X-Id"]) == (503, ":n-1")
    release.set()
    assert ended.wait(20)


@pytest.mark.parametrize("where", ["errorhandler", "after_request"])
def test_a_late_answer_that_fails_is_logged_and_answered(world, caplog, where):
    """What the application's own functions raise over a late answer is answered 500, as over any other."""
    release, ended = threading.Event(), threading.Event()
    app = app_with(lambda _ctx, _messages: release.wait(20))
    app.teardown_request(lambda _error: ended.set())

    def fail(value):
        if where == "after_request" and value.status_code == 500:
            return value
        raise LookupError("of the application")

    (app.errorhandler(TransientError) if where == "errorhandler" else app.after_request)(fail)
    response = world.notify_threaded(world.threaded(app, timeout_s=0.2), path="/n")
    assert response.status_code == 500
    assert "of the application" in caplog.text
    release.set()
    assert ended.wait(20)


def test_what_fails_after_a_late_answer_is_logged(world):
    """An error that comes out of the application when nobody waits for it any more stands in the log."""
    release, logged = threading.Event(), SimpleQueue()
    app = app_with(lambda _ctx, _messages: release.wait(20))

    @app.teardown_request
    def fail(_error):
        raise LookupError("at the end")

    handler = QueueHandler(logged)
    logging.getLogger("hull_sdk.flask_thread").addHandler(handler)
    assert world.notify_threaded(world.threaded(app, timeout_s=0.2), path="/n").status_code == 503
    release.set()
    assert "at the end" in logged.get(timeout=20).getMessage()
    logging.getLogger("hull_sdk.flask_thread").removeHandler(handler)


def test_a_notification_is_freed_with_its_request(world):
    """A context that functions keep on g does not hold it, and so it does not wait for the garbage collector."""
    kept = []

    def handler(ctx, _messages):
        g.context = ctx
        kept.append(weakref.ref(ctx))

    app = world.threaded(app_with(handler))
    gc.collect()
    gc.disable()
    try:
        assert world.notify_threaded(app, path="/n").status_code == 200
        assert [ref() for ref in kept] == [None]
    finally:
        gc.enable()


class Stream:
    """A body that comes in one piece, and then, if so told, breaks off."""

    def __init__(self, piece, *, breaks):
        self._pieces = [piece]
        self._breaks = breaks

    def read(self, _size):
        if self._pieces:
            return self._pieces.pop()
        if self._breaks:
            raise ConnectionResetError("lost")
        return b""


@pytest.mark.parametrize("method", ["POST", "GET"])
@pytest.mark.parametrize(("path", "breaks"), [("/n", True), ("/nowhere", False)])
def test_the_body_of_a_stranger_is_freed_at_once(world, path, method, breaks):
    """A body that breaks off or leads nowhere does not wait for the garbage collector, which comes too late for many."""
    app = world.threaded(app_with(lambda _ctx, _messages: None))

    def deliver():
        """Return how many hold the body before, and how many after."""
        body = bytes(1000)
        before = sys.getrefcount(body)
        environ = create_environ(path, method=method, headers={"X-Hull-Smart-Notifier": "true"})
        environ.update({"wsgi.input": Stream(body, breaks=breaks), "CONTENT_LENGTH": str(len(body) + breaks)})
        with pytest.raises(ConnectionResetError) if breaks else nullcontext():
            run_wsgi(app.wsgi_app, environ)
        del environ
        return before, sys.getrefcount(body)

    deliver()
    gc.collect()
    gc.disable()
    try:
        before, after = deliver()
        assert after == before
    finally:
        gc.enable()


def test_a_converter_that_asks_the_application_is_served(world):
    """A rule whose converter works only within a request leads to its notifications all the same."""

    class Tenant(BaseConverter):
        def to_python(self, value):
            return current_app.config["TENANTS"][value]

    seen = []
    app = Flask("converters")
    app.url_map.converters["tenant"] = Tenant
    app.config["TENANTS"] = {"acme": 1}

    @app.url_value_preprocessor
    def take(_endpoint, values):
        seen.append(values.pop("tenant"))

    app.register_blueprint(
        smart_notifier_handler({"user:update": lambda _ctx, _messages: None}), url_prefix="/<tenant:tenant>/n"
    )
    assert world.notify_threaded(world.threaded(app), path="/acme/n").status_code == 200
    assert seen == [1]


def test_a_process_without_threads_to_spare_asks_to_come_again(world, monkeypatch):
    """When no thread can be started, as at a limit of the system, a notification is answered and comes again."""
    app = world.threaded(app_with(lambda _ctx, _messages: None))

    def refuse(*_args, **_options):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(app.extensions["hull"].runtime.tasks, "run_within", refuse)
    response = world.notify_threaded(app, path="/n")
    assert (response.status_code, response.get_json()["flow_control"]["type"]) == (500, "retry")
    assert [str(record.error) for record in world.instrumentation.exceptions] == ["can't start new thread"]


@pytest.mark.parametrize("fails", [False, True])
def test_lateness_is_reported_once_and_a_late_failure_too(world, fails):
    """One report tells that the deadline passed, with the connector's tags; a failure that comes later has its own."""
    release, left = threading.Event(), threading.Event()

    def handler(_ctx, _messages):
        release.wait(20)
        if fails:
            raise RuntimeError("later")

    app = app_with(handler)
    app.teardown_request(lambda _error: left.set())
    response = world.notify_threaded(world.threaded(app, timeout_s=0.2), path="/n")
    assert (response.status_code, response.get_json()["flow_control"]["type"]) == (503, "retry")
    late = [record for record in world.instrumentation.metrics if record.name == "connector.transient_error"]
    assert [record.tags["organization"] for record in late] == ["acme.hullapp.test"]
    release.set()
    assert left.wait(20)
    assert world.metric_names().count("connector.transient_error") == 1
    assert [str(record.error) for record in world.instrumentation.exceptions] == (["later"] if fails else [])


def test_a_key_that_does_not_come_holds_no_answer_beyond_the_deadline(world):
    """A notification that is still being verified at its deadline is answered retry."""
    release = threading.Event()
    world.platform.key_answer = lambda: (release.wait(20), "too late")[1]
    app = app_with(lambda _ctx, _messages: None)
    ended = threading.Event()
    app.teardown_request(lambda _error: ended.set())
    response = world.notify_threaded(world.threaded(app, timeout_s=0.2), path="/n")
    assert (response.status_code, response.get_json()["flow_control"]["type"]) == (503, "retry")
    release.set()
    assert ended.wait(20)


def test_an_error_that_the_application_lets_through_reaches_the_server(world):
    """With PROPAGATE_EXCEPTIONS what an error handler raises comes out of the application, as in any other request."""
    app = app_with(lambda _ctx, _messages: 1 / 0)
    app.config["PROPAGATE_EXCEPTIONS"] = True

    @app.errorhandler(ZeroDivisionError)
    def fail(_error):
        raise LookupError("from the error handler")

    with pytest.raises(LookupError, match="from the error handler"):
        world.notify_threaded(world.threaded(app), path="/n")


def test_the_current_context_ends_with_the_request(world):
    """Neither the server's thread nor a late answer leaves a current context behind."""
    release = threading.Event()
    app = world.threaded(app_with(lambda _ctx, _messages: release.wait(20)), timeout_s=1.0)
    deliver = partial(world.notify_threaded, app, path="/n")
    assert deliver().status_code == 503
    release.set()
    assert deliver().status_code == 200
    with pytest.raises(InvalidArgumentError, match="no current context"):
        current_context.request_id  # noqa: B018 - to look at it is the test


def test_an_application_that_answers_by_host_finds_its_notifications(world):
    """With subdomains the view, and with it the deadline, is found as Flask finds it."""
    release = threading.Event()
    app = Flask("hosts", subdomain_matching=True)
    app.config["SERVER_NAME"] = "acme.test"
    handler = smart_notifier_handler({"user:update": lambda _ctx, _messages: release.wait(20)})
    app.register_blueprint(handler, url_prefix="/n", subdomain="crm")
    deliver = partial(world.notify_threaded, world.threaded(app, timeout_s=0.5), path="http://crm.acme.test/n")
    assert deliver().status_code == 503
    release.set()
    assert deliver().status_code == 200


def test_the_deadline_counts_from_when_the_body_has_come(world, monkeypatch):
    """A body that takes longer to come than a handler may take is waited for, and then handled in time."""
    late = threading.Event()
    wait = _Awaited.wait

    def after_the_deadline(self, timeout_s):
        late.set()
        wait(self, timeout_s)

    class Slow:
        def __init__(self, stream):
            self.read = lambda size: stream.read(size) if late.wait(20) else b""

    monkeypatch.setattr(_Awaited, "wait", after_the_deadline)
    app = world.threaded(app_with(lambda _ctx, _messages: None), timeout_s=2.0)
    served = app.wsgi_app
    app.wsgi_app = lambda environ, start: served({**environ, "wsgi.input": Slow(environ["wsgi.input"])}, start)
    assert world.notify_threaded(app, path="/n").status_code == 200


def test_a_body_that_breaks_off_with_an_error_reaches_the_server(world):
    """What reading the body raises, as when the connection is lost, is the server's to deal with."""

    class Broken:
        def read(self, _size):
            raise ConnectionResetError("lost")

    app = world.threaded(app_with(lambda _ctx, _messages: None))
    served = app.wsgi_app
    app.wsgi_app = lambda environ, start: served({**environ, "wsgi.input": Broken()}, start)
    with pytest.raises(ConnectionResetError, match="lost"):
        world.notify_threaded(app, path="/n")
