"""The command hull doctor."""

from __future__ import annotations

import json
from importlib import import_module

import pytest
from click.testing import CliRunner

from hull_sdk.cli import main
from hull_sdk.doctor import Examination, Finding
from hull_sdk.doctor.findings import failed, passed, untried
from hull_sdk.errors import HullError

command = import_module("hull_sdk.cli.doctor")
URL = "http://127.0.0.1:8082"


@pytest.fixture
def examined(monkeypatch):
    """Have the examination come to what the test says, and return the calls of it."""
    calls = []

    def arrange(*findings, error=None):
        def examine(url, **options):
            calls.append((url, options))
            options["tell"]("foreign-key-url")
            if error is not None:
                raise error
            return Examination(url, "127.0.0.1:8899", list(findings), 1.0)

        monkeypatch.setattr(command, "examine", examine)
        return calls

    return arrange


def run(*arguments):
    """Run the command and return exit code and what it printed."""
    result = CliRunner().invoke(main, ["doctor", *arguments])
    return result.exit_code, result.stdout, result.stderr


GOOD = Finding("replay", "the rule", passed("all well"), "the way out")
BAD = Finding("alg-none", "the rule", failed("it believed"), "the way out")
UNTRIED = Finding("double-run", "the rule", untried("nothing was written"), "the way out")


def test_the_exit_code_says_what_was_found(examined):
    """0 when nothing failed, also where something could not be looked at; 1 when something failed."""
    examined(GOOD, UNTRIED)
    code, out, err = run(URL)
    assert (code, err) == (0, "  foreign-key-url ...\n")
    assert out.splitlines() == [
        "pass     replay",
        "untried  double-run",
        "         because nothing was written",
        "",
        "ok: 1 passed, 0 failed, 1 untried, in 1 s",
    ]
    examined(GOOD, BAD)
    code, out, _ = run(URL)
    assert code == 1
    assert (
        "fail     alg-none\n         found: it believed\n         rule:  the rule\n         mend:  the way out\n" in out
    )


def test_it_speaks_json(examined):
    """--json prints one object, the progress apart from it."""
    examined(BAD)
    code, out, _ = run(URL, "--json")
    found = json.loads(out)
    assert (code, found["ok"], found["organization"]) == (1, False, "127.0.0.1:8899")
    assert found["checks"] == [
        {"name": "alg-none", "verdict": "fail", "rule": "the rule", "found": "it believed", "mend": "the way out"}
    ]
    examined(error=HullError("no manifest.json"))
    assert run(URL, "--json")[:2] == (2, '{"ok":false,"error":"no manifest.json"}\n')


def test_what_could_not_be_examined_is_2(examined):
    """A connector that does not answer, or does not let doctor in, is one clear error."""
    examined(error=HullError("no manifest.json"))
    code, out, err = run(URL)
    assert (code, out) == (2, "")
    assert err.endswith("Error: no manifest.json\n")


def test_the_options_reach_the_examination(examined):
    """Address, settings and attributes are handed on as they are written."""
    calls = examined(GOOD)
    run(URL, "--listen", "127.0.0.2:7000", "--setting", '{"a": 1}', "--account", '{"b": 2}', "--deadline", "5")
    ((url, options),) = calls
    assert (url, options["host"], options["port"]) == (URL, "127.0.0.2", 7000)
    assert (options["options"].settings, options["options"].account, options["options"].limit_s) == (
        {"a": 1},
        {"b": 2},
        5,
    )


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["nowhere"], "'nowhere' is no address; write one such as http://127.0.0.1:8082"),
        (["http://shop.example"], "shop.example is not this machine; add --it-is-mine if the connector there is yours"),
        ([URL, "--listen", "127.0.0.1"], "write a host and a port such as 127.0.0.1:8899"),
        ([URL, "--user", "ann"], "'ann' is no JSON object"),
        ([URL, "--deadline", "0"], "0.0 is not in the range"),
    ],
)
def test_wrong_usage_is_told(examined, arguments, problem):
    """What is written wrongly is named, with what would do; nothing is examined."""
    calls = examined(GOOD)
    code, _, err = run(*arguments)
    assert (code, calls) == (2, [])
    assert problem in " ".join(err.replace("│", "").split())
