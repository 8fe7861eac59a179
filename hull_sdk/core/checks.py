"""What counts as a number where people write options: ``True`` is none, and neither is what no float can hold."""

from __future__ import annotations

import math
import sys
from typing import Any, TypeGuard

__all__ = ["is_number", "is_whole"]


def is_whole(value: Any, least: float = -math.inf, most: float = math.inf) -> TypeGuard[int]:
    """Tell whether a value is a whole number within limits.

    Args:
        value: Anything.
        least: The lowest that counts.
        most: The highest.
    """
    return isinstance(value, int) and not isinstance(value, bool) and least <= value <= most


def is_number(
    value: Any, least: float = -math.inf, most: float = math.inf, *, above: float = -math.inf
) -> TypeGuard[float]:
    """Tell whether a value is a finite number within limits.

    Args:
        value: Anything.
        least: The lowest that counts.
        most: The highest.
        above: It must be higher than this.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return least <= value <= most and above < value and -sys.float_info.max <= value <= sys.float_info.max
