"""How far back records are kept."""

from hull_sdk.core.clock import VirtualClock
from hull_sdk.platform import Platform
from hull_sdk.platform.history import HISTORY, History
from hull_sdk.platform.trace import REMEMBERED_S, Journal, Record


def test_the_latest_records_are_kept():
    """At least the stated number stays, in order, and never twice as many."""
    history = History(3)
    for number in range(100):
        history.record(number)
        assert len(history) < 6
        assert history[-3:] == list(range(max(0, number - 2), number + 1))


def test_a_history_without_a_limit_keeps_everything():
    """Nothing falls out."""
    history = History(None)
    for number in range(100):
        history.record(number)
    assert history == list(range(100))


def test_only_a_platform_that_runs_on_and_on_forgets(signing_key):
    """On a virtual clock every delivery stays to be looked at."""
    assert Platform(clock=VirtualClock(), signing_key=signing_key).history is None
    assert Platform(signing_key=signing_key).history == HISTORY


def test_a_journal_holds_no_ids_of_forgotten_messages(monkeypatch):
    """An id leaves the memory with its record, whichever of record and day ends first."""
    monkeypatch.setattr("hull_sdk.platform.trace._KEPT", 10)
    journal = Journal()
    for number in range(100):
        journal.add(Record(message_id=str(number), type="traits", state="applied", at=float(number)))
    assert journal.repeated("5", 50.0).state == "applied"
    assert journal.repeated("5", 100.0 + REMEMBERED_S) is None
    assert len(journal._latest) == len(journal) == 10


def test_calls_about_extracts_are_forgotten_like_deliveries(platform, fake):
    """A platform that runs on and on keeps the latest of them."""
    platform.history = 2
    organization = platform.create_organization("acme.hullapp.test")
    connector = organization.install(fake)
    for _ in range(5):
        asked = organization.request_extract(connector, url=f"{connector.url}/batch")
        platform.run_until_idle()
    assert 2 <= len(platform.extract_runs) < 4
    assert platform.extract_runs[-1].notification_id == asked["notification_id"]
