"""What every queue does, wherever it keeps its jobs."""

from __future__ import annotations

import pytest
from queue_kinds import MemoryKind, RQKind

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.infra import Queue


@pytest.fixture(params=["memory", "rq"])
def kind(request):
    """Return one kind of queue after the other."""
    kind = MemoryKind() if request.param == "memory" else RQKind(request.getfixturevalue("valkey"))
    yield kind
    kind.close()


def put(kind, name: str, payload: object = None, **options) -> str:
    """Enqueue a job without a context."""
    return kind.queue.enqueue(name, payload, context={}, **options)


def names(kind) -> list[str]:
    """Return the names of the jobs that ran, in order."""
    return [job["name"] for job in kind.ran]


@pytest.mark.shows("README: infrastructure")
def test_it_is_a_queue(kind):
    """Every queue implements the port."""
    assert isinstance(kind.queue, Queue)


@pytest.mark.shows("infra.Queue")
def test_jobs_run_in_the_order_of_arrival_and_once(kind):
    """Jobs run first in, first out, and none of them again."""
    for name in ("a", "b", "c"):
        put(kind, name)
    kind.run()
    kind.run(60)
    assert names(kind) == ["a", "b", "c"]


@pytest.mark.shows("ctx.enqueue option: queueName")
def test_a_job_carries_what_was_enqueued(kind):
    """The handler receives id, name, payload, context and queue name of the job."""
    job_id = kind.queue.enqueue("import", {"rows": [1, None], "é": "\u2028"}, context={"token": "gAAAA"})
    kind.run()
    assert kind.ran == [
        {
            "id": job_id,
            "name": "import",
            "payload": {"rows": [1, None], "é": "\u2028"},
            "context": {"token": "gAAAA"},
            "queue_name": "queueApp",
            "attempt": 1,
        }
    ]


@pytest.mark.parametrize("payload", [object(), {"at": {1, 2}}, float("nan")])
def test_what_is_no_json_is_refused_at_the_call(kind, payload):
    """A payload that no store could keep is refused when it is enqueued, by the job's name."""
    with pytest.raises(InvalidArgumentError, match="'import' cannot be stored as JSON"):
        put(kind, "import", payload)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"delay_ms": -1}, "delay_ms is -1"),
        ({"delay_ms": float("inf")}, "delay_ms is inf"),
        ({"ttl_ms": 0}, "ttl_ms is 0"),
    ],
)
def test_numbers_out_of_range_are_refused(kind, options, text):
    """A negative or endless delay and an empty time to live are refused with the rule."""
    with pytest.raises(InvalidArgumentError, match=text):
        put(kind, "a", **options)


def test_a_job_needs_a_name(kind):
    """A job without a name is refused, since no function could run it."""
    with pytest.raises(InvalidArgumentError, match="no name"):
        put(kind, "")


def test_a_delayed_job_waits_and_does_not_hold_up_others(kind):
    """A delayed job runs at its time; jobs behind it go first."""
    put(kind, "later", delay_ms=500_000)
    put(kind, "now")
    kind.run(400)
    assert names(kind) == ["now"]
    kind.run(101)
    assert names(kind) == ["now", "later"]


def test_the_lowest_priority_number_goes_first(kind):
    """Jobs below 0 go before those at 0, and these before those above; equal ones by arrival."""
    for name, priority in (("d", 5), ("b", None), ("a", -1), ("c", 0), ("e", 5)):
        put(kind, name, priority=priority)
    kind.run()
    assert names(kind) == ["a", "b", "c", "d", "e"]


def test_a_failed_job_is_tried_again_while_others_go_on(kind):
    """A job that raises comes again after a pause, with its attempt counted; others do not wait for it."""
    put(kind, "flaky", {"fails": 2})
    put(kind, "fine")
    for _ in range(3):
        kind.run(60)
    assert names(kind) == ["flaky", "fine", "flaky", "flaky"]
    assert [job["attempt"] for job in kind.ran if job["name"] == "flaky"] == [1, 2, 3]
    assert kind.failed() == []


def test_a_job_is_given_up_after_three_attempts_and_kept(kind):
    """After the third failure a job is kept among the failed ones and does not come again."""
    job_id = put(kind, "broken", {"fails": 9})
    for _ in range(4):
        kind.run(60)
    assert names(kind) == ["broken"] * 3
    assert kind.failed() == [job_id]


def test_a_job_that_no_try_can_mend_is_given_up_at_once(kind):
    """A job that is given up is kept among the failed ones after its first try."""
    job_id = put(kind, "hopeless", {"given_up": True})
    for _ in range(2):
        kind.run(60)
    assert names(kind) == ["hopeless"]
    assert kind.failed() == [job_id]


def test_the_pause_that_an_error_asks_for_is_kept(kind):
    """A job that was told to come back later does so no sooner."""
    put(kind, "limited", {"fails": 1, "retry_after": 50})
    kind.run()
    kind.run(40)
    assert names(kind) == ["limited"]
    kind.run(20)
    assert names(kind) == ["limited", "limited"]
