"""What happens in one simulated run: who sends what and when, and what breaks. Made from a number alone.

Nothing here knows the package: a scenario is plain data, so the oracle reads the same one as the world that plays it.
"""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

#: Hosts of the organizations; their people and accounts have the same names in both.
ORGANIZATIONS: Final = ("acme.hullapp.test", "globex.hullapp.test")
#: Connectors that run the SDK, and so can be restarted.
RESTARTABLE: Final = ("crm", "mail")
#: Users with so many visits are in the one segment.
BUSY_VISITS: Final = 10
#: In how many virtual seconds everything is sent.
DURATION_S: Final = 30.0

#: Faults of the platform, by the names that the figures have.
FAULTS: Final = (
    "drop_before",
    "drop_after",
    "delay",
    "duplicate",
    "reorder",
    "429_before",
    "429_after",
    "500_before",
    "500_after",
    "timeout_before",
    "timeout_after",
)
#: Everything that a scenario may break.
KINDS: Final = (*FAULTS, "clock_jump", "restart", "service")
_TARGETS: Final = ("firehose", "firehose", "delivery", "delivery", "api")
_MOMENTS: Final = ("before_call", "after_call", "before_answer", "after_answer", "after_answer")
_CHANCE: Final = 0.5


@dataclass(frozen=True)
class Operation:
    """One message of the workload.

    ``step`` counts the traits of its user or account, and the events of its user or visitor, from 1 or from 101.
    A visitor, who has an anonymous id only, places orders (``"visit"``) and turns out to be a user (``"join"``).
    """

    at: float
    organization: str
    what: str  # "traits", "track", "account", "link", "visit", "join" or "alias"
    step: int
    user: str | None = None
    account: str | None = None
    visitor: str | None = None
    amount: int = 0
    active: bool = False


@dataclass(frozen=True)
class Breakage:
    """A fault of the platform, from a moment on."""

    at: float
    kind: str
    target: str
    options: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Jump:
    """A clock that jumps: domain time, or the machine's own clock."""

    at: float
    clock: str
    seconds: float


@dataclass(frozen=True)
class Restart:
    """The end of a connector's process at the n-th moment of a sort, counted from the start of the run.

    Nothing answers until the next process is up.
    """

    connector: str
    moment: str
    number: int
    down_s: float


@dataclass(frozen=True)
class Departure:
    """A user who is written to at some moments, and then deleted; nobody else writes to him."""

    organization: str
    user: str
    written_at: tuple[float, ...]
    deleted_at: float


@dataclass(frozen=True)
class Scenario:
    """Everything that chance decides before the run."""

    seed: int
    operations: tuple[Operation, ...]
    breakages: tuple[Breakage, ...]
    jumps: tuple[Jump, ...]
    restarts: tuple[Restart, ...]
    #: Numbers of the third party's requests that go wrong, and how.
    service: tuple[tuple[int, str], ...]
    #: Options of the client that sends, by organization.
    sending: tuple[tuple[tuple[str, int], ...], ...]
    departures: tuple[Departure, ...]


def make_scenario(seed: int) -> Scenario:
    """Return the scenario of a seed.

    Args:
        seed: Any whole number from 0.
    """
    dice = random.Random(f"scenario {seed}")
    operations = sorted(
        (each for host in ORGANIZATIONS for each in (*_operations(dice, host), *_visits(dice, host))),
        key=lambda each: each.at,
    )
    chosen = [kind for kind in KINDS if dice.random() < _CHANCE]
    return Scenario(
        seed=seed,
        operations=tuple(operations),
        breakages=tuple(_breakage(dice, kind) for kind in chosen if kind in FAULTS),
        jumps=tuple(_jump(dice) for _ in range(2) if "clock_jump" in chosen),
        restarts=tuple(_restart(dice) for _ in range(3) if "restart" in chosen),
        service=tuple(_failures(dice)) if "service" in chosen else (),
        sending=tuple(_sending(dice) for _ in ORGANIZATIONS),
        departures=tuple(_departure(dice, host) for host in ORGANIZATIONS if dice.random() < _CHANCE),
    )


