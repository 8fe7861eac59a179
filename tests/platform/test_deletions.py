"""Deleting users and accounts: what goes with them, and what cannot bring them back."""

from __future__ import annotations

import itertools

import pytest
from delivery_kit import FakeConnector

from hull_sdk.platform.deletions import REMEMBERED_S, Deletions

ANN = {"external_id": "1", "email": "ann@acme.test", "anonymous_id": "v1"}


@pytest.fixture
def delete(call, credentials, organization):
    """A function that deletes a user or account over HTTP."""

    def delete(claims, kind="user"):
        entity = organization.find(kind, claims)
        assert call("DELETE", f"/api/v1/{entity.id}", **credentials)[0] == 200
        return entity.id

    return delete


def test_everything_of_a_user_goes(organization, send, delete, platform, fake):
    """Identifiers, events, memberships and what was still to be told are gone."""
    organization.create_segment("user", "All", query={})
    send.traits(ANN, {"plan": "pro"})
    send.track(ANN, "Ordered")
    delete(ANN)
    platform.run_until_idle()
    assert organization.entities("user") == []
    assert organization.events() == []
    assert organization.users_segments()[0]["stats"] == {"users": 0}
    assert fake.messages() == []
    assert platform.pending == 0


def test_a_message_written_before_does_not_bring_a_user_back(organization, send, delete, platform):
    """It is ignored with the reason, by whichever identifier it names the user, and also when he came anew."""
    send.traits(ANN, {"plan": "pro"})
    late = [send.message("traits", {"plan": "old"}, user={name: value}) for name, value in ANN.items()]
    late.append(send.message("track", {"event": "Ordered"}, user={"email": "ann@acme.test", "external_id": "2"}))
    platform.runtime.tasks.sleep(1)
    user_id = delete(ANN)
    for message in late[:2]:
        send._send(message)
    assert organization.entities("user") == []
    send.traits(ANN, {"plan": "new"})
    for message in late[2:]:
        send._send(message)
    (user,) = organization.entities("user")
    assert user.id != user_id
    assert user.attributes["plan"] == "new"
    assert [event["event"] for event in organization.events()] == ["User created"]
    states = [record.state for record in organization.records]
    assert states == ["applied", "ignored", "ignored", "applied", "ignored", "ignored"]
    assert "deleted" in organization.records[1].reason


def test_others_who_share_an_address_are_still_written_to(organization, send, delete, platform):
    """A late message that names somebody who was there all the time reaches him."""
    send.traits({"external_id": "2", "email": "ann@acme.test"}, {})
    send.traits(ANN, {})
    late = send.message("traits", {"plan": "pro"}, user={"external_id": "2", "email": "ann@acme.test"})
    platform.runtime.tasks.sleep(1)
    delete({"external_id": "1"})
    send._send(late)
    assert organization.user_report({"external_id": "2"})["traits_plan"] == "pro"


@pytest.mark.parametrize("dated", [True, False])
def test_a_message_written_after_creates_anew(organization, send, delete, platform, dated):
    """Within the same second too, and when only its token is dated."""
    platform.runtime.tasks.sleep(0.5)
    send.traits(ANN, {})
    old = delete(ANN)
    platform.runtime.tasks.sleep(0.001)
    message = send.message("traits", {}, user=ANN)
    if not dated:
        del message["timestamp"]
    send._send(message)
    assert [user.id != old for user in organization.entities("user")] == [True]


def test_a_user_may_write_about_himself_right_after(call, connector, send, delete, organization):
    """What a user's token writes through the API counts as written at that moment."""
    send.traits(ANN, {})
    token = {"Hull_App_Id": connector.id, "Hull_Access_Token": send.token(user=ANN)}
    delete(ANN)
    assert call("PUT", "/api/v1/me/traits", {"plan": "new"}, **token)[0] == 200
    assert organization.user_report(ANN)["traits_plan"] == "new"


def test_the_users_of_an_account_stay_and_are_told(organization, send, delete, platform, fake):
    """They have no account any more, and a late link does not bring the account back."""
    send.traits({"external_id": "1"}, {}, account={"domain": "acme.test"})
    platform.run_until_idle()
    late = send.message("traits", {"n": 1}, user={"external_id": "1"}, account={"domain": "acme.test"})
    platform.runtime.tasks.sleep(1)
    delete({"domain": "acme.test"}, "account")
    platform.run_until_idle()
    assert fake.messages()[-1]["account"] == {}
    send._send(late)
    assert organization.entities("account") == []
    assert organization.user_report({"external_id": "1"})["traits_n"] == 1
    assert "deleted" in " ".join(organization.records[-1].notes)


