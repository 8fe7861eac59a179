"""Reports and settings: what they hold, and when they change."""

import pytest
from ingestion_kit import Bench

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.settings import FREE_EMAIL_DOMAINS, OrganizationSettings, load_settings


@pytest.fixture
def bench():
    """Return an empty organization."""
    return Bench()


def test_a_user_report_is_flat(bench):
    """Known attributes stand at the root, others under traits_, and the domain comes from the e-mail."""
    bench.traits(
        {"external_id": "1", "email": "ann@acme.test", "anonymous_id": "a"},
        {"name": "Ann", "plan": "pro", "sf/status": "open"},
    )
    report = bench.report(external_id="1")
    assert report == {
        "id": bench.user(external_id="1").id,
        "external_id": "1",
        "email": "ann@acme.test",
        "domain": "acme.test",
        "anonymous_ids": ["a"],
        "segment_ids": [],
        "created_at": "2024-01-01T00:00:00Z",
        "name": "Ann",
        "traits_plan": "pro",
        "traits_sf/status": "open",
        "updated_at": "2024-01-01T00:00:00Z",
        "indexed_at": "2024-01-01T00:00:00Z",
    }


def test_an_account_report_has_no_prefix(bench):
    """An account's attributes stand as they are named; the user's view nests that report."""
    bench.send(
        "traits",
        {"plan": "team", "email": "hi@acme.test"},
        user={"email": "ann@acme.test"},
        account={"domain": "acme.test"},
        subject="account",
    )
    view = bench.organization.view("user", bench.user(email="ann@acme.test").id)
    account = bench.organization.view("account", bench.account(domain="acme.test").id)
    assert (account.report["plan"], account.report["domain"], account.report["email"]) == (
        "team",
        "acme.test",
        "hi@acme.test",
    )
    assert view.account_report == account.report
    assert "account" not in view.report


def test_everything_that_is_known_stands_in_one_report(platform, organization, send, call, admin):
    """Identifiers, account, identities, sessions and attributes, in the fields that connectors know them by."""
    jane = {"external_id": "123-456", "email": "jane@acme.test", "anonymous_id": "310dd12c"}
    everybody = organization.create_segment("user", "Everybody", query={})
    organization.create_segment("user", "Nobody", query={"term": {"id": "x"}})
    root = {
        "name": "Jane Doe",
        "first_name": "Jane",
        "last_name": "Doe",
        "address_city": "Paris",
        "address_state": "Ile-de-France",
        "address_country": "France",
        "accepts_marketing": False,
        "is_approved": True,
        "sign_up_url": "https://acme.test/",
    }
    custom = {"request_demo": True, "nps_rating": 10, "company_name": "Acme", "salesforce_lead/status": "New"}
    send.account({"domain": "acme.test"}, {"clearbit/name": "acme"})
    send.traits(jane, {**root, **custom}, account={"domain": "acme.test"})
    page = {"url": "https://acme.test/a", "referer": "https://news.test/", "_sid": "s1"}
    send._send(send.message("track", {"event": "Seen", **page}, user=jane))
    user_id = organization.find_user({"external_id": "123-456"}).id
    identities = {"github": {"id": "42", "username": "jane", "connected_at": "2012-12-17T11:37:47Z"}}
    body = {"main_identity": "github", "has_password": True, "identities": {**identities, "google": {"id": "117"}}}
    assert call("PUT", f"/api/v1/{user_id}/identities", body, **admin)[0] == 200
    platform.run_until_idle()

    credentials = {"Hull_App_Id": send.connector.id, "Hull_Access_Token": send.connector.secret}
    found = call("POST", "/api/v1/search/user_reports", {"query": {"term": {"external_id": "123-456"}}}, **credentials)
    report = found[1]["data"][0]
    assert root.items() <= report.items()
    assert {f"traits_{name}": value for name, value in custom.items()}.items() <= report.items()
    assert (report["id"], report["email"], report["domain"]) == (user_id, "jane@acme.test", "acme.test")
    assert (report["anonymous_ids"], report["segment_ids"]) == (["310dd12c"], [everybody["id"]])
    assert (report["main_identity"], report["has_password"]) == ("github", True)
    assert (report["github_id"], report["github_username"], report["google_id"]) == ("42", "jane", "117")
    assert report["github_connected_at"] == "2012-12-17T11:37:47Z"
    assert {report["account"][name] for name in ("domain", "clearbit/name")} == {"acme.test", "acme"}
    now = "2024-01-01T00:00:00Z"
    account_dates = [report["account"][name] for name in ("created_at", "updated_at")]
    assert [report["first_seen_at"], report["last_seen_at"], report["created_at"], *account_dates] == [now] * 5
    for session in ("first", "signup", "latest"):
        told = {name: report[f"{session}_session_{name}"] for name in ("started_at", "platform_id", "initial_url")}
        assert told == {"started_at": now, "platform_id": send.connector.id, "initial_url": "https://acme.test/a"}
        assert report[f"{session}_session_initial_referrer"] == "https://news.test/"