def _operations(dice: random.Random, host: str) -> list[Operation]:
    steps: dict[str, int] = {}
    found = []
    for at in sorted(_moment(dice) for _ in range(dice.randint(4, 8))):
        user, account = f"u{dice.randint(1, 2)}", f"a{dice.randint(1, 2)}.example"
        what = dice.choices(("traits", "track", "account", "link"), (6, 3, 2, 1))[0]
        counted = f"{what}-{user}" if what in {"traits", "track"} else account
        steps[counted] = steps.get(counted, 0) + 1
        found.append(
            Operation(
                at=at,
                organization=host,
                what=what,
                user=None if what == "account" else user,
                account=account if what in {"account", "link"} else None,
                step=steps[counted],
                amount=dice.randint(1, 9),
                active=what in {"traits", "track"} and dice.random() < 0.25,
            )
        )
    return found


def _visits(dice: random.Random, host: str) -> list[Operation]:
    if dice.random() < 0.5:
        return []
    moments = [_moment(dice) for _ in range(dice.randint(1, 3))]
    visits = [
        Operation(at=at, organization=host, what="visit", visitor="v1", step=101 + number, active=dice.random() < 0.25)
        for number, at in enumerate(sorted(moments))
    ]
    what = dice.choice(("join", "alias"))
    return [*visits, Operation(at=_moment(dice), organization=host, what=what, user="u1", visitor="v1", step=0)]


def _departure(dice: random.Random, host: str) -> Departure:
    *written_at, deleted_at = sorted(_moment(dice) for _ in range(dice.randint(2, 4)))
    return Departure(host, "leaver", tuple(written_at), deleted_at)


def _moment(dice: random.Random) -> float:
    # Some come close together, so that news wait while others are on their way.
    return round(dice.choice((dice.uniform(0, DURATION_S), dice.uniform(5, 8))), 3)


def _breakage(dice: random.Random, name: str) -> Breakage:
    options: dict[str, float] = {"times": dice.randint(1, 2)}
    kind = name
    if name[:3] in {"429", "500"}:
        options["status"] = int(name[:3])
        kind = "error" if name.endswith("before") else "error_after"
        if name.startswith("429") and dice.random() < 0.5:
            options["retry_after_s"] = dice.randint(0, 5)
    if name in {"delay", "reorder"}:
        options["delay_ms"] = dice.randint(50, 20_000)
    if name.startswith("timeout"):
        options["delay_ms"] = dice.randint(1000, 30_000)
    return Breakage(_moment(dice), kind, dice.choice(_TARGETS), tuple(sorted(options.items())))


def _jump(dice: random.Random) -> Jump:
    if dice.random() < 0.5:
        return Jump(_moment(dice), "domain", dice.choice((30.0, 900.0, 7200.0)))
    # Backwards by less than the leeway of tokens; forwards further.
    return Jump(_moment(dice), "machine", dice.choice((-25.0, -5.0, 20.0, 3600.0)))


def _restart(dice: random.Random) -> Restart:
    moment = dice.choice(_MOMENTS)
    number = dice.randint(1, 12 if moment.endswith("answer") else 25)
    return Restart(dice.choice(RESTARTABLE), moment, number, dice.choice((0.0, 0.0, 2.0, 40.0)))


def _failures(dice: random.Random) -> list[tuple[int, str]]:
    kinds = ("429", "500", "500_after", "drop_before", "drop_after")
    return sorted({dice.randint(1, 15): dice.choice(kinds) for _ in range(3)}.items())


def _sending(dice: random.Random) -> tuple[tuple[str, int], ...]:
    return (
        ("workers", dice.randint(1, 4)),
        ("flush_at", dice.choice((1, 3, 50))),
        ("flush_after_ms", dice.choice((10, 400, 1000))),
    )
