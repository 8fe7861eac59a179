"""Who a message is about, rule by rule."""

import pytest
from ingestion_kit import Bench

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.identity import read_claims
from hull_sdk.platform.settings import OrganizationSettings, load_settings


@pytest.fixture
def bench():
    """Return an empty organization."""
    return Bench()


def test_claims_are_cleaned():
    """Nulls and blanks are dropped, e-mails trimmed and lower-cased, numbers become text."""
    claims = read_claims(
        "user", {"id": None, "external_id": 42, "email": " Ann@ACME.test ", "anonymous_id": " "}, OrganizationSettings()
    )
    assert (claims.id, claims.external_id, claims.handle, claims.anonymous_id) == (None, "42", "ann@acme.test", None)


@pytest.mark.parametrize("value", [{}, {"email": ""}, {"email": None, "plan": "pro"}])
def test_claims_without_an_identifier_are_refused(value):
    """Claims that hold nothing usable are refused by a message that names the identifiers."""
    with pytest.raises(InvalidArgumentError, match="external_id, email"):
        read_claims("user", value, OrganizationSettings())


def test_free_and_rejected_domains_are_no_account_claims():
    """A free e-mail domain or a rejected one does not say which account it is."""
    settings = load_settings({"rejected_domains": ["Example.com"]})
    for domain in ("GMAIL.com", "example.com"):
        with pytest.raises(InvalidArgumentError, match=domain.lower()):
            read_claims("account", {"domain": domain}, settings)
    assert read_claims("account", {"domain": "gmail.com", "external_id": "1"}, settings).handle is None


def test_an_external_id_that_breaks_the_pattern_is_ignored_and_noted():
    """An invalid external_id is left aside; the other claims still count."""
    bench = Bench(user_external_id_pattern="[0-9]+")
    record = bench.traits({"external_id": "ann@acme.test", "email": "ann@acme.test"})
    assert bench.user(email="ann@acme.test").external_id is None
    assert "pattern" in record.notes[0]


def test_an_account_s_external_id_has_a_pattern_of_its_own():
    """What users' ids may look like says nothing about accounts."""
    bench = Bench(user_external_id_pattern="[0-9]+", account_external_id_pattern="acc-[0-9]+")
    bench.account_traits({"external_id": "42", "domain": "acme.test"})
    bench.account_traits({"external_id": "acc-42", "domain": "acme.example"})
    bench.traits({"external_id": "42"})
    assert [account.external_id for account in bench.accounts()] == [None, "acc-42"]
    assert [user.external_id for user in bench.users()] == ["42"]


def test_the_id_finds_and_never_creates(bench):
    """An unknown id alone fails; beside other claims it is ignored and noted."""
    assert bench.traits({"id": "nobody"}).state == "failed"
    record = bench.traits({"id": "nobody", "email": "ann@acme.test"})
    assert record.state == "applied"
    assert "ignored" in record.notes[0]
    assert bench.traits({"id": record.entity_id}, {"plan": "pro"}).entity_id == record.entity_id
    assert len(bench.users()) == 1


def test_an_unknown_external_id_goes_to_the_oldest_mergeable_match(bench):
    """The oldest mergeable user with the e-mail receives the external_id, before the holder of the anonymous_id."""
    visitor = bench.traits({"anonymous_id": "a"}).entity_id
    ann = bench.traits({"email": "ann@acme.test"}).entity_id
    record = bench.traits({"external_id": "1", "email": "ann@acme.test", "anonymous_id": "a"})
    assert record.entity_id == ann
    assert record.state == "merged"
    assert bench.user(external_id="1").id == bench.user(anonymous_id="a").id == ann
    assert bench.organization.view("user", visitor) is None


def test_an_unknown_external_id_without_a_mergeable_match_is_a_new_user(bench):
    """A user with an external_id is never given another one, and never merged away."""
    first = bench.traits({"external_id": "1", "email": "ann@acme.test"}).entity_id
    second = bench.traits({"external_id": "2", "email": "ann@acme.test"})
    assert second.entity_id != first
    assert second.state == "applied"
    assert first in second.notes[0]
    assert [user.handle for user in bench.users()] == ["ann@acme.test"] * 2


