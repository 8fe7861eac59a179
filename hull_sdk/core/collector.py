"""The garbage collector of a process that keeps much for long.

A full collection looks at everything that is alive. With a million users that stops the process for seconds, again and
again, and finds nothing: what is kept holds no cycles.
"""

from __future__ import annotations

import gc
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["freeze_survivors", "thaw"]

#: The generation whose collection looks at everything.
_FULL: Final = 2


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


def _freeze(phase: str, what: Mapping[str, Any]) -> None:
    if phase == "stop" and what["generation"] == _FULL:
        gc.freeze()
