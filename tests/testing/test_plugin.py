from __future__ import annotations

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
