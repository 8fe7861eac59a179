"""The helpers that connectors call with a context."""

from __future__ import annotations

import contextlib
import json
import threading
from urllib.parse import parse_qsl, urlencode

import pytest
from connector_world import BUYERS, CONNECTOR_ID, HOST, SECRET, query, user_message
from flask import Flask, Response, request

from hull_sdk import current_context
from hull_sdk.core.tasks import ThreadTasks
from hull_sdk.errors import CredentialsError, InvalidArgumentError
from hull_sdk.helpers import filter_notification, handle_extract, request_extract, update_settings


def raise_again(error):
    """Let an error through to the test."""
    raise error


URL = f"/run?{query()}"


def run(world, function, url=URL, **options):
    """Run a function within a request and return its result."""
    result = []
    app = world.app(setup=False)
    app.config["TESTING"] = True
    app.register_error_handler(Exception, raise_again)
    app.add_url_rule("/run", "run", lambda: (result.append(function()), "ok")[1])
    world.setup(app, **options).test_client().get(url)
    return result[0]


@pytest.mark.shows(
    "README: context-management-convention", "ctx.helpers", "helpers.updateSettings", "utils.helpersMiddleware"
)
def test_settings_are_merged_and_remembered(world):
    """update_settings changes the given settings only, in the platform, the context and the cache."""
    world.platform.connector["private_settings"] = {"kept": 1, "changed": 1}

    def change():
        before = current_context.ship
        answer = current_context.helpers.update_settings({"changed": 2})
        return before["private_settings"], answer["private_settings"], current_context.ship["private_settings"]

    after = {"kept": 1, "changed": 2}
    assert run(world, change) == ({"kept": 1, "changed": 1}, after, after)
    assert world.platform.connector["private_settings"] == after
    gets = [line for line in world.platform.requests if line == f"GET /api/v1/{CONNECTOR_ID}"]
    assert len(gets) == 1


def test_the_cached_connector_is_replaced(world):
    """A request after update_settings sees the new settings without a fetch."""
    app = world.app(setup=False)
    app.add_url_rule("/set", "set", lambda: update_settings(current_context, {"n": 2}))
    app.add_url_rule("/get", "get", lambda: current_context.ship["private_settings"])
    client = world.setup(app).test_client()
    client.get(f"/set?{query()}")
    world.platform.requests.clear()
    assert client.get(f"/get?{query()}").get_json() == {"n": 2}
    assert world.platform.requests == []


def test_updates_at_the_same_time_undo_nothing(world):
    """Two threads that change different settings at once both succeed: one reads after the other has written."""
    world.runtime.tasks = ThreadTasks()
    both_read = threading.Barrier(2, timeout=0.2)
    platform = world.platform

    def meet():
        if request.method == "GET" and request.path == "/api/v1/app":
            with contextlib.suppress(threading.BrokenBarrierError):
                both_read.wait()

    platform.app.after_request(lambda response: (meet(), response)[1])
    app = world.app(setup=False)
    app.add_url_rule("/set/<name>", "set", lambda name: update_settings(current_context, {name: 1}))
    world.setup(app)
    spawn = world.runtime.tasks.spawn
    calls = [spawn(lambda n=name: app.test_client().get(f"/set/{n}?{query()}").status_code) for name in ("a", "b")]
    assert [call.result(10) for call in calls] == [200, 200]
    app.extensions["hull"].leases.stop()
    assert platform.connector["private_settings"] == {"a": 1, "b": 1}


def test_settings_must_be_a_dict(world):
    """Anything but a dict of settings is an error that shows it."""
    with pytest.raises(InvalidArgumentError, match=r"\['a'\]"):
        run(world, lambda: update_settings(current_context, ["a"]))


def test_settings_need_credentials(world):
    """Without credentials there is nothing to update."""
    with pytest.raises(CredentialsError, match="Missing credentials"):
        run(world, lambda: update_settings(current_context, {}), url="/run")


BUYER = user_message("u1", segments=[BUYERS])
NOBODY = user_message("u2")


@pytest.mark.parametrize(
    ("settings", "message", "expected"),
    [
        ({}, NOBODY, True),
        ({"synchronized_segments": []}, BUYER, False),
        ({"synchronized_segments": [BUYERS["id"]]}, BUYER, True),
        ({"synchronized_segments": [BUYERS["id"]]}, NOBODY, False),
        ({"synchronized_segments": ["ALL"]}, NOBODY, True),
        ({"synchronized_segments": ["all_segments"]}, NOBODY, True),
        ({"synchronized_segments": ["other"]}, BUYER, False),
        ({}, {"user": {}, "segments": [BUYERS]}, False),
        ({}, {}, False),
        ({"synchronized_segments": []}, {"account": {"id": "a"}, "account_segments": []}, True),
        ({"synchronized_account_segments": ["s"]}, {"account": {"id": "a"}, "account_segments": [{"id": "s"}]}, True),
        ({"synchronized_account_segments": ["s"]}, {"account": {"id": "a"}, "account_segments": []}, False),
    ],
)
@pytest.mark.shows("helpers.filterNotification")
def test_messages_are_filtered_by_segment(world, settings, message, expected):
    """A missing setting means everybody, an empty one nobody, ALL everybody; users and accounts have one each."""
    world.platform.connector["private_settings"] = settings
    assert run(world, lambda: current_context.helpers.filter_notification(message)) is expected


