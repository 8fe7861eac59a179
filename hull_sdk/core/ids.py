"""The door to randomness: ids, jitter, and the seeded source that makes a run repeatable."""

from __future__ import annotations

import hashlib
import itertools
import random
import re
import secrets
import uuid
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Final

from hull_sdk.core.forks import watch_forks

__all__ = ["DerivedIds", "Ids", "SeededIds", "SystemIds", "is_object_id"]

#: How the fourth group of a random UUID begins, by the random digit in its place.
_VARIANTS: Final = {digit: "89ab"[int(digit, 16) & 3] for digit in "0123456789abcdef"}
#: UUIDs made at a time.
_BLOCK: Final = 64
_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")


def is_object_id(text: str) -> bool:
    """Tell whether a text has the form of the platform's own ids: 24 hexadecimal characters."""
    return _OBJECT_ID.fullmatch(text) is not None


class Ids(ABC):
    """A source of ids and random numbers."""

    @abstractmethod
    def uuid(self) -> str:
        """Return a version 4 UUID, for example ``"0b5c6b3e-8f43-4f3a-9d6e-0a6a5c1f7e2d"``."""

    @abstractmethod
    def object_id(self) -> str:
        """Return 24 hexadecimal characters, the form of the platform's own ids."""

    @abstractmethod
    def secret(self) -> str:
        """Return 32 hexadecimal characters that nobody can guess."""

    @abstractmethod
    def random(self) -> float:
        """Return a number from 0.0 up to, but not including, 1.0."""


class SystemIds(Ids):
    """Ids that the operating system's random source makes."""

    def __init__(self) -> None:
        # Asking the system takes longer than all the rest, and lets another thread run: once for many.
        self._ready: list[str] = []
        watch_forks(self)

    def uuid(self) -> str:
        """Return a fresh version 4 UUID."""
        try:
            return self._ready.pop()
        except IndexError:
            digits = secrets.token_hex(16 * _BLOCK)
            ready = [_as_uuid(digits[start : start + 32]) for start in range(0, len(digits), 32)]
            found, self._ready = ready.pop(), ready
            return found

    def after_fork(self) -> None:
        """Take none of the parent's ids in a child process."""
        self._ready = []

    def object_id(self) -> str:
        """Return 24 fresh hexadecimal characters."""
        return secrets.token_hex(12)

    def secret(self) -> str:
        """Return 32 fresh hexadecimal characters."""
        return secrets.token_hex(16)

    def random(self) -> float:
        """Return a random number for jitter."""
        return random.random()  # noqa: S311 - jitter, not a secret


class SeededIds(Ids):
    """Ids that repeat: the same seed gives the same sequence.

    Args:
        seed: Any integer, for example ``0``.
    """

    def __init__(self, seed: int = 0) -> None:
        self._random = random.Random(seed)  # noqa: S311 - repeatable on purpose

    def uuid(self) -> str:
        """Return the next version 4 UUID of the sequence."""
        return _as_uuid(f"{self._random.getrandbits(128):032x}")

    def object_id(self) -> str:
        """Return the next 24 hexadecimal characters of the sequence."""
        return f"{self._random.getrandbits(96):024x}"

    def secret(self) -> str:
        """Return the next 32 hexadecimal characters of the sequence."""
        return f"{self._random.getrandbits(128):032x}"

    def random(self) -> float:
        """Return the next number of the sequence."""
        return self._random.random()


class DerivedIds:
    """Ids made from what they are for: work that is done again, in whatever process, gets the same ones again.

    Args:
        source: What the work is about, for example the id of the message that is handled.
    """

    def __init__(self, source: str) -> None:
        self._source = source.encode()
        self._numbers: dict[bytes, Iterator[int]] = {}

    def uuid(self, content: bytes) -> str:
        """Return a version 5 UUID for some content; equal contents get different ones, by their order.

        Args:
            content: What the id is for, for example an encoded message.
        """
        named = hashlib.sha1(self._source + b"\0" + content, usedforsecurity=False)
        # Both steps happen at one moment, whichever threads ask; a lock would have to survive forks.
        number = next(self._numbers.setdefault(named.digest(), itertools.count()))
        named.update(number.to_bytes(8, "big"))
        return str(uuid.UUID(bytes=named.digest()[:16], version=5))


def _as_uuid(digits: str) -> str:
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{_VARIANTS[digits[16]]}{digits[17:20]}-{digits[20:]}"
