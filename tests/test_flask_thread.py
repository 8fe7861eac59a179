"""Notifications run in one thread and are answered in time, by the application's own functions."""

from __future__ import annotations

import threading
from functools import partial

import pytest
from connector_world import query
from flask import Flask, g, jsonify, request

from hull_sdk import current_context
from hull_sdk.errors import InvalidArgumentError, TransientError
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
    """Plain views, other handlers and addresses that lead nowhere change no thread but for their function."""
    seen = []
    app = app_with(lambda _ctx, _messages: None)
    note = note_threads(app, seen)
    app.register_blueprint(action_handler(note), url_prefix="/action")
    client = world.threaded(app).test_client()
    headers = {"X-Hull-Smart-Notifier": "true"}
    assert client.post(f"/action?{query()}").status_code == 200
    assert client.post("/nowhere", data=b"{}", headers=headers).status_code == 404
    assert client.get("/n", headers=headers).status_code == 405
    assert client.post(f"/n?{query()}", json={}).status_code == 400
    assert {thread for name, thread in seen if name != "handler"} == {threading.get_ident()}


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


@pytest.mark.parametrize("fails", [False, True])
def test_lateness_is_reported_once_and_a_late_failure_too(world, fails):
    """One report tells that the deadline passed, with the connector's tags; a failure that comes later has its own."""
    release, left = threading.Event(), threading.Event()

    def handler(_ctx, _messages):
        release.wait(20)
        if fails:
            raise RuntimeError("later")

    app = app_with(handler)
    ended = []

    @app.teardown_request
    def note(_error):
        ended.append(threading.get_ident())
        if len(ended) == 2:
            left.set()

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
    ended = threading.Semaphore(0)
    app.teardown_request(lambda _error: ended.release())
    response = world.notify_threaded(world.threaded(app, timeout_s=0.2), path="/n")
    assert (response.status_code, response.get_json()["flow_control"]["type"]) == (503, "retry")
    release.set()
    assert ended.acquire(timeout=20)
    assert ended.acquire(timeout=20)


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
    """With subdomains the view is found as Flask finds it."""
    seen = []
    app = Flask("hosts", subdomain_matching=True)
    app.config["SERVER_NAME"] = "acme.test"
    handler = note_threads(app, seen)
    app.register_blueprint(smart_notifier_handler({"user:update": handler}), url_prefix="/n", subdomain="crm")
    assert world.notify_threaded(world.threaded(app), path="http://crm.acme.test/n").status_code == 200
    assert threading.get_ident() not in {thread for _, thread in seen}
