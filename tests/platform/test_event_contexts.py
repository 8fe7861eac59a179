"""Event contexts: user agents, addresses, campaigns, locations, and times in every form."""

from __future__ import annotations

import logging
import subprocess
import sys

import pytest
from ingestion_kit import Bench

from hull_sdk.platform import Platform, VirtualClock
from hull_sdk.platform.event_contexts import event_context

ANN = {"external_id": "1"}
CHROME = (
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_13_6) AppleWebKit/537.36 (KHTML, like Gecko) "
    "Chrome/69.0.3497.100 Safari/537.36"
)


class Table:
    """Knows one address."""

    def __init__(self, known=None):
        self.known = {"203.0.113.9": {"country": "FR", "city": "Paris", "latitude": 48.9}} if known is None else known
        self.asked = []

    def locate(self, address):
        self.asked.append(address)
        return self.known.get(address)


def test_a_user_agent_names_browser_system_and_device():
    """Name, version and major version are read out of the text, which is kept as well."""
    context = event_context({"useragent": CHROME})
    assert context == {
        "useragent": CHROME,
        "browser": {"name": "Chrome", "major": 69, "version": "69.0.3497"},
        "os": {"name": "Mac OS X", "version": "10.13.6"},
        "device": {"name": "Mac"},
    }
    assert event_context({"useragent": "Hull Node Client version: 2.0"})["device"] == {"name": "Other"}
    assert "browser" not in event_context({"useragent": "x" * 100_000})


def test_what_a_sender_says_itself_wins():
    """Fields of the schema that are sent are kept, and those that lack are filled in."""
    sent = {
        "useragent": CHROME,
        "browser": {"name": "Chromium"},
        "url": "https://acme.test/a?utm_source=mail&utm_term=x",
        "campaign": {"source": "print"},
        "page": {"path": "/b"},
    }
    context = event_context(sent)
    assert context["browser"] == {"name": "Chromium", "major": 69, "version": "69.0.3497"}
    assert context["campaign"] == {"source": "print", "term": "x"}
    assert context["page"] == {"url": sent["url"], "host": "acme.test", "path": "/b"}


WHOLE = {
    "useragent": CHROME,
    "device": {"name": "Other"},
    "referrer": {
        "url": "https://news.test/",
        "host": "news.test",
        "path": "/",
        "campaign": {"term": "funding", "medium": "email", "name": "May", "content": "link", "source": "Newsletter"},
    },
    "os": {"name": "Mac OS X", "version": "10.13.6"},
    "browser": {"major": 69, "name": "Chrome", "version": "69.0.3497"},
    "location": {
        "country": "FR",
        "city": "Paris",
        "timezone": "Europe/Paris",
        "longitude": 2.3833,
        "latitude": 48.9167,
        "region": "IDF",
        "countryname": "France",
        "regionname": "Ile-de-France",
        "zipcode": "93300",
    },
    "campaign": {"term": "funding", "medium": "email", "name": "May", "content": "link", "source": "Newsletter"},
    "ip": "203.0.113.9",
    "page": {"url": "https://acme.test/884a12fc/overview", "host": "acme.test", "path": "/884a12fc/overview"},
}


def test_a_context_in_the_whole_schema_stays_as_it_was_sent():
    """Nothing of it is changed, and objects that the schema does not know are left out."""
    assert event_context(WHOLE) == WHOLE
    assert event_context({**WHOLE, "colour": "red", "network": {"carrier": "x"}}, Table()) == WHOLE


def test_a_referrer_has_a_campaign_of_its_own():
    """The parameters of the referring address stand with the referrer, in both spellings of its name."""
    url = "https://news.test/q?utm_source=news&utm_medium=email&utm_campaign=may&utm_content=link&utm_term=a"
    campaign = {"source": "news", "medium": "email", "name": "may", "content": "link", "term": "a"}
    for name in ("referrer", "referer"):
        referrer = event_context({name: url})["referrer"]
        assert referrer == {"url": url, "host": "news.test", "path": "/q", "campaign": campaign}
    assert event_context({"url": "https://[broken"}) == {"page": {"url": "https://[broken"}}
    assert "campaign" not in event_context({"url": "https://a.test/?" + "&".join(["a=1"] * 1000)})


