"""The method of the benchmarks: turns, counts, ratios within a round, targets."""

from __future__ import annotations

import json

import pytest
from method import Contender, Contest, Helper, Result, Target, Turn, percentile


def turn(count=10, wall_s=2.0, cpu_s=1.0, **figures):
    """Return a turn with round numbers."""
    return Turn(count=count, wall_s=wall_s, cpu_s=cpu_s, figures=figures)


def contender(name, taken, turns=None):
    """Return a contender that notes its turns and comes to what it is told."""

    def take_turn():
        taken.append(name)
        return turns.pop(0) if turns else turn()

    return Contender(name, take_turn, 10)


def test_contenders_take_turns_in_reversed_order_every_other_round():
    """Each contender has one turn in each round, and who begins changes; the warm-up round comes before."""
    taken = []
    Contest("race", "step", [contender("a", taken), contender("b", taken)]).run(2)
    assert taken == ["b", "a", "a", "b", "b", "a"]


def test_a_turn_that_lost_something_ends_the_benchmark():
    """There are no figures when a contender came to another count than it had to."""
    contest = Contest("race", "step", [contender("leaky", [], [turn(), turn(count=9)])])
    with pytest.raises(SystemExit, match=r"leaky came to 9 instead of 10"):
        contest.run(5)


def test_a_ratio_is_taken_within_each_round():
    """A machine that becomes slower within a run changes no ratio, though it changes the medians."""
    slower = [1.0, 2.0, 8.0]
    result = Result({"ours": [turn(wall_s=w) for w in slower], "floor": [turn(wall_s=w / 2) for w in slower]})
    assert result.ratio("ours", "floor", "per_s") == 0.5
    assert result.median("ours", "per_s") == 5.0


def test_a_line_of_json_tells_the_figures_of_a_contender(capsys):
    """Beside the table there is a line for each contender, with median, least and most of each figure."""
    turns = [turn(), turn(cpu_s=1.0), turn(cpu_s=4.0), turn(cpu_s=2.0)]
    Contest("race", "step", [contender("a", [], turns)]).run(3)
    (told,) = [json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert (told["benchmark"], told["contender"], told["count"], told["rounds"]) == ("race", "a", 10, 3)
    assert told["figures"]["cpu_s"] == {"median": 2.0, "least": 1.0, "most": 4.0}
    assert told["figures"]["cpu_us"]["median"] == 200_000
    assert told["machine"]["python"]


@pytest.mark.parametrize(("value", "met", "gated"), [(1.3, True, False), (1.4, False, False), (1.6, False, True)])
def test_a_target_is_missed_by_its_number_and_gated_by_more(value, met, gated):
    """What is told is whether a target is met; a run fails only beyond what chance explains."""
    target = Target(what="cost", value=value, most=1.3)
    assert (target.met, target.gated) == (met, gated)
    assert str(target).startswith("met" if met else "MISSED")


def test_a_target_may_be_a_least_value():
    """A rate has to reach its target."""
    assert Target(what="rate", value=7_999, least=8_000).met is False
    assert Target(what="rate", value=8_000, least=8_000).met is True


def test_percentiles_are_values_that_were_measured():
    """The p99 of a hundred values is the largest, the p50 the one in the middle."""
    values = [float(each) for each in range(100)]
    assert (percentile(values, 50), percentile(values, 99), percentile(values, 100)) == (50.0, 99.0, 99.0)


@pytest.mark.process
def test_a_helper_takes_its_turns_in_a_process_of_its_own(tmp_path):
    """A contender may live in another process, set up once, and measures itself there."""
    script = tmp_path / "helper.py"
    script.write_text(
        "import os\nfrom method import answer_turns, measure\n"
        "answer_turns(lambda: measure(lambda: 3, lambda: {'pid': os.getpid()}), {'users': 7})\n"
    )
    script.with_name("method.py").symlink_to(__file__.replace("test_method.py", "method.py"))
    with Helper(script) as helper:
        first, second = helper.take_turn(), helper.take_turn()
        assert helper.ready == {"users": 7}
    assert (first.count, second.count) == (3, 3)
    assert first.figures["pid"] == second.figures["pid"]


@pytest.mark.process
def test_a_helper_that_breaks_ends_the_benchmark(tmp_path):
    """A process that ends instead of answering is named, with its exit code."""
    script = tmp_path / "broken.py"
    script.write_text("raise SystemExit(3)\n")
    with pytest.raises(SystemExit, match=r"broken.py ended with 3"):
        Helper(script)