@pytest.mark.shows("Connector option: segmentFilterSetting")
def test_another_setting_may_be_named(world):
    """The setting can be named in the call, and for the whole connector."""
    world.platform.connector["private_settings"] = {"mine": [], "synchronized_segments": [BUYERS["id"]]}
    assert run(world, lambda: filter_notification(current_context, BUYER, "mine")) is False
    assert run(world, lambda: filter_notification(current_context, BUYER), segment_filter_setting="mine") is False
    assert run(world, lambda: filter_notification(current_context, BUYER)) is True


@pytest.fixture
def extracts(world):
    """What the platform was asked to extract, as path and body."""
    asked = []

    def take(name):
        asked.append((name, request.get_json()))
        return {"id": "e1"}

    world.platform.app.add_url_rule("/api/v1/extract/<name>", "extract", take, methods=["POST"])
    world.platform.connector["source_url"] = "https://shop.example/app/"
    return asked


def callback_of(body):
    """Return the address of the callback and its query."""
    address, _, found = body["url"].partition("?")
    return address, dict(parse_qsl(found))


@pytest.mark.shows(
    "helpers.requestExtract",
    "requestExtract option: additionalQuery",
    "requestExtract option: fields",
    "requestExtract option: format",
    "requestExtract option: path",
)
def test_an_extract_is_called_back_with_a_token_instead_of_the_secret(world, extracts):
    """The address holds an encrypted token that the connector itself can read, further parameters, and no secret."""
    ask = lambda: current_context.helpers.request_extract(  # noqa: E731 - called within the request
        segment={"id": "s1", "query": {"match_all": {}}, "type": "users_segment"},
        fields=["email"],
        format="csv",
        path="/import/",
        additional_query={"why": "first sync"},
    )
    assert run(world, ask) == {"id": "e1"}
    ((name, body),) = extracts
    assert name == "user_reports"
    assert (body["query"], body["format"], body["fields"]) == ({"match_all": {}}, "csv", ["email"])
    address, found = callback_of(body)
    assert address == "https://shop.example/app/import"
    assert SECRET not in body["url"]
    assert {**found, "token": ""} == {"token": "", "source": "connector", "why": "first sync", "segment_id": "s1"}
    assert run(world, lambda: current_context.config.id, f"/run?{urlencode({'token': found['token']})}") == CONNECTOR_ID


def test_an_extract_without_a_host_secret_is_called_back_with_the_credentials(world, extracts):
    """Where no token can be made the address holds the credentials, as the protocol has it."""
    run(world, lambda: request_extract(current_context, kind="account"), host_secret=None)
    ((name, body),) = extracts
    assert (name, body["query"], body["format"], body["fields"]) == ("account_reports", {}, "json", [])
    assert callback_of(body) == (
        "https://shop.example/app/batch",
        {"ship": CONNECTOR_ID, "secret": SECRET, "organization": HOST, "source": "connector"},
    )


def test_a_segment_without_its_query_is_read_first(world, extracts):
    """An id is enough; the kind is that of the segment."""
    segment = {"id": "s7", "type": "accounts_segment", "query": {"term": {"a": 1}}}
    world.platform.segments["s7"] = segment
    run(world, lambda: request_extract(current_context, segment="s7"))
    ((name, body),) = extracts
    assert (name, body["query"]) == ("account_reports", {"term": {"a": 1}})
    assert callback_of(body)[1]["segment_id"] == "s7"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"format": "xml"}, "json, csv"),
        ({"fields": "email"}, "pass a list"),
        ({"segment": 3}, "pass a segment"),
        ({"segment": "s8"}, "no query"),
    ],
)
def test_a_wrong_extract_is_not_asked_for(world, extracts, options, words):
    """A wrong argument names its rule, and the platform is asked for no file."""
    world.platform.segments["s8"] = {"id": "s8"}
    with pytest.raises(InvalidArgumentError, match=words):
        run(world, lambda: request_extract(current_context, **options))
    assert extracts == []


@pytest.mark.shows(
    "handleExtract option: batchSize",
    "handleExtract option: body",
    "handleExtract option: handler",
    "helpers.handleExtract",
)
def test_a_file_is_handed_on_in_parts_by_number_and_size(world):
    """handle_extract hands rows on in order, some at a time, and counts them."""
    rows = [{"id": number, "note": "x" * size} for number, size in enumerate((10, 10, 10, 900, 900, 10))]
    files = Flask("files")
    files.add_url_rule("/rows", "rows", lambda: Response("\n".join(map(json.dumps, rows))))
    world.net.mount("files.hullapp.test", files)
    url = "https://files.hullapp.test/rows"
    parts = []
    handle = lambda: handle_extract(  # noqa: E731 - called within the request
        current_context,
        url=url,
        format="json",
        on_rows=lambda found: parts.append([r["id"] for r in found]),
        batch_size=2,
        batch_bytes=900,
    )
    assert run(world, handle) == 6
    assert parts == [[0, 1], [2, 3], [4], [5]]


@pytest.mark.parametrize(
    "options", [{"batch_size": 0}, {"batch_size": True}, {"batch_bytes": -1}, {"batch_bytes": 1.5}]
)
def test_parts_have_a_size(world, options):
    """A part of no rows or no bytes is refused before anything is fetched."""
    (option,) = options
    with pytest.raises(InvalidArgumentError, match=option):
        run(
            world,
            lambda: handle_extract(current_context, url="https://x.example/", format="json", on_rows=print, **options),
        )
