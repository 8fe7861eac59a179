"""The endpoint of smart notifications: registration, messages, answers."""

from __future__ import annotations

import asyncio
import gc
import operator
import weakref

import pytest
from connector_world import BUYERS, query, user_message
from flask import Flask, jsonify, request

from hull_sdk import current_context
from hull_sdk.errors import InvalidArgumentError, NetworkError
from hull_sdk.handlers import smart_notifier_handler
from hull_sdk.wire.flow_control import FlowControl
from hull_sdk.wire.notifications import CHANNELS

NEXT = {"type": "next", "size": 1, "in": 1000}


def answer(world, handler, notification=None, **options):
    """Deliver one notification to a handler and return the decoded answer."""
    app = world.app(smart_notifier_handler({"user:update": handler}, **options))
    response = world.notify(app, notification)
    return response.get_json()


@pytest.mark.shows("README: flow-control", "smartNotifierHandler option: handlers", "utils.smartNotifierHandler")
def test_a_handler_that_returns_is_answered_next(world):
    """By default the next notification brings one message in a second."""
    assert answer(world, lambda _ctx, _messages: None) == {"flow_control": NEXT, "metrics": [], "errors": []}


@pytest.mark.shows(
    "README: flow-control",
    "ctx.smartNotifierResponse",
    "ctx.smartNotifierResponse.setFlowControl",
    "utils.SmartNotifierResponse",
)
def test_a_handler_sets_the_flow_control(world):
    """What a handler sets is answered, by keyword or in the wire's form."""

    def by_keyword(ctx, _messages):
        ctx.smart_notifier_response.set_flow_control(type="next", size=100, in_ms=5000)

    def by_wire(ctx, _messages):
        ctx.smart_notifier_response.set_flow_control({"type": "next", "size": 7, "at": 1501062782})

    assert answer(world, by_keyword)["flow_control"] == {"type": "next", "size": 100, "in": 5000}
    assert answer(world, by_wire)["flow_control"] == {"type": "next", "size": 7, "at": 1501062782.0}


def test_the_default_flow_control_is_an_option(world):
    """The option flow_control is answered when the handler sets nothing."""
    wire = {"type": "next", "size": 50, "in": 0}
    assert answer(world, lambda *_: None, flow_control=wire)["flow_control"] == wire
    control = FlowControl(type="next", size=3, in_ms=1)
    assert answer(world, lambda _ctx, _messages: None, flow_control=control)["flow_control"] == control.to_wire()


@pytest.mark.parametrize(
    "wrong", [{}, {"type": "next"}, {"type": "later", "in": 1}, {"type": "next", "size": 0, "in": 1}, 5]
)
def test_a_wrong_flow_control_is_refused_at_registration(wrong):
    """A default that breaks a rule is an error when the handler is made."""
    with pytest.raises(InvalidArgumentError, match="flow control"):
        smart_notifier_handler({}, flow_control=wrong)


def test_a_wrong_flow_control_of_a_handler_is_its_error(world):
    """A flow control without a pause names the rule and is answered like any other error of the handler."""
    body = answer(world, lambda ctx, _m: ctx.smart_notifier_response.set_flow_control(type="next", size=5))
    assert body["flow_control"]["type"] == "retry"
    assert "neither 'in'" in body["errors"][0]["reason"]


def test_flow_control_takes_one_form(world):
    """The wire's form and keywords together are an error."""
    body = answer(world, lambda ctx, _m: ctx.smart_notifier_response.set_flow_control({"type": "next"}, size=5))
    assert "not both" in body["errors"][0]["reason"]


def test_results_of_messages_are_answered(world):
    """A list of results is answered under responses."""
    results = [{"message_id": "m-u1", "status": "skip", "reason": "no e-mail"}, {"message_id": "m-u2", "status": "ok"}]
    app = world.app(smart_notifier_handler({"user:update": lambda _ctx, _messages: results}))
    body = world.notify(app, world.notification([user_message("u1"), user_message("u2")])).get_json()
    assert body["responses"] == results
    assert body["flow_control"] == NEXT


