"""The status endpoint."""

from __future__ import annotations

import pytest
from connector_world import query

from hull_sdk.errors import ConfigurationError, InvalidArgumentError, LogicError
from hull_sdk.handlers import status_handler

FINE = {"status": "ok", "messages": []}


def status(world, checks, method="POST"):
    """Call the status endpoint and return the response."""
    return world.app(status_handler(checks)).test_client().open(f"/b0?{query()}", method=method)


def says(result):
    """Return a check with a fixed result."""
    return lambda _ctx: result


@pytest.mark.parametrize(
    ("results", "expected"),
    [
        ([], FINE),
        ([None, None], FINE),
        ([{"status": "ok"}], FINE),
        (
            [{"status": "warning", "messages": ["slow"]}, None],
            {"status": "warning", "messages": ["slow"]},
        ),
        (
            [{"status": "error", "messages": ["down"]}, {"status": "warning", "messages": ["slow"]}],
            {"status": "error", "messages": ["down", "slow"]},
        ),
        (
            [{"status": "warning"}, {"status": "setupRequired", "messages": "key missing"}],
            {"status": "setupRequired", "messages": ["key missing"]},
        ),
    ],
)
@pytest.mark.shows("README: connector-status")
def test_the_worst_check_decides(world, results, expected):
    """The worst status wins, all messages are kept, and the platform is told the same."""
    assert status(world, [says(result) for result in results]).get_json() == expected
    assert world.platform.statuses == [expected]


@pytest.mark.parametrize("method", ["GET", "POST", "PUT"])
def test_every_method_is_answered(world, method):
    """Schedules POST, people GET."""
    assert status(world, says(None), method).get_json() == FINE


@pytest.mark.parametrize("error", [LogicError("no list chosen"), ConfigurationError("no list chosen")])
def test_a_check_that_raises_a_known_error_is_an_error(world, error):
    """An error of the package counts as the status error with its message."""

    def check(_ctx):
        raise error

    assert status(world, [check]).get_json() == {"status": "error", "messages": ["no list chosen"]}


def test_an_async_check_is_waited_for(world):
    """The result of an async def check counts."""

    async def check(ctx):
        return {"status": "warning", "messages": [ctx.ship["name"]]}

    assert status(world, check).get_json() == {"status": "warning", "messages": ["Shop"]}


@pytest.mark.parametrize("wrong", [{"status": "fine"}, {"status": ["ok"]}, {"messages": 3}, "ok", ["ok"], True])
def test_a_wrong_result_is_an_error(world, wrong):
    """A result that breaks the rule counts as an error, which the platform is told and the developer too."""
    answer = status(world, says(wrong)).get_json()
    assert (answer["status"], "InvalidArgumentError" in answer["messages"][0]) == ("error", True)
    assert world.platform.statuses == [answer]
    assert len(world.instrumentation.exceptions) == 1


def test_a_check_that_breaks_is_an_error_and_the_others_still_count(world):
    """An unexpected error is reported, the platform is told error without its text, and the other checks run."""

    def broken(_ctx):
        raise RuntimeError("internal words")

    answer = status(world, [broken, says({"status": "warning", "messages": ["slow"]})]).get_json()
    assert answer == {
        "status": "error",
        "messages": ["The check 'broken' failed unexpectedly (RuntimeError).", "slow"],
    }
    assert world.platform.statuses == [answer]
    assert [str(record.error) for record in world.instrumentation.exceptions] == ["internal words"]


def test_a_check_that_does_not_end_is_an_error(world):
    """The platform is told within the deadline; what ends too late does not count, what ended before does."""
    ends = []

    def hangs(ctx):
        ctx.runtime.tasks.sleep(21)
        ends.append(ctx.runtime.clock.monotonic())

    checks = [says({"status": "warning", "messages": ["slow"]}), hangs, says(None)]
    answer = status(world, checks).get_json()
    assert answer == {
        "status": "error",
        "messages": ["slow", "The check 'hangs' did not end within 20 seconds."],
    }
    assert (world.platform.statuses, len(ends)) == ([answer], 1)


def test_what_a_check_sends_and_the_platform_does_not_accept_is_an_error(world):
    """A check whose writes were not accepted has not succeeded."""
    world.platform.firehose_answer = lambda _batch: ("no", 403)

    def writes(ctx):
        ctx.client.as_user({"email": "ann@acme.example"}).traits({"seen": True})

    answer = status(world, writes).get_json()
    assert (answer["status"], world.platform.statuses) == ("error", [answer])
    assert "1 failed" in answer["messages"][0]


def test_without_credentials_the_answer_is_403(world):
    """Without credentials no check runs."""
    app = world.app(status_handler(lambda _ctx: pytest.fail("called")))
    assert app.test_client().post("/b0").status_code == 403


def test_checks_are_functions():
    """Anything else is an error when the handler is made."""
    with pytest.raises(InvalidArgumentError, match="a check of status_handler is 3"):
        status_handler([3])
