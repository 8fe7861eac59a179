"""What a process that sends very much keeps in memory, whatever a full queue does."""

from __future__ import annotations

import contextlib
import gc
from pathlib import Path

import pytest
from client_sinks import HangingSink, served

from hull_sdk.errors import QueueFullError

TEXT = "x" * 1_000
PAGE_BYTES = 4_096
PATIENT_S = 30.0


class CountingSink(HangingSink):
    """Counts messages and keeps none; where the queue is to fill, it hangs until all calls are made."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def _take(self, batch):
        self.count += len(list(batch))
        self.batches.clear()


@pytest.mark.parametrize(
    ("sends", "overflow", "block_s"),
    [
        (50_000, "raise", PATIENT_S),
        (20_000, "raise", 0.0),
        (20_000, "drop_oldest", 0.0),
        (20_000, "drop_newest", 0.0),
    ],
)
def test_many_sends_take_little_memory(real_client, sends, overflow, block_s):
    """Sent, failed and refused add up to all calls, and the process grows by less than half the text that was sent."""
    sink, refused = CountingSink(), 0
    if block_s == PATIENT_S:
        sink.released.set()
    with served(sink) as host:
        client = real_client(host, queue_size=500, overflow=overflow, block_s=block_s)
        people = [client.as_user({"external_id": str(n)}) for n in range(20)]
        before, most = resident_bytes(), 0
        for n in range(sends):
            try:
                people[n % 20].traits({"n": n, "text": TEXT})
            except QueueFullError:
                refused += 1
            if n % 1_000 == 0:
                most = max(most, resident_bytes())
        sink.released.set()
        result = client.flush(60)
        real_client.close()
    assert result.pending == 0
    assert result.sent + result.failed + refused == sends
    assert sink.count >= result.sent  # more, when a request hung so long that it was repeated
    assert result.failed == result.dropped
    assert (refused > 0, result.dropped > 0) == (block_s == 0 and overflow == "raise", overflow != "raise")
    assert most - before < sends * len(TEXT) / 2


def resident_bytes() -> int:
    """Return how much memory this process has."""
    gc.collect()
    with contextlib.suppress(OSError):
        return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES
    return 0
