"""Batch extracts at a handler: what is taken, what is refused, and what a function is handed."""

from __future__ import annotations

import gzip
import io
import json
import logging
from contextlib import contextmanager

import pytest
from connector_world import BUYERS, SECRET, query
from flask import Flask, Response, request

from hull_sdk import Middleware
from hull_sdk.core.exchange import Network, Stream
from hull_sdk.core.logs import fields_of
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.handlers import action_handler, for_each, notif_handler, smart_notifier_handler
from hull_sdk.wire.notifications import MAX_BODY_BYTES

FILES = "files.hullapp.test"
URL = f"https://{FILES}/users.json?signature=abc"
ROWS = [{"id": f"u{n}", "email": f"u{n}@acme.example", "traits_crm/stage": "won", "segment_ids": []} for n in range(5)]


@pytest.fixture
def files(world):
    """A host with one file, which the test may change."""
    app = Flask("files")
    app.config["answer"] = lambda: "\n".join(map(json.dumps, ROWS))
    app.add_url_rule("/users.json", "file", lambda: Response(app.config["answer"]()))
    world.net.mount(FILES, app)
    return app


def post(app, body=None, **changes):
    """Tell a handler that a file is ready."""
    body = {"url": URL, "format": "json", "object_type": "user_report"} if body is None else body
    return app.test_client().post(f"/b0?{query(**changes)}", json=body)


def run(world, handler, body=None, *, changes=None, **options):
    """Hand a file to a handler and do its job."""
    app = world.app(smart_notifier_handler({"user:update": handler}, **options))
    response = post(app, body, **({} if changes is None else changes))
    world.runtime.tasks.run_until_idle()
    return response


@pytest.mark.shows("README: batch-extracts", "smartNotifierHandler option: maxSize")
def test_a_batch_is_answered_at_once_and_handled_in_a_job(world, files):
    """The answer is ok before any row was read; then rows come in parts of max_size."""
    sizes = []
    app = world.app(smart_notifier_handler({"user:update": lambda _ctx, m: sizes.append(len(m))}, max_size=2))
    response = post(app)
    assert (response.status_code, response.text, sizes) == (200, "ok", [])
    world.runtime.tasks.run_until_idle()
    assert sizes == [2, 2, 1]


def test_the_legacy_handler_takes_batches_too(world, files):
    """A batch at notif_handler goes to every function of its channel, with the third parameter if there is one."""
    seen = []
    first = lambda _ctx, messages, batch: seen.append((len(messages), batch["body"]["format"]))  # noqa: E731 - two kinds of functions
    second = lambda _ctx, messages: seen.append(len(messages))  # noqa: E731 - as above
    app = world.app(notif_handler({"user:update": [first, second]}, max_size=3))
    assert post(app).text == "ok"
    world.runtime.tasks.run_until_idle()
    assert seen == [(3, "json"), 3, (2, "json"), 2]
    assert app.test_client().post(f"/b0?{query()}", json={}).status_code == 400


def test_a_result_retry_of_the_legacy_handler_has_its_part_come_again(world, files):
    """A part with a message that is to be tried again is handled again; the parts before it are not."""
    calls = []

    def handle(_ctx, messages):
        calls.append([message["user"]["id"] for message in messages])
        failed = len(calls) == 2
        return [{"message_id": messages[0]["message_id"], "status": "retry", "reason": "busy"}] if failed else None

    assert post(world.app(notif_handler({"user:update": handle}, max_size=3))).text == "ok"
    world.runtime.tasks.run_until_idle()
    assert calls == [["u0", "u1", "u2"], ["u3", "u4"], ["u3", "u4"]]


@pytest.mark.shows("README: batch-extracts")
def test_messages_of_a_batch(world, files):
    """A segment of the query that the connector knows is added, unknown ones are dropped, traits are grouped."""
    seen = []
    changes = {"segment_id": BUYERS["id"], "source": "connector"}
    world.platform.connector["private_settings"] = {"synchronized_segments": ["another"]}
    run(world, lambda _ctx, messages, _batch: seen.extend(messages), changes=changes, group_traits=True)
    assert [segment["name"] for segment in seen[0]["segments"]] == ["Buyers"]
    assert seen[0]["user"]["crm"] == {"stage": "won"}
    assert seen[0]["matches_filter"] is False
    assert len({message["message_id"] for message in seen}) == 5


def test_results_of_for_each_and_async_functions(world, files):
    """A function may be async, and for_each works on the messages of a batch."""
    seen = []

    async def handle(ctx, messages):
        return for_each(ctx, messages, lambda message: seen.append(message["user"]["id"]))

    run(world, handle)
    assert seen == ["u0", "u1", "u2", "u3", "u4"]


def test_only_messages_to_be_tried_again_come_again(world, files):
    """A result retry has the job come back to that part with these messages only; then the file goes on."""
    calls = []

    def handle(_ctx, messages):
        calls.append([m["user"]["id"] for m in messages])
        if len(calls) < 3:
            return [{"message_id": messages[-1]["message_id"], "status": "retry", "reason": "busy"}]
        return None

    run(world, handle, max_size=3)
    assert calls == [["u0", "u1", "u2"], ["u2"], ["u2"], ["u3", "u4"]]


