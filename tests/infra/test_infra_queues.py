"""The queue in memory: its clock, its copies, and what a stop leaves; what every queue does stands in the contract."""

from __future__ import annotations

import threading

import pytest

from hull_sdk.core.logs import fields_of
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import LogicError, TransientError
from hull_sdk.infra import Job, MemoryQueue
from hull_sdk.infra.queues import GivenUpError


class Seen:
    """Runs jobs by writing them down; raises what a payload asks for."""

    def __init__(self, queue: MemoryQueue) -> None:
        self.queue = queue
        self.jobs: list[Job] = []
        self.at: list[float] = []

    def __call__(self, job: Job) -> None:
        self.jobs.append(job)
        self.at.append(self.queue.runtime.clock.monotonic())
        if isinstance(job.payload, dict) and job.payload.get("fails", 0) >= job.attempt:
            raise TransientError("not yet", retry_after=job.payload.get("retry_after"))

    @property
    def names(self) -> list[str]:
        return [job.name for job in self.jobs]


@pytest.fixture
def queue() -> MemoryQueue:
    """Return a queue on a clock of its own."""
    return MemoryQueue(Runtime.virtual())


@pytest.fixture
def seen(queue) -> Seen:
    """Return a handler that works on the queue."""
    seen = Seen(queue)
    queue.work(seen)
    return seen


def put(queue: MemoryQueue, name: str, payload: object = None, **options) -> str:
    """Enqueue a job without a context."""
    return queue.enqueue(name, payload, context={}, **options)


def test_payloads_travel_as_copies(queue, seen):
    """What the caller or an earlier attempt does to the payload afterwards does not reach the job."""
    payload = {"fails": 1, "rows": [1]}
    put(queue, "a", payload)
    payload["rows"].append(2)
    queue.runtime.tasks.sleep(0)
    seen.jobs[0].payload["rows"].clear()
    queue.runtime.tasks.sleep(10)
    assert seen.jobs[1].payload["rows"] == [1]


@pytest.mark.shows("ctx.enqueue option: delay")
def test_a_delayed_job_waits_and_does_not_hold_up_others(queue, seen):
    """A delayed job runs at its time; jobs behind it go first."""
    put(queue, "later", delay_ms=5000)
    put(queue, "now")
    queue.runtime.tasks.sleep(4.9)
    assert seen.names == ["now"]
    queue.runtime.tasks.sleep(0.1)
    assert seen.names == ["now", "later"]
    assert seen.at[1] == 5.0


@pytest.mark.shows("ctx.enqueue option: priority")
def test_the_lowest_priority_number_goes_first(queue):
    """Among jobs that could start the lowest number goes first, equal ones by arrival."""
    put(queue, "c", priority=5)
    put(queue, "b")
    put(queue, "a", priority=-1)
    put(queue, "d", priority=5)
    seen = Seen(queue)
    queue.work(seen)
    queue.runtime.tasks.sleep(0)
    assert seen.names == ["a", "b", "c", "d"]


def test_jobs_wait_for_a_handler(queue):
    """Jobs that were enqueued before somebody works are kept and then run."""
    put(queue, "a")
    queue.runtime.tasks.sleep(100)
    seen = Seen(queue)
    queue.work(seen)
    queue.runtime.tasks.sleep(0)
    assert seen.names == ["a"]


def test_a_failed_job_is_tried_again_while_others_go_on(queue, seen):
    """A job that raises comes again after a pause, with its attempt counted; others do not wait for it."""
    put(queue, "flaky", {"fails": 2})
    put(queue, "fine")
    queue.runtime.tasks.sleep(60)
    assert seen.names == ["flaky", "fine", "flaky", "flaky"]
    assert [job.attempt for job in seen.jobs if job.name == "flaky"] == [1, 2, 3]
    assert seen.at[2] - seen.at[0] >= 0.5
    assert not queue.failed


def test_a_job_is_given_up_after_three_attempts_kept_and_logged(queue, seen, caplog):
    """After the third failure a job is kept with its error and logged as an error, payload left out."""
    put(queue, "broken", {"fails": 9, "note": "hunter2"})
    queue.runtime.tasks.sleep(60)
    assert seen.names == ["broken"] * 3
    assert [(failed.job.name, failed.job.attempt, str(failed.error)) for failed in queue.failed] == [
        ("broken", 3, "not yet")
    ]
    errors = [record for record in caplog.records if record.message == "queue.job.failed"]
    assert [fields_of(record)["job"] for record in errors] == ["broken"]
    assert "hunter2" not in caplog.text


