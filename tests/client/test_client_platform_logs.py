"""Connectors' lines on their way to the platform: which, as whom, in which batches, and what happens when it fails."""

from __future__ import annotations

import json
import logging
import signal

import pytest
from client_sinks import HOST, ID, SECRET, Sink, served

from hull_sdk.client import Client, PlatformLogHandler
from hull_sdk.core.logs import fields_of
from hull_sdk.errors import InvalidArgumentError

ANN = {"email": "ann@acme.test"}
OTHER = "5a7962e2793d3e942a03b29b"


class LogSink(Sink):
    """A platform that takes log lines; ``script`` holds the answers of the next requests."""

    def __init__(self):
        super().__init__()
        self.posts = []

    def __call__(self, environ, start_response):
        self.path = environ["PATH_INFO"]
        return super().__call__(environ, start_response)

    def receive(self, body, headers):
        """Take one batch of lines."""
        if "logs" not in body:
            return super().receive(body, headers)
        status = self.script.pop(0) if self.script else 200
        self.posts.append((status, headers, body["logs"]))
        return status, b'{"accepted": 1, "message": "as told"}'

    @property
    def lines(self):
        """The lines of the batches that were accepted."""
        return [line for status, _, lines in self.posts for line in lines if status == 200]

    @property
    def messages(self):
        """The messages of these lines."""
        return [line["message"] for line in self.lines]


@pytest.fixture
def platform(runtime):
    """The API of the organization."""
    platform = LogSink()
    runtime.net.mount(HOST, platform)
    return platform


@pytest.fixture
def attach():
    """Attach handlers to the client's logger; they are closed after the test."""
    logger, level, handlers = logging.getLogger("hull_sdk.client"), logging.getLogger("hull_sdk.client").level, []

    def attach(**options):
        handlers.append(PlatformLogHandler(**options))
        logger.addHandler(handlers[-1])
        return handlers[-1]

    logger.setLevel(logging.DEBUG)
    yield attach
    logger.setLevel(level)
    for handler in handlers:
        logger.removeHandler(handler)
        handler.close()


def test_a_line_is_posted_with_its_context(client, platform, attach, runtime):
    """A second later it is at the platform with level, data, context and time, under the connector's credentials."""
    attach()
    client.as_user(ANN).logger.info("outgoing.user.success", {"fields": ["email"]})
    runtime.tasks.sleep(0.9)
    assert platform.posts == []
    runtime.tasks.sleep(0.1)
    ((_, headers, (line,)),) = platform.posts
    assert platform.path == f"/api/v1/{ID}/logs"
    assert (headers["hull-app-id"], headers["hull-access-token"]) == (ID, SECRET)
    assert line.pop("timestamp").endswith("Z")
    who = {"organization": HOST, "id": ID, "subject_type": "user", "user_email": "ann@acme.test"}
    assert line == {
        "message": "outgoing.user.success",
        "level": "info",
        "data": {"fields": ["email"]},
        "context": who,
    }


def test_lines_go_in_batches_and_in_order(client, platform, attach, runtime):
    """At most five hundred lines go at once; so many do not wait."""
    attach()
    for number in range(1201):
        client.logger.info(str(number))
    runtime.tasks.sleep(0)
    assert len(platform.posts) >= 1
    runtime.tasks.run_until_idle()
    assert [len(lines) for _, _, lines in platform.posts] == [500, 500, 201]
    assert platform.messages == [str(number) for number in range(1201)]


def test_each_line_goes_as_its_own_connector(make_client, platform, attach, runtime):
    """One handler serves all clients of the process, each with its own credentials."""
    attach()
    for one in (ID, OTHER):
        make_client(id=one, secret=f"secret-of-{one}").logger.info(one)
    runtime.tasks.run_until_idle()
    found = [(h["hull-app-id"], h["hull-access-token"], lines[0]["message"]) for _, h, lines in platform.posts]
    assert found == [(one, f"secret-of-{one}", one) for one in (ID, OTHER)]


def test_other_records_are_not_sent(client, platform, attach, runtime, sink):
    """What the package or the application logs itself stays here, and so nothing is ever sent about the sending."""
    attach(level=logging.DEBUG)
    logging.getLogger("hull_sdk.client").warning("mine")
    logging.getLogger("hull_sdk.client.lane").warning("firehose.retry")
    sink.script, platform.script = [503], [503]
    client.as_user(ANN).traits({"plan": "pro"})
    client.logger.debug("yours")
    runtime.tasks.run_until_idle()
    assert platform.messages == ["yours"]


def test_the_level_of_the_handler_counts(client, platform, attach, runtime):
    """Lines below it are not sent."""
    attach(level="WARNING")
    client.logger.info("no")
    client.logger.error("yes")
    runtime.tasks.run_until_idle()
    assert platform.messages == ["yes"]


def test_no_secret_is_sent(client, platform, attach, runtime):
    """Secrets in message and data are masked before a line is queued."""
    attach()
    user = client.as_user(ANN)
    text = f"secret={SECRET}"
    user.logger.info(text, {"token": user.token(), "url": f"https://x.test/?secret={SECRET}"})
    runtime.tasks.run_until_idle()
    assert SECRET not in json.dumps(platform.lines)
    assert user.token() not in json.dumps(platform.lines)


def test_data_that_is_no_json_is_sent_as_text(client, platform, attach, runtime):
    """Objects and numbers that JSON does not know become text; a line that is too long loses its data."""
    attach()
    client.logger.info("odd", {"n": float("nan"), "o": {1}, 2: "x"})
    client.logger.info("long", {"text": "x" * 50_000})
    runtime.tasks.run_until_idle()
    assert platform.lines[0]["data"] == {"n": "nan", "o": [1], "2": "x"}
    assert platform.lines[1]["data"].endswith("bytes were left out")


