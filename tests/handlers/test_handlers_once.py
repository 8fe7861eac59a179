"""Work that several processes begin and one does, over every kind of shared and unshared store."""

from __future__ import annotations

import pytest
from connector_world import query

from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.handlers import action_handler, run_once

URL = f"/b0?{query()}"


@pytest.fixture(params=["memory", "valkey"])
def processes(request, world):
    """Return a function that makes processes of one connector whose action is the given function."""
    opened = []
    url = None if request.param == "memory" else request.getfixturevalue("valkey").url

    def make(function, **options):
        """Return two functions that call the action in one process and in another; in memory both are one."""
        apps = [world.app(action_handler(function, **options), redis_url=url) for _ in range(2 if url else 1)]
        opened.extend(apps)
        first, *others = [app.test_client() for app in apps]
        return [lambda client=client: client.post(URL) for client in (first, *(others or [first]))]

    yield make
    for app in opened:
        runs = app.extensions["hull"].runs
        if runs.shared:
            runs.close()


def test_one_of_many_does_it(processes):
    """What has been done for a key is not done again by anybody, and who asks is told; another key is other work."""
    days = ["monday", "monday", "monday", "tuesday"]
    done, told = [], []

    def tick(ctx, _request):
        day = days.pop(0)
        told.append(run_once(ctx, f"nightly {day}", lambda: done.append(day)))

    one, two = processes(tick)
    assert [call().text for call in (one, two, one, two)] == ["ok"] * 4
    assert (told, done) == ([True, False, False, True], ["monday", "tuesday"])


def test_who_comes_while_it_is_done_is_told_so(processes):
    """While one does it another one does not begin: its call fails as a transient error."""
    answers = []

    def tick(ctx, _request):
        run_once(ctx, "nightly", lambda: answers.append(two().status_code))

    one, two = processes(tick)
    assert one().status_code == 200
    assert answers == [503]


def test_after_a_failure_the_next_one_does_it_and_it_counts_once(processes, world):
    """What failed is done again by whoever asks next, with the message ids of the first time."""
    calls = []

    def work(ctx):
        calls.append(len(calls))
        ctx.client.as_user({"external_id": "u1"}).traits({"runs": {"operation": "inc", "value": 1}})
        if len(calls) == 1:
            raise TransientError("not now")

    one, two = processes(lambda ctx, _request: run_once(ctx, "nightly", lambda: work(ctx)))
    assert [one().status_code, two().status_code, one().status_code] == [400, 200, 200]
    assert calls == [0, 1]
    world.runtime.tasks.sleep(5)
    assert len(world.platform.messages) == 2
    assert len({message["message_id"] for message in world.platform.messages}) == 1


def test_it_is_not_done_before_what_it_sent_is_accepted(processes, world):
    """While the platform does not take what was sent, the work fails, and the next one does it."""
    calls = []

    def work(ctx):
        calls.append(1)
        ctx.client.as_user({"external_id": "u1"}).track("Nightly")

    one, two = processes(lambda ctx, _request: run_once(ctx, "nightly", lambda: work(ctx)))
    world.platform.firehose_answer = lambda _batch: ("away", 503)
    assert one().status_code == 503
    world.platform.firehose_answer = lambda batch: {"accepted": len(batch), "rejected": []}
    assert two().status_code == 200
    assert len(calls) == 2


@pytest.mark.parametrize("key", ["", None, 7])
def test_a_key_is_a_text(processes, key, world):
    """A key that names nothing is a mistake of the connector, which is told what to pass."""
    one, _ = processes(lambda ctx, _request: run_once(ctx, key, lambda: None))
    assert one().status_code == 500
    (record,) = world.instrumentation.exceptions
    assert "pass a text such as" in str(record)


def test_a_schedule_that_is_called_twice_runs_once(processes):
    """Calls within the time count as one, in whichever process they arrive; after it the next due time runs."""
    calls = []
    one, two = processes(lambda _ctx, _request: calls.append(1) or {"rows": len(calls)}, once_in_s=1800)
    assert [call().text for call in (one, two, one)] == ['{"rows":1}\n', "ok", "ok"]
    assert len(calls) == 1


def test_schedules_of_one_connector_do_not_overlap(processes):
    """While a call runs, another one is told so instead of beginning beside it."""
    answers = []

    def sync(_ctx, _request):
        answers.append(two())

    one, two = processes(sync, once_in_s=1800)
    assert one().status_code == 200
    (second,) = answers
    assert (second.status_code, second.text) == (503, "transient-error")


def test_a_schedule_that_failed_runs_again(processes):
    """After an error the same due time may be called again."""
    calls = []

    def sync(_ctx, _request):
        calls.append(1)
        if len(calls) == 1:
            raise TransientError("not now")

    one, two = processes(sync, once_in_s=1800)
    assert [one().status_code, two().status_code, two().status_code] == [400, 200, 200]
    assert len(calls) == 2


def test_the_next_due_time_runs_again(world):
    """When the time is over, the next call runs."""
    calls = []
    client = world.app(action_handler(lambda _ctx, _request: calls.append(1), once_in_s=1800)).test_client()
    for _ in range(3):
        client.post(URL)
        world.runtime.tasks.sleep(1801)
    assert len(calls) == 3


@pytest.mark.parametrize("once_in_s", [0, -1, float("nan"), "60", True])
def test_a_time_that_is_none_is_refused(once_in_s):
    """The option is a number of seconds."""
    with pytest.raises(InvalidArgumentError, match=r"once_in_s is .* seconds above 0"):
        action_handler(lambda _ctx, _request: None, once_in_s=once_in_s)
