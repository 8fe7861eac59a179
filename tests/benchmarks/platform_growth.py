"""What a message costs as the platform grows: from a thousand users to a million, from one segment to five hundred.

Each size lives in a process of its own, and all of them take turns: ``traits`` messages about users who are drawn by
chance, through tokens, JSON, identity, casting, segments and reports, as in ``platform_ingest.py``. Five segments look
at what the messages change, the others at an attribute that they leave alone. Memory is what the process grew by when
it was filled, for each user with eight attributes and the event of its creation.

    python tests/benchmarks/platform_growth.py [--users 10000 1000000] [--segments 10 200] [--messages 2000] [--plot FILE.svg]
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path
from typing import Any, Final

from method import (
    Contender,
    Contest,
    Helper,
    Result,
    Target,
    Turn,
    answer_turns,
    arguments,
    finish,
    machine,
    measure,
    print_line,
)
from plot import Panel, draw
from traffic import Shop

from hull_sdk.core.collector import freeze_survivors

#: Segments that look at what a message changes.
LOOKING: Final = 5
#: Segments while users grow, and users while segments grow.
SEGMENTS: Final = 10
USERS: Final = 2_000


def resident_mb() -> float:
    """Return the memory that this process has now, in megabytes; 0 where the system does not tell."""
    path = Path("/proc/self/status")
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmRSS:")), 0.0)


class Pauses:
    """How long the garbage collector keeps everybody waiting."""

    def __init__(self) -> None:
        self.taken: list[float] = []
        self._since = 0.0
        gc.callbacks.append(self._note)

    def _note(self, phase: str, _what: dict[str, int]) -> None:
        if phase == "start":
            self._since = time.perf_counter()
        else:
            self.taken.append(time.perf_counter() - self._since)

    def figures(self) -> dict[str, float]:
        """Return all pauses of a turn together, and the longest one."""
        return {"collector_s": sum(self.taken), "longest_pause_ms": max(self.taken, default=0.0) * 1000}


def resident(options: argparse.Namespace) -> None:
    """Be one size: fill an organization, then take turns as long as somebody asks."""
    (users,), (segments,) = options.users, options.segments
    shop = Shop(segments=segments, looking=min(LOOKING, segments))
    gc.collect()
    before = resident_mb()
    shop.fill(users)
    gc.collect()
    each = (resident_mb() - before) * 1e6 / users
    if options.freeze:
        freeze_survivors()
        gc.collect()

    pauses = Pauses()

    def turn() -> Turn:
        bodies, applied = shop.bodies(shop.some(min(options.messages, users), users)), shop.applied
        pauses.taken.clear()
        return measure(lambda: shop.post(bodies) and shop.applied - applied, pauses.figures)

    answer_turns(turn, {"bytes_each": each})


def compare(title: str, sizes: list[int], options: argparse.Namespace, **fixed: int) -> tuple[Result, dict[str, Any]]:
    """Have the sizes take turns; return what they came to, and what each said when it was filled."""
    grows = "segments" if "users" in fixed else "users"
    helpers: dict[str, Helper] = {}
    try:
        for size in sizes:
            values = {**fixed, grows: size}
            helpers[f"{size:,} {grows}"] = Helper(
                __file__, "--resident", "--users", str(values["users"]), "--segments", str(values["segments"]),
                "--messages", str(options.messages), *(["--freeze"] if options.freeze else []),
            )  # fmt: skip
        contenders = [
            Contender(name, helper.take_turn, min(options.messages, fixed.get("users", size)))
            for size, (name, helper) in zip(sizes, helpers.items(), strict=True)
        ]
        usual = {"users": 10_000, "segments": 10}[grows]
        base = next((name for size, name in zip(sizes, helpers, strict=True) if size >= usual), None)
        result = Contest(title, "message", contenders, base=base, ratio_of="cpu_us").run(options.rounds)
        return result, {name: helper.ready for name, helper in helpers.items()}
    finally:
        for helper in helpers.values():
            helper.close()


def panel(result: Result, sizes: str, fixed: str) -> Panel:
    """Return what a message costs at each size."""
    values = {int(name.partition(" ")[0].replace(",", "")): result.values(name, "cpu_us") for name in result.figures}
    return Panel(f"Processor time of a message, {fixed}", "µs", sizes, values)


def caption() -> str:
    """Return when and where the figures were measured."""
    here = machine()
    return (
        f"{time.strftime('%Y-%m-%d')}, hull-sdk {here['versions']['hull-sdk']}, Python {here['python']}, "
        f"{here['processors']} x {here['processor']}, {here['system']}; medians, least to most"
    )


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--users", type=int, nargs="+", default=[1_000, 10_000, 100_000, 1_000_000])
    parser.add_argument("--segments", type=int, nargs="+", default=[1, 10, 50, 200, 500])
    parser.add_argument("--messages", type=int, default=2_000, help="messages of a turn")
    parser.add_argument("--plot", type=Path, help="where to draw what a message costs at each size, as SVG")
    parser.add_argument("--freeze", action="store_true", help="collect garbage as hull platform does")
    parser.add_argument("--resident", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.resident:
        resident(options)
        return
    users, told = compare("growth with users", options.users, options, segments=SEGMENTS)
    segments, _ = compare("growth with segments, of which 5 look", options.segments, options, users=USERS)
    for name, ready in told.items():
        print_line(f"{name}: {ready['bytes_each']:,.0f} bytes for each")
    if options.plot is not None:
        panels = [panel(users, "users", f"{SEGMENTS} segments"), panel(segments, "segments", f"{USERS:,} users")]
        options.plot.write_text(draw(panels, caption()), encoding="utf-8")
    finish(_targets(users, "users", 1_000_000, 10_000) + _targets(segments, "segments", 200, 10))


def _targets(result: Result, what: str, large: int, small: int) -> list[Target]:
    names = (f"{large:,} {what}", f"{small:,} {what}")
    if not result.figures.keys() >= set(names):
        return []
    return [Target(what=f"cost at {names[0]} / {names[1]}", value=result.ratio(*names, "cpu_us"), most=1.3)]


if __name__ == "__main__":
    main()
