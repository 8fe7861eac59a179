"""Structured events: fields beside a stable name, the caller as origin, secrets masked in every formatter."""

from __future__ import annotations

import io
import json
import logging

import pytest

from hull_sdk.core.logs import JsonFormatter, emit, fields_of


@pytest.fixture
def logger():
    """Return a logger of its own that writes nowhere else."""
    return logging.Logger("hull_sdk.test", logging.INFO)  # noqa: LOG001 - nobody else may get it


def listen(logger: logging.Logger, formatter: logging.Formatter) -> io.StringIO:
    """Have a logger write to a text in memory."""
    handler = logging.StreamHandler(io.StringIO())
    handler.setFormatter(formatter)
    logger.addHandler(handler)
    return handler.stream


def failure() -> ValueError:
    """Return a raised error whose message holds a secret."""
    try:
        raise ValueError("refused: token=hunter2")
    except ValueError as err:
        return err


def test_an_event_carries_its_name_and_masked_fields(logger):
    """The message is the stable event name; the fields stand beside it without their secrets."""
    records = []
    logger.addFilter(lambda record: not records.append(record))
    emit(logger, logging.INFO, "incoming.user.success", {"count": 3, "api_key": "hunter2"})
    (record,) = records
    assert record.getMessage() == "incoming.user.success"
    assert fields_of(record) == {"count": 3, "api_key": "***"}


def test_a_name_that_somebody_made_up_shows_no_secret(logger):
    """The message of a connector's own line is masked for every formatter too."""
    stream = listen(logger, logging.Formatter())
    emit(logger, logging.INFO, "fetched with api_key=hunter2")
    assert stream.getvalue() == "fetched with api_key=***\n"


def test_an_event_without_fields_has_none(logger):
    """Fields may be left out, and records of other libraries have none."""
    records = []
    logger.addFilter(lambda record: not records.append(record))
    emit(logger, logging.INFO, "connector.start")
    logger.info("something else")
    assert [fields_of(record) for record in records] == [{}, {}]


def test_the_origin_of_an_event_is_its_caller(logger):
    """Log lines name the place that emitted, not the logging helper."""
    records = []
    logger.addFilter(lambda record: not records.append(record))
    emit(logger, logging.INFO, "connector.start")
    assert records[0].filename == "test_core_logs.py"
    assert records[0].funcName == "test_the_origin_of_an_event_is_its_caller"


def test_nothing_is_computed_when_nobody_listens(logger):
    """Below the level fields are not even looked at."""

    class Costly(dict):
        def keys(self):
            raise AssertionError("looked at")

    emit(logger, logging.DEBUG, "quiet", Costly(a=1))


def test_the_package_adds_no_handler_and_sets_no_level():
    """Importing leaves logging as the application has set it up."""
    own = logging.getLogger("hull_sdk")
    assert own.handlers == []
    assert own.level == logging.NOTSET


def test_any_formatter_writes_an_error_without_its_secrets(logger):
    """The traceback of an error is masked for the formatters of the standard library too."""
    stream = listen(logger, logging.Formatter("%(message)s"))
    emit(logger, logging.ERROR, "task.failed", exc_info=failure())
    text = stream.getvalue()
    assert "ValueError: refused: token=***" in text
    assert "Traceback" in text
    assert "hunter2" not in text


def test_json_lines_hold_level_message_logger_time_and_fields(logger):
    """The JSON formatter writes one line per record with the fields on the top level."""
    stream = listen(logger, JsonFormatter())
    emit(logger, logging.WARNING, "queue.job.retry", {"job": "import", "nested": {"list": (1, 2.5, None)}})
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "warning",
        "logger": "hull_sdk.test",
        "message": "queue.job.retry",
        "job": "import",
        "nested": {"list": [1, 2.5, None]},
    }


def test_json_lines_mask_the_records_of_other_libraries(logger):
    """Messages and errors that others logged are masked as well, and stay on one line."""
    stream = listen(logger, JsonFormatter())
    try:
        raise failure()
    except ValueError:
        logger.exception("GET /?secret=%s", "hunter2")
    (text,) = stream.getvalue().splitlines()
    line = json.loads(text)
    assert line["message"] == "GET /?secret=***"
    assert "ValueError: refused: token=***" in line["error"]
    assert "hunter2" not in text


@pytest.mark.attack("header and log injection")
def test_fields_never_replace_what_every_line_has(logger):
    """A field named like a part of every line is kept under its name with an underscore."""
    stream = listen(logger, JsonFormatter())
    emit(logger, logging.INFO, "event", {"message": "mine", "level": 7})
    line = json.loads(stream.getvalue())
    assert (line["message"], line["message_"], line["level"], line["level_"]) == ("event", "mine", "info", 7)


def test_odd_values_do_not_break_a_line(logger):
    """Numbers that JSON lacks, objects, odd keys and half characters are written as text."""
    stream = listen(logger, JsonFormatter())
    emit(
        logger,
        logging.INFO,
        "event",
        {"nan": float("nan"), "object": ValueError("x"), "keys": {1: 2}, "half": "\ud800"},
    )
    line = json.loads(stream.getvalue())
    assert (line["nan"], line["object"], line["keys"], line["half"]) == ("nan", "x", {"1": 2}, "\ud800")
