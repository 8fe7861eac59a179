"""The end of a process: what is queued arrives, the exit code stays, and nothing is said unless something is lost."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from client_sinks import ID, HangingSink, Sink, served, until

pytestmark = [pytest.mark.process, pytest.mark.every_python]

ROOT = Path(__file__).parents[2]

PROLOGUE = f"""
import atexit, multiprocessing, os, signal, sys, threading, time
from hull_sdk import Client
client = Client(id={ID!r}, secret="s" * 32, organization=sys.argv[1], exit_timeout_s=1.5)
def send(first, count):
    for n in range(first, first + count):
        client.as_user({{"external_id": str(n)}}).traits({{"n": n}})
"""
STARTED: list[subprocess.Popen[str]] = []
READY = """
print("ready", flush=True)
"""
TWENTY = PROLOGUE + "send(0, 20)\n" + READY


@pytest.fixture(autouse=True)
def started():
    """End what a failed test leaves behind, the children of its processes included."""
    STARTED.clear()
    yield
    for process in STARTED:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def start(host: str, program: str) -> subprocess.Popen[str]:
    """Start a program, and return when it says that it is ready."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    process = subprocess.Popen(
        [sys.executable, "-c", program, host],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        start_new_session=True,
    )
    STARTED.append(process)
    assert process.stdout.readline() == "ready\n", process.communicate()[1]
    return process


def end(process: subprocess.Popen[str], number: int | None = None) -> tuple[int, str]:
    """Send a signal if there is one, wait for the end; return exit code and standard error."""
    if number is not None:
        process.send_signal(number)
    _, errors = process.communicate(timeout=30)
    return process.returncode, errors


@pytest.mark.parametrize(
    ("ending", "number", "code", "last_line"),
    [
        ("", None, 0, ""),
        ("sys.exit(3)", None, 3, ""),
        ("raise ValueError('boom')", None, 1, "ValueError: boom"),
        ("time.sleep(60)", signal.SIGTERM, -signal.SIGTERM, ""),
        ("signal.pause()", signal.SIGTERM, -signal.SIGTERM, ""),
        ("threading.Event().wait()", signal.SIGTERM, -signal.SIGTERM, ""),
        ("client.flush(0); client.as_user('5a7962e2793d3e942a03b29b').traits({'n': 20}).result()", None, 0, ""),
        ("time.sleep(60)", signal.SIGINT, -signal.SIGINT, "KeyboardInterrupt"),
    ],
)
def test_what_is_queued_arrives_whatever_ends_the_process(ending, number, code, last_line):
    """20 of 20 arrive, the exit code is what it would have been, and standard error has Python's own words only."""
    sink = Sink()
    with served(sink) as host:
        process = start(host, TWENTY + ending)
        if number is not None:
            time.sleep(0.1)
        returncode, errors = end(process, number)
    assert set(range(20)) <= set(sink.values())
    assert returncode == code
    assert (errors.strip().splitlines() or [""])[-1] == last_line
    assert "hull_sdk" not in errors
    assert sink.repeated == 0


@pytest.mark.parametrize(
    ("ending", "number", "code"),
    [("", None, 0), ("sys.exit(3)", None, 3), ("time.sleep(60)", signal.SIGTERM, -signal.SIGTERM)],
)
def test_a_hanging_server_does_not_keep_the_process(ending, number, code):
    """It ends within the exit timeout, code unchanged, with one line that counts what was not sent."""
    sink = HangingSink()
    with served(sink) as host:
        process = start(host, TWENTY + ending)
        started = time.monotonic()
        returncode, errors = end(process, number)
        took = time.monotonic() - started
    assert returncode == code
    assert errors == "hull_sdk: 20 messages were not sent before the process ended\n"
    assert took < 1.5 + 1.0


def test_what_is_refused_at_the_end_is_counted():
    """Messages that the platform refuses during the exit are lost, and said to be."""
    sink = Sink()
    sink.script = [401] * 20
    with served(sink) as host:
        returncode, errors = end(
            start(
                host,
                PROLOGUE
                + 'send(0, 1)\nclient.as_user("5a7962e2793d3e942a03b29b").alias({"anonymous_id": "x"})'
                + READY,
            )
        )
    assert returncode == 0
    assert errors == "hull_sdk: 2 messages were not sent before the process ended\n"


