"""Jobs on Valkey beyond the contract: workers that die, what is stored, RQ's own worker, and bad addresses."""

from __future__ import annotations

import json
import os
import signal
import time
import zlib
from collections import defaultdict
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest
from queue_kinds import RQKind
from redis.exceptions import NoPermissionError
from running_process import PATIENCE_S, RunningProcess

from hull_sdk.errors import InvalidArgumentError, MissingExtraError, NetworkError, TransientError
from hull_sdk.infra import Job, MemoryQueue, RQQueue
from hull_sdk.infra.failed_jobs import FailedJobs
from hull_sdk.infra.queues import MAX_ATTEMPTS
from hull_sdk.infra.rq_queue import open_queue

JOBS = Path(__file__).parent / "rq_jobs.py"

processes = pytest.mark.process


@pytest.fixture
def queue(valkey):
    """A queue on Valkey."""
    queue = RQQueue(valkey.url)
    yield queue
    queue.stop()


@pytest.fixture
def start_worker(start_process, valkey):
    """Return a function that starts a worker, which runs until it is stopped; what it started ends with the test."""
    started: list[RunningProcess] = []

    def start(**options) -> RunningProcess:
        started.append(start_process(["python", str(JOBS), valkey.url], **options))
        return started[-1]

    yield start
    for worker in started:
        if worker.process.poll() is None:
            kill_with_children(worker)


def put(queue: RQQueue, name: str, payload: object = None, **options) -> str:
    """Enqueue a job without a context."""
    return queue.enqueue(name, payload, context={}, **options)


def next_run(worker: RunningProcess) -> dict:
    """Wait for the next job that a worker runs."""
    return json.loads(worker.wait_for(r'^\{"ran".*').group())


def runs(worker: RunningProcess) -> list[dict]:
    """Return what a worker has said of the jobs that it ran so far, in order."""
    return [json.loads(line) for line in tuple(worker.stdout) if line.startswith('{"ran"')]


def ended(worker: RunningProcess) -> set[str]:
    """Return the jobs that came to their end."""
    return {json.loads(line)["ended"] for line in tuple(worker.stdout) if line.startswith('{"ended"')}


def wait_until(holds: Callable[[], bool]) -> None:
    """Ask until it holds."""
    until = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < until


def children(worker: RunningProcess) -> set[int]:
    """Return the processes that a worker has started: those of jobs, and the one that plans."""
    pid = worker.process.pid
    return set(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="utf-8").split()))


def kill_at_random(worker: RunningProcess, kills: int, spared: set[int], feed: Callable[[], object]) -> None:
    """Kill so many processes of jobs, each after it was looked at a random number of times; there is always a job."""
    random, killed = Random(7), set()
    until = time.monotonic() + PATIENCE_S
    while len(killed) < kills:
        assert time.monotonic() < until
        victims = children(worker) - killed - spared
        if not victims:
            feed()
        for victim in victims:
            for _ in range(random.randrange(500)):
                children(worker)
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
                killed.add(victim)


def kill_with_children(worker: RunningProcess) -> None:
    """Kill a worker and all that it started at once, as the death of a host does."""
    for number in (worker.process.pid, *children(worker)):
        os.kill(number, signal.SIGKILL)
    worker.wait()


@processes
@pytest.mark.fault("SIGKILL of a process during a job")
def test_a_job_survives_the_death_of_its_process(queue, start_worker):
    """When the process that runs a job is killed, its worker has the job tried again, and the try counts."""
    job_id = put(queue, "slow", {"hangs": 1})
    worker = start_worker()
    first = next_run(worker)
    os.kill(first["pid"], signal.SIGKILL)
    second = next_run(worker)
    assert [run["ran"]["attempt"] for run in (first, second)] == [1, 2]
    assert {run["ran"]["id"] for run in (first, second)} == {job_id}
    assert worker.stop() == 0