def test_the_pause_that_an_error_asks_for_is_kept(queue, seen):
    """A job that was told to come back later does so no sooner."""
    put(queue, "limited", {"fails": 1, "retry_after": 30})
    queue.runtime.tasks.sleep(60)
    assert 30 <= seen.at[1] <= 33


@pytest.mark.shows("ctx.enqueue option: ttl")
def test_a_job_that_did_not_begin_in_time_is_given_up(queue, caplog):
    """A job whose ttl_ms has passed before its first start is not run, kept and logged."""
    put(queue, "old", ttl_ms=1000)
    put(queue, "patient")
    queue.runtime.tasks.sleep(2)
    seen = Seen(queue)
    queue.work(seen)
    queue.runtime.tasks.sleep(0)
    assert seen.names == ["patient"]
    assert [failed.job.name for failed in queue.failed] == ["old"]
    assert "queue.job.failed" in caplog.messages


@pytest.mark.shows("infra.Queue.exit")
def test_stop_finishes_what_waits_and_takes_nothing_more(queue, seen):
    """A graceful stop runs the jobs that are there, retries included; later ones are refused."""
    put(queue, "a", {"fails": 1})
    put(queue, "b", delay_ms=2000)
    assert queue.stop(timeout_s=30) == 0
    assert sorted(seen.names) == ["a", "a", "b"]
    with pytest.raises(TransientError, match="'c' was not taken"):
        put(queue, "c")


def test_stop_logs_what_it_could_not_finish_without_waiting_for_it(queue, seen, caplog):
    """Jobs that fall due after the timeout are left, logged by name and id, and not waited for."""
    job_id = put(queue, "tomorrow", delay_ms=86_400_000)
    put(queue, "now")
    assert queue.stop(timeout_s=10) == 1
    assert queue.runtime.clock.monotonic() == 0
    assert seen.names == ["now"]
    left = [fields_of(record) for record in caplog.records if record.message == "queue.stopped.unfinished"]
    assert left == [{"job": "tomorrow", "id": job_id}]


def test_stop_without_a_handler_logs_every_job(queue, caplog):
    """Jobs that nobody worked on are all named by the stop."""
    put(queue, "a")
    put(queue, "b")
    assert queue.stop(timeout_s=10) == 2
    assert caplog.messages.count("queue.stopped.unfinished") == 2


def test_a_job_that_is_still_running_when_the_time_is_over_is_named(caplog):
    """On real threads a job that outlasts the stop counts as unfinished."""
    queue = MemoryQueue()
    started, release = threading.Event(), threading.Event()
    queue.work(lambda _job: (started.set(), release.wait(10)))
    put(queue, "long")
    put(queue, "behind")
    assert started.wait(10)
    assert queue.stop(timeout_s=0.01) == 2
    release.set()
    assert [fields_of(record)["job"] for record in caplog.records if record.message == "queue.stopped.unfinished"] == [
        "long",
        "behind",
    ]


def test_real_threads_run_jobs_and_drain():
    """On real threads jobs run beside the caller, and a stop waits for them."""
    queue = MemoryQueue()
    seen = Seen(queue)
    queue.work(seen)
    for number in range(50):
        put(queue, str(number))
    assert queue.stop(10) == 0
    assert seen.names == [str(number) for number in range(50)]


def test_a_handler_may_enqueue(queue):
    """A job may enqueue further jobs, which run after it."""
    seen = []

    def handler(job: Job) -> None:
        seen.append(job.name)
        if job.name == "parent":
            put(queue, "child")

    queue.work(handler)
    put(queue, "parent")
    queue.runtime.tasks.sleep(0)
    assert seen == ["parent", "child"]


def test_the_errors_of_other_libraries_are_retried_too(queue):
    """Any exception asks for another try, a timeout of a library included."""
    tries = []

    def handler(job: Job) -> None:
        tries.append(job.attempt)
        raise TimeoutError("read timed out")

    queue.work(handler)
    put(queue, "a")
    queue.runtime.tasks.sleep(60)
    assert tries == [1, 2, 3]


def test_a_job_that_no_try_can_mend_is_given_up_at_once(queue):
    """A job that is given up is not tried again; its own error is kept."""
    tries = []

    def handler(job: Job) -> None:
        tries.append(job.attempt)
        raise GivenUpError("never") from LogicError("nobody can mend this")

    queue.work(handler)
    put(queue, "a")
    queue.runtime.tasks.sleep(60)
    assert tries == [1]
    assert [str(failed.error) for failed in queue.failed] == ["nobody can mend this"]
