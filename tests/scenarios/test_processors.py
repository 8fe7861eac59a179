"""Connectors that make plain attributes out of objects, as Hull's own description of its platform shows it."""

from __future__ import annotations

import pytest

ANN = {"external_id": "1234"}
LATEST = {"id": "4567", "start": "bar", "referrer": "https://news.example/"}


def test_sessions_are_collected_in_an_object(harness, recorder):
    """The latest session joins the others, and numbers and lists that other services understand are made of them."""

    def collect(ctx, messages):
        for message in messages:
            user = message["user"]
            sessions = {**user.get("traits_sessions", {}), user["traits_latest_session"]["id"]: LATEST}
            ctx.client.as_user(user).traits(
                {
                    "sessions": sessions,
                    "session_count": len(sessions),
                    "session_referrers": [session["referrer"] for session in sessions.values()],
                }
            )

    recorder.handle = collect
    first = {"id": "1234", "start": "foo", "referrer": "https://acme.example/"}
    harness.client.as_user(ANN).traits({"sessions": {"1234": first}, "latest_session": LATEST})
    harness.run_until_idle()
    report = harness.user(ANN)
    assert report["traits_sessions"] == {"1234": first, "4567": LATEST}
    assert report["traits_session_count"] == 2
    assert report["traits_session_referrers"] == ["https://acme.example/", "https://news.example/"]


def merge_into(name, seen):
    """Return a handler that writes the old and the new keys of ``foo`` into an attribute."""

    def merge(ctx, messages):
        for message in messages:
            if "traits_foo" in message["changes"]["user"]:
                old, new = message["changes"]["user"]["traits_foo"]
                seen.append([old, new])
                ctx.client.as_user(message["user"]).traits({name: {**old, **new}})

    return merge


@pytest.fixture
def planet(harness):
    """A user with an object that is to be replaced."""
    harness.client.as_user(ANN).traits({"foo": {"earth": "mars"}})
    harness.run_until_idle()


def test_old_and_new_keys_of_an_object_are_merged_into_another_one(planet, harness, recorder):
    """A change tells the whole object before and after, so a handler can put both together."""
    seen = []
    recorder.handle = merge_into("merged_foo", seen)
    harness.client.as_user(ANN).traits({"foo": {"bar": "bat"}})
    harness.run_until_idle()
    assert seen == [[{"earth": "mars"}, {"bar": "bat"}]]
    assert harness.user(ANN)["traits_merged_foo"] == {"earth": "mars", "bar": "bat"}


def test_merging_into_the_object_itself_comes_to_rest(planet, harness, recorder):
    """What is written back is a change of its own, and writing an equal object is none."""
    seen = []
    recorder.handle = merge_into("foo", seen)
    harness.client.as_user(ANN).traits({"foo": {"bar": "bat"}})
    harness.run_until_idle()
    merged = {"earth": "mars", "bar": "bat"}
    assert seen == [[{"earth": "mars"}, {"bar": "bat"}], [{"bar": "bat"}, merged]]
    assert harness.user(ANN)["traits_foo"] == merged


def test_accounts_follow_from_the_domains_of_addresses(harness, recorder):
    """A user's report has the domain of the e-mail, and a handler links by it; a free provider's makes no account."""

    def join(ctx, messages):
        for user in (message["user"] for message in messages if "user" in message):
            ctx.client.as_user(user).account({"domain": user["domain"]}).traits({})

    recorder.handle = join
    for address in ("ann@acme.example", "bob@acme.example", "cid@gmail.com"):
        harness.client.as_user({"email": address}).traits({"plan": "free"})
    harness.run_until_idle()
    accounts = {
        address: harness.organization.find_user({"email": address}).account_id
        for address in ("ann@acme.example", "bob@acme.example", "cid@gmail.com")
    }
    acme = harness.organization.find_account({"domain": "acme.example"}).id
    assert accounts == {"ann@acme.example": acme, "bob@acme.example": acme, "cid@gmail.com": None}
    assert len(harness.organization.entities("account")) == 1
