"""Many notifications, in a process of its own: memory does not grow with them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]


@pytest.mark.process
def test_notifications_leave_nothing_behind():
    """After the first sixty, 240 more add less than 2.5 MB to the process; kept contexts would add eight."""
    command = [sys.executable, str(FOLDER / "measure_memory.py"), "300"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=110, check=True)  # noqa: S603 - our own
    rounds = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["notifications"] for each in rounds] == [60, 120, 180, 240, 300]
    assert rounds[-1]["resident_mb"] - rounds[0]["resident_mb"] < 2.5
