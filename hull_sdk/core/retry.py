"""How long to wait before trying again: backoff, jitter, and the pause that the other side asks for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hull_sdk.core.clock import Clock, parse_http_date
from hull_sdk.core.ids import Ids

__all__ = ["RETRYABLE_STATUSES", "RetryPolicy", "is_retryable", "parse_retry_after"]

#: Statuses below 500 that a later try may mend.
RETRYABLE_STATUSES: Final = frozenset({408, 425, 429})

#: Exponents above this would only overflow; the cap is reached long before.
_MAX_EXPONENT: Final = 30


def is_retryable(status: int) -> bool:
    """Tell whether an HTTP status may be mended by trying again: 408, 425, 429 and everything from 500."""
    return status in RETRYABLE_STATUSES or status >= 500


def parse_retry_after(value: str | None, clock: Clock) -> float | None:
    """Read a ``Retry-After`` header.

    Args:
        value: Seconds (``"120"``) or an HTTP date, or ``None``.
        clock: What the date is compared with.

    Returns:
        Seconds from now, never negative; ``None`` when there is no usable value.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        return float(text[:12])
    moment = parse_http_date(text)
    return None if moment is None else max(0.0, moment.timestamp() - clock.time())


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """Exponential backoff with jitter.

    Args:
        base_s: Wait after the first failure, in seconds, before jitter.
        cap_s: Longest wait between two tries, in seconds; also caps what the other side asks for.
        total_s: Time from the first try after which no further try begins, in seconds.
    """

    base_s: float = 0.5
    cap_s: float = 60.0
    total_s: float = 300.0

    def delay(self, attempt: int, ids: Ids, retry_after: float | None = None) -> float:
        """Return the wait before the next try.

        Args:
            attempt: How many tries have failed so far, from 1.
            ids: Source of the jitter.
            retry_after: Seconds that the other side asked for.

        Returns:
            Seconds. Between half and all of the exponential step; never below ``retry_after`` and at most
            a tenth above it, except that ``cap_s`` limits both.
        """
        if retry_after is not None:
            return min(self.cap_s, retry_after * (1 + 0.1 * ids.random()))
        step = min(self.cap_s, self.base_s * 2.0 ** min(attempt - 1, _MAX_EXPONENT))
        return step * (0.5 + 0.5 * ids.random())
