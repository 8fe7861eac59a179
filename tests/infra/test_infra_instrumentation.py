"""Instrumentation: what is recorded, where it goes, and that no secret goes along."""

from __future__ import annotations

import importlib.util
import logging
import sys
from typing import ClassVar

import pytest
import sentry_sdk

from hull_sdk.core.logs import fields_of
from hull_sdk.errors import InvalidArgumentError, MissingExtraError
from hull_sdk.infra import Instrumentation, RecordingInstrumentation
from hull_sdk.infra.datadog import DatadogBackend
from hull_sdk.infra.instrumentation import connector_tags
from hull_sdk.infra.sentry import SentryBackend
from hull_sdk.infra.telemetry import EventRecord, ExceptionRecord, MetricRecord

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJpc3MiOiI1YTc5In0.c2lnbmF0dXJl"
DSN = "https://abc@sentry.test/1"


@pytest.mark.shows(
    "ctx.metric.increment", "ctx.metric.value", "infra.Instrumentation", "infra.Instrumentation.metricVal"
)
def test_the_double_records_name_kind_value_and_tags():
    """Metrics are kept in order with their kind, value and all tags."""
    recording = RecordingInstrumentation()
    metric = recording.metric({"organization": "acme"})
    metric.increment("connector.request")
    metric.value("queue.length", 12, tags={"queue": "slow"})
    assert recording.metrics == [
        MetricRecord("connector.request", "increment", 1, {"organization": "acme"}),
        MetricRecord("queue.length", "value", 12, {"organization": "acme", "queue": "slow"}),
    ]
    assert recording.total("queue.length") == 12


@pytest.mark.shows("ctx.metric.event")
def test_the_double_records_events_and_errors():
    """Events and captured errors are kept with the metric's tags."""
    recording, error = RecordingInstrumentation(), ValueError("odd")
    metric = recording.metric({"a": 1})
    metric.event("settings.migrated", "from 1 to 2", {"from": 1})
    metric.capture_exception(error, {"step": "import"})
    assert recording.events == [EventRecord("settings.migrated", "from 1 to 2", {"from": 1}, {"a": "1"})]
    assert recording.exceptions == [ExceptionRecord(error, {"step": "import"}, {"a": "1"})]


@pytest.mark.parametrize("tags", [{"plan": "free", "vip": ""}, ["plan:free", "vip"], ("plan:free", "vip")])
def test_tags_come_as_a_mapping_or_as_texts(tags):
    """Tags may be given as a mapping or as texts with a colon; both mean the same."""
    recording = RecordingInstrumentation()
    recording.metric().increment("a", tags=tags)
    assert recording.metrics[0].tags == {"plan": "free", "vip": ""}


def test_a_tag_of_the_call_wins():
    """A tag named at the call replaces the metric's own of that name."""
    recording = RecordingInstrumentation()
    recording.metric(["env:a", "x:y:z"]).increment("a", tags={"env": "b"})
    assert recording.metrics[0].tags == {"env": "b", "x": "y:z"}


def test_secrets_are_masked_before_anything_is_recorded():
    """Tags, texts, properties and contexts are searched for secrets, by name and by form."""
    recording = RecordingInstrumentation()
    metric = recording.metric({"api_key": "hunter2", "note": f"saw {TOKEN}"})
    metric.event("a", f"secret=hunter2 {TOKEN}", {"password": "hunter2", "deep": [{"t": TOKEN}]})
    metric.capture_exception(ValueError("x"), {"authorization": "hunter2"})
    assert "hunter2" not in repr((recording.events, recording.exceptions))
    assert TOKEN not in repr((recording.events, recording.exceptions))
    assert recording.events[0].tags["note"] == "saw ***"


def test_without_backends_metrics_go_to_the_debug_log(caplog):
    """With nothing configured metrics and events are logged at debug, and errors are not logged twice."""
    caplog.set_level(logging.DEBUG, "hull_sdk")
    metric = Instrumentation().metric({"a": 1})
    metric.increment("connector.request", 2)
    metric.event("done", "well", {"b": 2})
    metric.capture_exception(ValueError("odd"))
    assert caplog.messages == ["metric.increment", "metric.event"]
    assert fields_of(caplog.records[0]) == {"metric": "connector.request", "value": 2, "tags": {"a": "1"}}
    assert fields_of(caplog.records[1])["properties"] == {"b": 2}


class Backend:
    """Keeps records, or fails."""

    def __init__(self, error: Exception | None = None) -> None:
        self.records = []
        self.closed = False
        self.error = error

    def record(self, record) -> None:
        if self.error is not None:
            raise self.error
        self.records.append(record)

    def close(self, timeout_s: float) -> None:
        self.closed = True
        if self.error is not None:
            raise self.error


