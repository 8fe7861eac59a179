"""The demo over loopback sockets and on threads."""

from __future__ import annotations

import io

import pytest

from hull_sdk.demo.dataset import load
from hull_sdk.demo.progress import StreamProgress
from hull_sdk.demo.run import run
from hull_sdk.demo.stage import FAULTS
from hull_sdk.demo.virtual import run_virtual
from hull_sdk.errors import HullError


def test_agrees_over_http_and_says_what_it_does():
    """Every figure agrees, the virtual run has the same, and each stage was told."""
    stream = io.StringIO()
    report = run(progress=StreamProgress(stream))
    assert report.differences == []
    assert report.figures == run_virtual().figures
    assert report.elapsed_s < 15
    lines = stream.getvalue().splitlines()
    assert lines[0] == "starting platform and connector"
    assert lines[1].startswith("platform at http://127.0.0.1:")
    assert lines[2:] == [f"sending {report.sent} messages", "delivering notifications"]


def test_agrees_over_http_on_a_bad_day():
    """500s for five seconds, broken connections and a doubled delivery lose nothing and double nothing."""
    report = run(faults=FAULTS)
    assert report.differences == []
    assert report.elapsed_s > 5


def test_gives_up_in_time_and_says_what_is_missing():
    """A platform that never takes anything ends the run with a clear error."""
    with pytest.raises(HullError, match="were not sent"):
        run(faults=[{"target": "firehose", "kind": "error", "status": 503}], deadline_s=0.5)


def test_gives_up_when_the_connector_never_answers():
    """A connector that only breaks connections ends the run with its last answers."""
    with pytest.raises(HullError, match="were still to be told"):
        # Few messages, so that they are sent in time on a machine that is busy.
        run(load()[:5], faults=[{"target": "delivery", "kind": "drop_before"}], deadline_s=3)
