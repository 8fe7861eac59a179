"""Every check of the project: ``python -m pip install nox && nox`` runs them all, ``nox -s tests`` runs one.

Nothing but Python 3.11 or newer is needed. ``interop`` also needs Node 20 with npm and is left out where they are
missing; in CI (the environment variable ``CI`` is set) that is a failure.
"""

from __future__ import annotations

import itertools
import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "venv"
nox.options.reuse_venv = "yes"
nox.options.sessions = ["lint", "imports", "types", "tests", "lowest", "docs", "wheel", "interop"]

# A run starts hundreds of interpreters; without this some machines have each of them compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

IN_CI = bool(os.environ.get("CI"))
KNOWN_PYTHONS = ("3.11", "3.12", "3.13")
#: Folders of tests that have a session of their own.
OTHER_SESSIONS = ("tests/docs", "tests/interop", "tests/typing")
#: What shows the product and takes long: one interpreter is enough for it.
ONCE = ("tests/simulation", "tests/platform/test_openapi_conformance.py")
#: The folder of the benchmarks; what is a script there is one.
BENCHMARKS = Path("tests/benchmarks")
#: What runs for less long beside all the others than it does when it is named.
BRIEFLY = {
    "extract": ["--rows", "60000"],
    "platform_growth": ["--users", "1000", "10000", "100000"],
    "virtual_year": ["--days", "73", "--users", "2000"],
}

#: What meets the libraries: enough to see that their lowest versions do.
LOWEST = (
    *(f"tests/{name}" for name in ("wire", "core", "middleware", "handlers", "infra", "connector", "scaffold")),
    "tests/client/test_client_transport.py",
    "tests/cli/test_cli_deadletters.py",
    "tests/platform/test_event_contexts.py",
    "tests/platform/test_platform_config.py",
    "tests/platform/test_schedules.py",
    "tests/platform/test_timers.py",
    "tests/test_service.py",
    "tests/test_flask_app.py",
    "tests/test_context.py",
)

PYPROJECT = nox.project.load_toml("pyproject.toml")


def _works(version: str) -> bool:
    """Tell whether this version is installed; a version manager's shim may exist without one behind it."""
    program = shutil.which(f"python{version}")
    if program is None:
        return False
    command = [program, "--version"]
    return subprocess.run(command, capture_output=True, check=False, timeout=60).returncode == 0  # noqa: S603 - ours


def _pythons() -> list[str | None]:
    """Return the interpreters to test on: all of them in CI, else those found, else the one that runs nox."""
    if IN_CI:
        return list(KNOWN_PYTHONS)
    return [version for version in KNOWN_PYTHONS if _works(version)] or [None]


PYTHONS = _pythons()


def _group(name: str) -> list[str]:
    return list(nox.project.dependency_groups(PYPROJECT, name))


def _install(session: nox.Session, *groups: str) -> None:
    """Install the project, so that its command and its pytest plugin are there, and some dependency groups."""
    requirements = sorted({requirement for group in groups for requirement in _group(group)})
    session.install("--quiet", "--editable", ".", *requirements)


@nox.session
def lint(session: nox.Session) -> None:
    """Style and formatting."""
    session.install("--quiet", *_group("lint"))
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")


@nox.session
def imports(session: nox.Session) -> None:
    """The layers of the house."""
    session.install("--quiet", *_group("imports"))
    session.run("lint-imports")


@nox.session
def types(session: nox.Session) -> None:
    """The types of the package, and of users' code written against it."""
    _install(session, "types")
    session.run("mypy")
    session.run("pyright")
    session.run("pytest", "tests/typing", *session.posargs)


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """The tests: all of them on the first interpreter; on the others less, and no process but for exits.

    They share the cores: those that start processes wait for them half of their time. Only the first interpreter has
    what ``[fast]`` installs.
    """
    first = session.python == PYTHONS[0]
    _install(session, "test")
    if not first:
        session.run("python", "-m", "pip", "uninstall", "--quiet", "--yes", "orjson")
    if session.posargs:
        session.run("pytest", *session.posargs)
        return
    elsewhere = [f"--ignore={path}" for path in (*OTHER_SESSIONS, *(() if first else ONCE))]
    session.run("pytest", "-n", "auto", *([] if first else ["-m", "not process or every_python"]), *elsewhere)


@nox.session
def docs(session: nox.Session) -> None:
    """The code blocks, links, paths and section names of README, docs and docstrings; then the site, from all of it."""
    _install(session, "docs", "types")
    session.run("pytest", "tests/docs", *session.posargs)
    site = Path(session.create_tmp()) / "site"
    session.run("sphinx-build", "-W", "--keep-going", "-q", "-E", "-b", "html", "docs", str(site))
    session.log(f"the site is {site / 'index.html'}")