def test_an_account_s_report_is_indexed_and_told(platform, organization, send, fake):
    """Its fields are the same in a notification of its own and in those of its users."""
    send.traits({"email": "ann@acme.test"}, {}, account={"domain": "acme.test"})
    send.account({"domain": "acme.test"}, {"name": "Acme", "clearbit/name": "acme"})
    platform.run_until_idle()
    report = organization.account_report({"domain": "acme.test"})
    expected = {"id", "external_id", "domain", "name", "clearbit/name", "created_at", "updated_at", "indexed_at"}
    assert set(report) == expected | {"anonymous_ids", "segment_ids"}
    assert fake.messages("account:update")[-1]["account"] == report
    assert fake.messages("user:update")[-1]["account"] == report


def test_dates_follow_real_changes_only(bench):
    """updated_at follows the user's own data, indexed_at everything that its notifications carry."""
    bench.traits({"email": "ann@acme.test"}, account={"domain": "acme.test"})
    bench.runtime.clock.move_to(60.0)
    bench.account_traits({"domain": "acme.test"}, {"plan": "team"})
    report = bench.report(email="ann@acme.test")
    assert (report["updated_at"], report["indexed_at"]) == ("2024-01-01T00:00:00Z", "2024-01-01T00:01:00Z")
    bench.runtime.clock.move_to(120.0)
    bench.traits({"email": "ann@acme.test"}, {"plan": "pro"})
    assert bench.report(email="ann@acme.test")["updated_at"] == "2024-01-01T00:02:00Z"


def test_published_views_are_never_changed(bench):
    """What a listener was given stays as it was, whatever comes later."""
    bench.traits({"email": "ann@acme.test", "anonymous_id": "a"}, {"plan": "free"})
    first = bench.changes[0].after
    kept = repr(first)
    bench.traits({"email": "ann@acme.test"}, {"plan": "pro"}, account={"domain": "acme.test"})
    bench.alias({"email": "ann@acme.test"}, "b")
    assert repr(first) == kept
    assert [change.before for change in bench.changes if change.kind == "user"][1] == first


def test_an_account_change_reaches_each_of_its_users(bench):
    """The account is published first, then every user whose view it is part of."""
    for name in ("ann", "bob"):
        bench.traits({"email": f"{name}@acme.test"}, account={"domain": "acme.test"})
    bench.changes.clear()
    bench.account_traits({"domain": "acme.test"}, {"plan": "team"})
    assert [change.kind for change in bench.changes] == ["account", "user", "user"]
    assert all(change.after.account_report["plan"] == "team" for change in bench.changes[1:])


def test_settings_are_read_and_written(bench):
    """Settings survive the round trip; a change keeps the others."""
    written = {"user_external_id_pattern": "[0-9]+", "rejected_domains": [" Example.COM "], "limits": {"attributes": 5}}
    settings = load_settings(written)
    assert load_settings(settings.to_wire()) == settings
    assert settings.rejected_domains == {"example.com"}
    bench.organization.update_settings(written)
    bench.organization.update_settings({"free_email_domains": ["post.test"]})
    assert bench.organization.settings.user_external_id_pattern == "[0-9]+"
    assert bench.organization.settings.domain_problem("post.test") is not None


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ({"external_id": "x"}, "external_id"),
        ({"user_external_id_pattern": "("}, "regular expression"),
        ({"limits": {"attributes": 0}}, "attributes"),
        ({"limits": {"attributes": "many"}}, "attributes"),
        ({"rejected_domains": "example.com"}, "rejected_domains"),
        ([], "JSON object"),
        ("x", "JSON object"),
    ],
)
def test_bad_settings_are_refused_by_name(bench, value, named):
    """A wrong setting is named, and the organization keeps the ones it had."""
    before = bench.organization.settings
    with pytest.raises(InvalidArgumentError, match=named):
        load_settings(value)
    with pytest.raises(InvalidArgumentError, match=named):
        bench.organization.update_settings(value)
    assert bench.organization.settings == before


def test_defaults_limit_nothing():
    """Without settings there are no limits; well-known free e-mail domains are known."""
    assert load_settings(None) == OrganizationSettings()
    assert {"gmail.com", "outlook.com", "yahoo.com", "proton.me"} <= FREE_EMAIL_DOMAINS
