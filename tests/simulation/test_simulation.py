"""Platform, connectors and third party through random faults: what was promised holds, whatever breaks."""

from __future__ import annotations

import ast
import functools
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import simulated_scenarios
import simulation_oracle
from simulated_scenarios import FAULTS, KINDS, make_scenario
from simulated_world import digest, play
from simulation_oracle import judge

#: Scenarios in which each kind of fault has to strike often enough.
SEEDS = 200
SHARE = 0.3
TARGETS = ("firehose", "api", "delivery")
HERE = Path(__file__).parent

pytestmark = pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long")


def pytest_generate_tests(metafunc):
    """Run the scenario of one seed when there is ``--seed``, else of as many as ``--seeds`` says."""
    if "seed" in metafunc.fixturenames:
        seed = metafunc.config.getoption("seed")
        metafunc.parametrize("seed", range(metafunc.config.getoption("seeds")) if seed is None else [seed])


@functools.cache
def run(seed: int) -> tuple[tuple[str, ...], frozenset[str], str]:
    """Play the scenario of a seed once; return what is wrong, which faults struck, and its fingerprint."""
    scenario = make_scenario(seed)
    outcome, fired = play(scenario)
    return tuple(judge(scenario, outcome)), frozenset(fired), digest(outcome)


def explain(seed: int, problems: tuple[str, ...]) -> str:
    """Say what is wrong, and how to see it again."""
    lines = [
        f"seed {seed}: {len(problems)} broken promises; again with: python -m pytest tests/simulation --seed {seed}"
    ]
    return "\n".join([*lines, *problems[:20]])


def test_every_promise_holds(seed):
    """Nothing is lost or applied twice, order and pauses are kept, and organizations are apart."""
    try:
        problems, _, _ = run(seed)
    except Exception as err:
        err.add_note(explain(seed, ()))
        raise
    if problems:
        pytest.fail(explain(seed, problems), pytrace=False)


@pytest.mark.timeout(900)
def test_each_kind_of_fault_strikes_often():
    """Each kind of fault strikes in three of ten scenarios or more; those of the platform hit each of its targets."""
    struck = Counter(kind for seed in range(SEEDS) for kind in run(seed)[1])
    assert {kind: struck[kind] for kind in KINDS if struck[kind] < SHARE * SEEDS} == {}
    assert [f"{kind} {target}" for kind in FAULTS for target in TARGETS if not struck[f"{kind} {target}"]] == []


def test_a_scenario_repeats_to_the_byte():
    """The same seed gives the same run, another one gives another."""
    first, again = (digest(play(make_scenario(7))[0]) for _ in range(2))
    assert first == again
    assert run(8)[2] != first


@pytest.mark.process
def test_a_scenario_repeats_in_another_process():
    """A run depends on nothing but its seed, not even on the order of sets."""
    code = "from simulated_scenarios import *; from simulated_world import *; print(digest(play(make_scenario(7))[0]))"
    command = [sys.executable, "-W", "ignore", "-c", code]
    environment = {**os.environ, "PYTHONHASHSEED": "77", "PYTHONPATH": os.pathsep.join([str(HERE), *sys.path])}
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100, env=environment)
    assert done.stdout.strip() == run(7)[2]


@pytest.mark.process
def test_the_printed_command_runs_the_scenario_of_one_seed():
    """What a failure says to run runs that scenario and nothing else."""
    command = explain(11, ("something",)).splitlines()[0].rpartition("again with: python ")[2].split()
    done = subprocess.run(
        [sys.executable, *command, "-q", "-p", "no:randomly", "-p", "no:cacheprovider"],
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
        cwd=HERE.parents[1],
    )
    assert "1 passed" in done.stdout, done.stdout


@pytest.mark.parametrize("module", [simulation_oracle, simulated_scenarios])
def test_the_oracle_knows_nothing_of_the_package(module):
    """Scenarios and oracle import the standard library and each other."""
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    imported |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names | {"simulated_scenarios"}
