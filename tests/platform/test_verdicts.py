"""The table from answers to what becomes of a notification."""

from __future__ import annotations

import pytest

from hull_sdk.platform.verdicts import decide
from hull_sdk.wire.flow_control import parse_answer

IDS = ("a", "b", "c")


def verdict(body, status=200, ids=IDS):
    """Decide about an answer in JSON."""
    return decide(ids, status, parse_answer(body), now=1000.0, backoff_s=lambda: 5.0)


def flow(kind="next", **more):
    """Return an answer in JSON."""
    responses = more.pop("responses", None)
    body = {"flow_control": {"type": kind, "in": 2000, **more}}
    return body if responses is None else {**body, "responses": [{"message_id": i, "status": s} for i, s in responses]}


@pytest.mark.parametrize(
    ("body", "status", "outcome", "delay", "again"),
    [
        (flow(), 200, "next", 2.0, False),
        (flow(), 500, "next", 2.0, False),
        (flow("retry"), 200, "retry", 2.0, True),
        ({"flow_control": {"type": "next", "at": 1060}}, 200, "next", 60.0, False),
        ({"flow_control": {"type": "next", "in": 0}}, 200, "next", 0.0, False),
        (None, 200, "failed", 5.0, True),
        ("ok", 502, "failed", 5.0, True),
        ({"flow_control": {"type": "next"}}, 200, "failed", 5.0, True),
        (flow(responses=[("a", "unheard of")]), 200, "failed", 5.0, True),
        (None, None, "failed", 5.0, True),
    ],
)
def test_answers_about_the_whole_notification(body, status, outcome, delay, again):
    """Type and pause are taken from valid flow control; everything else backs off."""
    found = verdict(body, status)
    assert (found.outcome, found.delay_s, found.again) == (outcome, delay, again)
    assert (found.parts, found.dead) == ((), ())


@pytest.mark.parametrize(
    ("kind", "responses", "parts", "dead", "again"),
    [
        ("next", [("a", "ok"), ("b", "skip")], (), [], False),
        ("next", [("b", "retry")], (("b",),), [], False),
        ("next", [("a", "error"), ("c", "retry")], (("c",),), ["a"], False),
        ("next", [("a", "retry"), ("b", "retry"), ("c", "retry")], (IDS,), [], False),
        ("retry", [("a", "ok")], (("b", "c"),), [], False),
        ("retry", [("a", "error")], (("b", "c"),), ["a"], False),
        ("retry", [("a", "retry")], (), [], True),
        ("next", [("nobody", "error")], (), [], False),
    ],
)
def test_answers_about_single_messages(kind, responses, parts, dead, again):
    """Retried messages become a part, errors die, and silence means what the type says."""
    found = verdict(flow(kind, responses=responses))
    assert (found.parts, [each for each, _ in found.dead], found.again) == (parts, dead, again)


def test_a_413_splits_unless_there_is_one_message():
    """Several messages are sent one by one; a single one is retried as it is."""
    assert verdict(flow("retry", size=1), 413).parts == (("a",), ("b",), ("c",))
    assert verdict(flow("retry", size=1), 413).size == 1
    assert verdict(flow("retry", size=1), 413, ("a",)).again is True
    assert verdict(None, 413).delay_s == 5.0
