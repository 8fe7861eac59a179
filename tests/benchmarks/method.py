"""How everything in this folder is measured: contenders take turns, counts are verified, ratios are paired.

In each round every contender has one turn, in an order that is reversed every other round. What a turn did is counted
and compared with what it had to do; a benchmark that loses something has no figures. The figure of a contender is the
median of its turns. A ratio of two contenders is taken within each round, where both had the same machine, and then the
median of these. Every benchmark prints one table, one line of JSON for each contender, and its targets.

A benchmark is a script beside this module; ``nox -s bench`` runs them. Docs: ``docs/benchmarks.md``.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final, Self

__all__ = [
    "Contender",
    "Contest",
    "Helper",
    "Result",
    "Target",
    "Turn",
    "answer_turns",
    "arguments",
    "finish",
    "machine",
    "measure",
    "peak_mb",
    "percentile",
    "print_line",
    "processor_s",
]

ROUNDS: Final = 5
#: A target is gated by this much less than it says: medians of shared machines differ by as much.
TOLERANCE: Final = 0.15


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """What one turn of a contender came to.

    Args:
        count: Units that were really done, for example messages that arrived.
        wall_s: Seconds on the clock.
        cpu_s: Seconds of processor time of the contender alone.
        figures: What else was measured, for example ``{"peak_mb": 24.1, "p99_ms": 3.2}``.
    """

    count: int
    wall_s: float
    cpu_s: float
    figures: Mapping[str, float] = field(default_factory=dict)

    def all_figures(self) -> dict[str, float]:
        """Return everything by name: ``per_s``, ``wall_s``, ``cpu_s`` and ``cpu_us`` (for each unit), and the others."""
        return {
            "per_s": self.count / self.wall_s,
            "wall_s": self.wall_s,
            "cpu_s": self.cpu_s,
            "cpu_us": self.cpu_s / self.count * 1e6,
            **self.figures,
        }


@dataclass(frozen=True, slots=True)
class Contender:
    """Somebody who takes turns.

    Args:
        name: How tables call it.
        take_turn: Does the work once; what need not be measured it does outside of what it measures.
        count: Units that each turn has to come to.
    """

    name: str
    take_turn: Callable[[], Turn]
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """What a figure should come to.

    Args:
        what: In words, for example ``"cost at 1,000,000 users / cost at 10,000"``.
        value: What was measured.
        most: The most it should be, or ``None``.
        least: The least it should be, or ``None``.
    """

    what: str
    value: float
    most: float | None = None
    least: float | None = None

    @property
    def met(self) -> bool:
        """``True`` when it is what it should be."""
        return self._within(0.0)

    @property
    def gated(self) -> bool:
        """``True`` when it is missed by more than :data:`TOLERANCE`, so that chance does not explain it."""
        return not self._within(TOLERANCE)

    def _within(self, tolerance: float) -> bool:
        most, least = self.most, self.least
        return (most is None or self.value <= most * (1 + tolerance)) and (
            least is None or self.value >= least * (1 - tolerance)
        )

    def __str__(self) -> str:
        wanted = f"at most {_number(self.most)}" if self.most is not None else f"at least {_number(self.least or 0)}"
        return f"{'met   ' if self.met else 'MISSED'} {self.what}: {_number(self.value)}, {wanted}"


class Result:
    """What all turns of a contest came to.

    Args:
        turns: The turns of each contender, in order of the rounds.
    """

    def __init__(self, turns: Mapping[str, Sequence[Turn]]) -> None:
        self.figures: dict[str, list[dict[str, float]]] = {
            name: [turn.all_figures() for turn in taken] for name, taken in turns.items()
        }
        self.counts: dict[str, int] = {name: taken[0].count for name, taken in turns.items()}

    def values(self, name: str, figure: str) -> list[float]:
        """Return a figure of a contender in each round."""
        return [turn[figure] for turn in self.figures[name]]

    def median(self, name: str, figure: str) -> float:
        """Return the median of a figure."""
        return statistics.median(self.values(name, figure))

    def ratio(self, name: str, base: str, figure: str) -> float:
        """Return how many times a contender's figure is another one's: the median of the ratios within a round."""
        pairs = zip(self.values(name, figure), self.values(base, figure), strict=True)
        return statistics.median(own / other for own, other in pairs)


class Contest:
    """Contenders that are measured against one another.

    Args:
        title: What is measured, for example ``"platform ingest"``.
        unit: What is counted, for example ``"message"``.
        contenders: Who takes part; the others are compared with the first one unless ``base`` says otherwise.
        base: The name of who is compared with.
        ratio_of: The figure that is compared.
    """

    def __init__(
        self,
        title: str,
        unit: str,
        contenders: Iterable[Contender],
        *,
        base: str | None = None,
        ratio_of: str = "per_s",
    ) -> None:
        self.title = title
        self.unit = unit
        self.contenders = list(contenders)
        self.base = self.contenders[0].name if base is None else base
        self.ratio_of = ratio_of

    def run(self, rounds: int = ROUNDS, *, warm_up: bool = True) -> Result:
        """Have everybody take turns, and print what they came to.

        Args:
            rounds: Turns that count; 5 or more for figures that are told to others.
            warm_up: ``False`` leaves out the round before them, which does not count.

        Raises:
            SystemExit: A turn came to another count than it had to.
        """
        turns: dict[str, list[Turn]] = {each.name: [] for each in self.contenders}
        for number in range(-1 if warm_up else 0, rounds):
            for each in self.contenders if number % 2 == 0 else reversed(self.contenders):
                turn = _checked(each, each.take_turn())
                if number >= 0:
                    turns[each.name].append(turn)
        result = Result(turns)
        self._print(result, rounds)
        return result

    def _print(self, result: Result, rounds: int) -> None:
        print_line(f"\n{self.title}: {rounds} rounds, medians (least to most); x is against {self.base}")
        for line in _table(self._rows(result)):
            print_line(line)
        for name in result.figures:
            print_line(json.dumps(self._told(result, name)))

    def _rows(self, result: Result) -> list[list[str]]:
        names = _figure_names(result)
        rows = [["contender", f"{self.unit}s", f"x {self.ratio_of}", *names]]
        for name in result.figures:
            ratio = f"{result.ratio(name, self.base, self.ratio_of):.2f}"
            cells = [_range(result.values(name, each)) if each in result.figures[name][0] else "" for each in names]
            rows.append([name, f"{result.counts[name]:,}", ratio, *cells])
        return rows

    def _told(self, result: Result, name: str) -> dict[str, Any]:
        figures = {}
        for figure in result.figures[name][0]:
            values = result.values(name, figure)
            figures[figure] = {"median": statistics.median(values), "least": min(values), "most": max(values)}
        return {
            "benchmark": self.title,
            "contender": name,
            "unit": self.unit,
            "count": result.counts[name],
            "rounds": len(result.figures[name]),
            "figures": figures,
            "ratio": {"of": self.ratio_of, "to": self.base, "is": result.ratio(name, self.base, self.ratio_of)},
            "machine": machine(),
        }


class Helper:
    """A contender in a process of its own, which stays between its turns.

    Args:
        script: A script that calls :func:`answer_turns`, or does the same in another language.
        *options: Its arguments.
        program: What runs it.
        environment: Variables of the environment, beside those of this process.
    """

    def __init__(
        self,
        script: str | Path,
        *options: str,
        program: str = sys.executable,
        environment: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        command = [program, str(script), *options]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment}
        )
        self._what = " ".join(command[1:])
        #: What it said when it was ready.
        self.ready: dict[str, Any] = self._read()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take_turn(self) -> Turn:
        """Have it take its turn."""
        if self._process.stdin is not None:
            self._process.stdin.write("turn\n")
            self._process.stdin.flush()
        return Turn(**self._read())

    def close(self) -> None:
        """Let it end."""
        self._end()

    def _end(self) -> int:
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        return self._process.wait(timeout=600)  # to free a million users takes minutes

    def _read(self) -> dict[str, Any]:
        line = "" if self._process.stdout is None else self._process.stdout.readline()
        if not line:
            raise SystemExit(f"{self._what} ended with {self._end()} instead of answering")
        answer: dict[str, Any] = json.loads(line)
        return answer


def answer_turns(take_turn: Callable[[], Turn], ready: Mapping[str, Any] | None = None) -> None:
    """Take turns as the process of a :class:`Helper`, as long as it asks.

    Args:
        take_turn: Does the work once.
        ready: What to say now that everything is set up.
    """
    print_line(json.dumps({} if ready is None else dict(ready)))
    for _ in sys.stdin:
        turn = take_turn()
        told = {"count": turn.count, "wall_s": turn.wall_s, "cpu_s": turn.cpu_s, "figures": dict(turn.figures)}
        print_line(json.dumps(told))


def measure(work: Callable[[], int], figures: Callable[[], Mapping[str, float]] = dict) -> Turn:
    """Do some work in this process and measure it.

    Args:
        work: Returns how many units it did.
        figures: Called afterwards, returns what else there is to tell.
    """
    cpu, wall = time.process_time(), time.perf_counter()
    count = work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return Turn(count=count, wall_s=wall, cpu_s=cpu, figures=figures())


def peak_mb() -> float:
    """Return the most memory that this process has had, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def processor_s(pid: int) -> float:
    """Return the seconds of processor time that another process has used; 0 where the system does not tell."""
    path = Path(f"/proc/{pid}/stat")
    fields = path.read_text(encoding="utf-8").rpartition(")")[2].split() if path.exists() else []
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK") if fields else 0.0