@processes
@pytest.mark.fault("SIGKILL of a process during a job")
def test_jobs_survive_twenty_deaths_at_random_points(queue, start_worker, valkey, trials):
    """All come to their end, and every try counts; who dies each time is kept as failed, and runs again when redriven."""
    worker, failed, killed = start_worker(), FailedJobs(valkey.url), set()
    worker.wait_for("Listening on")
    planning = children(worker)
    jobs: set[str] = set()
    stubborn = put(queue, "hang", {"hangs": MAX_ATTEMPTS})

    def feed() -> None:
        if client.llen("rq:queue:queueApp") == 0:
            jobs.add(put(queue, "walk", {"tells_its_end": True}))

    with valkey.client() as client:
        kill_at_random(worker, 20, planning, feed)

    def is_over() -> bool:
        for pid in {run["pid"] for run in runs(worker) if run["ran"]["id"] == stubborn} - killed:
            killed.add(pid)
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return ended(worker) | {each["id"] for each in failed.summaries()} == jobs | {stubborn}

    wait_until(is_over)
    tries = defaultdict(list)
    for run in runs(worker):
        tries[run["ran"]["id"]].append(run["ran"]["attempt"])
    assert all(sorted(set(counted)) == counted and counted[-1] <= MAX_ATTEMPTS for counted in tries.values())
    assert max(max(counted) for job, counted in tries.items() if job in jobs) > 1
    reasons = {each["id"]: each["reason"] for each in failed.summaries()}
    assert reasons[stubborn]
    before = len(runs(worker))
    assert failed.redrive(reasons.keys() - {stubborn}) == len(reasons) - 1
    wait_until(lambda: ended(worker) == jobs)
    assert failed.redrive([stubborn]) == 1
    wait_until(lambda: stubborn in {run["ran"]["id"] for run in runs(worker)[before:]})
    # Others may come again too: those that were killed after they had said that they ended.
    redriven = [run["ran"] for run in runs(worker)[before:] if run["ran"]["id"] in reasons]
    assert {run["attempt"] for run in redriven} == {1}
    trials.count(20, lost=len(jobs - ended(worker)))
    failed.close()


@processes
@pytest.mark.fault("SIGKILL of a host during a job")
def test_a_job_survives_the_death_of_its_host(queue, start_worker):
    """When worker and job are killed, another worker runs the job again once the lease is over, and the try counts."""
    put(queue, "slow", {"hangs": 1})
    worker = start_worker()
    assert next_run(worker)["ran"]["attempt"] == 1
    other = start_worker()
    other.wait_for("Listening on")
    kill_with_children(worker)
    assert next_run(other)["ran"]["attempt"] == 2
    assert other.stop() == 0


@processes
@pytest.mark.fault("A host whose clock is 5 minutes off")
def test_jobs_go_by_the_clock_of_the_server(queue, start_worker):
    """A host that is behind loses no job to one that is ahead, pauses keep their length, and its death is noticed."""
    held = put(queue, "slow", {"hangs": 1})
    behind = start_worker(env={"CLOCK_OFFSET_S": "-300"})
    next_run(behind)
    others = [start_worker(env={"CLOCK_OFFSET_S": offset_s}) for offset_s in ("0", "300")]
    tries = [put(queue, "flaky", {"fails": 2, "tells_its_end": True}) for _ in range(4)]
    # Their pauses are longer than the lease of 3 seconds, within which each of the others looks for dead workers.
    late = put(queue, "late", {"tells_its_end": True}, delay_ms=5000)
    wait_until(lambda: set().union(*map(ended, others)) == {late, *tries})
    ran = [run["ran"] for worker in (behind, *others) for run in runs(worker)]
    assert [run["attempt"] for run in ran if run["id"] == held] == [1]
    kill_with_children(behind)
    wait_until(lambda: held in {run["ran"]["id"] for worker in others for run in runs(worker)})
    assert [worker.stop() for worker in others] == [0, 0]


@processes
@pytest.mark.fault("SIGKILL of a host during a job")
def test_a_worker_that_is_killed_while_it_looks_for_dead_ones_holds_nobody_up(queue, valkey, start_worker):
    """The turn to look ends by itself, whatever of RQ's own locks a dead worker has left behind."""
    with valkey.client() as client:
        client.set("rq:clean_registries:queueApp", 1)
        client.set("hull:turn:look:queueApp", 1, px=1000)
    put(queue, "slow", {"hangs": 1})
    worker = start_worker()
    next_run(worker)
    other = start_worker()
    other.wait_for("Listening on")
    kill_with_children(worker)
    assert next_run(other)["ran"]["attempt"] == 2
    assert other.stop() == 0