def test_what_was_dropped_last_is_counted_at_the_end():
    """A process that ends before the line about dropped messages was due says how many were not sent."""
    sink = Sink()
    dropping = PROLOGUE.replace("exit_timeout_s", "queue_size=5, overflow='drop_newest', exit_timeout_s")
    with served(sink) as host:
        returncode, errors = end(start(host, dropping + "send(0, 200)\n" + READY))
    assert returncode == 0
    assert errors == f"hull_sdk: {200 - len(sink.accepted)} messages were not sent before the process ended\n"


def test_a_busy_process_ends_on_sigterm():
    """The signal arrives in the middle of sending: no deadlock, no traceback, and everything before it arrives."""
    sink = Sink()
    with served(sink) as host:
        process = start(host, PROLOGUE + READY + "n = 0\nwhile True:\n    send(n, 1)\n    n += 1\n")
        assert until(lambda: len(sink.accepted) > 200)
        returncode, errors = end(process, signal.SIGTERM)
    assert (returncode, errors) == (-signal.SIGTERM, "")
    assert sorted(sink.values()) == list(range(len(sink.accepted)))


def test_a_signal_inside_the_sender_s_own_lock_waits():
    """The handler finds the main thread in a critical section and lets it leave before it flushes."""
    program = TWENTY + (
        "sender = client._connection._source\n"
        "class Slow:\n"
        "    def __enter__(self): lock.acquire(); os.kill(os.getpid(), signal.SIGTERM); time.sleep(0.05)\n"
        "    def __exit__(self, *error): lock.release()\n"
        "lock, sender._backlog.lock = sender._backlog.lock, Slow()\n"
        "original = sender._enqueue\n"
        "def enqueue(*args):\n"
        "    try: return original(*args)\n"
        "    finally: sender._backlog.lock = lock\n"
        "sender._enqueue = enqueue\n"
        "send(20, 1)\n"
        "time.sleep(60)\n"
    )
    sink = Sink()
    with served(sink) as host:
        returncode, errors = end(start(host, program))
    assert (returncode, errors) == (-signal.SIGTERM, "")
    assert set(range(21)) <= set(sink.values())


@pytest.mark.parametrize("handler", ["signal.SIG_IGN", "lambda *a: (print('mine', flush=True), sys.exit(7))"])
def test_a_handler_of_the_application_is_left_alone(handler):
    """SIGTERM is taken over from the default handler only."""
    program = PROLOGUE + f"handler = {handler}\nsignal.signal(signal.SIGTERM, handler)\nsend(0, 20)\n"
    program += "assert signal.getsignal(signal.SIGTERM) is handler\n" + READY + "os.kill(os.getpid(), signal.SIGTERM)"
    sink = Sink()
    with served(sink) as host:
        returncode, errors = end(start(host, program))
    assert (returncode, errors) == (0 if "IGN" in handler else 7, "")
    assert len(sink.accepted) == 20


def test_sigterm_is_given_back_when_nothing_is_open():
    """Closing the last client restores the default handler; the first message of another takes it again."""
    program = PROLOGUE + (
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
        "send(0, 1)\n"
        "assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL\n"
        "client.close()\n"
        "assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL\n"
    )
    with served(Sink()) as host:
        assert end(start(host, program + READY)) == (0, "")


def test_exit_functions_may_still_send():
    """Messages sent by exit functions arrive, whether these run before or after our own."""
    program = PROLOGUE + "atexit.register(send, 100, 3)\nsend(0, 2)\natexit.register(send, 200, 3)\n" + READY
    sink = Sink()
    with served(sink) as host:
        assert end(start(host, program)) == (0, "")
    assert sorted(sink.values()) == [0, 1, 100, 101, 102, 200, 201, 202]