def test_an_import_asked_for_before_does_not_bring_a_user_back(organization, send, delete, platform):
    """Its records count as written when it was asked for."""
    platform.runtime.net.mount("files.example.com", FakeConnector({"userId": "1"}))
    send.traits(ANN, {})
    url = "https://files.example.com/manifest.json"
    job = organization.request_import("users", {"url": url, "schedule_at": "2024-01-01T01:00:00Z"})
    platform.advance(minutes=30)
    delete(ANN)
    platform.advance(hours=1)
    assert (job.state, job.counts["skipped"]) == ("completed", 1)
    assert organization.entities("user") == []


def test_dead_letters_about_a_deleted_user_go_too(organization, send, delete, platform, fake):
    """They hold his data; those about others stay."""
    fake.answer = lambda n: {
        "flow_control": {"type": "next", "size": 10, "in": 0},
        "responses": [{"message_id": m["message_id"], "status": "error"} for m in n["messages"]],
    }
    send.traits(ANN, {})
    send.traits({"external_id": "2"}, {})
    platform.run_until_idle()
    delete(ANN)
    connector = send.connector
    assert [letter.message["user"]["external_id"] for letter in organization.dead_letters(connector.id)] == ["2"]


def test_connectors_are_told_of_a_deletion_once(organization, send, delete, platform, fake):
    """With everything that was known of the user at last, by whoever deletes it, and not when users merge."""
    organization.create_segment("user", "Pros", query={"term": {"traits_plan.raw": "pro"}}, id="pros")
    send.traits(ANN, {"plan": "pro", "crm/id": "c1"}, account={"domain": "acme.test"})
    platform.run_until_idle()
    platform.advance(minutes=1)
    user_id = delete(ANN)
    account_id = delete({"domain": "acme.test"}, "account")
    platform.run_until_idle()
    (gone,) = fake.messages("user:delete")
    assert (gone["user"]["id"], gone["user"]["email"], gone["user"]["traits_crm/id"]) == (user_id, ANN["email"], "c1")
    assert (gone["segment_ids"], [each["name"] for each in gone["segments"]]) == (["pros"], ["Pros"])
    assert gone["account"]["id"] == account_id
    assert gone["deleted_at"].startswith("2024-01-01T00:01:0")
    assert gone.keys() & {"events", "changes"} == set()
    assert len(gone["message_id"]) == 40
    (company,) = fake.messages("account:delete")
    assert (company["account"]["id"], company["account"]["domain"]) == (account_id, "acme.test")
    send.traits({"anonymous_id": "v2"}, {})
    send.traits({"external_id": "2", "anonymous_id": "v2"}, {})
    platform.run_until_idle()
    assert len(fake.messages("user:delete")) == 1


def test_a_deletion_is_told_after_what_is_under_way_and_nothing_after_it(organization, send, delete, platform, fake):
    """Not before the update that is being retried is done; what it gives up or refuses afterwards is no dead letter."""
    told = []

    def answer(notification):
        told.append(notification["channel"])
        if notification["channel"] == "user:update" and len(told) < 4:
            return {"flow_control": {"type": "retry", "in": 60_000}}
        refused = [{"message_id": each["message_id"], "status": "error"} for each in notification["messages"]]
        return {"flow_control": {"type": "next", "size": 10, "in": 10}, "responses": refused}

    fake.answer = answer
    send.traits(ANN, {"plan": "pro"})
    platform.advance(seconds=1)
    send.traits(ANN, {"plan": "free"})
    delete(ANN)
    platform.advance(seconds=90)
    assert told == ["user:update"] * 2
    platform.run_until_idle()
    assert told == ["user:update"] * 4 + ["user:delete"]
    assert [each["user"]["traits_plan"] for each in fake.messages("user:update")] == ["pro"] * 4
    letters = organization.dead_letters(send.connector.id)
    assert [letter.channel for letter in letters] == ["user:delete"]
    assert organization.redrive(send.connector.id) == 1
    platform.run_until_idle()
    assert told[-1] == "user:delete"


