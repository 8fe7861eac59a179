"""The configuration file: what it makes, and errors that name path and rule."""

from __future__ import annotations

import json

import pytest

from hull_sdk.core.clock import VirtualClock
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform import Platform
from hull_sdk.platform.config import check_config, configure, read_config, ready_line

GOOD = {
    "organizations": [
        {
            "host": "acme.test",
            "admin_secret": "operator",
            "settings": {"rejected_domains": ["x.test"]},
            "connectors": [
                {
                    "id": "5a7962e2793d3e942a03b29a",
                    "secret": "s",
                    "url": "http://127.0.0.1:1",
                    "private_settings": {"k": 1},
                },
                {"name": "Writer", "manifest": {"name": "Other"}},
            ],
            "users_segments": [{"id": "all", "name": "All", "query": {}}],
            "accounts_segments": [{"name": "Big", "query": {"range": {"seats": {"gte": 5}}}}],
        }
    ]
}


def organization(**changes):
    """Return a configuration of one organization."""
    return {"organizations": [{"host": "acme.test", **changes}]}


def test_a_configuration_makes_organizations_connectors_and_segments(signing_key):
    """Given ids and secrets are kept, the others are made, and the ready line lists them all."""
    platform = Platform(clock=VirtualClock(), signing_key=signing_key)
    configure(platform, check_config(GOOD))
    line = ready_line(platform, "http://127.0.0.1:3000")
    (acme,) = line["organizations"]
    assert (line["event"], line["url"]) == ("platform.ready", "http://127.0.0.1:3000")
    assert (acme["host"], acme["admin_secret"]) == ("acme.test", "operator")
    first, second = acme["connectors"]
    assert (first["id"], first["secret"]) == ("5a7962e2793d3e942a03b29a", "s")
    assert (second["name"], len(second["id"]), len(second["secret"])) == ("Writer", 24, 32)
    assert acme["users_segments"] == [{"id": "all", "name": "All"}]
    assert acme["accounts_segments"][0]["name"] == "Big"
    assert platform.organizations["acme.test"].settings.rejected_domains == {"x.test"}
    platform.close()


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ([], r"\$: it is list"),
        ({}, r"\$\.organizations: Missing"),
        ({"organizations": [{}]}, r"\$\.organizations\[0\]\.host: Missing"),
        (organization(host="https://acme.test"), r"\$\.organizations\[0\]\.host: 'https://acme.test' is no host"),
        (organization(colour="red"), r"\$\.organizations\[0\]\.colour: Unknown field"),
        (organization(connectors=[{}]), r"\$\.organizations\[0\]\.connectors\[0\]\.url: a connector needs a url"),
        (organization(connectors=[{"url": "crm"}]), r"connectors\[0\]\.url: the connector url 'crm' is no address"),
        (
            organization(connectors=[{"url": "http://ann:hunter2@a.test/?secret=hunter2"}]),
            r"the connector url 'http://\*\*\*@a.test/\?secret=\*\*\*' is no address",
        ),
        (
            organization(connectors=[{"url": "http://a.test", "id": "one"}]),
            r"connectors\[0\]\.id: .*'one'.* 24 hexadecimal",
        ),
        (
            organization(connectors=[{"manifest": {"tags": 1}}]),
            r"connectors\[0\]\.manifest: the manifest is invalid:\n.*tags",
        ),
        (
            organization(connectors=[{"manifest": {}, "settings": []}]),
            r"connectors\[0\]\.settings: Not a valid mapping",
        ),
        (organization(users_segments=[{"name": "x"}]), r"users_segments\[0\]\.predicate: a segment needs either"),
        (organization(users_segments=[{"query": {}}]), r"users_segments\[0\]\.name: Missing"),
        (
            organization(settings={"limits": {"attributes": 0}}),
            r"\[0\]\.settings: the organization's settings are invalid",
        ),
        (organization(admin_secret=""), r"\[0\]\.admin_secret: Shorter"),
    ],
)
def test_errors_name_the_path_and_the_rule(value, problem):
    """Every rule that is broken is told with the place in the file."""
    with pytest.raises(InvalidArgumentError, match=problem):
        check_config(value)


def test_all_problems_are_told_at_once():
    """Two mistakes give one error with both."""
    with pytest.raises(InvalidArgumentError) as caught:
        check_config({"organizations": [{"host": "a b"}, {"hots": "b.test"}]})
    for path in ("organizations[0].host", "organizations[1].host", "organizations[1].hots"):
        assert path in caught.value.message


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (
            {"organizations": [{"host": "a.test"}, {"host": "a.test"}]},
            r"\$\.organizations\[1\]: the organization 'a.test'",
        ),
        (
            organization(connectors=[{"id": "5a79000000000000000000aa", "manifest": {}}] * 2),
            r"\[0\]\.connectors\[1\]: the connector id '5a79000000000000000000aa' is taken",
        ),
        (organization(users_segments=[{"name": "x", "query": {"dance": {}}}]), r"\[0\]\.users_segments\[0\]: .*dance"),
    ],
)
def test_what_only_shows_when_it_is_made_is_named_too(value, problem):
    """Equal hosts and ids and unreadable segments are errors with their place."""
    platform = Platform(clock=VirtualClock())
    with pytest.raises(InvalidArgumentError, match=problem):
        configure(platform, check_config(value))
    platform.close()


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    """The error begins with the file's path."""
    with pytest.raises(InvalidArgumentError, match=r"missing\.json: No such file"):
        read_config(tmp_path / "missing.json")
    path = tmp_path / "broken.json"
    path.write_text("{")
    with pytest.raises(InvalidArgumentError, match=r"broken\.json: no JSON"):
        read_config(path)
    path.write_text(json.dumps({}))
    with pytest.raises(InvalidArgumentError, match=r"broken\.json: \$\.organizations"):
        read_config(path)
    path.write_text(json.dumps(GOOD))
    assert len(read_config(path)["organizations"]) == 1