def percentile(values: Iterable[float], percent: float) -> float:
    """Return the value below which so many percent of the others lie, for example ``99``."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


def arguments(description: str | None, rounds: int = ROUNDS) -> argparse.ArgumentParser:
    """Return a parser that knows ``--rounds``; a benchmark may add to it."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=rounds, help="turns of each contender that count")
    return parser


def finish(targets: Iterable[Target]) -> None:
    """Print the targets and end the process: with 1 when one of them is missed by more than chance explains."""
    found = list(targets)
    for target in found:
        print_line(str(target))
    sys.exit(1 if any(target.gated for target in found) else 0)


def machine() -> dict[str, Any]:
    """Return what figures depend on: interpreter, processors, and the versions of the libraries that matter."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "processor": _processor(),
        "processors": os.cpu_count(),
        "versions": {name: version for name in _LIBRARIES if (version := _version(name)) is not None},
    }


_LIBRARIES: Final = ("hull-sdk", "flask", "werkzeug", "waitress", "urllib3", "pyjwt", "cryptography", "orjson")


def _version(name: str) -> str | None:
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    path = Path("/proc/cpuinfo")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor())


def _checked(contender: Contender, turn: Turn) -> Turn:
    if turn.count != contender.count:
        raise SystemExit(f"{contender.name} came to {turn.count:,} instead of {contender.count:,}; no figures")
    return turn


def _figure_names(result: Result) -> list[str]:
    return list(dict.fromkeys(figure for turns in result.figures.values() for figure in turns[0]))


def _range(values: Sequence[float]) -> str:
    least, most = _number(min(values)), _number(max(values))
    return f"{_number(statistics.median(values))} ({least} to {most})"


def _number(value: float) -> str:
    if abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.3g}"


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return [lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]]


def print_line(line: str) -> None:
    """Write a line at once."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
