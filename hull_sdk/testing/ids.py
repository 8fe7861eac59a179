"""Ids that repeat with their seed, and are known again in what a run recorded."""

from __future__ import annotations

from hull_sdk.core.ids import SeededIds

__all__ = ["RememberedIds"]


class RememberedIds(SeededIds):
    """Ids as of ``SeededIds`` that can be told from those that a test wrote itself.

    Args:
        seed: Any integer, for example ``0``.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__(seed)
        self._made: set[str] = set()

    def has_made(self, text: str) -> bool:
        """Tell whether an id came from here."""
        return text in self._made

    def uuid(self) -> str:
        """Return the next version 4 UUID of the sequence."""
        return self._remembered(super().uuid())

    def object_id(self) -> str:
        """Return the next 24 hexadecimal characters of the sequence."""
        return self._remembered(super().object_id())

    def secret(self) -> str:
        """Return the next 32 hexadecimal characters of the sequence."""
        return self._remembered(super().secret())

    def _remembered(self, made: str) -> str:
        self._made.add(made)
        return made