def test_an_email_on_several_users_means_the_oldest_with_an_external_id(bench):
    """An e-mail-only claim finds the oldest user with an external_id and merges the mergeable ones into it."""
    mergeable = bench.traits({"email": "ann@acme.test"}).entity_id
    first = bench.traits({"external_id": "1"}, {"email": "ann@acme.test"}).entity_id
    bench.traits({"external_id": "2"}, {"email": "ann@acme.test"})
    assert len(bench.users()) == 3
    record = bench.traits({"email": "ann@acme.test"})
    assert record.entity_id == first
    assert record.state == "merged"
    assert mergeable not in {user.id for user in bench.users()}


def test_a_sign_up_merges_the_visitor(bench):
    """The user whom the stronger claim finds receives the visitor's attributes, identifiers and events."""
    bench.track({"anonymous_id": "a"}, "Visited")
    bench.traits({"anonymous_id": "a"}, {"plan": "free", "city": "Paris"})
    bench.traits({"external_id": "1"}, {"plan": "pro"})
    record = bench.traits({"external_id": "1", "anonymous_id": "a"})
    assert record.state == "merged"
    report = bench.report(external_id="1")
    assert (report["traits_plan"], report["traits_city"], report["anonymous_ids"]) == ("pro", "Paris", ["a"])
    assert {event["user_id"] for event in bench.events()} == {report["id"]}
    merged = bench.events("User merged")[0]
    assert merged["properties"]["plan"] == "free"
    assert merged["event_source"] is None


def test_a_merge_tells_whom_it_took_in(bench):
    """The event on the recipient holds the id, the identifiers and all attributes of the one who is gone."""
    bench.traits({"email": "ann@acme.test", "anonymous_id": "a"}, {"plan": "free", "raw": {"n": 1}})
    gone = bench.user(anonymous_id="a").id
    bench.traits({"external_id": "1"}, {"plan": "pro"})
    bench.traits({"external_id": "1", "email": "ann@acme.test"})
    (merged,) = bench.events("User merged")
    assert merged["user_id"] == bench.user(external_id="1").id
    assert merged["properties"] == {
        "id": gone,
        "email": "ann@acme.test",
        "anonymous_ids": ["a"],
        "plan": "free",
        "raw": {"n": 1},
        "created_at": "2024-01-01T00:00:00Z",
    }


def test_a_merge_keeps_the_earlier_and_the_later_sight(bench):
    """first_seen_at is the earlier one of both, last_seen_at the later one, created_at the recipient's."""
    bench.track({"anonymous_id": "a"}, "Visited", created_at="2020-01-01T00:00:00Z")
    bench.track({"external_id": "1"}, "Ordered", created_at="2021-01-01T00:00:00Z")
    bench.traits({"external_id": "1"}, {"created_at": "2019-05-05"})
    bench.traits({"external_id": "1", "anonymous_id": "a"})
    report = bench.report(external_id="1")
    assert report["first_seen_at"] == "2020-01-01T00:00:00Z"
    assert report["last_seen_at"] == "2021-01-01T00:00:00Z"
    assert report["created_at"] == "2019-05-05T00:00:00Z"


def test_an_absorbed_email_resolves_to_the_survivor_for_good(bench):
    """Later claims with the absorbed user's e-mail find the survivor, also after it changed its own e-mail."""
    ann = bench.traits({"external_id": "1"}).entity_id
    bench.traits({"email": "old@acme.test", "anonymous_id": "a"})
    bench.traits({"external_id": "1", "anonymous_id": "a"})
    assert bench.user(external_id="1").handle == "old@acme.test"
    bench.traits({"external_id": "1"}, {"email": "new@acme.test"})
    assert bench.traits({"email": "old@acme.test"}).entity_id == ann
    assert bench.user(email="new@acme.test").id == ann


