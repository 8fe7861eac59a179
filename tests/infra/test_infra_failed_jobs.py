"""Failed jobs on Valkey: listed, shown without secrets, and run again, each once."""

from __future__ import annotations

import json

import pytest
import rq
from queue_kinds import RQKind

from hull_sdk.errors import InvalidArgumentError, NetworkError
from hull_sdk.infra.failed_jobs import FailedJobs
from hull_sdk.infra.queues import MAX_ATTEMPTS


@pytest.fixture
def kind(valkey):
    """A queue with RQ."""
    kind = RQKind(valkey)
    yield kind
    kind.close()


@pytest.fixture
def failed(valkey):
    """The failed jobs of the same server."""
    failed = FailedJobs(valkey.url)
    yield failed
    failed.close()


def fail(kind, name="import", **options) -> str:
    """Have a job fail for good."""
    context = {"token": "sealed-token", "hostname": "acme.test", "request_id": "r-1"}
    payload = options.pop("payload", {"given_up": True})
    job_id = kind.queue.enqueue(name, payload, context=context, **options)
    kind.run()
    return job_id


def test_they_are_listed_with_their_reason(kind, failed):
    """Each failed job stands with its queue, name, time and reason; there is a limit, and a count of all."""
    first = fail(kind, "first")
    second = fail(kind, "second")
    listed = failed.summaries()
    assert [(each["id"], each["queue"], each["name"]) for each in listed] == [
        (first, "queueApp", "first"),
        (second, "queueApp", "second"),
    ]
    assert listed[0]["reason"] == "LogicError: nobody can mend this"
    assert listed[0]["at"] <= listed[1]["at"]
    assert len(failed.summaries(limit=1)) == 1
    assert failed.count() == 2
    assert (failed.summaries("other"), failed.count("other")) == ([], 0)


def test_a_limit_shows_those_that_failed_first(kind, failed, valkey):
    """The earliest failures of all queues come first, whatever the names and priorities of their queues."""
    late = fail(kind, "late")
    early = fail(kind, "early", priority=1)
    with valkey.client() as client:
        client.zincrby("rq:failed:queueApp", 60, late)
    assert [each["id"] for each in failed.summaries(limit=1)] == [early]


def test_one_is_shown_whole_and_without_secrets(kind, failed):
    """Payload, request and error are there; secrets in them are masked, and the token is left out."""
    payload = {"given_up": True, "api_key": "hunter2", "page": 3}
    job_id = fail(kind, payload=payload)
    shown = failed.show(job_id)
    assert shown["payload"] == {"given_up": True, "api_key": "***", "page": 3}
    assert (shown["hostname"], shown["request_id"]) == ("acme.test", "r-1")
    assert "LogicError" in shown["error"]
    assert "sealed-token" not in json.dumps(shown)


def test_redriven_jobs_run_again_with_all_their_tries(kind, failed):
    """A redriven job has as many tries as a new one, and fails into the same place."""
    job_id = fail(kind)
    assert failed.redrive([job_id, job_id]) == 1
    assert failed.count() == 0
    kind.run()
    assert [(run["id"], run["attempt"]) for run in kind.ran] == [(job_id, 1), (job_id, 1)]
    assert kind.failed() == [job_id]


def test_a_redriven_job_is_tried_as_often_as_a_new_one(kind, failed, valkey):
    """After a redrive, errors that pass are tried again before the job counts as failed."""
    job_id = kind.queue.enqueue("import", {"fails": 99}, context={})
    for _ in range(MAX_ATTEMPTS):
        kind.run(100)
    assert kind.failed() == [job_id]
    failed.redrive()
    for _ in range(MAX_ATTEMPTS):
        kind.run(100)
    assert [run["attempt"] for run in kind.ran] == [*range(1, MAX_ATTEMPTS + 1)] * 2
    with valkey.client() as client:
        assert client.ttl(f"rq:job:{job_id}") > 86_400


def test_a_job_that_came_too_late_runs_when_it_is_redriven(kind, failed, valkey):
    """The time limit for its begin does not count for a job that somebody has asked for again."""
    job_id = kind.queue.enqueue("import", None, context={}, ttl_ms=1)
    with valkey.client() as client:
        job = rq.job.Job.fetch(job_id, connection=client, serializer=rq.serializers.JSONSerializer)
        job.args = ({**job.args[0], "expires_at": 1},)
        job.save()
    for _ in range(MAX_ATTEMPTS):
        kind.run(100)
    assert (kind.ran, kind.failed()) == ([], [job_id])
    failed.redrive([job_id])
    kind.run()
    assert [run["id"] for run in kind.ran] == [job_id]
    with valkey.client() as client:
        assert not client.exists(f"rq:job:{job_id}")


def test_all_of_one_queue_are_redriven(kind, failed):
    """All means those of the queue that is named, whatever their priority, else all there are."""
    fail(kind, priority=-1)
    fail(kind)
    assert failed.redrive(queue_name="other") == 0
    assert failed.redrive(queue_name="queueApp") == 2
    assert failed.count() == 0


def test_two_who_redrive_at_once_line_it_up_once(kind, failed, valkey):
    """A job that somebody else has just taken is not lined up a second time; when it fails again it can be redriven."""
    job_id = fail(kind)
    other = FailedJobs(valkey.url)
    found = failed._find(job_id)
    assert other.redrive([job_id]) == 1
    assert failed._line_up(found) is False
    other.close()
    with valkey.client() as client:
        assert client.lrange("rq:queue:queueApp", 0, -1) == [job_id.encode()]
    kind.run()
    assert failed.redrive([job_id]) == 1


def test_unknown_ids_touch_nothing(kind, failed):
    """An id that is no failed job is named, and no other is redriven."""
    job_id = fail(kind)
    waiting = kind.queue.enqueue("import", None, context={})
    for wrong in ("none", waiting):
        with pytest.raises(InvalidArgumentError, match=f"'{wrong}' is no failed job"):
            failed.redrive([job_id, wrong])
    assert failed.count() == 1


def test_jobs_of_other_programs_are_left_alone(failed, valkey):
    """A failed job that another program stored with RQ is not shown, and stays where it is."""
    with valkey.client() as client:
        queue = rq.Queue("theirs", connection=client)
        job = queue.enqueue("os.getcwd")
        job.set_status("failed")
        client.lrem("rq:queue:theirs", 0, job.id)
        queue.failed_job_registry.add(job, exc_string="no")
        assert failed.summaries() == []
        assert failed.redrive() == 0
        assert client.zcard("rq:failed:theirs") == 1


def test_a_server_that_is_away_is_one_clear_error():
    """The error names the address without its password."""
    failed = FailedJobs("redis://:hunter2@127.0.0.1:1/0")
    with pytest.raises(NetworkError, match=r"redis://127\.0\.0\.1:1/0 cannot be used now") as caught:
        failed.summaries()
    assert "hunter2" not in str(caught.value)
