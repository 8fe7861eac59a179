"""The simulation finds bugs: each one that is planted, within the scenarios that are run by default."""

from __future__ import annotations

import pytest
from planted_bugs import BUGS
from simulated_scenarios import make_scenario
from simulated_world import play
from simulation_oracle import judge

#: Scenarios in which a bug has to show.
SEEDS = 200

pytestmark = pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long")

#: What the first broken promise is about, by the name of the bug.
SIGNS = {
    "no_lease": "while it was running",
    "no_deduplication_of_notifications": "after it had succeeded",
    "no_deduplication_of_messages": "visits",
    "no_order_in_the_client": "step",
    "no_order_in_the_platform": "while another was not done",
    "lane_change_in_flight": "while another was not done",
    "new_message_id_on_retry": "expected",
    "fresh_ids_in_for_each": "counted|Shipped",
    "answer_before_flush": "Shipped|counted|written",
    "dropping_on_413": "not done|never done",
    "no_pause": "the pause of",
    "shared_queue": "dead letters|not apply|come to rest",
    "losing_what_is_in_flight": "not done|never done",
    "losing_news_in_flight": "told",
    "giving_up_at_once": "not accepted",
    "larger_than_asked_for": "were asked for",
    "new_content_on_retry": "came with other messages",
    "losing_events_in_a_merge": "not of",
    "deletions_that_do_not_wait": "while an earlier message was not done",
}


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(bug, monkeypatch):
    """A bug that somebody might make breaks a promise in one of the scenarios."""
    monkeypatch.setattr(*bug())
    found = next(filter(None, map(problems_of, range(SEEDS))), [])
    assert found
    assert any(sign in problem for problem in found for sign in SIGNS[bug.__name__].split("|")), found[:5]


def problems_of(seed):
    """Return what is wrong with the scenario of a seed."""
    scenario = make_scenario(seed)
    return judge(scenario, play(scenario)[0])
