"""The garbage collector of a process that keeps much for long.

A full collection looks at everything that is alive. With a million users that stops the process for seconds, again and
again, and finds nothing: what is kept holds no cycles.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

__all__ = ["freeze_survivors", "looking_rarely", "thaw"]

#: The generation whose collection looks at everything.
_FULL: Final = 2

#: How many objects come up, less those that went, until the collector looks at them; Python itself says 700 or 2,000.
_RARE: Final = 10_000


def freeze_survivors() -> None:
    """Leave what survives a full collection out of all later ones, so that each object is looked at once.

    It is for a whole process, such as a server that keeps its state in memory. What was left out and is no longer used
    is still freed at once, unless it is part of a cycle. :func:`thaw` ends it.
    """
    if _freeze not in gc.callbacks:
        gc.callbacks.append(_freeze)


def thaw() -> None:
    """Have the collector look at everything again."""
    if _freeze in gc.callbacks:
        gc.callbacks.remove(_freeze)
    gc.unfreeze()


@contextmanager
def looking_rarely() -> Iterator[None]:
    """Have the collector look less often within, for work that makes much and leaves few cycles.

    Who switched it off, or has it look less often still, keeps that; so does who sets it otherwise within.
    """
    before = gc.get_threshold()
    rare = (_RARE, *before[1:])
    if not 0 < before[0] < _RARE:
        yield
        return
    gc.set_threshold(*rare)
    try:
        yield
    finally:
        if gc.get_threshold() == rare:
            gc.set_threshold(*before)


def _freeze(phase: str, what: Mapping[str, Any]) -> None:
    if phase == "stop" and what["generation"] == _FULL:
        gc.freeze()