def test_deletions_obey_flow_control(organization, send, platform, fake):
    """They come in the sizes and with the pauses that the connector asks for, each once, and none waits for others' news."""
    fake.answer = lambda n: {"flow_control": {"type": "next", "size": 4, "in": 1000}}
    send.people(9)
    platform.run_until_idle()
    for user in organization.entities("user"):
        organization.delete_entity("user", user.id)
    platform.run_until_idle()
    deliveries = [each for each in platform.deliveries if each.channel == "user:delete"]
    assert [len(each.messages) for each in deliveries] == [1, 4, 4]
    assert all(b.at - a.at >= 0.99 for a, b in itertools.pairwise(deliveries))
    assert [m["user"]["external_id"] for m in fake.messages("user:delete")] == [str(number) for number in range(9)]


def test_deletions_are_for_those_who_want_them(organization, send, platform):
    """A subscription names the channel, and its conditions count; other connectors notice nothing."""
    channels = [{"channel": "user:delete"}]
    conditions = {"segments": {"user:delete": ["private_settings.segments"]}}
    manifest = {"name": "Pruner", "tags": ["smart-notifier"]}
    only = FakeConnector({**manifest, "subscriptions": [{"url": "/notify", "channels": channels}]})
    some = FakeConnector({**manifest, "subscriptions": [{"url": "/notify", "conditions": conditions}]})
    none = FakeConnector({**manifest, "subscriptions": [{"url": "/notify", "channels": ["user:update"]}]})
    organization.create_segment("user", "Pros", query={"term": {"traits_plan.raw": "pro"}}, id="pros")
    for fake in (only, some, none):
        organization.install(fake, private_settings={"segments": ["pros"]})
    for number, plan in enumerate(("pro", "free")):
        send.traits({"external_id": str(number)}, {"plan": plan})
    platform.run_until_idle()
    for user in organization.entities("user"):
        organization.delete_entity("user", user.id)
    platform.run_until_idle()
    told = [[m["user"]["external_id"] for m in fake.messages("user:delete")] for fake in (only, some, none)]
    assert told == [["0", "1"], ["0"], []]
    assert [{n["channel"] for n in fake.notifications} for fake in (only, none)] == [{"user:delete"}, {"user:update"}]
    assert platform.pending == 0


def test_a_deletion_waits_also_when_updates_are_not_wanted_any_more(organization, send, delete, platform, fake):
    """What was sent when the manifest changed is waited for; after it the deletion goes."""
    seen = []

    def answer(notification):
        seen.append(notification["channel"])
        if notification["channel"] == "user:update":
            fake.manifest = {**fake.manifest, "subscriptions": [{"url": "/notify", "channels": ["user:delete"]}]}
            organization.update_manifest(send.connector)
            delete(ANN)
            platform.runtime.tasks.sleep(5)
            seen.append("answered")
        return {"flow_control": {"type": "next", "size": 10, "in": 10}}

    fake.answer = answer
    send.traits(ANN, {})
    platform.run_until_idle()
    assert seen == ["user:update", "answered", "user:delete"]


def test_deletions_are_forgotten_after_a_month(organization, send):
    """The memory is bounded in time."""
    send.traits(ANN, {})
    user = organization.find_user(ANN)
    deletions = Deletions()
    deletions.add(user, at=1000.0, sequence=1)
    assert len(deletions) == 4
    other = organization.find_user(ANN).__class__(kind="user", id="x", sequence=9)
    deletions.add(other, at=1000.0 + REMEMBERED_S, sequence=2)
    assert len(deletions) == 1


@pytest.mark.parametrize(
    "work",
    [
        lambda organization, user_id: organization.delete_entity("user", user_id),
        lambda organization, user_id: organization.set_identities(user_id, {"main_identity": "github"}),
    ],
    ids=["delete", "identities"],
)
def test_work_that_fails_leaves_everything_as_it_was(organization, send, monkeypatch, work):
    """Nothing of a deletion or a change of identities stays when it fails halfway, also for those who come after."""
    send.traits(ANN, {"plan": "pro"})
    send.track(ANN, "Ordered")
    user_id = organization.find_user(ANN).id
    before = organization.state()

    def fail(*_):
        raise RuntimeError("settling failed")

    with monkeypatch.context() as patched:
        patched.setattr("hull_sdk.platform.intake.settle", fail)
        with pytest.raises(RuntimeError, match="settling failed"):
            work(organization, user_id)
    assert organization.state() == before
    send.traits({"external_id": "2"}, {"plan": "free"})
    assert organization.user_report(ANN)["traits_plan"] == "pro"
    assert "main_identity" not in organization.user_report(ANN)