def test_a_message_that_fails_for_good_is_logged_and_holds_nothing_up(world, files, caplog):
    """A result error is in the log with the file's name; the file goes on."""
    seen = []

    def handle(_ctx, messages):
        seen.extend(messages)
        return [{"message_id": messages[0]["message_id"], "status": "error", "reason": "no such contact"}]

    with caplog.at_level(logging.WARNING, "hull_sdk"):
        run(world, handle, max_size=3)
    found = [fields_of(r) for r in caplog.records if r.getMessage() == "connector.message.error"]
    assert [(fields["reason"], fields["object_type"]) for fields in found] == [("no such contact", "user_report")] * 2
    assert len(seen) == 5


def test_large_rows_come_in_smaller_parts(world, files):
    """A part ends when its rows have a million bytes in the file, however few they are."""
    rows = [{"id": f"u{number}", "note": "x" * 400_000} for number in range(7)]
    files.config["answer"] = lambda: "\n".join(map(json.dumps, rows))
    sizes = []
    run(world, lambda _ctx, messages: sizes.append(len(messages)))
    assert sizes == [3, 3, 1]


def test_the_log_tells_how_far_a_file_was_handled(world, files, caplog):
    """Every ten seconds a line says how many rows are done, at the end one says that all are."""
    with caplog.at_level(logging.INFO, "hull_sdk"):
        run(world, lambda ctx, _messages: ctx.runtime.tasks.sleep(6), max_size=1)
    lines = [(r.getMessage(), fields_of(r)["rows"]) for r in caplog.records if "connector.batch" in r.getMessage()]
    assert lines == [
        ("connector.batch.progress", 2),
        ("connector.batch.progress", 4),
        ("connector.batch.success", 5),
    ]


@pytest.mark.attack("slow bodies and files")
def test_a_file_that_only_drips_is_given_up(world, files, caplog):
    """A server that keeps a file open without sending much does not hold up the jobs of all connectors."""
    sent = []

    class Dripping(Network):
        def send(self, request):
            return world.net.send(request)

        @contextmanager
        def stream(self, request):
            yield Stream(200, {}, self.drips())

        def drips(self):
            while True:
                world.runtime.tasks.sleep(50)
                sent.append(1)
                yield b" "

    app = world.app(smart_notifier_handler({"user:update": lambda *_: pytest.fail("called")}))
    app.extensions["hull"].runtime.net = Dripping()
    post(app)
    with caplog.at_level(logging.ERROR, "hull_sdk"):
        world.runtime.tasks.run_until_idle()
    assert "too slowly" in str([vars(r) for r in caplog.records if r.getMessage() == "connector.batch.error"])
    assert len(sent) == 6


@pytest.mark.parametrize("chunked", [False, True])
@pytest.mark.attack("bodies of 20 MB and more")
def test_an_endless_body_is_refused(world, chunked):
    """A body beyond the limit is answered 413 and not kept, also when it does not say how long it is."""
    app = world.app(smart_notifier_handler({"user:update": lambda *_: None}), action_handler(lambda *_: None))
    body = io.BytesIO(b"x" * (MAX_BODY_BYTES + 1))
    environ = {"wsgi.input_terminated": True} if chunked else {"CONTENT_LENGTH": str(MAX_BODY_BYTES + 1)}
    for path in ("/b0", "/b1"):
        response = app.test_client().post(
            f"{path}?{query()}", input_stream=body, environ_overrides=environ, content_type="application/json"
        )
        assert response.status_code == 413
        body.seek(0)


def test_a_file_that_has_changed_is_handled_from_its_start(world, files):
    """What was handled of another file says nothing about this one."""
    calls = []

    def handle(_ctx, messages):
        calls.append(messages[0]["user"]["id"])
        if calls == ["u0", "u2"]:
            files.config["answer"] = lambda: "\n".join(map(json.dumps, reversed(ROWS[:3])))
            raise ValueError("broken")

    run(world, handle, max_size=2)
    assert calls == ["u0", "u2", "u2", "u0"]


def test_what_is_not_accepted_holds_the_next_part_back(world, files):
    """The next part begins when what the first one sent was accepted."""
    accepted = []

    def handle(ctx, messages):
        accepted.append(len(world.platform.messages))
        for message in messages:
            ctx.client.as_user(message["user"]).traits({"a": 1})

    run(world, handle, max_size=2)
    assert accepted == [0, 2, 4]


