"""Results message by message."""

from __future__ import annotations

import asyncio
import threading

import pytest
from connector_world import user_message
from flask import jsonify

from hull_sdk import current_context
from hull_sdk.errors import InvalidArgumentError, LogicError, NetworkError, RateLimitError, TransientError
from hull_sdk.handlers import for_each, smart_notifier_handler
from hull_sdk.handlers.endpoint import call


def respond(world, function, messages=("u1", "u2", "u3"), **options):
    """Deliver messages to a function through for_each and return status by message."""
    prepared = [user_message(m) if isinstance(m, str) else m for m in messages]
    handler = {"user:update": lambda ctx, batch: for_each(ctx, batch, lambda m: function(ctx, m), **options)}
    body = world.notify(world.app(smart_notifier_handler(handler)), world.notification(prepared)).get_json()
    assert body["flow_control"]["type"] == "next", body
    return {entry["message_id"]: (entry["status"], entry.get("reason")) for entry in body["responses"]}


def test_errors_decide_about_their_own_message(world):
    """A transient error retries its message, a known one makes it a dead letter, an unexpected one is reported."""
    outcomes = {
        "u1": None,
        "u2": TransientError("later"),
        "u3": LogicError("no e-mail"),
        "u4": RuntimeError("a bug"),
        "u5": NetworkError("down"),
    }

    def handle(_ctx, message):
        error = outcomes[message["user"]["id"]]
        if error is not None:
            raise error

    assert respond(world, handle, list(outcomes)) == {
        "m-u1": ("ok", None),
        "m-u2": ("retry", "later"),
        "m-u3": ("error", "no e-mail"),
        "m-u4": ("retry", "a bug"),
        "m-u5": ("retry", "down"),
    }
    assert [str(record.error) for record in world.instrumentation.exceptions] == ["a bug"]
    assert world.metric_names().count("connector.transient_error") == 2


@pytest.mark.parametrize(
    ("results", "pause_ms"),
    [
        ({"u1": None, "u2": LogicError("no e-mail")}, 5),
        ({"u1": None, "u2": TransientError("later")}, 1000),
        ({"u1": None, "u2": TransientError("later", retry_after=0)}, 1000),
        ({"u1": RateLimitError("slowly", retry_after=60), "u2": TransientError("soon", retry_after=2)}, 60_000),
    ],
)
def test_messages_that_come_again_set_the_pause(world, results, pause_ms):
    """The pause after a batch is long enough for whatever failed, and the handler's own when nothing comes again."""

    def handle(ctx, messages):
        ctx.smart_notifier_response.set_flow_control(type="next", size=9, in_ms=5)

        def one(message):
            if (error := results[message["user"]["id"]]) is not None:
                raise error

        return for_each(ctx, messages, one, limit=2)

    app = world.app(smart_notifier_handler({"user:update": handle}))
    body = world.notify(app, world.notification([user_message(name) for name in results])).get_json()
    assert body["flow_control"] == {"type": "next", "size": 9, "in": pause_ms}


@pytest.mark.parametrize(
    ("returned", "expected"),
    [
        (None, ("ok", None)),
        ("skip", ("skip", None)),
        ({"status": "error", "reason": "bad"}, ("error", "bad")),
        ({"status": "retry"}, ("retry", None)),
        ("anything else", ("ok", None)),
        ({"id": 1}, ("ok", None)),
    ],
)
def test_a_function_may_return_a_result(world, returned, expected):
    """A function returns nothing, a status, or a status with a reason; other values mean done."""
    assert respond(world, lambda _ctx, _m: returned, ["u1"]) == {"m-u1": expected}


def test_a_wrong_status_is_reported(world):
    """A status that does not exist is a bug of the connector: reported and retried."""
    status, reason = respond(world, lambda _ctx, _m: {"status": "done"}, ["u1"])["m-u1"]
    assert status == "retry"
    assert "ok, skip, retry, error" in reason
    assert len(world.instrumentation.exceptions) == 1


def test_results_keep_the_order_of_the_messages(world):
    """Results come in the order of the messages, whatever was done first."""
    users = [f"u{n % 3}" for n in range(9)]
    messages = [user_message(user, message_id=f"m{index}") for index, user in enumerate(users)]
    assert list(respond(world, lambda _ctx, _m: None, messages, limit=4)) == [f"m{index}" for index in range(9)]


def write(ctx, message):
    """Write an attribute of the message's user."""
    ctx.client.as_user(message["user"]).traits({"seen": True})


def refusing(*emails):
    """Return a firehose that refuses the messages of some users for good."""
    from hull_sdk.wire.tokens import verify

    def answer(batch):
        from connector_world import SECRET

        def email(message):
            claims = verify(message["headers"]["Hull-Access-Token"], SECRET, message_time(message))
            return claims["io.hull.asUser"]["email"]

        rejected = [
            {"index": index, "message_id": m["message_id"], "code": "TOO_LARGE", "reason": "too much"}
            for index, m in enumerate(batch)
            if email(m) in emails
        ]
        return jsonify(accepted=len(batch) - len(rejected), rejected=rejected)

    return answer


