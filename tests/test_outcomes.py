"""The table from errors to answers."""

from __future__ import annotations

import logging

import pytest
from connector_world import query
from flask import abort

from hull_sdk.core.logs import fields_of
from hull_sdk.errors import (
    ApiError,
    ConfigurationError,
    ConnectorNotFoundError,
    CredentialsError,
    InvalidArgumentError,
    LogicError,
    NotificationError,
    OrganizationDisabledError,
    RateLimitError,
    RecoverableError,
    RejectedError,
    TransientError,
)
from hull_sdk.handlers import action_handler, smart_notifier_handler
from hull_sdk.outcomes import OUTCOMES, judge
from hull_sdk.wire.flow_control import MAX_PAUSE_S

TRANSIENT = "connector.transient_error"
RETRY = {"type": "retry", "in": 1000}

# error, text elsewhere, status, reported, metric, flow control
ROWS = [
    (RuntimeError("a bug"), "unhandled-error", 500, True, None, RETRY),
    (LogicError("known"), "unhandled-error", 500, True, None, RETRY),
    (InvalidArgumentError("wrong"), "unhandled-error", 500, True, None, RETRY),
    (ApiError("no", status=422), "unhandled-error", 500, True, None, RETRY),
    (RejectedError("TOO_LARGE", "big"), "unhandled-error", 500, True, None, RETRY),
    (TransientError("later"), "transient-error", 400, False, TRANSIENT, RETRY),
    (TransientError("later", status=503), "transient-error", 503, False, TRANSIENT, RETRY),
    (RateLimitError("slow", retry_after=30), "transient-error", 400, False, TRANSIENT, {**RETRY, "in": 30_000}),
    (RateLimitError("slow", retry_after=0), "transient-error", 400, False, TRANSIENT, {**RETRY, "in": 0}),
    (ConfigurationError("key"), "transient-error", 400, False, TRANSIENT, RETRY),
    (RecoverableError("sync"), "transient-error", 400, False, TRANSIENT, RETRY),
    (CredentialsError("Invalid Token"), "Invalid Token", 401, False, None, RETRY),
    (OrganizationDisabledError(), "Organization is disabled", 402, False, None, RETRY),
    (ConnectorNotFoundError(), "Connector not found", 404, False, None, RETRY),
    (CredentialsError("none", status=403), "none", 403, False, None, RETRY),
    (NotificationError("X", "bad"), "bad", 400, False, "connector.invalid_notification", RETRY),
    (
        NotificationError("X", "big", status=413, size=1),
        "big",
        413,
        False,
        "connector.invalid_notification",
        {**RETRY, "size": 1},
    ),
]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: type(row[0]).__name__)
@pytest.mark.shows(
    "README: error-handling", "README: logic-error", "README: transient-error", "README: unhandled-error"
)
def test_what_an_error_means(world, row):
    """Each error has one answer for notifications and one for other endpoints, a status, a metric, a report."""
    error, text, status, reported, metric, flow = row

    def fail(*_args):
        raise error

    app = world.app(smart_notifier_handler({"user:update": fail}), action_handler(fail))
    response = app.test_client().post(f"/b1?{query()}")
    assert (response.status_code, response.text) == (status, text)
    assert response.mimetype == "text/plain"
    response = world.notify(app)
    assert response.status_code == status
    assert response.get_json()["flow_control"] == flow
    assert response.get_json()["errors"][0]["reason"] == judge(error).reason
    assert [record.error for record in world.instrumentation.exceptions] == ([error, error] if reported else [])
    counted = [
        record
        for record in world.instrumentation.metrics
        if record.name.startswith("connector.") and record.name != "connector.request"
    ]
    assert [record.name for record in counted] == ([metric, metric] if metric else [])
    assert all(record.tags["organization"] == "acme.hullapp.test" for record in counted)


def test_the_table_ends_with_everything():
    """The last row takes what no other takes."""
    assert OUTCOMES[-1].error == (Exception,)


@pytest.mark.parametrize("status", [200, 302, 600, True, "503", None])
def test_a_failure_is_never_answered_as_a_success(status):
    """A status that does not say that something failed is not taken over from an error."""
    assert judge(TransientError("no", status=status)).status == 400


@pytest.mark.parametrize(
    ("retry_after", "in_ms"),
    [(0, 0), (1.5, 1500), (-1, 1000), (float("nan"), 1000), ("30", 1000), (float("inf"), MAX_PAUSE_S * 1000)],
)
def test_a_pause_that_makes_no_sense_does_not_break_the_answer(retry_after, in_ms):
    """A pause that is no number of at least 0 counts as none, one that is too long is shortened."""
    assert judge(RateLimitError("slow down", retry_after=retry_after)).flow_control.in_ms == in_ms


