"""What a message of a notification says: changes in their one form, and the parts that are always there."""

from __future__ import annotations

from hull_sdk.platform.notifications import completed_message

ANN = {"external_id": "1"}


def changes(fake, channel="user:update"):
    """Return the changes of the last message of a channel."""
    return fake.messages(channel)[-1]["changes"]


def test_changes_are_pairs_of_old_and_new(platform, send, fake):
    """Null stands for what was not there or is not any more, a list is told whole, and groups without change are empty."""
    send.traits(ANN, {"plan": "free", "seats": 3, "tags": ["a"]})
    platform.run_until_idle()
    send.traits(ANN, {"plan": "pro", "seats": None, "tags": ["a", "b"], "city": "Paris"})
    platform.run_until_idle()
    assert changes(fake) == {
        "is_new": False,
        "user": {
            "traits_plan": ["free", "pro"],
            "traits_seats": [3, None],
            "traits_tags": [["a"], ["a", "b"]],
            "traits_city": [None, "Paris"],
        },
        "account": {},
        "segments": {},
        "account_segments": {},
    }
    send.traits({**ANN, "anonymous_id": "v1"}, {})
    platform.run_until_idle()
    assert changes(fake)["user"] == {"anonymous_ids": [[], ["v1"]]}


def test_a_link_to_an_account_is_a_change_of_all_its_fields(platform, organization, send, fake):
    """The account's id leads the way; another account differs in both, and taking the link away clears it."""
    organization.create_segment("account", "Big", query={"range": {"size": {"gt": 5}}}, id="big")
    send.account({"domain": "acme.test"}, {"size": 9})
    send.account({"domain": "small.test"}, {"size": 1})
    send.traits(ANN, {})
    platform.run_until_idle()
    acme, small = (organization.find_account({"domain": each}).id for each in ("acme.test", "small.test"))
    send.traits(ANN, {}, account={"domain": "acme.test"})
    platform.run_until_idle()
    linked = changes(fake)
    assert linked["account"]["id"] == [None, acme]
    assert (linked["account"]["domain"], linked["account"]["size"]) == ([None, "acme.test"], [None, 9])
    assert [each["id"] for each in linked["account_segments"]["entered"]] == ["big"]
    send.traits(ANN, {}, account={"domain": "small.test"})
    platform.run_until_idle()
    moved = changes(fake)
    assert (moved["account"]["id"], moved["account"]["size"]) == ([acme, small], [9, 1])
    assert {side: [each["id"] for each in found] for side, found in moved["account_segments"].items()} == {
        "left": ["big"]
    }
    organization.delete_entity("account", small)
    platform.run_until_idle()
    assert changes(fake)["account"]["id"] == [small, None]
    assert fake.messages()[-1]["account"] == {}


def test_a_merge_of_accounts_tells_their_users_what_differs(platform, organization, send, fake):
    """Who keeps the account is told of its attributes alone, who comes from the other one of another id too."""
    send.traits(ANN, {}, account={"domain": "acme.test"})
    send.traits({"external_id": "2"}, {}, account={"anonymous_id": "crm:1"})
    send.account({"anonymous_id": "crm:1"}, {"tier": "gold"})
    platform.run_until_idle()
    stays = organization.find_account({"domain": "acme.test"}).id
    gone = organization.find_account({"anonymous_id": "crm:1"}).id
    before = len(fake.messages())
    send.account({"domain": "acme.test", "anonymous_id": "crm:1"}, {})
    platform.run_until_idle()
    told = {m["user"]["external_id"]: m["changes"]["account"] for m in fake.messages()[before:]}
    assert told["1"]["tier"] == [None, "gold"]
    assert "id" not in told["1"]
    assert told["2"]["id"] == [gone, stays]
    assert "tier" not in told["2"]


def test_an_account_tells_of_itself_without_users(platform, organization, send, fake):
    """Its messages have its report, its segments and changes of both, and nothing of a user."""
    organization.create_segment("account", "Big", query={"range": {"size": {"gt": 5}}}, id="big")
    send.account({"domain": "acme.test"}, {"size": 9})
    platform.run_until_idle()
    (message,) = fake.messages("account:update")
    assert set(message) == {"message_id", "account", "account_segments", "account_segment_ids", "changes"}
    assert (message["account"]["segment_ids"], message["account_segment_ids"]) == (["big"], ["big"])
    told = message["changes"]
    assert (set(told), told["is_new"]) == ({"is_new", "account", "account_segments"}, True)
    assert told["account"]["size"] == [None, 9]
    assert [each["name"] for each in told["account_segments"]["entered"]] == ["Big"]


def test_messages_of_one_s_own_words_are_completed():
    """What every message of the channel has is added empty; nobody who is deleted changes or does anything."""
    segment = {"id": "s1", "name": "Pros"}
    update = completed_message("user:update", {"user": {"id": "u"}, "segments": [segment]})
    assert update == {
        "user": {"id": "u"},
        "account": {},
        "segments": [segment],
        "segment_ids": ["s1"],
        "account_segments": [],
        "account_segment_ids": [],
        "events": [],
        "changes": {"is_new": False, "user": {}, "account": {}, "segments": {}, "account_segments": {}},
    }
    assert completed_message("user:delete", {"user": {"id": "u"}}).keys() == update.keys() - {"events", "changes"}
    assert completed_message("account:delete", {}).keys() == {"account", "account_segments", "account_segment_ids"}
    assert completed_message("ship:update", {"id": "x"}) == {"id": "x"}
