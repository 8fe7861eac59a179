"""Where a context's connector and segments come from."""

from __future__ import annotations

import pytest
from connector_world import BUYERS, CONNECTOR_ID, CREDENTIALS, CUSTOMERS, SECRET, query

from hull_sdk import current_context
from hull_sdk.handlers import smart_notifier_handler, takes_webhooks
from hull_sdk.infra import Cache
from hull_sdk.middleware.base import REFUSAL_TTL_S

GET_CONNECTOR = f"GET /api/v1/{CONNECTOR_ID}"
GET_USERS_SEGMENTS = "GET /api/v1/users_segments"


@pytest.fixture
def seen():
    """Collect what handlers see."""
    return []


@pytest.fixture
def app(world, seen):
    """Return a connector with a handler and two views."""

    def look(ctx, _messages):
        seen.append((ctx.ship["name"], [s["id"] for s in ctx.segments], [s["id"] for s in ctx.accounts_segments]))

    app = world.app(
        smart_notifier_handler(dict.fromkeys(("user:update", "ship:update", "users_segment:update"), look)), setup=False
    )
    app.add_url_rule("/name", "name", lambda: current_context.ship["name"])
    app.add_url_rule("/called", "called", takes_webhooks(lambda: current_context.ship["name"]))
    app.add_url_rule("/segments", "segments", lambda: {"users": current_context.segments})
    return world.setup(app)


@pytest.mark.shows("ctx.connector", "ctx.ship")
def test_the_connector_is_fetched_once_a_minute(world, app):
    """A request with credentials fetches its connector through the cache."""
    client = app.test_client()
    assert [client.get(f"/name?{query()}").text for _ in range(3)] == ["Shop"] * 3
    assert world.platform.requests == [GET_CONNECTOR]
    world.runtime.tasks.sleep(61)
    client.get(f"/name?{query()}")
    assert world.platform.requests == [GET_CONNECTOR] * 2


@pytest.mark.attack("another organization's connector id and secret")
def test_a_wrong_secret_never_sees_the_cached_connector(world, app):
    """A request with another secret does not profit from what a good one has cached."""
    client = app.test_client()
    assert client.get(f"/name?{query()}").status_code == 200
    response = client.get(f"/name?{query(secret='wrong')}")
    assert response.status_code == 401
    assert SECRET not in response.text


@pytest.mark.attack("keys and secrets that were exchanged")
def test_the_address_of_a_webhook_is_good_until_a_secret_is_exchanged(world, app):
    """After ten years it works as on the first day; with the connector's secret of before its exchange it opens nothing."""
    client, tokens = app.test_client(), app.extensions["hull"].tokens
    token = tokens.encrypt(CREDENTIALS, "webhook")
    assert client.get(f"/called?token={token}").text == "Shop"
    world.runtime.tasks.sleep(10 * 365 * 86_400)
    assert client.get(f"/called?token={token}").text == "Shop"
    before = tokens.encrypt({**CREDENTIALS, "secret": "of before"}, "webhook")
    assert client.get(f"/called?token={before}").status_code == 401


def test_what_a_view_changes_stays_its_own(world, app):
    """A connector that a view changes in its context is unchanged in the next one."""
    app.extensions["hull"].uses.append(lambda ctx: ctx.ship.update(name=ctx.ship["name"] + "!"))
    client = app.test_client()
    assert [client.get(f"/name?{query()}").text for _ in range(2)] == ["Shop!"] * 2


@pytest.mark.parametrize("status", [401, 402, 404])
def test_a_refusal_is_answered_and_remembered_shortly(world, app, status):
    """401, 402 and 404 of the platform are the answer's status, and are asked for again only after a while."""
    world.platform.fail_with = status
    client = app.test_client()
    for _ in range(3):
        world.runtime.tasks.sleep(REFUSAL_TTL_S / 4)
        assert client.get(f"/name?{query()}").status_code == status
    assert world.platform.requests == [GET_CONNECTOR]
    world.platform.fail_with = None
    world.runtime.tasks.sleep(REFUSAL_TTL_S)
    assert client.get(f"/name?{query()}").text == "Shop"