@pytest.mark.parametrize(
    "wrong",
    [
        [{"message_id": "m-u1", "status": "done"}],
        [{"status": "ok"}],
        ["ok"],
        {"message_id": "m-u1", "status": "ok"},
        [{"message_id": "u1", "status": "retry"}],
    ],
)
def test_wrong_results_are_an_error_that_names_the_rule(world, wrong):
    """A result that breaks a rule is answered retry with a reason."""
    body = answer(world, lambda _ctx, _messages: wrong)
    assert body["flow_control"]["type"] == "retry"
    assert "message" in body["errors"][0]["reason"]
    assert "responses" not in body


def test_any_other_return_value_means_done(world):
    """A handler may end with a call that returns a Future."""
    body = answer(world, lambda ctx, m: ctx.client.as_user(m[0]["user"]).traits({"a": 1}))
    assert body == {"flow_control": NEXT, "metrics": [], "errors": []}
    assert len(world.platform.messages) == 1


def test_an_async_handler_is_run(world):
    """A handler that is async def is run to its end, with the context as the current one."""
    seen = []

    async def handler(ctx, messages):
        await asyncio.sleep(0)
        seen.append((current_context == ctx, len(messages)))
        return [{"message_id": "m-u1", "status": "ok"}]

    assert answer(world, handler)["responses"] == [{"message_id": "m-u1", "status": "ok"}]
    assert seen == [(True, 1)]


@pytest.mark.parametrize("wrapped", [lambda future: future, asyncio.wrap_future], ids=["await", "wrap_future"])
def test_an_async_handler_awaits_what_it_sends(world, wrapped):
    """What ctx.client returns can be awaited in a handler that is async def."""
    seen = []

    async def handler(ctx, messages):
        future = ctx.client.as_user(messages[0]["user"]).traits({"a": 1})
        seen.append((await wrapped(future) == future.result(), len(world.platform.messages)))

    assert answer(world, handler)["flow_control"] == NEXT
    assert seen == [(True, 1)]


def test_a_third_parameter_is_none_for_notifications(world):
    """A function with a third parameter is called with None there; one without is not."""
    calls = []
    answer(world, lambda _ctx, messages, batch: calls.append((len(messages), batch)))
    answer(world, lambda _ctx, *rest: calls.append(len(rest)))
    assert calls == [(1, None), 1]


@pytest.mark.shows("smartNotifierHandler option: segmentFilterSetting")
def test_messages_say_whether_they_match_the_filter(world):
    """Messages about users and accounts have matches_filter; those of other channels are as they came."""
    world.platform.connector["private_settings"] = {"synchronized_segments": [BUYERS["id"]], "other": []}
    seen = {}

    def handler(ctx, messages):
        seen[ctx.notification["channel"]] = messages

    app = world.app(smart_notifier_handler(dict.fromkeys(CHANNELS, handler)))
    world.notify(app, world.notification([user_message("u1", segments=[BUYERS]), user_message("u2")]))
    world.notify(app, world.notification([{"message_id": "m", "account": {"id": "a"}}], channel="account:update"))
    world.notify(app, world.notification([BUYERS], channel="users_segment:update"))
    assert [m["matches_filter"] for m in seen["user:update"]] == [True, False]
    assert seen["account:update"][0]["matches_filter"] is True
    assert seen["users_segment:update"] == [BUYERS]
    named = world.app(smart_notifier_handler({"user:update": handler}, segment_filter_setting="other"))
    world.notify(named, world.notification([user_message("u1", segments=[BUYERS])]))
    assert seen["user:update"][0]["matches_filter"] is False


def test_messages_are_not_copied(world):
    """A handler is given the messages that were decoded, and no copies: there may be many megabytes of them."""
    same = []

    def handler(ctx, messages):
        same.extend(map(operator.is_, messages, ctx.notification["messages"]))

    answer(world, handler, world.notification([user_message("u1"), user_message("u2")]))
    assert same == [True, True]


