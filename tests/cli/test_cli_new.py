"""The commands ``hull new`` and ``hull types``."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from hull_sdk.cli import main


@pytest.fixture
def hull(tmp_path, monkeypatch):
    """Run a command in an empty folder."""
    monkeypatch.chdir(tmp_path)
    return lambda *args: CliRunner().invoke(main, list(args))


def test_new_writes_a_folder_and_says_what_comes_next(hull, tmp_path):
    """The folder has the connector's name, and the output the next command."""
    result = hull("new", "acme-crm")
    assert result.exit_code == 0
    assert result.output == "acme-crm: 23 files\nnext: cd acme-crm && python -m pytest\n"
    assert len([path for path in (tmp_path / "acme-crm").rglob("*") if path.is_file()]) == 23


def test_new_writes_into_another_folder(hull, tmp_path):
    """An empty folder that is there already will do."""
    (tmp_path / "here").mkdir()
    assert hull("new", "acme-crm", "--into", "here").exit_code == 0
    assert (tmp_path / "here" / "acme_crm" / "app.py").is_file()


@pytest.mark.parametrize("arguments", [("Acme",), ("acme", "--into", ".")])
def test_new_refuses_without_writing(hull, tmp_path, arguments):
    """A bad name and a folder that holds something end with 1 and one line."""
    (tmp_path / "mine.txt").write_text("mine")
    result = hull("new", *arguments)
    assert result.exit_code == 1
    assert result.output.startswith("Error: the ")
    assert len(result.output.splitlines()) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_types_are_written_compared_and_printed(hull, tmp_path):
    """What is written is up to date; after a change of the manifest the check fails and says what to run."""
    path = tmp_path / "manifest.json"
    path.write_text('{"settings": [{"name": "color", "type": "string"}]}')
    assert hull("types", "manifest.json", "-o", "settings.py").output == ""
    assert hull("types", "manifest.json", "-o", "settings.py", "--check").exit_code == 0
    assert hull("types", "manifest.json").output == (tmp_path / "settings.py").read_text()
    path.write_text('{"settings": [{"name": "colour", "type": "string"}]}')
    result = hull("types", "manifest.json", "-o", "settings.py", "--check")
    assert result.exit_code == 1
    assert (
        "settings.py is not what the manifest declares; run: hull types manifest.json -o settings.py" in result.output
    )
    assert "color:" in (tmp_path / "settings.py").read_text()


@pytest.mark.parametrize(
    ("text", "arguments", "message"),
    [
        (None, (), "manifest.json: No such file or directory; pass the path of a manifest"),
        ("{", (), "manifest.json: no JSON"),
        ('{"settings": 5}', (), "$.settings is 5, expected a list of objects"),
        ("{}", (), "declares no settings"),
        ('{"settings": [{"name": "a"}]}', ("-o", "gone.py", "--check"), "gone.py is missing; run: hull types"),
        ('{"settings": [{"name": "a"}]}', ("--check",), "name it with -o FILE"),
        ('{"settings": [{"name": "a"}]}', ("-o", "no/settings.py"), "no/settings.py: No such file"),
    ],
)
def test_types_says_what_is_wrong(hull, tmp_path, text, arguments, message):
    """Each mistake is one clear error."""
    if text is not None:
        (tmp_path / "manifest.json").write_text(text)
    result = hull("types", "manifest.json", *arguments)
    assert result.exit_code in {1, 2}
    assert message in result.output
    assert "Traceback" not in result.output