def test_a_location_is_looked_up_where_there_is_a_table():
    """Only valid addresses are asked for; what the sender says wins; unknown fields are dropped."""
    table = Table({"203.0.113.9": {"country": "FR", "city": "Paris", "planet": "Earth", "zipcode": None}})
    assert event_context({"ip": "203.0.113.9"}, table)["location"] == {"country": "FR", "city": "Paris"}
    given = {"ip": "203.0.113.9", "location": {"city": "Lyon"}, "latitude": 45.7, "longitude": 4.8}
    located = event_context(given, table)["location"]
    assert located == {"country": "FR", "city": "Lyon", "latitude": 45.7, "longitude": 4.8}
    for address in ("0", "", None, "nonsense", "198.51.100.1"):
        assert "location" not in event_context({"ip": address}, table)
    assert "location" not in event_context({"ip": "203.0.113.9"})
    assert table.asked == ["203.0.113.9", "203.0.113.9", "198.51.100.1"]


def test_a_table_that_fails_costs_the_location_and_not_the_event(caplog):
    """The failure is logged and the event is taken."""

    class Broken:
        def locate(self, address):
            raise OSError(address)

    with caplog.at_level(logging.WARNING, "hull_sdk"):
        assert event_context({"ip": "203.0.113.9"}, Broken()) == {"ip": "203.0.113.9"}
    assert "locator.failed" in caplog.text


def test_a_platform_is_given_a_table(signing_key):
    """Events of all organizations are located, without holding a lock that others need."""
    platform = Platform(clock=VirtualClock(), seed=0, signing_key=signing_key, locator=Table())
    organization = platform.create_organization("acme.hullapp.test")
    claims = {"io.hull.asUser": ANN}
    organization.ingest({"type": "track", "body": {"event": "Seen", "ip": "203.0.113.9"}}, claims, None)
    assert organization.events()[-1]["context"]["location"]["city"] == "Paris"
    platform.close()


def test_the_tables_of_user_agents_are_loaded_when_needed():
    """Importing the platform does not load them."""
    code = "import sys, hull_sdk.platform; print('ua_parser' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, check=True).stdout.strip() == b"False"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("2024-01-05T10:00:00Z", "2024-01-05T10:00:00Z"),
        ("2024-01-05T10:00:00.250Z", "2024-01-05T10:00:00.250Z"),
        ("2013-02-08 09:30:26.123+07:00", "2013-02-08T02:30:26.123Z"),
        ("2024-01-05", "2024-01-05T00:00:00Z"),
        (1704448800, "2024-01-05T10:00:00Z"),
        (1704448800123, "2024-01-05T10:00:00.123Z"),
        ("1704448800", "2024-01-05T10:00:00Z"),
        (1704448800.5, "2024-01-05T10:00:00.500Z"),
        (None, "2024-01-01T00:00:00Z"),
        ("", "2024-01-01T00:00:00Z"),
    ],
)
def test_the_time_of_an_event_has_many_forms(given, kept):
    """ISO text with and without a zone, seconds, milliseconds, and now when nothing is said."""
    bench = Bench()
    bench.track(ANN, "Seen", created_at=given)
    assert bench.events("Seen")[0]["created_at"] == kept


def test_a_time_that_cannot_be_read_is_refused():
    """The message fails with the value and the forms that are understood."""
    record = Bench().track(ANN, "Seen", created_at="yesterday")
    assert (record.state, "yesterday" in record.reason) == ("failed", True)


def test_the_days_since_the_sign_up_are_counted():
    """An event knows how many whole days after its user's creation it happened; earlier ones count as none."""
    bench = Bench()
    bench.track(ANN, "Now")
    bench.track(ANN, "Later", created_at="2024-01-31T23:00:00Z")
    bench.track(ANN, "Before", created_at="2020-01-01T00:00:00Z")
    days = {event["event"]: event["context"].get("days_since_signup") for event in bench.events()}
    assert (days["Now"], days["Later"], days["Before"]) == (0, 30, 0)