@pytest.mark.shows("smartNotifierHandler option: groupTraits")
def test_traits_can_be_grouped(world):
    """With group_traits attributes are nested."""
    seen = []
    message = user_message("u1", account={"id": "a", "crm/size": 3})
    message["user"]["traits_crm/stage"] = "won"
    answer(world, lambda _ctx, m: seen.extend(m), world.notification([message]), group_traits=True)
    assert seen[0]["user"]["traits"] == {"plan": "pro"}
    assert seen[0]["user"]["crm"] == {"stage": "won"}
    assert seen[0]["account"]["crm"] == {"size": 3}


def test_a_channel_without_a_handler_is_done(world):
    """A channel that nobody handles is answered next with ten messages in a millisecond."""
    app = world.app(smart_notifier_handler({"user:update": lambda *_: None}))
    response = world.notify(app, world.notification([{}], channel="account:update"))
    assert response.status_code == 200
    assert response.get_json()["flow_control"] == {"type": "next", "size": 10, "in": 1}


def test_unknown_channels_are_refused_at_registration():
    """A misspelt channel is an error that lists the channels."""
    with pytest.raises(InvalidArgumentError, match=r"'user:updated' is no channel.*user:update"):
        smart_notifier_handler({"user:updated": print})
    with pytest.raises(InvalidArgumentError, match="the handler of 'user:update'"):
        smart_notifier_handler({"user:update": "handle"})


@pytest.mark.shows(
    "channel: segment:delete",
    "channel: segment:update",
    "channel: users_segment:delete",
    "channel: users_segment:update",
)
def test_older_names_of_channels_are_known(world):
    """segment:update is users_segment:update; both together are an error."""
    seen = []
    app = world.app(smart_notifier_handler({"segment:update": lambda _ctx, messages: seen.extend(messages)}))
    world.notify(app, world.notification([BUYERS], channel="users_segment:update"))
    assert seen == [BUYERS]
    with pytest.raises(InvalidArgumentError, match="another name"):
        smart_notifier_handler({"segment:update": print, "users_segment:update": print})


@pytest.mark.parametrize("size", [0, 1001, 1.5, "10", True])
@pytest.mark.shows("smartNotifierHandler option: maxSize")
def test_max_size_has_limits(size):
    """max_size is a whole number from 1 to 1000."""
    with pytest.raises(InvalidArgumentError, match="max_size"):
        smart_notifier_handler({}, max_size=size)


@pytest.mark.parametrize("path", ["/b0", "/b0/"])
def test_a_slash_at_the_end_does_not_matter(world, path):
    """The handler answers with and without a slash, without a redirect."""
    app = world.app(smart_notifier_handler({"user:update": lambda *_: None}))
    assert world.notify(app, path=path).status_code == 200


@pytest.mark.shows("utils.smartNotifierErrorMiddleware")
def test_a_request_that_is_no_notification_is_refused(world):
    """A call without the notifier's header is answered 400 with a reason."""
    app = world.app(smart_notifier_handler({}))
    response = app.test_client().post(f"/b0?{query()}", json={})
    assert (response.status_code, response.text[:28]) == (400, "the request is no smart noti")
    assert app.test_client().get("/b0").status_code == 405


def test_many_handlers_fit_into_one_application(world):
    """Blueprints have names of their own."""
    app = world.app(*(smart_notifier_handler({"user:update": lambda *_: None}) for _ in range(3)))
    assert [world.notify(app, path=f"/b{index}").status_code for index in range(3)] == [200] * 3


def test_a_handler_without_setup_says_what_is_missing():
    """An application that was not set up names what to call."""
    app = Flask("bare")
    app.testing = True
    app.register_blueprint(smart_notifier_handler({}), url_prefix="/b")
    with pytest.raises(InvalidArgumentError, match="setup_app"):
        app.test_client().post("/b")


# -- nothing is answered with success before it was accepted


def write(ctx, messages):
    """Write an attribute of each user."""
    for message in messages:
        ctx.client.as_user(message["user"]).traits({"seen": True})