def test_a_job_that_was_taken_and_not_begun_comes_again(queue, valkey):
    """A worker that is killed between taking a job and beginning it does not take it along."""
    job_id = put(queue, "taken")
    with valkey.client() as client:
        client.lmove("rq:queue:queueApp", "rq:queue:queueApp:intermediate", "LEFT", "RIGHT")
        kind = RQKind(valkey)
        kind.run()
        (seen,) = list(client.scan_iter("rq:*intermediate*:first_seen:*"))
        client.set(seen, "1500000000")
        kind.run()
        kind.run(60)
    kind.close()
    assert [(job["id"], job["attempt"]) for job in kind.ran] == [(job_id, 2)]


@processes
@pytest.mark.shows("Connector.startWorker")
def test_a_worker_that_is_told_to_stop_finishes_its_job(queue, start_worker):
    """SIGTERM ends a worker after the job that runs; what waits stays where it is."""
    put(queue, "first")
    worker = start_worker()
    next_run(worker)
    assert worker.stop() == 0
    assert "Traceback" not in "".join(worker.stderr)
    put(queue, "second")
    other = start_worker()
    assert next_run(other)["ran"]["name"] == "second"
    assert other.stop() == 0


@processes
def test_each_process_of_a_job_flushes_at_its_end(queue, valkey, start_process):
    """The process that ran a job, which leaves without the interpreter's exit, calls what flushes, also on errors."""
    put(queue, "a")
    put(queue, "b", {"given_up": True})
    worker = start_process(["python", str(JOBS), valkey.url, "burst"])
    assert worker.wait() == 0, worker.describe()
    assert worker.stdout.count("after job\n") == 2


def test_a_job_that_did_not_begin_in_time_is_given_up(queue, valkey):
    """A job whose ttl_ms has passed before its first start is not run and kept among the failed ones."""
    job_id = put(queue, "old", ttl_ms=1)
    put(queue, "patient", ttl_ms=600_000)
    kind = RQKind(valkey)
    kind.run()
    kind.close()
    assert [job["name"] for job in kind.ran] == ["patient"]
    assert kind.failed() == [job_id]


def test_no_secret_of_an_error_is_stored(queue, valkey):
    """What RQ and its dashboard show of a failed job is its name and an error without secrets."""
    job_id = queue.enqueue("broken", {"fails": 9}, context={"token": "gAAAA"})
    kind = RQKind(valkey)
    for _ in range(3):
        kind.run(60)
    kind.close()
    with valkey.client() as client:
        record = client.hgetall(f"rq:job:{job_id}")
        results = client.xrange(f"rq:results:{job_id}")
    told = zlib.decompress(record.get(b"exc_info", zlib.compress(b""))) + repr(results).encode()
    assert record[b"description"] == b"broken"
    assert b"hunter2" not in b"".join(record.values()) + told


def test_a_job_whose_next_try_cannot_be_planned_is_not_lost(queue, valkey, caplog):
    """When the store fails right after a job's error, RQ hears no secret, and the job comes again after its lease."""
    ran = []
    with valkey.client() as client:

        def refuse(job: Job) -> None:
            ran.append(job.attempt)
            if job.attempt == 1:
                client.acl_setuser("default", enabled=True, commands=["-time"])
                raise TransientError("secret=hunter2 is wrong")

        put(queue, "broken")
        queue.work(refuse)
        try:
            with suppress(NoPermissionError):  # from the look at the time of the next try
                queue.run_worker(burst=True, fork=False)
        finally:
            client.acl_setuser("default", enabled=True, commands=["+time"])
        assert "hunter2" not in caplog.text
        assert "queue.job.retry" in caplog.text
        ((running, _until),) = client.zrange("rq:wip:queueApp", 0, -1, withscores=True)
        client.zadd("rq:wip:queueApp", {running: 1})
    kind = RQKind(valkey)
    for _ in range(2):
        kind.run(60)
    kind.close()
    assert (ran, [job["attempt"] for job in kind.ran]) == ([1], [2])


