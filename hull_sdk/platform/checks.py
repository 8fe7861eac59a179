"""What requests of several topics are checked for: names that are known, whole numbers, and times."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from hull_sdk.core.clock import parse_time
from hull_sdk.errors import InvalidArgumentError

__all__ = ["check_known", "checked_count", "checked_moment"]


def check_known(given: Iterable[str], known: Sequence[str], where: str = "") -> None:
    """Check that somebody asks for nothing that is not understood.

    Args:
        given: The names that were sent.
        known: Those that are understood.
        where: For the message, for example ``" in a search"``.

    Raises:
        InvalidArgumentError: A name is not known; the message names it and those that are.
    """
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise InvalidArgumentError(f"unknown{where}: {', '.join(unknown)}; known are {', '.join(known)}")


def checked_count(name: str, text: str | None, default: int, most: int) -> int:
    """Return a whole number that stands in an address as text.

    Args:
        name: Of the parameter.
        text: For example ``"10"``; ``None`` gives the default.
        default: What it is when nothing was sent.
        most: The largest that is allowed; the smallest is 1.

    Raises:
        InvalidArgumentError: It is no such number.
    """
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise InvalidArgumentError(f"{name} is {text!r:.100}; it must be a whole number from 1 to {most}")
    return int(text)


def checked_moment(name: str, value: Any) -> datetime:
    """Return a time that somebody sent.

    Args:
        name: Of the field.
        value: ISO 8601 text or Unix time.

    Raises:
        InvalidArgumentError: It is neither.
    """
    moment = parse_time(value)
    if moment is None:
        raise InvalidArgumentError(
            f"{name} is {value!r:.100}; it must be ISO 8601 text or Unix time, for example '2024-01-05T10:00:00Z'"
        )
    return moment