def test_what_was_sent_is_accepted_before_the_answer(world):
    """When the answer is next, the platform has every message, without a wait for the sender's timer."""
    before = world.runtime.clock.monotonic()
    assert answer(world, write, world.notification([user_message(f"u{i}") for i in range(3)]))["errors"] == []
    assert len(world.platform.messages) == 3
    assert world.runtime.clock.monotonic() - before < 1


def test_a_firehose_that_is_down_means_retry(world):
    """When the platform does not take what was sent, the notification comes again; the answer is 503."""
    world.platform.firehose_answer = lambda _batch: ("down", 500)
    app = world.app(smart_notifier_handler({"user:update": write}))
    response = world.notify(app)
    assert response.status_code == 503
    assert response.get_json()["flow_control"]["type"] == "retry"


def test_a_firehose_that_refuses_whole_means_retry(world):
    """A batch that is refused whole with 402 is a retry at once."""
    world.platform.firehose_answer = lambda _batch: (jsonify(message="unpaid"), 402)
    app = world.app(smart_notifier_handler({"user:update": write}))
    before = world.runtime.clock.monotonic()
    response = world.notify(app)
    assert response.status_code == 503
    assert "402" in response.get_json()["errors"][0]["reason"]
    assert world.runtime.clock.monotonic() - before < 1


def refuse_first(batch):
    """Refuse the first message of a batch for good."""
    rejected = [{"index": 0, "message_id": batch[0]["message_id"], "code": "NO_IDENTIFIER", "reason": "nobody"}]
    return jsonify(accepted=len(batch) - 1, rejected=rejected)


def test_a_message_refused_for_good_does_not_repeat_its_batch(world):
    """A message that the platform refuses is listed under errors, and the answer is still next."""
    world.platform.firehose_answer = refuse_first
    body = answer(world, write, world.notification([user_message("u1"), user_message("u1")]))
    assert body["flow_control"] == NEXT
    (error,) = body["errors"]
    assert (error["code"], error["reason"]) == ("NO_IDENTIFIER", "nobody")
    assert error["message_id"]


# -- each notification once


@pytest.fixture
def calls():
    """Collect the attempts of a handler."""
    return []


def counting(calls, *outcomes):
    """Return a handler that counts its calls and raises or returns one outcome after the other."""
    remaining = list(outcomes)

    def handler(ctx, _messages):
        calls.append(ctx.attempt)
        outcome = remaining.pop(0) if remaining else None
        if isinstance(outcome, Exception):
            raise outcome
        if outcome is not None:
            ctx.smart_notifier_response.set_flow_control(outcome)

    return handler


@pytest.mark.attack("replay")
def test_a_finished_notification_is_answered_from_the_store(world, calls):
    """The same notification again gets the same answer without a second run."""
    app = world.app(smart_notifier_handler({"user:update": counting(calls, {"type": "next", "size": 9, "in": 1})}))
    notification = world.notification()
    answers = [world.notify(app, notification).get_json() for _ in range(3)]
    assert answers[0] == answers[1] == answers[2]
    assert answers[0]["flow_control"]["size"] == 9
    assert calls == [1]


def test_a_full_cache_pushes_out_no_finished_answer(world, calls):
    """What a connector keeps in its own cache never makes a notification run twice."""

    def handler(ctx, _messages):
        calls.append(1)
        for index in range(3000):
            ctx.cache.set(f"contact-{index}", index)

    app = world.app(smart_notifier_handler({"user:update": handler}))
    notification = world.notification()
    for _ in range(2):
        assert world.notify(app, notification).get_json()["flow_control"]["type"] == "next"
    assert calls == [1]


@pytest.mark.parametrize("first", [RuntimeError("bug"), NetworkError("down"), {"type": "retry", "in": 5}])
def test_a_retry_is_never_final(world, calls, first):
    """After an error, or a retry that the handler asked for, the next delivery is handled again."""
    app = world.app(smart_notifier_handler({"user:update": counting(calls, first)}))
    notification = world.notification()
    kinds = [world.notify(app, notification).get_json()["flow_control"]["type"] for _ in range(3)]
    assert kinds == ["retry", "next", "next"]
    assert calls == [1, 2]


