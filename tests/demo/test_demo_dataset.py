"""The bundled data set holds what the demo promises to show."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from hull_sdk.core import json
from hull_sdk.demo.dataset import CHANGES, changed, load, load_organization, send
from hull_sdk.errors import InvalidArgumentError

MESSAGES = load()
TEXT = json.dumps(MESSAGES).decode()


class RecordingClient:
    """Stands for the client and notes the calls made on it."""

    def __init__(self, calls=(), log=None):
        self.calls = calls
        self.log = [] if log is None else log

    def __getattr__(self, name):
        def call(*args, **options):
            path = (*self.calls, (name, args, options))
            self.log.append(path)
            return RecordingClient(path, self.log)

        return call


def operations():
    """Yield every operation in the data set's traits."""
    for message in MESSAGES:
        for value in message.get("traits", {}).values():
            if isinstance(value, dict) and "operation" in value:
                yield value["operation"]


def test_holds_at_least_500_messages_about_sixty_people_and_twelve_companies():
    """The data set is large enough to be worth a demo."""
    people = {
        m["as_user"]["external_id"] for m in MESSAGES if m.get("as_user", {}).get("external_id", "u-9999") != "u-9999"
    }
    companies = {m["as_account"]["domain"] for m in MESSAGES if m.get("as_account", {}).get("domain")} - {
        "gmail.com",
        "webmail.example",
        "postbox.example",
    }
    assert len(MESSAGES) >= 500
    assert 50 <= len(people) <= 60
    assert len(companies) == 12


def test_shows_every_kind_of_call_and_operation():
    """Traits, events, aliases, links and all attribute operations occur."""
    keys = Counter(key for message in MESSAGES for key in message)
    assert {"as_user", "as_account", "account", "create", "traits", "track", "alias", "unalias"} <= set(keys)
    assert {"inc", "increment", "dec", "set", "setIfNull"} <= set(operations())
    assert any(isinstance(v, list) for m in MESSAGES for v in m.get("traits", {}).values())
    assert any(k.endswith("_at") for m in MESSAGES for k in m.get("traits", {}))
    assert any(v is None for m in MESSAGES for v in m.get("traits", {}).values())


def test_names_only_reserved_domains_and_addresses():
    """Nobody real is written about: addresses end in .example, numbers lie in the ranges for documentation."""
    addresses = re.findall(r"[\w.+-]+@([\w.-]+\w)", TEXT)
    assert addresses
    assert {address.lower().rsplit(".", 1)[1] for address in addresses} == {"example"}
    assert {host.rsplit(".", 1)[1] for host in re.findall(r"https?://([\w.-]+)", TEXT)} == {"example"}
    assert all(ip.startswith("203.0.113.") for ip in re.findall(r'"ip":"([^"]+)"', TEXT))
    assert all(phone.startswith("+1-202-555-01") for phone in re.findall(r'"phone":"([^"]+)"', TEXT))


def test_says_the_same_on_every_load():
    """Loading is deterministic."""
    assert load() == MESSAGES


def test_makes_the_call_that_a_message_stands_for():
    """A link with traits becomes as_user, account and traits."""
    client = RecordingClient()
    send(client, {"as_user": {"external_id": "u-1"}, "account": {"domain": "acme.example"}, "traits": {"plan": "team"}})
    assert client.log[-1] == (
        ("as_user", ({"external_id": "u-1"},), {"create": True}),
        ("account", ({"domain": "acme.example"},), {}),
        ("traits", ({"plan": "team"},), {}),
    )


@pytest.mark.parametrize(
    ("message", "last"),
    [
        ({"as_account": {"external_id": "co-1"}, "traits": {"a": 1}}, ("traits", ({"a": 1},), {})),
        ({"as_user": {"email": "a@b.example"}, "track": "Seen"}, ("track", ("Seen", {}, {}), {})),
        (
            {"as_user": {"email": "a@b.example"}, "alias": {"anonymous_id": "x"}},
            ("alias", ({"anonymous_id": "x"},), {}),
        ),
        (
            {"as_user": {"email": "a@b.example"}, "unalias": {"anonymous_id": "x"}},
            ("unalias", ({"anonymous_id": "x"},), {}),
        ),
    ],
)
def test_sends_every_kind_of_message(message, last):
    """Each kind of line has its call."""
    client = RecordingClient()
    send(client, message)
    assert client.log[-1][-1] == last


def test_changes_a_copy_of_the_data():
    """Dropping, doubling and swapping leave the original as it was."""
    messages = [{"track": "a"}, {"track": "b"}, {"track": "c"}]
    assert changed(messages, "drop:2") == [{"track": "a"}, {"track": "c"}]
    assert changed(messages, "double:1") == [{"track": "a"}, {"track": "a"}, {"track": "b"}, {"track": "c"}]
    assert changed(messages, "swap:1:3") == [{"track": "c"}, {"track": "b"}, {"track": "a"}]
    assert messages == [{"track": "a"}, {"track": "b"}, {"track": "c"}]


@pytest.mark.parametrize("change", ["", "drop", "drop:0", "drop:99999", "swap:1", "double:x", "burn:1"])
def test_refuses_an_unknown_change_and_names_the_known(change):
    """A change that cannot be made is an error that shows how to write one."""
    with pytest.raises(InvalidArgumentError, match=CHANGES[0]):
        changed(MESSAGES, change)


def test_segments_name_nothing_that_the_connector_writes():
    """Membership never depends on what is written back, nor on the time of the run."""
    text = json.dumps(load_organization()).decode()
    assert "leadscore" not in text
    assert "now" not in text