@nox.session(reuse_venv=False)
def wheel(session: nox.Session) -> None:
    """The wheel, alone in an empty environment: what is in it, and that its demo agrees with itself."""
    folder = Path(session.create_tmp()) / "wheel"
    shutil.rmtree(folder, ignore_errors=True)
    session.run("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(folder), ".", silent=True)
    (built,) = folder.glob("*.whl")
    _check_contents(session, built)
    session.install("--quiet", str(built))
    session.run("python", "-m", "pip", "check", silent=True)
    session.chdir(folder)
    answer = session.run("hull", "demo", "--json", silent=True, stderr=None, success_codes=[0, 1])
    figures = json.loads(str(answer))
    if figures.get("ok") is not True:
        session.error(f"the demo of the installed wheel does not agree with its own calculation: {answer}")
    session.run("hull", "new", "acme-crm", silent=True)
    counts = {name: value for name, value in figures.items() if isinstance(value, int | float)}
    session.log(f"{built.name}: {counts}")


def _check_contents(session: nox.Session, built: Path) -> None:
    names = zipfile.ZipFile(built).namelist()
    if "hull_sdk/py.typed" not in names:
        session.error(f"{built.name} has no hull_sdk/py.typed; type checkers would ignore the package")
    strangers = [name for name in names if not name.startswith(("hull_sdk/", "hull_sdk-"))]
    if strangers:
        session.error(f"{built.name} holds what belongs in no wheel: {strangers}")


@nox.session
def interop(session: nox.Session) -> None:
    """The platform against the npm packages of the Node generation."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    if missing:
        reason = f"{' and '.join(missing)} not found: install Node 20 with npm to run the tests against npm packages"
        (session.error if IN_CI else session.skip)(reason)
    _install(session, "test")
    session.run("pytest", "tests/interop", *session.posargs)


@nox.session(python=PYTHONS[0])
def lowest(session: nox.Session) -> None:
    """The tests of what meets the libraries, with the lowest version of each that the package allows.

    They are built for the oldest interpreter; for newer ones they may have to be compiled.
    """
    if session.python != KNOWN_PYTHONS[0]:
        (session.error if IN_CI else session.skip)(f"python{KNOWN_PYTHONS[0]} not found, for which these are built")
    project = PYPROJECT["project"]
    extras = (requirement for group in project["optional-dependencies"].values() for requirement in group)
    allowed = [each for each in (*project["dependencies"], *extras) if not each.startswith(project["name"])]
    pinned = sorted({each.replace(">=", "==") for each in allowed})
    constraints = Path(session.create_tmp()) / "lowest.txt"
    constraints.write_text("\n".join(pinned), encoding="utf-8")
    session.install("--quiet", "--editable", ".", *pinned, *_group("test"), "--constraint", str(constraints))
    session.run("pytest", "-n", "auto", "-m", "not process", *LOWEST, *session.posargs)


@nox.session
def nightly(session: nox.Session) -> None:
    """The properties with many more and always new examples, and 10,000 simulated scenarios; run it by name."""
    _install(session, "test")
    elsewhere = [f"--ignore={folder}" for folder in OTHER_SESSIONS]
    options = ("--hypothesis-profile=nightly", "--seeds=10000", "--timeout=3600")
    session.run("pytest", "-n", "auto", *options, "-m", "not process", *elsewhere, *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """The benchmarks, or those that are named: ``nox -s bench -- round_trip --rounds 9``; run it by name."""
    known = {path.stem: str(path) for path in sorted(BENCHMARKS.glob("*.py")) if _is_script(path)}
    named = list(itertools.takewhile(lambda each: not each.startswith("-"), session.posargs))
    strangers = [name for name in named if name not in known]
    if strangers:
        session.error(f"no benchmark is called {', '.join(strangers)}; there are {', '.join(known)}")
    _install(session, "test")
    options = session.posargs[len(named) :]
    missed = [
        name
        for name in named or known
        if not _run_benchmark(session, known[name], [*([] if named else BRIEFLY.get(name, [])), *options])
    ]
    if missed:
        session.error(f"a target was missed, or there were no figures: {', '.join(missed)}")


def _is_script(path: Path) -> bool:
    # What a benchmark starts as a process of its own is none itself.
    return not path.stem.endswith("_process") and '__name__ == "__main__"' in path.read_text(encoding="utf-8")


def _run_benchmark(session: nox.Session, path: str, options: list[str]) -> bool:
    try:
        session.run("python", path, *options)
    except CommandFailed:
        return False
    return True
