"""The files of this example are those that the project's README prints."""

from __future__ import annotations

from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]
README = (FOLDER.parents[1] / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["greeter.py", "tests/test_greeter.py", "platform.json"])
def test_a_file_is_as_the_readme_prints_it(name):
    """Whoever reads the one or the other sees the same."""
    language = "json" if name.endswith(".json") else "python"
    text = (FOLDER / name).read_text(encoding="utf-8")
    assert f"```{language}\n{text}```" in README
