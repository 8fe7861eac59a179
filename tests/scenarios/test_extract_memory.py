"""Large extracts, in a process of their own: memory does not grow with the file."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

READER = Path(__file__).parent / "apps" / "extract_reader.py"


@pytest.mark.process
@pytest.mark.parametrize(
    ("file_format", "megabytes"), [("json", 60), ("csv", 60), ("array", 30), ("json.gz", 30), ("csv.gz", 30)]
)
def test_a_large_extract_is_read_in_little_memory(file_format, megabytes):
    """A file of many megabytes over real HTTP passes through a job in less than 15 MB more than the process had."""
    command = [sys.executable, str(READER), str(megabytes), file_format]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=True)
    found = json.loads(done.stdout)
    assert (found["answer"], found["left"], found["largest_part"]) == ("ok", 0, 100)
    assert found["rows"] > megabytes * 1000
    assert 0 < found["rss_mb"] < 100
    assert found["grown_mb"] < 15