@pytest.mark.attack("replay")
def test_a_duplicate_during_the_run_is_answered_retry(world, calls):
    """A second delivery while the first is handled is answered retry and not handled."""
    inner = []
    notification = world.notification()

    def handler(_ctx, _messages):
        calls.append(1)
        inner.append(world.notify(app, notification))

    app = world.app(smart_notifier_handler({"user:update": handler}))
    assert world.notify(app, notification).get_json()["flow_control"]["type"] == "next"
    assert inner[0].status_code == 200
    assert inner[0].get_json()["flow_control"] == {"type": "retry", "in": 1000}
    assert calls == [1]


def test_an_id_belongs_to_its_connector(world, calls):
    """The same notification id of another connector is another notification."""
    app = world.app(smart_notifier_handler({"user:update": counting(calls)}))
    first = world.notification()
    other = {**first, "configuration": {**first["configuration"], "id": "5a7962e2793d3e942a03b29b"}}
    world.notify(app, first)
    world.notify(app, other)
    assert len(calls) == 2


def test_a_stored_answer_is_forgotten_after_a_day(world, calls):
    """A finished answer is kept for 24 hours."""
    app = world.app(smart_notifier_handler({"user:update": counting(calls)}))
    notification = world.notification()
    world.notify(app, notification)
    world.runtime.tasks.sleep(86_300)
    world.notify(app, notification)
    assert len(calls) == 1
    world.runtime.tasks.sleep(200)
    world.notify(app, notification)
    assert len(calls) == 2


# -- the deadline


def test_a_late_handler_is_answered_retry_and_its_result_stored(world, calls):
    """A handler past the deadline is answered 503 retry; it is flushed and stored, so the next delivery is next."""

    def handler(ctx, messages):
        calls.append(1)
        ctx.runtime.tasks.sleep(60)
        write(ctx, messages)

    app = world.app(smart_notifier_handler({"user:update": handler}))
    notification = world.notification()
    response = world.notify(app, notification)
    assert response.status_code == 503
    assert response.get_json()["flow_control"]["type"] == "retry"
    assert "within 25 s" in response.get_json()["errors"][0]["reason"]
    assert len(world.platform.messages) == 1
    assert world.notify(app, notification).get_json()["flow_control"] == NEXT
    assert calls == [1]
    assert len(world.platform.messages) == 1


def test_a_late_failure_is_reported(world):
    """An error that comes after the answer is reported, and the notification is handled again."""

    def handler(ctx, _messages):
        ctx.runtime.tasks.sleep(60)
        raise RuntimeError("late")

    app = world.app(smart_notifier_handler({"user:update": handler}), timeout_s=10)
    assert world.notify(app).status_code == 503
    assert [str(record.error) for record in world.instrumentation.exceptions] == ["late"]


def test_the_request_is_there_inside_a_handler(world):
    """Flask's request and the current context are those of the delivery inside the handler."""
    seen = []
    answer(world, lambda ctx, _m: seen.append((request.path, current_context == ctx, ctx.options["channel"])))
    assert seen == [("/b0", True, "user:update")]


def test_nothing_keeps_a_notification_once_it_is_answered(world):
    """When the answer is out nothing holds the context any more, so no garbage collection is needed to free it."""
    seen = []

    def handle(ctx, messages):
        assert ctx.segments is not None
        assert ctx.options["channel"] == "user:update"
        assert ctx.helpers.filter_notification(messages[0])
        ctx.client.as_user(messages[0]["user"])
        seen.append(weakref.ref(ctx))

    app = world.app(smart_notifier_handler({"user:update": handle}))
    gc.disable()
    try:
        assert world.notify(app).status_code == 200
        assert [context() for context in seen] == [None]
    finally:
        gc.enable()
