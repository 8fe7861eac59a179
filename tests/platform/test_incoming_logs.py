"""The platform's log of what came in: names, identifiers, and no secrets."""

from __future__ import annotations

import pytest
from ingestion_kit import CONNECTOR, Bench, signed


@pytest.fixture
def bench():
    """Return an empty organization."""
    return Bench()


def test_every_message_leaves_a_line_in_the_log(bench):
    """Entries name what happened, whom it was about and which connector sent it."""
    bench.traits({"email": "ann@acme.test"}, {"id": "x"}, message_id="m1")
    bench.track({"email": "ann@acme.test"}, "Seen")
    bench.traits({"email": "bob@acme.test"}, create=False)
    bench.account_traits({"domain": "acme.test"})
    bench.traits({"id": "nobody"})
    assert [entry.event for entry in bench.organization.log] == [
        "incoming.user.success",
        "incoming.event.success",
        "incoming.user.skip",
        "incoming.account.success",
        "incoming.user.error",
    ]
    first = bench.organization.log[0].fields
    assert first["user_email"] == "ann@acme.test"
    assert first["user_id"] == bench.user(email="ann@acme.test").id
    assert (first["connector_id"], first["connector_name"], first["message_id"]) == (CONNECTOR.id, "Demo", "m1")
    assert "derived" in first["notes"][0]


@pytest.mark.parametrize("kind", ["user", "account", "event"])
def test_what_came_in_is_logged_as_success_error_or_skip(bench, kind):
    """The three words stand behind the kind, and each line says whom it is about."""
    subject = "account" if kind == "account" else "user"
    claims = {"external_id": f"of the {kind}"}
    about = {subject: claims, "subject": subject}
    good = ("track", {"event": "Seen"}) if kind == "event" else ("traits", {"plan": "pro"})
    bad = ("track", {"event": ""}) if kind == "event" else ("traits", {"plan": {"operation": "cube"}})
    bench.send(*good, **about, create=False)
    bench.send(*good, **about)
    bench.send(*bad, **about)
    lines = bench.organization.log
    assert [line.event for line in lines] == [f"incoming.{kind}.{status}" for status in ("skip", "success", "error")]
    assert [line.fields[f"{subject}_external_id"] for line in lines] == [f"of the {kind}"] * 3
    assert [line.fields["connector_name"] for line in lines] == ["Demo"] * 3
    assert lines[1].fields[f"{subject}_id"] == bench.organization.find(subject, claims).id


def test_every_identifier_stands_in_the_log(bench):
    """All that a message claims of user and account, also when it cannot be applied; a forged token claims nothing."""
    user = {"email": "ann@acme.test", "external_id": "1", "anonymous_id": "v"}
    account = {"domain": "acme.test", "external_id": "a", "anonymous_id": "w"}
    expected = {
        "user_email": "ann@acme.test",
        "user_external_id": "1",
        "user_anonymous_id": "v",
        "account_domain": "acme.test",
        "account_external_id": "a",
        "account_anonymous_id": "w",
    }
    bench.traits(user, {"plan": "pro"}, account=account)
    bench.traits(user, {"plan": {"operation": "cube"}}, account=account)
    batch = [
        signed(bench, "traits", {"plan": {"operation": "cube"}}, user=user, account=account),
        signed(bench, "nonsense", {}, user=user, account=account, secret="forged"),
    ]
    bench.organization.receive(batch, CONNECTOR)
    *known, forged = bench.organization.log
    assert [expected.items() <= line.fields.items() for line in known] == [True] * 3
    assert known[0].fields["user_id"] == bench.user(external_id="1").id
    assert known[0].fields["account_id"] == bench.account(external_id="a").id
    assert [name for name in forged.fields if name.startswith(("user_", "account_"))] == []
    bench.traits({"id": known[0].fields["user_id"]}, {"plan": {"operation": "cube"}}, account={"id": "x" * 1000})
    assert bench.organization.log[-1].fields["user_id"] == known[0].fields["user_id"]
    assert len(bench.organization.log[-1].fields["account_id"]) == 200


def test_no_secret_reaches_the_log(bench):
    """Neither the connector's secret nor a token stands in any entry or record."""
    message = signed(bench, "traits", {}, user={"email": "ann@acme.test"}, secret="wrong-secret")
    bench.organization.receive([message], CONNECTOR)
    text = repr([*bench.organization.log, *bench.organization.records])
    assert CONNECTOR.secret not in text
    assert message["headers"]["Hull-Access-Token"] not in text
