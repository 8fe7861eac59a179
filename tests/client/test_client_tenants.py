"""One process that serves very many connectors: what it keeps for them is bounded."""

from __future__ import annotations

import threading
from pathlib import Path

from client_sinks import SECRET

from hull_sdk.client import Client, ClientConfig, SenderPool
from hull_sdk.core.runtime import Runtime

CONNECTORS = 1_000
SCOPES = 10
KEPT = 4
#: How many connectors come between two moments in which one of them waits for what it sent.
BUSY = 10
#: After the first connectors, all others together may not take more than this.
MOST_GROWTH_BYTES = 10_000_000
SETTLED = 200
PAGE_BYTES = 4_096


def test_ten_thousand_clients_of_a_thousand_connectors_keep_little(http_sink):
    """Every message arrives, while threads, open files and memory stay what the busy connectors need."""
    sink, host = http_sink
    runtime = Runtime.system()
    pool = SenderPool(runtime, max_senders=KEPT)
    files, threads, more_files, memory = open_files(), [], [], []
    for number in range(CONNECTORS):
        config = ClientConfig(id=f"{number:024x}", secret=SECRET, organization=host)
        client = Client.from_config(config, runtime=runtime, senders=pool)
        scoped = [client.as_user({"external_id": f"{number}-{scope}"}) for scope in range(SCOPES)]
        scoped[0].traits({"n": number})
        if number % BUSY == 0:
            client.flush(20)
            threads.append(own_threads())
            more_files.append(open_files() - files)
            memory.append(resident_bytes())
    pool.close(20)
    runtime.net.close()
    assert sorted(sink.values()) == list(range(CONNECTORS))
    assert max(threads) <= 4 * BUSY
    assert max(more_files) <= 8 * BUSY
    settled = memory[SETTLED // BUSY :]
    assert max(settled) - settled[0] < MOST_GROWTH_BYTES


def own_threads() -> int:
    """Return how many threads the package has."""
    return sum(thread.name.startswith("hull-") for thread in threading.enumerate())


def resident_bytes() -> int:
    """Return how much memory this process has, that of the sink included."""
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * PAGE_BYTES


def open_files() -> int:
    """Return how many files and sockets this process has open, those of the sink included."""
    return len(list(Path("/proc/self/fd").iterdir()))