def message_time(message):
    """Return when a firehose message was made, in Unix seconds."""
    from hull_sdk.core.clock import parse_time

    return parse_time(message["timestamp"]).timestamp()


@pytest.mark.parametrize("limit", [None, 3])
def test_a_refused_write_is_the_error_of_its_message(world, limit):
    """A write that the platform refuses for good makes its own message an error, and nobody else's."""
    world.platform.firehose_answer = refusing("u2@acme.example")
    assert respond(world, write, limit=limit) == {
        "m-u1": ("ok", None),
        "m-u2": ("error", "TOO_LARGE: too much"),
        "m-u3": ("ok", None),
    }


def test_a_write_that_was_not_accepted_is_a_retry(world):
    """When the firehose is down, the messages that wrote are retried and the others are done."""
    world.platform.firehose_answer = lambda _batch: ("down", 500)
    results = respond(world, lambda ctx, m: write(ctx, m) if m["user"]["id"] == "u2" else None)
    assert {message_id: status for message_id, (status, _) in results.items()} == {
        "m-u1": "ok",
        "m-u2": "retry",
        "m-u3": "ok",
    }


def test_all_messages_travel_in_few_requests(world):
    """Waiting for each message does not send each in a request of its own."""
    respond(world, write, [f"u{n}" for n in range(40)])
    assert len(world.platform.messages) == 40
    assert world.platform.requests.count("POST /") <= 4


def test_async_functions_are_run(world):
    """An async def function is run to its end for each message."""

    async def handle(_ctx, _message):
        await asyncio.sleep(0)
        return "skip"

    assert respond(world, handle, ["u1"]) == {"m-u1": ("skip", None)}


def test_a_coroutine_is_run_within_an_event_loop_without_a_context():
    """A call of an async function ends before it returns, also where an event loop runs and no context is active."""

    async def double(number):
        await asyncio.sleep(0)
        return 2 * number

    async def outer():
        return call(double, 21)

    assert asyncio.run(outer()) == 42


@pytest.mark.parametrize("limit", [1, 2])
def test_async_functions_are_run_within_an_async_handler(world, limit):
    """An async handler calls for_each with an async function, which awaits what it sends in its message's name."""

    async def handle(message):
        await current_context.client.as_user(message["user"]).traits({"a": 1})
        return "skip" if message["user"]["id"] == "u2" else None

    async def handler(ctx, messages):
        await asyncio.sleep(0)
        return for_each(ctx, messages, handle, limit=limit)

    app = world.app(smart_notifier_handler({"user:update": handler}))
    body = world.notify(app, world.notification([user_message("u1"), user_message("u2")])).get_json()
    assert [(entry["message_id"], entry["status"]) for entry in body["responses"]] == [("m-u1", "ok"), ("m-u2", "skip")]
    assert len(world.platform.messages) == 2


def test_messages_near_the_deadline_are_retried(world):
    """Messages that are not begun in time come again; those done before are done."""

    def slow(ctx, _message):
        ctx.runtime.tasks.sleep(8)

    results = respond(world, slow, ["u1", "u2", "u3", "u4"])
    assert [status for status, _ in results.values()] == ["ok", "ok", "ok", "retry"]
    assert results["m-u4"] == ("retry", "the deadline came before its turn")


@pytest.mark.parametrize("limit", [0, -1, 1.5, True])
def test_limit_is_at_least_one(world, limit):
    """A limit below one is an error."""
    with pytest.raises(InvalidArgumentError, match="limit"):
        for_each(None, [], print, limit=limit)


def test_messages_need_an_id(world):
    """A message without message_id, as one about a segment may be, names what to pass instead."""
    for message in ({"user": {}}, {"id": "s1", "name": "Everybody", "type": "users_segment"}):
        with pytest.raises(InvalidArgumentError, match="message 1 has no message_id; pass messages of user:update or"):
            for_each(None, [user_message("u1"), message], print)


class RealTime:
    """An application on real threads."""

    def __init__(self, world):
        self.world = world
        self.app = world.app(setup=False)
        self.connector = world.connector()
        self.connector.setup_app(self.app)

    def context(self):
        """Return a context on real threads, without credentials needed for sending."""
        from connector_world import CREDENTIALS

        from hull_sdk.context import Context, Credentials

        context = Context(self.app.extensions["hull"])
        context.authorize(Credentials(**CREDENTIALS))
        return context


def test_limit_says_how_many_keys_are_handled_at_once(world):
    """With a limit of three, three users are handled at the same time, and each user's messages in order."""
    real = RealTime(world)
    together = threading.Barrier(3, timeout=10)
    done = []

    def handle(message):
        if message["first"]:
            together.wait()
        done.append((message["user"]["id"], message["n"]))

    messages = [
        {"message_id": f"{user}-{n}", "user": {"id": user}, "n": n, "first": n == 0}
        for n in range(5)
        for user in ("a", "b", "c")
    ]
    results = for_each(real.context(), messages, handle, limit=3)
    real.connector.close()
    assert {entry["status"] for entry in results} == {"ok"}
    for user in "abc":
        assert [n for name, n in done if name == user] == list(range(5))
