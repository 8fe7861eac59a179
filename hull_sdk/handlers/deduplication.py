"""Each notification is handled once: a lease while it is handled, and the finished answer afterwards.

Rules: section "Notifications" of ``docs/protocol.md``. With a shared cache this holds among all processes, with one in
memory within one process.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, TypeVar

from hull_sdk.errors import TransientError
from hull_sdk.infra import Cache
from hull_sdk.infra.leases import Lease, Leases

__all__ = ["STORED_S", "RunningError", "Runs"]

T = TypeVar("T")

#: How long a finished answer is kept, in seconds: as long as the platform may deliver a notification again.
STORED_S: Final = 86_400.0

#: How often it is looked again when what was there has gone in that moment.
_LOOKS: Final = 3

_Record = dict[str, Any]


class RunningError(TransientError):
    """Raised when somebody else is handling the same thing; come again later."""


class Runs:
    """What became of a connector's notifications.

    Args:
        cache: The part of the store that belongs to the connector.
        leases: Takes and renews the leases of runs that are going on.
    """

    def __init__(self, cache: Cache, leases: Leases) -> None:
        self._cache = cache
        self._leases = leases

    def once(
        self, run_id: str, work: Callable[[int], T], *, is_final: Callable[[T], bool], keep_s: float = STORED_S
    ) -> T:
        """Do something unless it has been done or is being done.

        Args:
            run_id: What, for example a notification's id.
            work: Does it and returns the answer; it is told which try this is, from 1. A try whose process died is
                not counted.
            is_final: Tells whether an answer is kept. After any other one, and after an error, the next call works
                again.
            keep_s: How long a final answer is kept, in seconds.

        Returns:
            The answer, perhaps that of an earlier run.

        Raises:
            RunningError: Another run is going on (status 503).
            NetworkError: The store cannot be reached (status 503); nothing was done.
            Exception: Whatever ``work`` raised.
        """
        found, lease = self._begin(run_id)
        if lease is None:
            answer: T = found["answer"]
            return answer
        attempt = found["attempt"]
        try:
            answer = work(attempt)
        except BaseException:
            lease.end({"state": "failed", "attempt": attempt}, STORED_S)
            raise
        if is_final(answer):
            lease.end({"state": "done", "answer": answer}, keep_s)
        else:
            lease.end({"state": "failed", "attempt": attempt}, STORED_S)
        return answer

    def _begin(self, run_id: str) -> tuple[_Record, Lease | None]:
        """Return the record of a run that begins with its lease, or of one that is done without."""
        found: _Record | None = None
        for _ in range(_LOOKS):
            attempt = 1 if found is None else found["attempt"] + 1
            mine = {"state": "running", "attempt": attempt, "run": self._leases.runtime.ids.uuid()}
            lease = self._leases.take(self._cache, run_id, mine, expected=found)
            if lease is not None:
                return mine, lease
            found = self._cache.get(run_id)
            if found is not None and found["state"] == "done":
                return found, None
            if found is not None and found["state"] == "running":
                break
        raise RunningError(f"{run_id!r} is being handled", status=503)