def test_jobs_are_stored_as_json(queue, valkey):
    """On the server stands JSON, never pickle, with exactly what was given."""
    job_id = queue.enqueue("import", {"rows": 2}, context={"token": "gAAAA"})
    with valkey.client() as client:
        data = zlib.decompress(client.hget(f"rq:job:{job_id}", "data"))
    function, _instance, arguments, options = json.loads(data)
    assert function == "hull_sdk.infra.rq_worker.perform"
    stored = {"name": "import", "queue_name": "queueApp", "payload": {"rows": 2}, "context": {"token": "gAAAA"}}
    assert (arguments, options) == ([stored], {})


def test_a_worker_runs_nothing_but_our_jobs(queue, valkey, tmp_path, capsys, caplog):
    """Who writes to the store cannot have a worker call another function, before, instead of or after a job."""
    foreign = put(queue, "foreign")
    data = json.dumps(["os.mkdir", None, [str(tmp_path / "made")], {}])
    told = put(queue, "told")
    hooks = [{"url": "http://127.0.0.1:1/", "job_status": "finished", "timeout": 1}]
    with valkey.client() as client:
        client.hset(
            f"rq:job:{foreign}", mapping={"data": data, "retries_left": 0, "failure_callback_name": "builtins.print"}
        )
        client.hset(
            f"rq:job:{told}", mapping={"success_callback_name": "builtins.print", "webhooks": json.dumps(hooks)}
        )
    kind = RQKind(valkey)
    kind.run()
    kind.close()
    assert [job["name"] for job in kind.ran] == ["told"]
    assert kind.failed() == [foreign]
    assert list(tmp_path.iterdir()) == []
    assert capsys.readouterr().out == ""
    assert "webhook" not in caplog.text.lower()


def test_a_job_goes_to_the_queue_it_names(queue, valkey):
    """Workers of other queues do not see a job."""
    put(queue, "a", queue_name="slow")
    with valkey.client() as client:
        assert set(client.smembers("rq:queues")) == {b"rq:queue:slow"}


@processes
def test_rqs_own_worker_says_what_to_start_instead(queue, valkey, start_process):
    """``rq worker`` knows no connector; the job is not lost, and its error names the way out."""
    put(queue, "a")
    serializer = ["--serializer", "rq.serializers.JSONSerializer"]
    worker = start_process(["rq", "worker", "--url", valkey.url, "--burst", *serializer, "queueApp"])
    worker.wait()
    assert "call Connector.start_worker(queue_name) instead" in "".join([*worker.stdout, *worker.stderr])
    with valkey.client() as client:
        assert client.zcard("rq:scheduled:queueApp") == 1


def test_a_store_that_is_away_takes_no_job():
    """A job that cannot be stored is refused with a retry, and no password is shown."""
    queue = RQQueue("redis://hull:hunter2@127.0.0.1:1/0")
    with pytest.raises(NetworkError, match=r"store redis://127\.0\.0\.1:1/0 cannot be used now") as caught:
        put(queue, "a")
    with pytest.raises(NetworkError):
        put(queue, "a", ttl_ms=5)
    queue.work(print)
    with pytest.raises(NetworkError):
        queue.run_worker()
    assert caught.value.status == 503
    assert "hunter2" not in f"{caught.value}{queue!r}"


def test_a_worker_needs_to_know_how_jobs_are_run(queue):
    """A worker that could run nothing is refused."""
    with pytest.raises(InvalidArgumentError, match=r"call work\(handler\) first"):
        queue.run_worker()


@pytest.mark.parametrize("lease_s", [0, 2, 2.5, True])
def test_a_lease_has_whole_seconds(lease_s):
    """RQ counts in whole seconds, so that a short or broken lease is refused."""
    with pytest.raises(InvalidArgumentError, match="lease_s is"):
        RQQueue("redis://127.0.0.1:1", lease_s=lease_s)


def test_an_address_needs_the_extra(monkeypatch):
    """Asking for a queue on Redis without its libraries names the command that installs them."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match=r'pip install "hull-sdk\[queue\]"'):
        open_queue("redis://127.0.0.1:6379/0")


def test_an_address_selects_the_queue():
    """Without an address jobs stay in memory, with one they go to the store."""
    assert isinstance(open_queue(), MemoryQueue)
    assert isinstance(open_queue("redis://127.0.0.1:1"), RQQueue)
