"""What happened, in order, as far back as there is room for."""

from __future__ import annotations

from typing import Final, TypeVar

__all__ = ["HISTORY", "History"]

T = TypeVar("T")

#: Records that a platform on real time keeps of each kind for each organization.
HISTORY: Final = 10_000


class History(list[T]):
    """Records, oldest first.

    Args:
        limit: The latest so many are kept at least, and never twice as many; all of them when ``None``.
    """

    def __init__(self, limit: int | None) -> None:
        super().__init__()
        self._limit = limit

    def record(self, item: T) -> None:
        """Add the newest record; now and then the oldest ones fall out."""
        self.append(item)
        if self._limit is not None and len(self) >= 2 * self._limit:
            del self[: -self._limit]
