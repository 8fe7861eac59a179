"""The demo on the virtual clock: what agrees, what must not agree, and that it repeats."""

from __future__ import annotations

import pytest

from hull_sdk.core import json
from hull_sdk.demo.dataset import changed, load
from hull_sdk.demo.stage import FAULTS
from hull_sdk.demo.virtual import run_virtual

MESSAGES = load()


@pytest.fixture(scope="module")
def report():
    """A run of the data set as it is."""
    return run_virtual()


def plain(report):
    """Return the JSON form without the real time that the run took."""
    return {key: value for key, value in report.to_dict().items() if key != "elapsed_s"}


def figures_that_differ(report):
    """Return the first words of the figures that differ."""
    return {difference.figure.split(" / ")[0] for difference in report.differences}


def plans_of_one_account():
    """Return the numbers of the last two messages that change one account's plan."""
    numbers = [
        n
        for n, m in enumerate(MESSAGES, 1)
        if m.get("as_account") == {"external_id": "co-501"} and "plan" in m["traits"]
    ]
    return numbers[-2:]


def sign_up():
    """Return the number of a message in which a person signs up and a visitor merges."""
    return next(n for n, m in enumerate(MESSAGES, 1) if {"external_id", "anonymous_id"} <= set(m.get("as_user", {})))


def test_every_figure_agrees(report):
    """Platform and connector come to what the calculation says."""
    assert report.differences == []
    assert report.ok
    assert report.sent == len(MESSAGES)
    assert set(report.notifications) == {"user:update", "account:update"}
    assert report.figures["dead_letters"] == 0
    assert report.writes > 0


def test_the_same_seed_gives_the_same_run(report):
    """A run repeats to the byte."""
    assert json.dumps(plain(run_virtual())) == json.dumps(plain(report))


def test_another_seed_gives_the_same_figures(report):
    """Ids are others, figures are not."""
    assert run_virtual(seed=3).figures == report.figures


def test_agrees_on_a_bad_day():
    """500s for five seconds, answers lost after the commit and a doubled delivery change no figure."""
    report = run_virtual(faults=FAULTS)
    assert report.differences == []
    assert report.deliveries > sum(report.notifications.values())


def test_notices_a_missing_message():
    """One message less is not ok."""
    report = run_virtual(changed(MESSAGES, f"drop:{len(MESSAGES)}"))
    assert not report.ok
    assert "messages" in figures_that_differ(report)


def test_notices_a_doubled_message():
    """The same message under a new message_id is not ok."""
    report = run_virtual(changed(MESSAGES, "double:1"))
    assert not report.ok
    assert "messages" in figures_that_differ(report)


def test_notices_the_loss_of_a_person():
    """Without a sign-up, people and what is written about them differ."""
    report = run_virtual(changed(MESSAGES, f"drop:{sign_up()}"))
    assert {"messages", "written"} <= figures_that_differ(report)


def test_notices_two_swapped_messages():
    """Two changes of one plan the other way round are not ok, although every count of messages agrees."""
    first, second = plans_of_one_account()
    report = run_virtual(changed(MESSAGES, f"swap:{first}:{second}"))
    assert not report.ok
    assert "messages" not in figures_that_differ(report)
    assert "written" in figures_that_differ(report)