def test_gzip_is_read(world, files):
    """A file in gzip needs no word in its name."""
    seen = []
    files.config["answer"] = lambda: gzip.compress(json.dumps(ROWS).encode())
    run(world, lambda _ctx, messages: seen.extend(messages))
    assert len(seen) == 5


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1/x", "https"),
        ("https://127.0.0.1/x", "allowed_organizations"),
        ("https://localhost:9/x", "allowed_organizations"),
        ("https://10.0.0.1:80/x", "allowed_organizations"),
        ("https://[::1]/x", "allowed_organizations"),
        ("https://169.254.169.254/latest", "allowed_organizations"),
        ("http://files.hullapp.test/x", "https"),
        ("http://example.com/x", "https"),
        ("file:///etc/passwd", "https"),
        ("https://user@example.com/x", "https"),
        (["https://example.com"], "text"),
    ],
)
@pytest.mark.attack("SSRF through files of extracts and imports")
def test_a_forbidden_address_is_refused_without_a_connection(world, files, url, words):
    """Files lie on allowed hosts or at public https addresses; nothing else is asked."""
    app = world.app(smart_notifier_handler({"user:update": lambda *_: None}))
    response = post(app, {"url": url, "format": "json"})
    assert response.status_code == 400
    assert words in response.text
    assert set(world.asked()) <= {"acme.hullapp.test"}
    world.runtime.tasks.run_until_idle()


@pytest.mark.attack("SSRF through files of extracts and imports")
def test_public_addresses_are_checked_when_the_connection_is_made(world, files):
    """A name outside the trust root is asked with the guard against private addresses, an allowed one without."""
    world.net.mount("files.example", files)
    for host in ("files.example", FILES):
        run(world, lambda *_: None, {"url": f"https://{host}/users.json", "format": "json"})
    asked = [e.request for e in world.net.exchanges if "users.json" in e.request.url]
    assert [each.public_only for each in asked] == [True, False]


@pytest.mark.parametrize(
    "body",
    [
        {"url": URL, "format": "xml"},
        {"url": URL, "format": "json", "object_type": "event"},
        {"url": URL, "format": "json", "object_type": "account"},
        {"url": URL},
        ["url", "format"],
    ],
)
def test_what_is_no_batch_or_has_no_function_is_refused(world, body):
    """A wrong format or type, a channel without a function and other bodies are answered 400."""
    assert run(world, lambda *_: None, body).status_code == 400


def test_a_batch_needs_credentials(world):
    """Without credentials the answer is 403, with an organization that is not allowed 401."""
    app = world.app(smart_notifier_handler({"user:update": lambda *_: None}))
    assert post(app, secret=None).status_code == 403
    assert post(app, organization="evil.example").status_code == 401
    assert world.asked() == []


def test_a_stopped_queue_is_answered_503(world, files):
    """When the queue takes nothing, the platform is asked to come again."""
    app = world.app(smart_notifier_handler({"user:update": lambda *_: None}))
    app.extensions["hull"].queue.stop(0.0)
    response = post(app)
    assert (response.status_code, response.text) == (503, "transient-error")


def test_a_graceful_stop_finishes_the_batch(world, files):
    """A stop waits for the file that is being handled."""
    seen = []
    app = world.app(smart_notifier_handler({"user:update": lambda _ctx, messages: seen.extend(messages)}))
    post(app)
    assert app.extensions["hull"].queue.stop(10.0) == 0
    assert len(seen) == 5


def test_a_stop_logs_the_batch_that_it_leaves(world, files, caplog):
    """A batch that waits for its next try when the time is up is named in the log."""

    def fail(*_):
        raise ValueError("broken")

    app = world.app(smart_notifier_handler({"user:update": fail}))
    post(app)
    with caplog.at_level(logging.WARNING, "hull_sdk"):
        assert app.extensions["hull"].queue.stop(0.1) == 1
    assert "queue.stopped.unfinished" in [record.getMessage() for record in caplog.records]


def test_a_file_that_is_gone_is_given_up_and_logged(world, files, caplog):
    """After three tries the log says so, without the secret and the address's signature."""
    files.add_url_rule("/gone.json", "gone", lambda: (f"no {request.args['signature']}", 404))
    with caplog.at_level(logging.DEBUG, "hull_sdk"):
        run(world, lambda *_: None, {"url": URL.replace("users", "gone"), "format": "json"})
    (record,) = [record for record in caplog.records if record.getMessage() == "connector.batch.error"]
    text = " ".join(str(vars(each)) for each in caplog.records)
    assert "answered 404" in str(vars(record))
    assert SECRET not in text
    assert "signature=abc" not in text


def test_a_job_stores_no_secret(world, files, monkeypatch):
    """What the queue stores holds neither the secret nor a token of the query, and the handler still sees the query."""
    stored, seen = [], []
    app = world.app(smart_notifier_handler({"user:update": lambda _ctx, _messages, batch: seen.append(batch)}))
    queue = app.extensions["hull"].queue
    enqueue = queue.enqueue
    monkeypatch.setattr(queue, "enqueue", lambda *a, **k: stored.append(json.dumps([a, k])) or enqueue(*a, **k))
    post(app)
    world.runtime.tasks.run_until_idle()
    assert SECRET not in stored[0]
    assert seen[0]["query"]["secret"] == SECRET


def test_bare_middleware_takes_no_batches(world):
    """Without a connector there is nobody to do the job, which is said at once."""
    app = Flask("bare")
    app.register_blueprint(smart_notifier_handler({"user:update": lambda *_: None}), url_prefix="/b0")
    Middleware(host_secret="a secret of the host", allowed_organizations=["*.hullapp.test"]).init_app(app)
    world.adopt(app)
    app.testing = True
    with pytest.raises(InvalidArgumentError, match="setup_app"):
        post(app)