def test_id_and_external_id_on_different_users_merge_nothing(bench):
    """The id wins, nothing merges, and the record says so."""
    ann = bench.traits({"external_id": "1"}).entity_id
    bob = bench.traits({"external_id": "2"}).entity_id
    bench.traits({"anonymous_id": "a"})
    record = bench.traits({"id": ann, "external_id": "2", "anonymous_id": "a"}, {"plan": "pro"})
    assert record.entity_id == ann
    assert record.state == "applied"
    assert "different users" in record.notes[0]
    assert {user.id for user in bench.users()} >= {ann, bob}
    assert len(bench.users()) == 3


def test_another_external_id_is_not_taken(bench):
    """A user found by id keeps its external_id when an unknown one is claimed."""
    ann = bench.traits({"external_id": "1"}).entity_id
    record = bench.traits({"id": ann, "external_id": "9"})
    assert bench.user(id=ann).external_id == "1"
    assert "'9' is not taken" in record.notes[0]


def test_an_anonymous_id_stays_with_an_unmergeable_holder(bench):
    """A user with an external_id keeps the anonymous_id that somebody else claims."""
    bench.traits({"external_id": "1", "anonymous_id": "a"})
    record = bench.traits({"external_id": "2", "anonymous_id": "a"})
    assert bench.user(anonymous_id="a").external_id == "1"
    assert any("stays with" in note for note in record.notes)


def test_create_false_creates_nobody(bench):
    """Without a match and with creating switched off, the message is ignored and nothing changes."""
    record = bench.traits({"email": "ann@acme.test"}, {"plan": "pro"}, create=False)
    assert (record.state, bench.users()) == ("ignored", [])
    assert "create is off" in record.reason


def test_an_email_claim_never_overwrites(bench):
    """A claimed e-mail is taken by a user without one and noted otherwise."""
    bench.traits({"external_id": "1", "email": "ann@acme.test"})
    record = bench.traits({"external_id": "1", "email": "other@acme.test"})
    assert bench.user(external_id="1").handle == "ann@acme.test"
    assert "does not replace" in record.notes[0]


def test_an_email_trait_replaces_only_with_an_external_id(bench):
    """An e-mail attribute changes the e-mail of a user with an external_id and is ignored for others."""
    bench.traits({"external_id": "1", "email": "ann@acme.test"}, {"email": " New@Acme.test"})
    assert bench.user(external_id="1").handle == "new@acme.test"
    bench.traits({"email": "bob@acme.test"})
    record = bench.traits({"email": "bob@acme.test"}, {"email": "rob@acme.test"})
    assert bench.user(email="bob@acme.test").handle == "bob@acme.test"
    assert "email is not written" in record.notes[0]


def test_an_email_trait_merges_mergeable_holders_into_a_mergeable_subject(bench):
    """A visitor who writes an e-mail absorbs the mergeable user who has it."""
    bench.traits({"email": "ann@acme.test"}, {"plan": "pro"})
    record = bench.traits({"anonymous_id": "a"}, {"email": "ann@acme.test"})
    assert record.state == "merged"
    assert bench.user(email="ann@acme.test").id == record.entity_id == bench.user(anonymous_id="a").id
    assert bench.report(anonymous_id="a")["traits_plan"] == "pro"


def test_an_alias_attaches_merges_or_stays(bench):
    """An alias is attached when nobody has it, merges a mergeable holder, and stays with an unmergeable one."""
    assert bench.alias({"external_id": "1"}, "a").state == "applied"
    bench.traits({"anonymous_id": "b"})
    assert bench.alias({"external_id": "1"}, "b").state == "merged"
    assert bench.user(external_id="1").anonymous_ids == ("a", "b")
    record = bench.alias({"external_id": "2"}, "a")
    assert (record.state, bench.user(anonymous_id="a").external_id) == ("ignored", "1")
    assert "stays with" in record.reason


def test_unalias_takes_only_what_the_subject_has(bench):
    """An alias is taken from the subject that has it; otherwise the message is ignored and creates nobody."""
    bench.alias({"external_id": "1"}, "a")
    assert bench.unalias({"external_id": "2"}, "a").state == "ignored"
    assert len(bench.users()) == 1
    assert bench.unalias({"external_id": "1"}, "a").state == "applied"
    assert bench.user(external_id="1").anonymous_ids == ()
    assert bench.traits({"anonymous_id": "a"}).entity_id != bench.user(external_id="1").id