def test_strangers_push_nothing_out_of_the_cache(world):
    """Credentials that the platform refuses, however many, cost connectors that it knows no entry of the cache."""
    app = world.app(setup=False)
    app.add_url_rule("/name", "name", lambda: current_context.ship["name"])
    client = world.setup(app, cache=Cache(max_items=3)).test_client()
    assert client.get(f"/name?{query()}").text == "Shop"
    for number in range(5):
        assert client.get(f"/name?{query(secret=f'wrong-{number}')}").status_code == 401
    world.platform.requests.clear()
    assert client.get(f"/name?{query()}").text == "Shop"
    assert world.platform.requests == []


def test_a_platform_that_is_down_is_a_transient_error(world, app):
    """When the platform cannot be asked, the answer is that of a transient error, and nothing is remembered."""
    world.platform.fail_with = 503
    client = app.test_client()
    response = client.get(f"/name?{query()}")
    assert (response.status_code, response.text) == (400, "transient-error")
    world.platform.fail_with = None
    assert client.get(f"/name?{query()}").text == "Shop"


def test_a_notification_brings_connector_and_segments(world, app, seen):
    """Connector and segments of a notification are used as they are; nothing is fetched."""
    world.notify(app, world.notification(connector={"id": CONNECTOR_ID, "name": "From the body"}))
    assert seen == [("From the body", [BUYERS["id"]], [CUSTOMERS["id"]])]
    assert [line for line in world.platform.requests if line.startswith("GET")] == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"users_segments": None, "accounts_segments": None}, ([BUYERS["id"]], [CUSTOMERS["id"]])),
        ({"users_segments": None, "segments": [], "accounts_segments": None, "account_segments": []}, ([], [])),
    ],
)
def test_segments_have_older_names_too(world, app, seen, fields, expected):
    """Segments, users_segments, accounts_segments and account_segments are all read; what is missing is fetched."""
    world.notify(app, world.notification(**fields))
    assert seen == [("Shop", *expected)]


def test_a_change_of_settings_clears_the_connector(world, app):
    """After ship:update the connector is fetched anew."""
    client = app.test_client()
    client.get(f"/name?{query()}")
    world.platform.connector["name"] = "Renamed"
    assert client.get(f"/name?{query()}").text == "Shop"
    world.notify(app, world.notification([world.platform.connector], channel="ship:update"))
    assert client.get(f"/name?{query()}").text == "Renamed"


@pytest.mark.shows("utils.segmentsMiddleware")
def test_segments_are_fetched_when_they_are_read(world, app):
    """Segments cost nothing until they are read, and are then kept for a minute, until one of them changes."""
    client = app.test_client()
    client.get(f"/name?{query()}")
    assert GET_USERS_SEGMENTS not in world.platform.requests
    for _ in range(2):
        assert client.get(f"/segments?{query()}").get_json()["users"][0]["name"] == "Buyers"
    assert world.platform.requests.count(GET_USERS_SEGMENTS) == 1
    world.notify(app, world.notification([BUYERS], channel="users_segment:update"))
    client.get(f"/segments?{query()}")
    assert world.platform.requests.count(GET_USERS_SEGMENTS) == 2


def test_failing_segments_are_no_empty_list(world, app):
    """A failure to fetch segments is an error, not an organization without segments."""
    client = app.test_client()
    client.get(f"/name?{query()}")
    world.platform.fail_with = 500
    assert client.get(f"/segments?{query()}").text == "transient-error"


@pytest.mark.parametrize(
    ("settings", "options", "expected"),
    [
        ({}, {}, False),
        ({"synchronized_segments": []}, {}, False),
        ({"synchronized_segments": [BUYERS["id"]]}, {}, True),
        ({"synchronized_segments": ["ALL"]}, {}, True),
        ({"synchronized_segments": [BUYERS["id"]]}, {"segment_filter_setting": "mine"}, False),
        ({"mine": [BUYERS["id"]]}, {"segment_filter_setting": "mine"}, True),
    ],
)
def test_segments_are_marked_by_the_filter_setting(world, settings, options, expected):
    """Each segment says whether the connector's filter setting names it."""
    world.platform.connector["private_settings"] = settings
    app = world.app(setup=False)
    app.add_url_rule("/called", "called", takes_webhooks(lambda: current_context.ship["name"]))
    app.add_url_rule("/segments", "segments", lambda: {"users": current_context.segments})
    client = world.setup(app, **options).test_client()
    assert [s["filtered"] for s in client.get(f"/segments?{query()}").get_json()["users"]] == [expected]
