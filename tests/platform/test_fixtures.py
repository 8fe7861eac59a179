"""Fixtures that a platform begins with."""

from __future__ import annotations

import pytest

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.fixtures import load_fixtures

LINES = """\
{"user": {"email": "ann@acme.test"}, "account": {"domain": "acme.test"}, "traits": {"plan": "pro"}}

{"account": {"domain": "acme.test"}, "traits": {"size": 7}}
{"organization": "acme.hullapp.test", "user": {"email": "ann@acme.test"}, "event": "Ordered", "properties": {"total": 1},
"""


def test_fixtures_are_there_and_nobody_is_told(platform, organization, send, fake, tmp_path):
    """Users, accounts and events of a file are applied, and connectors hear nothing of it."""
    path = tmp_path / "seed.jsonl"
    path.write_text(LINES.rstrip().rstrip(",") + "}\n")
    assert load_fixtures(platform, path) == 3
    platform.run_until_idle()
    report = organization.user_report({"email": "ann@acme.test"})
    account = organization.account_report({"domain": "acme.test"})
    assert (report["traits_plan"], account["size"]) == ("pro", 7)
    assert "Ordered" in [event["event"] for event in organization.events(report["id"])]
    assert fake.messages() == []


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("{", "no JSON"),
        ("[]", "it is list"),
        ('{"usr": {}}', "unknown: usr"),
        ('{"organization": "other.test", "user": {"email": "a@b.test"}}', "acme.hullapp.test"),
        ('{"traits": {}}', "NO_IDENTIFIER"),
        ('{"user": {"email": "a@b.test"}, "event": "x", "context": 1}', "context is 1"),
    ],
)
def test_a_line_that_breaks_a_rule_is_named(platform, organization, tmp_path, line, told):
    """The error has the file, the number of the line and the rule."""
    path = tmp_path / "seed.jsonl"
    path.write_text(f"\n{line}\n")
    with pytest.raises(InvalidArgumentError, match=told) as caught:
        load_fixtures(platform, path)
    assert f"{path}:2: " in caught.value.message