def test_a_failing_backend_disturbs_neither_the_work_nor_the_others(caplog):
    """When one backend raises, that is logged and the others still get the record."""
    good = Backend()
    instrumentation = Instrumentation(backends=[Backend(OSError("down")), good])
    instrumentation.metric().increment("a")
    assert [record.name for record in good.records] == ["a"]
    assert "instrumentation.failed" in caplog.messages
    instrumentation.close()
    assert good.closed


@pytest.mark.parametrize(
    ("options", "extra"), [({"sentry_dsn": DSN}, "sentry"), ({"datadog_api_key": "abc"}, "datadog")]
)
def test_a_configured_backend_without_its_library_is_one_clear_error(monkeypatch, options, extra):
    """A DSN or key without the library raises an error with the command that installs it."""
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    Instrumentation()
    with pytest.raises(MissingExtraError, match=rf'pip install "hull-sdk\[{extra}\]"'):
        Instrumentation(**options)


def test_the_environment_is_read_in_one_place():
    """SENTRY_URL, SENTRY_SAMPLE_RATE, DATADOG_API_KEY and HULL_ENV configure what they say; empty ones nothing."""
    bare = Instrumentation.from_env({"SENTRY_URL": "", "DATADOG_API_KEY": "", "HULL_ENV": ""})
    assert repr(bare) == "Instrumentation(environment='production', backends=[LogBackend])"
    full = Instrumentation.from_env({"SENTRY_URL": DSN, "DATADOG_API_KEY": "hunter2", "HULL_ENV": "staging"})
    assert repr(full) == (
        "Instrumentation(environment='staging', backends=[LogBackend, SentryBackend, DatadogBackend])"
    )


@pytest.mark.parametrize("rate", ["2", "-1", "many", "nan"])
def test_a_sample_rate_out_of_range_is_refused(rate):
    """A sample rate that is no share is refused with its value."""
    with pytest.raises(InvalidArgumentError, match=rate):
        Instrumentation.from_env({"SENTRY_SAMPLE_RATE": rate})


def test_nothing_is_opened_before_the_first_record():
    """A configured backend starts no thread and opens nothing until it has something to send."""
    datadog, sentry = DatadogBackend("abc"), SentryBackend(DSN, environment="test")
    datadog.record(ExceptionRecord(ValueError(), {}))
    sentry.record(MetricRecord("a", "value", 1))
    assert (datadog._open, sentry._open) == ({}, {})
    for backend in (datadog, sentry):
        backend.close(1)


def test_a_child_process_starts_afresh():
    """After a fork nothing of the parent is used: its threads do not exist in the child."""
    transport = make_transport()
    backend = SentryBackend(DSN, environment="test", transport=transport)
    backend.record(ExceptionRecord(ValueError("odd"), {}))
    parents = backend._open["client"]
    backend.after_fork()
    backend.record(ExceptionRecord(ValueError("odd"), {}))
    assert backend._open["client"] is not parents
    assert len(transport.envelopes) == 2
    parents.close()
    backend.close(1)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"sentry_dsn": "https://sentry.test/1"}, "SENTRY_URL"),
        ({"sentry_dsn": "s3cr3t@sentry.test"}, "SENTRY_URL"),
        ({"dogstatsd": "http://agent:8125"}, "127.0.0.1:8125"),
        ({"dogstatsd": "agent:many"}, "'agent:many'"),
    ],
)
def test_a_wrong_address_is_one_clear_error(options, words):
    """An address that is none is refused when the instrumentation is made, without showing a key."""
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        Instrumentation(**options)
    assert "s3cr3t" not in str(caught.value)


def test_an_agent_goes_before_the_http_interface():
    """With the address of an agent metrics go there, and not a second time over HTTP."""
    environ = {"DATADOG_API_KEY": "abc", "DD_AGENT_HOST": "127.0.0.1"}
    instrumentation = Instrumentation.from_env(environ)
    assert repr(instrumentation) == "Instrumentation(environment='production', backends=[LogBackend, AgentBackend])"
    instrumentation.close()


def test_connector_tags_name_the_connector_and_its_organization():
    """The standard tags come from manifest, organization and connector id; what is unknown is none."""
    assert connector_tags({"name": "crm", "version": "1.2.0"}, "acme.hullapp.io", "5a79", "staging") == {
        "source": "ship",
        "ship_version": "1.2.0",
        "ship_name": "crm",
        "ship_env": "staging",
        "hull_host": "hullapp.io",
        "organization": "acme.hullapp.io",
        "ship": "5a79",
    }
    assert set(connector_tags({}, None, None, "test").values()) == {"ship", "none", "test"}