def test_reasons_hide_secrets():
    """What looks like a secret in an error's message is masked in the answer and the log."""
    verdict = judge(RuntimeError("GET /x?secret=abcdef&a=1 failed"))
    assert "abcdef" not in verdict.reason


def test_an_unhandled_error_is_logged_with_its_trace(world, caplog):
    """An unexpected error is logged at the level error with its trace; a transient one is a warning without."""

    def fail(_ctx, _request):
        raise RuntimeError("a bug")

    with caplog.at_level(logging.WARNING):
        world.app(action_handler(fail)).test_client().post(f"/b0?{query()}")
    (record,) = (r for r in caplog.records if r.message == "connector.unhandled_error")
    assert record.levelno == logging.ERROR
    assert record.exc_info
    assert fields_of(record)["reason"] == "a bug"


def test_the_log_has_what_an_error_brings_along(world, caplog):
    """Extra data and the action of an error are in the log and in the report, masked; a payload is not."""
    errors = [
        TransientError("busy", {"endpoint": "/contacts", "api_key": "hunter2"}),
        LogicError("no", "contact.update", {"email": "ann@acme.example"}),
    ]

    def fail(_ctx, _request):
        raise errors.pop(0)

    client = world.app(action_handler(fail)).test_client()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            client.post(f"/b0?{query()}")
    busy, wrong = (fields_of(r) for r in caplog.records if "error" in r.message)
    assert busy["extra"] == {"endpoint": "/contacts", "api_key": "***"}
    assert (wrong["action"], "ann@acme.example" in str(wrong)) == ("contact.update", False)
    assert world.instrumentation.exceptions[0].context["action"] == "contact.update"


def app_with_view(world, view, *prepare):
    """Return the test client of an application with one view, prepared before it is set up."""
    app = world.app(setup=False)
    app.add_url_rule("/x", "x", view)
    for step in prepare:
        step(app)
    return world.setup(app)


def boom():
    """Fail unexpectedly."""
    raise RuntimeError("boom")


def test_errors_of_plain_views_follow_the_table(world):
    """A plain view's unexpected error is answered like a handler's."""
    response = app_with_view(world, boom).test_client().get("/x")
    assert (response.status_code, response.text) == (500, "unhandled-error")


def test_http_exceptions_pass_untouched(world):
    """What a view aborts with is Flask's own answer, and so is an unknown address."""
    client = app_with_view(world, lambda: abort(418)).test_client()
    assert client.get("/x").status_code == 418
    assert client.get("/nowhere").status_code == 404
    assert client.post("/x").status_code == 405
    assert world.instrumentation.exceptions == []


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("handled", [RuntimeError, Exception, 500])
def test_the_applications_error_handlers_win(world, when, handled):
    """Error handlers of the application win, whether they were registered before or after the connector."""

    def register(app):
        app.register_error_handler(handled, lambda _err: ("mine", 555))

    app = app_with_view(world, boom, *([register] if when == "before" else []))
    if when == "after":
        register(app)
    response = app.test_client().get("/x")
    assert (response.status_code, response.text) == (555, "mine")


def test_the_applications_after_request_functions_win(world):
    """A function that the application runs after the request may change our answer."""
    app = app_with_view(world, boom)

    @app.after_request
    def change(response):
        response.status_code = 299
        return response

    assert app.test_client().get("/x").status_code == 299


def test_strangers_make_no_series_of_metrics(world):
    """Whatever an unverified request names, its refusals are counted in one series: each new tag would be another."""
    client = world.app(smart_notifier_handler({"user:update": list}), action_handler(list)).test_client()
    for name in ("one", "two"):
        headers = {"X-Hull-Smart-Notifier": "1", "X-Hull-Smart-Notifier-Signature-Version": name}
        assert client.post("/b0", headers=headers, data=b"{}").status_code == 400
        unknown = query(ship=f"{name:0>24}".encode().hex()[:24], organization=f"{name}.hullapp.test")
        assert client.post(f"/b1?{unknown}").text == "transient-error"
    refused = [record for record in world.instrumentation.metrics if record.name.startswith("connector.")]
    assert len(refused) == 4
    series = {(record.name, *sorted(record.tags.items())) for record in refused}
    assert len(series) == 2
    assert {record.tags["error_message"] for record in refused} == {
        "unsupported_signature_version",
        "hull_err_network",
    }