def test_user_and_account_claims_link_and_the_last_link_wins(bench):
    """Both claims are resolved and linked, whichever the message is about."""
    bench.traits({"email": "ann@acme.test"}, account={"domain": "acme.test"})
    bench.send(
        "traits", {"name": "Beta"}, user={"email": "ann@acme.test"}, account={"external_id": "b"}, subject="account"
    )
    view = bench.organization.view("user", bench.user(email="ann@acme.test").id)
    assert view.account_report["name"] == "Beta"
    assert len(bench.accounts()) == 2


def test_a_message_about_the_users_account_needs_a_linked_one(bench):
    """Without an account claim the message is about the linked account; without one it is ignored."""
    assert bench.send("traits", {"name": "Acme"}, user={"email": "ann@acme.test"}, subject="account").state == "ignored"
    assert bench.users() == []
    bench.traits({"email": "ann@acme.test"}, account={"domain": "acme.test"})
    record = bench.send("traits", {"name": "Acme"}, user={"email": "ann@acme.test"}, subject="account")
    assert (record.state, record.kind) == ("applied", "account")
    assert bench.account(domain="acme.test").attributes["name"] == "Acme"


def test_merged_accounts_hand_over_their_users(bench):
    """The users of an absorbed account belong to the recipient, and are told of it."""
    bench.traits({"email": "ann@acme.test"}, account={"domain": "acme.test"})
    bench.account_traits({"external_id": "x"}, {"name": "Acme"})
    absorbed = bench.account(domain="acme.test").id
    bench.changes.clear()
    record = bench.account_traits({"external_id": "x", "domain": "acme.test"})
    assert record.state == "merged"
    assert bench.account(domain="acme.test").external_id == "x"
    gone, account, user = bench.changes
    assert (gone.kind, gone.entity_id, gone.after) == ("account", absorbed, None)
    assert (account.kind, account.absorbed) == ("account", (absorbed,))
    assert user.kind == "user"
    assert user.after.account_report["id"] == record.entity_id


def test_a_merged_account_fills_gaps_and_hands_over_its_identifiers(bench):
    """The recipient keeps id, name, domain and date, gains what it lacks, and is found by all of both."""
    first = {"external_id": "123", "domain": "acme.test"}
    recipient = bench.account_traits(first, {"name": "Acme", "created_at": "2018-10-06T14:41:07Z"}).entity_id
    second = {"domain": "acme.example", "anonymous_id": "hubspot:9"}
    late = {"name": "Acme Inc.", "created_at": "2018-10-08T12:05:17Z", "hubspot/state": "opportunity"}
    bench.account_traits(second, late)
    assert bench.account_traits({"external_id": "123", "domain": "acme.example"}).state == "merged"
    (account,) = bench.accounts()
    assert (account.id, account.external_id, account.handle) == (recipient, "123", "acme.test")
    assert account.attributes == {
        "name": "Acme",
        "created_at": "2018-10-06T14:41:07Z",
        "hubspot/state": "opportunity",
    }
    for claims in ({"domain": "acme.example"}, {"anonymous_id": "hubspot:9"}, {"domain": "acme.test"}):
        assert bench.account_traits(claims).entity_id == recipient


def test_an_account_with_an_external_id_is_never_merged_away(bench):
    """Two accounts with external_ids stay two, whatever domain they share."""
    bench.account_traits({"external_id": "1", "domain": "acme.test"})
    bench.account_traits({"external_id": "2", "domain": "acme.test"})
    assert sorted(account.external_id for account in bench.accounts()) == ["1", "2"]