def test_a_program_that_sends_from_a_thread_flushes_at_exit():
    """Without SIGTERM's hook, which only the main thread can install, a normal exit still sends everything."""
    program = PROLOGUE + "t = threading.Thread(target=send, args=(0, 20)); t.start(); t.join()\n" + READY
    sink = Sink()
    with served(sink) as host:
        assert end(start(host, program)) == (0, "")
    assert len(sink.accepted) == 20


FORKS = {
    "fork": "pid = os.fork()\nif pid == 0:\n    send(5, 100)\n    sys.exit(0)\nassert os.waitpid(pid, 0)[1] == 0\n",
    "multiprocessing": (
        "child = multiprocessing.get_context('fork').Process(target=send, args=(5, 100))\n"
        "child.start()\nchild.join()\nassert child.exitcode == 0\n"
    ),
}


@pytest.mark.parametrize("way", sorted(FORKS))
def test_a_fork_sends_its_own_messages_only(way):
    """Parent queues 5, the child sends 100: 105 arrive, none twice."""
    sink = Sink()
    with served(sink) as host:
        program = PROLOGUE + "send(0, 5)\n" + FORKS[way] + READY
        assert end(start(host, program)) == (0, "")
    assert sorted(sink.values()) == list(range(105))
    assert sink.repeated == 0


def test_a_fork_in_the_middle_of_sending_is_safe():
    """Children forked while other threads hold locks and requests are under way neither hang nor repeat."""
    program = PROLOGUE + (
        "stop = threading.Event()\n"
        "sent = [0]\n"
        "def work():\n"
        "    while not stop.is_set():\n"
        "        send(1_000_000 + sent[0], 1); sent[0] += 1\n"
        "thread = threading.Thread(target=work); thread.start()\n"
        "for child in range(10):\n"
        "    time.sleep(0.01)\n"
        "    pid = os.fork()\n"
        "    if pid == 0:\n"
        "        send(child * 10, 10); client.flush(10); os._exit(0)\n"
        "    assert os.waitpid(pid, 0)[1] == 0\n"
        "stop.set(); thread.join()\n"
        "client.flush(20)\n"
    )
    sink = Sink()
    with served(sink) as host:
        assert end(start(host, program + READY)) == (0, "")
    assert sorted(value for value in sink.values() if value < 1000) == list(range(100))
    assert len(sink.values()) == len(set(sink.values()))


APPLICATION = f"""
import os
from hull_sdk import Client
client = Client(id={ID!r}, secret="s" * 32, organization=os.environ["SINK"])
client.as_user({{"external_id": "parent"}}).track("Loaded")
def app(environ, start_response):
    client.as_user({{"external_id": environ["QUERY_STRING"]}}).track("Seen")
    start_response("200 OK", [("Content-Length", "0")])
    return []
"""


def test_preloaded_gunicorn_loses_nothing(tmp_path):
    """With --preload, four workers and requests that each track one event, every event arrives once."""
    pytest.importorskip("gunicorn")
    import urllib3

    (tmp_path / "tracking_app.py").write_text(APPLICATION)
    sink = Sink()
    address = tmp_path / "address"
    with served(sink) as host:
        environment = {**os.environ, "SINK": host, "PYTHONPATH": f"{ROOT}:{tmp_path}"}
        command = [
            sys.executable,
            "-m",
            "gunicorn",
            "--preload",
            "-w",
            "4",
            "--threads",
            "2",
            "-b",
            "127.0.0.1:0",
            "tracking_app:app",
        ]
        with address.open("w") as log:
            process = subprocess.Popen(command, stderr=log, cwd=tmp_path, env=environment)
        try:
            assert until(lambda: "Listening at: http://" in address.read_text(), 30)
            url = address.read_text().split("Listening at: ")[1].split()[0]
            with urllib3.PoolManager(maxsize=4, retries=False) as pool:
                for number in range(300):
                    assert pool.request("GET", f"{url}/?{number}").status == 200
        finally:
            process.terminate()
            process.wait(30)
    names = [message["body"]["event"] for message in sink.accepted]
    assert (names.count("Seen"), names.count("Loaded"), sink.repeated) == (300, 1, 0)
