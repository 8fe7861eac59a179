"""Children of multiprocessing, however they are started: each sends its own messages, and those only."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from client_sinks import ID, Sink, served

pytestmark = [pytest.mark.process, pytest.mark.every_python]

ROOT = Path(__file__).parents[2]

PROGRAM = f"""
import multiprocessing, sys
from hull_sdk import Client

client = Client(id={ID!r}, secret="s" * 32, organization=sys.argv[1])

def send(first, count):
    for n in range(first, first + count):
        client.as_user({{"external_id": str(n)}}).traits({{"n": n}})

if __name__ == "__main__":
    send(0, 5)
    start = multiprocessing.get_context(sys.argv[2])
    children = [start.Process(target=send, args=(5 + 50 * n, 50)) for n in range(2)]
    for child in children:
        child.start()
    for child in children:
        child.join()
    print([child.exitcode for child in children])
"""
POOL = PROGRAM.replace(
    "    children = ",
    "    with start.Pool(2) as pool:\n"
    "        pool.starmap(send, [(5 + n, 1) for n in range(100)])\n"
    "        pool.close(); pool.join()\n"
    "    children = []\n"
    "    unused = ",
)


@pytest.mark.parametrize("program", [PROGRAM, POOL], ids=["children", "pool"])
@pytest.mark.parametrize("way", ["spawn", "fork", "forkserver"])
def test_children_send_what_is_theirs(tmp_path, way, program):
    """A parent queues 5 messages, two children send 100: 105 arrive, none twice, and nobody says a word."""
    path = tmp_path / "program.py"
    path.write_text(program, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore::DeprecationWarning"}
    sink = Sink()
    with served(sink) as host:
        command = [sys.executable, str(path), host, way]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == ("[0, 0]\n" if program == PROGRAM else "[]\n")
    assert sorted(sink.values()) == list(range(105))
    assert sink.repeated == 0
