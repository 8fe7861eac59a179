"""Each notification once: over every kind of cache, and between processes that share one."""

from __future__ import annotations

import pytest
from connector_world import query

from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import NetworkError
from hull_sdk.handlers import action_handler, smart_notifier_handler
from hull_sdk.handlers.deduplication import RunningError, Runs
from hull_sdk.infra import Cache, RedisCache
from hull_sdk.infra.leases import Leases


@pytest.fixture(params=["memory", "valkey"])
def cache(request):
    """Return one kind of cache after the other."""
    if request.param == "memory":
        yield Cache(runtime=Runtime.virtual())
        return
    cache = RedisCache(request.getfixturevalue("valkey").url, runtime=Runtime.virtual())
    yield cache
    cache.close()


@pytest.fixture
def runs(cache):
    """Return a function that gives the runs of a process, all on one cache."""
    return lambda: Runs(cache, Leases(cache.runtime))


def once(runs: Runs, work, *, final: bool = True):
    """Do the work of ``n-1`` once."""
    return runs.once("n-1", work, is_final=lambda _answer: final)


def raising(error: BaseException):
    """Return work that raises."""

    def work(_attempt: int):
        raise error

    return work


def test_a_finished_answer_is_given_again_without_working(runs):
    """What has been done is not done again, in whichever process it is asked for."""
    calls = []

    def work(attempt: int) -> dict:
        calls.append(attempt)
        return {"answer": [1, None]}

    assert [once(runs(), work) for _ in range(3)] == [{"answer": [1, None]}] * 3
    assert calls == [1]


def test_what_is_being_done_is_not_begun_again(runs):
    """While one process works, another one is told so, and the first one's answer counts."""

    def work(_attempt: int) -> str:
        with pytest.raises(RunningError, match="'n-1' is being handled"):
            once(runs(), lambda _attempt: "second")
        return "first"

    assert once(runs(), work) == "first"
    assert once(runs(), lambda _attempt: "second") == "first"


@pytest.mark.parametrize("error", [ValueError("broken"), SystemExit(1)])
def test_after_an_error_the_next_try_works_and_is_counted(runs, error):
    """A failed run is no obstacle for the next one, which knows how many there were."""
    with pytest.raises(type(error)):
        once(runs(), raising(error))
    with pytest.raises(type(error)):
        once(runs(), raising(error))
    assert once(runs(), lambda attempt: attempt) == 3


def test_an_answer_that_is_not_final_is_not_kept(runs):
    """After a retry the next delivery is handled again."""
    assert once(runs(), lambda attempt: attempt, final=False) == 1
    assert once(runs(), lambda attempt: attempt) == 2
    assert once(runs(), lambda attempt: attempt + 100) == 2


def test_answers_belong_to_their_own_ids(runs):
    """Two notifications do not share an answer."""
    assert runs().once("a", lambda _: "a", is_final=bool) == "a"
    assert runs().once("b", lambda _: "b", is_final=bool) == "b"


def test_nothing_is_done_while_the_store_is_away():
    """Without the store nobody knows whether it was done, so that nothing is."""
    cache = RedisCache("redis://127.0.0.1:1", runtime=Runtime.virtual())
    with pytest.raises(NetworkError, match="cannot be used now"):
        once(Runs(cache, Leases(cache.runtime)), lambda _attempt: pytest.fail("it ran"))


# -- whole connectors


@pytest.fixture
def calls():
    """What the handlers of all processes were called with."""
    return []


@pytest.fixture
def process(world, calls):
    """Return a function that makes one more process of a connector on the same store."""
    opened = []

    def make(redis_url: str, meanwhile=lambda: None):
        def handle(ctx, _messages):
            calls.append(ctx.attempt)
            meanwhile()
            ctx.smart_notifier_response.set_flow_control(type="next", size=7, in_ms=3)

        app = world.app(smart_notifier_handler({"user:update": handle}), redis_url=redis_url)
        opened.append(app)
        return app

    yield make
    for app in opened:
        app.extensions["hull"].runs.close()
        app.extensions["hull"].cache.close()


def test_another_process_answers_from_the_store(world, process, valkey, calls):
    """A notification that one process has finished gets the same answer from another one, which does not handle it."""
    notification = world.notification()
    first = world.notify(process(valkey.url), notification)
    second = world.notify(process(valkey.url), notification)
    assert first.get_json() == second.get_json()
    assert second.get_json()["flow_control"] == {"type": "next", "size": 7, "in": 3}
    assert calls == [1]


def test_another_process_does_not_begin_what_is_going_on(world, process, valkey, calls):
    """While one process handles a notification, another one answers retry."""
    answers = []
    other = process(valkey.url)
    one = process(valkey.url, lambda: answers.append(world.notify(other, notification).get_json()))
    notification = world.notification()
    world.notify(one, notification)
    assert [answer["flow_control"]["type"] for answer in answers] == ["retry"]
    assert calls == [1]


def test_processes_share_what_the_platform_told_them(world, valkey):
    """Connector and segments are asked for once for all processes, and a change of settings reaches them all."""

    def act(ctx, request):
        if request["body"]:
            ctx.helpers.update_settings(request["body"])
        return {"settings": ctx.ship["private_settings"], "segments": [s["name"] for s in ctx.users_segments]}

    apps = [world.app(action_handler(act), redis_url=valkey.url) for _ in range(2)]
    clients = [app.test_client() for app in apps]
    answers = [client.post(f"/b0?{query()}").get_json() for client in clients]
    assert answers == [{"settings": {}, "segments": ["Buyers"]}] * 2
    assert len(world.platform.requests) == len(set(world.platform.requests))
    clients[0].post(f"/b0?{query()}", json={"key": "k-1"})
    assert clients[1].post(f"/b0?{query()}").get_json()["settings"] == {"key": "k-1"}
    for app in apps:
        app.extensions["hull"].cache.close()


def test_a_store_that_is_away_is_answered_with_retry(world, process, calls):
    """Without the store a notification is neither handled nor lost: the answer is a retry that says why."""
    answer = world.notify(process("redis://hull:hunter2@127.0.0.1:1/0"))
    assert (answer.status_code, calls) == (503, [])
    assert answer.get_json()["flow_control"]["type"] == "retry"
    assert "store redis://127.0.0.1:1/0 cannot be used now" in answer.get_json()["errors"][0]["reason"]
    assert "hunter2" not in answer.text
    assert "connector.transient_error" in world.metric_names()


def test_what_was_done_stays_done_when_the_store_goes_away_meanwhile(world, process, own_valkey, calls):
    """A handler that finished while the store was away is answered, and its answer is stored once the store is back."""
    server = own_valkey(persistent=True)
    app = process(server.url, server.kill)
    notification = world.notification()
    assert world.notify(app, notification).get_json()["flow_control"]["type"] == "next"
    server.start()
    world.runtime.tasks.sleep(2)
    assert world.notify(process(server.url), notification).get_json()["flow_control"]["type"] == "next"
    assert calls == [1]
