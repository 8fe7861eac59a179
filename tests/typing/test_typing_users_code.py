"""Type checkers accept right code of users and refuse wrong code, line by line."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hull_sdk.scaffold.typed_settings import settings_module
from hull_sdk.wire.manifest import load_manifest

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
RIGHT = sorted(FOLDER.glob("right*.py"))
WRONG = sorted(FOLDER.glob("wrong*.py"))
#: Those that a developer copies: a folder with code of its own each, apart from the others.
EXAMPLES = sorted({path.parent for path in (ROOT / "examples").glob("*/README.md")} - {ROOT / "examples" / "hello"})
CHECK_TIMEOUT_S = 110
#: The share of public names whose type may be left to be inferred, for example from what is assigned.
MAX_GUESSED = 0.01

pytestmark = pytest.mark.process


def mypy(paths: list[Path]) -> set[tuple[str, int]]:
    """Return the files and lines in which mypy finds an error."""
    output = run("mypy", "--strict", "--no-error-summary", "--hide-error-context", *map(str, paths))
    return {(name, int(number)) for name, number in re.findall(r"(\w+\.py):(\d+): error", output)}


def pyright(paths: list[Path]) -> set[tuple[str, int]]:
    """Return the files and lines in which pyright finds an error."""
    output = run("pyright", "--pythonpath", sys.executable, "--outputjson", *map(str, paths))
    found = json.loads(output)["generalDiagnostics"]
    return {(Path(e["file"]).name, e["range"]["start"]["line"] + 1) for e in found if e["severity"] == "error"}


def run(tool: str, *arguments: str) -> str:
    """Return what a type checker prints; that it finds errors is no failure of the tool."""
    command = [sys.executable, "-m", tool, *arguments]
    homes = [ROOT / "examples", *sorted(path for path in (ROOT / "examples").iterdir() if path.is_dir())]
    environment = {**os.environ, "MYPYPATH": os.pathsep.join(map(str, homes)), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=CHECK_TIMEOUT_S, check=False
    )
    assert done.returncode in {0, 1}, done.stdout + done.stderr
    sys.stdout.write(done.stdout)
    return done.stdout


def marked_lines(paths: list[Path]) -> set[tuple[str, int]]:
    """Return the files and lines that end in a mark."""
    return {
        (path.name, number)
        for path in paths
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if "# WRONG" in line
    }


CHECKERS = pytest.mark.parametrize("check", [mypy, pyright])


@CHECKERS
@pytest.mark.shows(
    "README: flow-annotations",
    "types.THullAccount",
    "types.THullAccountAttributes",
    "types.THullAccountIdent",
    "types.THullAttributeValue",
    "types.THullAttributesChanges",
    "types.THullConnector",
    "types.THullEvent",
    "types.THullObject",
    "types.THullObjectAttributes",
    "types.THullObjectIdent",
    "types.THullReqContext",
    "types.THullSegment",
    "types.THullSegmentsChanges",
    "types.THullUser",
    "types.THullUserAttributes",
    "types.THullUserChanges",
    "types.THullUserIdent",
    "types.THullUserUpdateMessage",
)
def test_right_code_is_accepted(check):
    """Neither type checker finds an error in code that uses the package as it is meant."""
    assert check(RIGHT) == set()


@CHECKERS
def test_wrong_code_is_refused(check):
    """Both type checkers find an error in each line that uses the package wrongly, and in no other."""
    assert check(WRONG) == marked_lines(WRONG)


def test_public_names_are_typed():
    """Of at least 99 of 100 public names every type checker knows the type, without guessing."""
    report = json.loads(run("pyright", "--outputjson", "--ignoreexternal", "--verifytypes", "hull_sdk"))
    names = [symbol for symbol in report["typeCompleteness"]["symbols"] if symbol["isExported"]]
    guessed = [symbol["name"] for symbol in names if symbol["isTypeAmbiguous"] or not symbol["isTypeKnown"]]
    assert len(names) > 3_000
    assert len(guessed) <= len(names) * MAX_GUESSED, guessed


@pytest.mark.parametrize("folder", EXAMPLES, ids=lambda folder: folder.name)
def test_examples_are_typed(folder):
    """Each example satisfies the strict type checker, and its typed settings are those of its manifest.

    All but the one that the README prints, which has no types to be short.
    """
    assert len(EXAMPLES) >= 3
    paths = sorted(path for path in folder.rglob("*.py") if "tests" not in path.relative_to(folder).parts)
    assert mypy([path for path in paths if path.name != "gunicorn.conf.py"]) == set()
    for settings in folder.rglob("settings.py"):
        manifest = load_manifest(json.loads(settings.with_name("manifest.json").read_text(encoding="utf-8")))
        assert settings.read_text(encoding="utf-8") == settings_module(manifest)
