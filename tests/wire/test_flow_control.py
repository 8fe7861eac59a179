"""Flow control: what is valid, what it means, and that reading an answer never fails."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.flow_control import (
    DEFAULT_NEXT,
    DEFAULT_RETRY,
    DEFAULT_UNSUPPORTED,
    MAX_PAUSE_S,
    MAX_SIZE,
    Answer,
    FlowControl,
    MessageResult,
    parse_answer,
)

NOW = 1_704_448_800.0
pauses = st.one_of(st.none(), st.integers(0, 10**12), st.floats(0, 1e12))
controls = st.builds(
    FlowControl,
    type=st.sampled_from(["next", "retry"]),
    size=st.one_of(st.none(), st.integers(1, MAX_SIZE)),
    in_ms=pauses,
    at=st.one_of(st.none(), st.integers(0, 4 * 10**9).map(float)),
    in_time=pauses,
).filter(lambda control: control.in_ms is not None or control.at is not None)
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)),
    max_leaves=8,
)


@given(controls)
def test_what_is_written_is_read_back(control):
    """Every flow control survives the wire, through JSON, unchanged."""
    assert FlowControl.parse(json.loads(json.dumps(control.to_wire()))) == control


@pytest.mark.parametrize(
    ("value", "control"),
    [
        ({"type": "next", "size": 100, "in": 5000}, FlowControl(type="next", size=100, in_ms=5000)),
        ({"type": "next", "in": 0}, FlowControl(type="next", in_ms=0)),
        ({"type": "retry", "in": 0.5}, FlowControl(type="retry", in_ms=0.5)),
        ({"type": "retry", "at": 1704448800}, FlowControl(type="retry", at=NOW)),
        ({"type": "retry", "at": "1704448800"}, FlowControl(type="retry", at=NOW)),
        ({"type": "retry", "at": "2024-01-05T10:00:00Z"}, FlowControl(type="retry", at=NOW)),
        ({"type": "next", "size": 5.0, "in": 1}, FlowControl(type="next", size=5, in_ms=1)),
        ({"type": "next", "size": 10**9, "in": 1}, FlowControl(type="next", size=MAX_SIZE, in_ms=1)),
        ({"type": "next", "in": 1, "in_time": 10, "more": {}}, FlowControl(type="next", in_ms=1, in_time=10)),
        ({"type": "next", "size": None, "in": 1, "at": None}, FlowControl(type="next", in_ms=1)),
    ],
)
def test_valid_forms_are_read(value, control):
    """A pause or a time, sizes up to the limit, unknown keys and nulls: all of them mean what they say."""
    assert FlowControl.parse(value) == control


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "None; it must be an object"),
        ([], "must be an object"),
        ("next", "must be an object"),
        ({}, "type is None"),
        ({"type": "later", "in": 1}, "'later'"),
        ({"type": ["next"], "in": 1}, "'next' or 'retry'"),
        ({"type": {}, "in": 1}, "'next' or 'retry'"),
        ({"type": "next"}, "neither 'in'"),
        ({"type": "next", "size": 5}, "neither 'in'"),
        ({"type": "next", "in": -1}, "in is -1"),
        ({"type": "next", "in": "5"}, "in is '5'"),
        ({"type": "next", "in": True}, "in is True"),
        ({"type": "next", "in": float("nan")}, "in is nan"),
        ({"type": "next", "in": float("inf")}, "in is inf"),
        ({"type": "next", "in": 10**400}, "in is 1000"),
        ({"type": "next", "in": 1, "size": 0}, "size is 0"),
        ({"type": "next", "in": 1, "size": -3}, "size is -3"),
        ({"type": "next", "in": 1, "size": 1.5}, "size is 1.5"),
        ({"type": "next", "in": 1, "size": "all"}, "size is 'all'"),
        ({"type": "next", "at": "soon"}, "at is 'soon'"),
        ({"type": "next", "at": True}, "at is True"),
        ({"type": "next", "at": {}}, "at is {}"),
        ({"type": "next", "in": 1, "in_time": "x"}, "in_time is 'x'"),
    ],
)
def test_invalid_forms_are_refused_with_the_rule(value, reason):
    """What is no flow control names the value and the rule."""
    with pytest.raises(InvalidArgumentError, match=reason):
        FlowControl.parse(value)


@pytest.mark.parametrize(
    ("control", "delay"),
    [
        (FlowControl(type="next", in_ms=0), 0.0),
        (FlowControl(type="next", in_ms=1500), 1.5),
        (FlowControl(type="next", at=NOW + 30), 30.0),
        (FlowControl(type="next", at=NOW - 30), 0.0),
        (FlowControl(type="next", in_ms=1500, at=NOW + 30), 1.5),
        (FlowControl(type="next"), 0.0),
        (FlowControl(type="next", in_ms=1e300), MAX_PAUSE_S),
        (FlowControl(type="next", at=NOW + 1e12), MAX_PAUSE_S),
    ],
)
def test_pauses_in_seconds(control, delay):
    """A pause counts before a time, is never negative and never longer than a year."""
    assert control.delay_s(NOW) == delay


def test_the_defaults_of_the_protocol():
    """What is answered when a handler returned, raised, or does not exist."""
    assert DEFAULT_NEXT.to_wire() == {"type": "next", "size": 1, "in": 1000}
    assert DEFAULT_RETRY.to_wire() == {"type": "retry", "in": 1000}
    assert DEFAULT_UNSUPPORTED.to_wire() == {"type": "next", "size": 10, "in": 1}


def test_a_zero_pause_is_written():
    """Zero is a pause like any other and is not lost on the wire."""
    assert FlowControl(type="next", in_ms=0).to_wire() == {"type": "next", "in": 0}


@pytest.mark.parametrize(
    "result", [MessageResult("m1", "ok"), MessageResult("m1", "error", "bad email"), MessageResult("m1", "retry", "")]
)
def test_results_of_messages_survive_the_wire(result):
    """Id, status and reason are written and read back; an absent reason stays absent."""
    assert MessageResult.parse(json.loads(json.dumps(result.to_wire()))) == result


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "message_id"),
        ({"status": "ok"}, "message_id"),
        ({"message_id": 5, "status": "ok"}, "message_id"),
        ({"message_id": "m1"}, "status None"),
        ({"message_id": "m1", "status": "done"}, "'done'; use one of ok, skip, retry, error"),
        ({"message_id": "m1", "status": ["ok"]}, "use one of"),
    ],
)
def test_results_without_id_or_status_are_refused(value, reason):
    """A result needs a message and one of the four statuses."""
    with pytest.raises(InvalidArgumentError, match=reason):
        MessageResult.parse(value)


def test_a_whole_answer_is_read():
    """Flow control, results and errors come out of one answer."""
    body = {
        "flow_control": {"type": "next", "in": 1},
        "responses": [{"message_id": "m1", "status": "error", "reason": 42}],
        "errors": [{"code": "A", "reason": "b"}, "odd"],
        "metrics": [],
    }
    assert parse_answer(body) == Answer(
        FlowControl(type="next", in_ms=1), (MessageResult("m1", "error", "42"),), ({"code": "A", "reason": "b"},)
    )


@pytest.mark.parametrize("body", [None, "ok", [], 5, {}, {"flow_control": None}])
def test_an_answer_without_flow_control_is_none(body):
    """Anything without valid flow control has none, whatever else it says."""
    assert parse_answer(body).flow_control is None


def test_an_invalid_answer_says_why():
    """What is wrong with an answer stands among its errors; invalid results make all of it invalid."""
    answer = parse_answer(
        {"flow_control": {"type": "next", "in": 1}, "responses": [{"message_id": "m1", "status": "done"}]}
    )
    assert answer.flow_control is None
    assert answer.responses == ()
    assert answer.errors[0]["code"] == "INVALID_FLOW_CONTROL"
    assert "'done'" in answer.errors[0]["reason"]


flow_like = st.fixed_dictionaries(
    {},
    optional={
        "type": st.one_of(st.sampled_from(["next", "retry"]), json_values),
        "size": json_values,
        "in": json_values,
        "at": json_values,
        "in_time": json_values,
    },
)


@given(
    st.one_of(
        json_values,
        st.fixed_dictionaries(
            {}, optional={"flow_control": flow_like, "responses": json_values, "errors": json_values}
        ),
    )
)
def test_reading_an_answer_never_raises(body):
    """Whatever a connector answers, the platform reads it; what it reads gives a finite pause."""
    control = parse_answer(body).flow_control
    assert control is None or 0 <= control.delay_s(NOW) <= MAX_PAUSE_S