@pytest.mark.parametrize("status", [429, 500, 503])
def test_what_may_pass_is_repeated(client, platform, attach, runtime, status):
    """The same lines are sent again after a pause, before those that came later."""
    attach()
    platform.script = [status, status]
    client.logger.info("first")
    runtime.tasks.sleep(1)
    client.logger.info("second")
    runtime.tasks.run_until_idle()
    assert [status for status, _, _ in platform.posts] == [status, status, 200, 200]
    assert platform.messages == ["first", "second"]


def test_what_is_refused_is_said_once(client, platform, attach, runtime, caplog):
    """A platform that does not take lines is named in one warning, which is not sent; the lines are let go."""
    handler = attach()
    platform.script = [404, 404, 404]
    for number in range(4):
        client.logger.info(str(number))
        runtime.tasks.run_until_idle()
    warnings = [record for record in caplog.records if record.getMessage() == "logs.refused"]
    assert [fields_of(record)["lines"] for record in warnings] == [1]
    assert "404: as told" in fields_of(warnings[0])["error"]
    assert platform.messages == ["3"]
    assert handler._tally.lines == 0


def test_too_many_lines_are_dropped_and_counted(make_client, platform, attach, runtime):
    """Beyond max_lines the oldest go, of the connector that has most; its next batch says how many."""
    attach(max_lines=5)
    loud, quiet = make_client(), make_client(id=OTHER)
    quiet.logger.info("quiet")
    for number in range(10):
        loud.logger.info(str(number))
    runtime.tasks.run_until_idle()
    assert platform.messages == ["quiet", "logs.dropped", "6", "7", "8", "9"]
    assert [line["data"] for line in platform.lines if line["message"] == "logs.dropped"] == [{"lines": 6}]


def test_flush_and_close_send_at_once(client, platform, attach):
    """Nobody has to wait for a flush; what comes after close is not taken."""
    handler = attach()
    client.logger.info("flushed")
    handler.flush()
    assert platform.messages == ["flushed"]
    client.logger.info("closed")
    handler.close()
    client.logger.info("late")
    handler.close()
    assert platform.messages == ["flushed", "closed"]


def test_closing_gives_up_on_time(client, platform, attach, runtime, capsys):
    """A platform that fails keeps close no longer than close_timeout_s; what is lost is counted on standard error."""
    handler = attach(close_timeout_s=3)
    platform.script = [503] * 100
    client.logger.info("a")
    client.logger.info("b")
    handler.close()
    assert runtime.clock.monotonic() == pytest.approx(3)
    assert (
        capsys.readouterr().err == "hull_sdk: 2 log lines were not sent to the platform before the handler was closed\n"
    )


def test_a_line_that_cannot_be_queued_breaks_nothing(client, platform, attach, monkeypatch, capsys):
    """An error within the handler goes to the hook of logging; the caller goes on."""
    handler, seen = attach(), []
    monkeypatch.setattr(handler, "handleError", seen.append)
    monkeypatch.setattr(handler, "_queue", lambda *_: 1 / 0)
    client.logger.info("x")
    assert [record.getMessage() for record in seen] == ["x"]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_lines": 0}, "max_lines is 0; pass a whole number from 1"),
        ({"max_lines": True}, "max_lines is True"),
        ({"flush_after_ms": -1}, "flush_after_ms is -1; pass a number from 0"),
        ({"close_timeout_s": float("inf")}, "close_timeout_s is inf"),
    ],
)
def test_a_wrong_option_is_refused(options, text):
    """The error names value and rule."""
    with pytest.raises(InvalidArgumentError, match=text):
        PlatformLogHandler(**options)


PROGRAM = f"""
import logging, os, signal, sys, time
from hull_sdk.client import Client, PlatformLogHandler
logger = logging.getLogger("hull_sdk.client")
logger.setLevel(logging.INFO)
logger.addHandler(PlatformLogHandler(close_timeout_s=2))
client = Client(id={ID!r}, secret="s" * 32, organization=sys.argv[1])
for n in range(20):
    client.logger.info(str(n))
"""
READY = "print('ready', flush=True)\n"
FORK = """
if os.fork() == 0:
    client.logger.info("child")
    raise SystemExit(0)
os.wait()
"""


@pytest.mark.process
@pytest.mark.parametrize(
    ("ending", "code", "more"),
    [
        ("", 0, []),
        ("raise SystemExit(3)", 3, []),
        ("time.sleep(60)", -signal.SIGTERM, []),
        (FORK, 0, ["child"]),
    ],
    ids=["normal", "exit", "sigterm", "fork"],
)
def test_lines_arrive_whatever_ends_the_process(start_process, ending, code, more):
    """The lines of the last moment are sent at the end of the process, by each process of its own after a fork."""
    platform = LogSink()
    with served(platform) as host:
        process = start_process(["python", "-W", "ignore", "-c", PROGRAM + READY + ending, host])
        process.wait_for("ready")
        assert (process.stop() if code < 0 else process.wait(), process.stderr) == (code, [])
    assert sorted(platform.messages) == sorted([*map(str, range(20)), *more])


def test_threads_and_sockets_carry_lines(real_client, attach):
    """On the machine's own clock lines arrive in the background."""
    handler = attach(flush_after_ms=10)
    platform = LogSink()
    with served(platform) as host:
        client: Client = real_client(host)
        client.logger.info("real")
        handler.flush()
        assert platform.messages == ["real"]
        handler.close()
        real_client.close()