def make_transport():
    """Return a transport class for Sentry that keeps what would be sent."""

    class Transport(sentry_sdk.Transport):
        envelopes: ClassVar[list] = []

        def capture_envelope(self, envelope) -> None:
            self.envelopes.append(envelope)

    return Transport


def fail_with_secrets() -> None:
    """Raise an error with secrets in its text and in a local variable."""
    api_key = "hunter2-in-a-local-variable"
    raise ValueError(f"refused: token={api_key} {TOKEN}")


@pytest.mark.shows("infra.Instrumentation.catchError", "infra.Instrumentation.ravenContextMiddleware")
def test_sentry_gets_the_error_with_tags_and_without_secrets():
    """An error reaches Sentry with environment, tags and context; no secret, local variable or token does."""
    transport = make_transport()
    backend = SentryBackend(DSN, environment="staging", transport=transport)
    try:
        fail_with_secrets()
    except ValueError as err:
        backend.record(ExceptionRecord(err, {"step": "import"}, {"organization": "acme"}))
    (event,) = [envelope.get_event() for envelope in transport.envelopes]
    backend.close(1)
    assert event["environment"] == "staging"
    assert event["tags"] == {"organization": "acme"}
    assert event["contexts"]["hull"] == {"step": "import"}
    assert event["exception"]["values"][0]["value"] == "refused: token=*** ***"
    assert "hunter2" not in repr(event)


def test_sentry_of_the_application_is_left_alone():
    """Our client captures nothing by itself and does not become the application's client."""
    backend = SentryBackend(DSN, environment="test", transport=make_transport())
    backend.record(ExceptionRecord(ValueError("odd"), {}))
    assert not sentry_sdk.get_client().is_active()
    backend.record(MetricRecord("a", "value", 1))
    backend.close(1)


class FakeStats:
    """Stands for the library's collector."""

    def __init__(self) -> None:
        self.calls = []

    def __getattr__(self, name):
        return lambda *args, **kwargs: self.calls.append((name, args, kwargs))


class FakeDatadog:
    """Stands for the library."""

    def __init__(self) -> None:
        self.stats = FakeStats()
        self.options = {}

    def initialize(self, **options) -> None:
        self.options = options

    def ThreadStats(self) -> FakeStats:  # noqa: N802 - the library's name
        return self.stats


def test_datadog_gets_metrics_and_events_with_tags(monkeypatch):
    """Increments, values and events become Datadog's counters, gauges and events."""
    library = FakeDatadog()
    monkeypatch.setitem(sys.modules, "datadog", library)
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: object())
    instrumentation = Instrumentation(datadog_api_key="hunter2", host="web-1")
    metric = instrumentation.metric({"organization": "acme", "vip": ""})
    metric.increment("a", 2)
    metric.value("b", 1.5)
    metric.event("done", "well", {"c": 3})
    metric.capture_exception(ValueError("odd"))
    instrumentation.close()
    tags = ["organization:acme", "vip"]
    assert library.options == {"api_key": "hunter2", "host_name": "web-1"}
    assert library.stats.calls[1:4] == [
        ("increment", ("a", 2), {"tags": tags}),
        ("gauge", ("b", 1.5), {"tags": tags}),
        ("event", ("done", 'well\n{"c":3}'), {"tags": tags}),
    ]
    assert [name for name, _, _ in library.stats.calls] == ["start", "increment", "gauge", "event", "stop", "flush"]


def test_the_installed_datadog_library_takes_what_we_hand_over(monkeypatch):
    """The real collector accepts our records and keeps them until its next sending."""
    datadog = pytest.importorskip("datadog")
    sent = []
    monkeypatch.setattr(datadog.ThreadStats, "_start_flush_thread", lambda _self: None)
    monkeypatch.setattr(datadog.threadstats.reporters.HttpReporter, "flush_distributions", lambda *_: None)
    monkeypatch.setattr(
        datadog.threadstats.reporters.HttpReporter, "flush_metrics", lambda _self, metrics: sent.extend(metrics)
    )
    monkeypatch.setattr(
        datadog.threadstats.reporters.HttpReporter, "flush_events", lambda _self, events: sent.extend(events)
    )
    backend = DatadogBackend("abc", host="web-1")
    backend.record(MetricRecord("a", "increment", 2, {"b": "c"}))
    backend.record(EventRecord("done", "", {}, {}))
    backend.close(1)
    assert {entry.get("metric", entry.get("title")) for entry in sent} == {"a", "done"}
