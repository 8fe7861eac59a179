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


@pytest.mark.parametrize("wrong", [{"status": "fine"}, "ok", ["ok"]])
def test_a_wrong_result_is_a_bug(world, wrong):
    """A result that breaks the rule is an unexpected error and tells the platform nothing."""
    response = status(world, says(wrong))
    assert (response.status_code, response.text) == (500, "unhandled-error")
    assert world.platform.statuses == []


def test_without_credentials_the_answer_is_403(world):
    """Without credentials no check runs."""
    app = world.app(status_handler(lambda _ctx: pytest.fail("called")))
    assert app.test_client().post("/b0").status_code == 403


def test_checks_are_functions():
    """Anything else is an error when the handler is made."""
    with pytest.raises(InvalidArgumentError, match="a check of status_handler is 3"):
        status_handler([3])