def test_several_ids_of_other_services_lead_to_one_entity(bench):
    """Aliases are added to users and accounts, each leads to its holder, and all stand in the report."""
    bench.alias({"email": "ann@acme.test"}, "intercom:1")
    bench.alias({"email": "ann@acme.test"}, "mailchimp:2")
    ann = bench.user(email="ann@acme.test")
    assert bench.report(email="ann@acme.test")["anonymous_ids"] == ["intercom:1", "mailchimp:2"]
    assert bench.traits({"anonymous_id": "mailchimp:2"}).entity_id == ann.id
    for anonymous_id in ("hubspot:1", "salesforce:2"):
        claims = {"account": {"domain": "acme.test"}, "subject": "account"}
        assert bench.send("alias", {"anonymous_id": anonymous_id}, **claims).state == "applied"
    account = bench.account(domain="acme.test")
    assert bench.account_traits({"anonymous_id": "salesforce:2"}).entity_id == account.id


def test_taking_an_alias_away_does_not_undo_its_merge(bench):
    """The values that came with it stay, and its id begins anew."""
    bench.traits({"anonymous_id": "v1"}, {"city": "Paris"})
    bench.alias({"external_id": "1"}, "v1")
    bench.unalias({"external_id": "1"}, "v1")
    ann = bench.user(external_id="1")
    assert (ann.anonymous_ids, ann.attributes["city"]) == ((), "Paris")
    again = bench.traits({"anonymous_id": "v1"}).entity_id
    assert again != ann.id
    assert "city" not in bench.user(anonymous_id="v1").attributes


def test_an_unusable_account_claim_leaves_the_user_alone(bench):
    """A free e-mail domain beside a user claim is left out; the user is written, nobody is linked."""
    record = bench.traits({"email": "ann@gmail.com"}, {"plan": "pro"}, account={"domain": "gmail.com"})
    assert record.state == "applied"
    assert bench.accounts() == []
    assert any("free e-mail domain" in note for note in record.notes)


def test_a_preview_shows_and_changes_nothing(bench):
    """What claims would do is shown as data; the users stay as they are."""
    ann = bench.traits({"external_id": "1"}).entity_id
    visitor = bench.traits({"anonymous_id": "a"}).entity_id
    before = bench.organization.state()
    preview = bench.organization.preview("user", {"external_id": "1", "anonymous_id": "a", "email": "ann@acme.test"})
    assert (preview["outcome"], preview["id"], preview["merges"]) == ("found", ann, [visitor])
    assert preview["attaches"] == {"email": "ann@acme.test"}
    assert bench.organization.state() == before


def test_the_absorbed_one_is_published_as_gone(bench):
    """A merge publishes the absorbed user with nothing after it, and names it on the survivor's change."""
    visitor = bench.traits({"anonymous_id": "a"}).entity_id
    bench.traits({"external_id": "1"})
    bench.changes.clear()
    bench.traits({"external_id": "1", "anonymous_id": "a"})
    gone, survivor = bench.changes
    assert (gone.entity_id, gone.after) == (visitor, None)
    assert survivor.absorbed == (visitor,)
    assert [event["event"] for event in survivor.events] == ["User merged"]


@pytest.mark.parametrize("form", ["objects", "ids", "user id and domain", "no account claim", "about the user"])
def test_users_and_accounts_are_linked_in_every_form_of_a_token(bench, form):
    """Identifiers as objects or as ids, about the one or the other, and an account that is known by its user."""
    user = bench.traits({"external_id": "1"}).entity_id
    account = bench.account_traits({"external_id": "a"}).entity_id
    claims = {
        "objects": {"user": {"external_id": "1"}, "account": {"external_id": "a"}, "subject": "account"},
        "ids": {"user": user, "account": account, "subject": "account"},
        "user id and domain": {
            "user": user,
            "account": {"external_id": "a", "domain": "acme.test"},
            "subject": "account",
        },
        "no account claim": {"user": {"external_id": "1"}, "subject": "account"},
        "about the user": {"user": user, "account": {"external_id": "a"}, "subject": "user"},
    }[form]
    if form == "no account claim":
        bench.traits({"external_id": "1"}, account={"external_id": "a"})
    record = bench.send("traits", {"name": "Acme"}, **claims)
    assert (record.state, record.entity_id) == ("applied", user if form == "about the user" else account)
    assert bench.user(id=user).account_id == account
