from __future__ import annotations

import pytest

pytest_plugins = ["pytester"]

APP = """
import pytest
from flask import Flask
from hull_sdk import Connector
from hull_sdk.handlers import smart_notifier_handler

MANIFEST = {"name": "Greeter", "tags": ["smart-notifier"], "subscriptions": [{"url": "/smart-notifier"}]}

def greet(ctx, messages):
    for message in messages:
        ctx.client.as_user(message["user"]).traits({"greeting": "Hello"})

@pytest.fixture
def hull_app():
    app = Flask("greeter")
    app.register_blueprint(smart_notifier_handler({"user:update": greet}), url_prefix="/smart-notifier")
    return Connector(host_secret="a secret of the host for tests", manifest=MANIFEST).setup_app(app)
"""


def test_the_fixtures_are_found_without_an_import(pytester):
    """A test of a connector needs a fixture hull_app and nothing else."""
    pytester.makeconftest(APP)
    pytester.makepyfile(
        """
        def test_greets(hull_harness, hull_organization, hull_platform):
            hull_harness.client.as_user({"email": "ann@acme.example"}).traits({"first_name": "Ann"})
            hull_harness.run_until_idle()
            assert hull_harness.user({"email": "ann@acme.example"})["traits_greeting"] == "Hello"
            assert hull_harness.organization is hull_organization
            assert hull_harness.platform is hull_platform
        """
    )
    pytester.runpytest_subprocess("-p", "no:cacheprovider").assert_outcomes(passed=1)


def test_a_missing_hull_app_is_explained(pytester):
    """Without the fixture hull_app the failure says what to define."""
    pytester.makepyfile("def test_it(hull_harness): pass")
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*define a fixture hull_app*"])


SCENARIOS = """
import pytest

@pytest.mark.parametrize("name", ["Ann", "Bo/b"])
def test_greeting(hull_harness, hull_scenario, name):
    hull_harness.run_until_idle()
    with hull_scenario(hull_harness):
        hull_harness.notify("user:update", [{"user": {"email": "ann@acme.example", "name": name}}])
    with hull_scenario(hull_harness, "again"):
        hull_harness.notify("user:update", [{"user": {"email": "ann@acme.example", "name": name}}])
"""


def test_scenarios_stand_beside_the_test_and_are_written_on_demand(pytester):
    """Without files the tests fail; the option writes one for each scenario, and then they pass."""
    pytester.makeconftest(APP)
    pytester.makepyfile(test_greeter=SCENARIOS)
    run = ("-p", "no:cacheprovider", "-p", "no:randomly")
    missing = pytester.runpytest_subprocess(*run)
    missing.assert_outcomes(failed=2)
    missing.stdout.fnmatch_lines(["*there is no *greeting-Ann.json*--update-scenarios*"])
    pytester.runpytest_subprocess(*run, "--update-scenarios").assert_outcomes(passed=2)
    written = {path.name for path in (pytester.path / "scenarios" / "greeter").iterdir()}
    assert written == {f"greeting-{name}.json" for name in ("Ann", "Ann-again", "Bo-b", "Bo-b-again")}
    pytester.runpytest_subprocess(*run).assert_outcomes(passed=2)


@pytest.mark.parametrize("option", ["--update-scenarios", "--update"])
def test_both_forms_of_the_option_write(pytester, option):
    """The short form does the same where nobody else has it, also with several processes."""
    pytester.makeconftest(APP)
    pytester.makepyfile(test_greeter=SCENARIOS)
    pytester.runpytest_subprocess("-p", "no:cacheprovider", "-n", "2", option).assert_outcomes(passed=2)
    assert len(list((pytester.path / "scenarios" / "greeter").iterdir())) == 4


@pytest.mark.parametrize(("rule", "given", "found"), [("", ["mine"], "mine"), (", action='store_true'", [], True)])
def test_a_project_keeps_an_option_of_its_own_with_the_short_name(pytester, rule, given, found):
    """What a project calls --update stays its own, and writes no scenarios."""
    pytester.makeconftest(f"{APP}\ndef pytest_addoption(parser): parser.addoption('--update'{rule})\n")
    pytester.makepyfile(
        test_own=f"def test_it(pytestconfig): assert pytestconfig.getoption('--update') == {found!r}",
        test_greeter=SCENARIOS,
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider", "--update", *given)
    result.assert_outcomes(passed=1, failed=2)
    assert not (pytester.path / "scenarios").exists()


def test_two_scenarios_without_a_name_are_refused(pytester):
    """They would compare different things with one file; the failure says how to tell them apart."""
    pytester.makeconftest(APP)
    pytester.makepyfile(
        """
        def test_it(hull_harness, hull_scenario):
            hull_scenario(hull_harness)
            hull_scenario(hull_harness)
        """
    )
    result = pytester.runpytest_subprocess("-p", "no:cacheprovider")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*would share the file it.json; give one a name*"])
