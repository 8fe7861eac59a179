"""The package under a real gunicorn: after a fork, with threads, and at the end."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from running_process import GUNICORN_LISTENS, PLATFORM_READY, RunningProcess

from hull_sdk import Client
from hull_sdk.core.net import HttpNetwork, Request

pytestmark = pytest.mark.process

APPS = Path(__file__).parent / "apps"
ORDERS = 1_000
CUSTOMERS = 20
RECYCLED = 60
IDLE_TIMEOUT_MS = 20_000


@pytest.fixture
def start_gunicorn(start_process):
    """Return a function that serves an app of this folder with gunicorn and returns the process and its URL."""

    def start(app: str, *options: str, **env: str) -> tuple[RunningProcess, str]:
        command = ["gunicorn", "--bind", "127.0.0.1:0", *options, app]
        process = start_process(command, env=env, cwd=APPS)
        return process, process.wait_for(GUNICORN_LISTENS)[1]

    return start


@pytest.fixture
def start_platform(start_process, tmp_path):
    """Return a function that serves one organization with ``hull platform`` and returns process and ready line."""

    def start(**organization) -> tuple[RunningProcess, dict]:
        path = tmp_path / "platform.json"
        path.write_text(json.dumps({"organizations": [organization]}), encoding="utf-8")
        command = ["hull", "platform", "--host", "127.0.0.1", "--port", "0", "--config", str(path), "--test-controls"]
        process = start_process(command)
        return process, json.loads(process.wait_for(PLATFORM_READY).group())

    return start


@pytest.fixture
def network():
    """Send requests over real sockets."""
    network = HttpNetwork()
    yield network
    network.close()


@pytest.fixture
def shop(served_platform):
    """The organization of a shop's connector, and the variables that the connector's processes need."""
    organization = served_platform.create_organization("acme.hullapp.test")
    connector = organization.install("http://127.0.0.1:9", manifest={"name": "Shop"})
    environment = {
        "HULL_ID": connector.id,
        "HULL_SECRET": connector.secret,
        "HULL_ORGANIZATION": served_platform.address,
    }
    return organization, environment


def events_of(organization):
    """Return the tracked events of an organization by name."""
    events = {}
    for event in organization.state()["events"]:
        if event["tracked"]:
            events.setdefault(event["event"], []).append(event)
    return events


def test_every_event_of_a_preloaded_app_arrives_once(shop, start_gunicorn, network):
    """Of 1,000 requests to four forked workers that each track an event, 1,000 events arrive, and the parent's one."""
    organization, environment = shop
    gunicorn, url = start_gunicorn("shop:app", "--preload", "--workers", "4", **environment)

    def order(number: int) -> int:
        return network.send(Request(method="POST", url=f"{url}/orders/{number}", timeout_s=30)).status

    with ThreadPoolExecutor(8) as pool:
        statuses = set(pool.map(order, range(ORDERS)))
    assert gunicorn.stop() == 0
    events = events_of(organization)
    assert statuses == {200}
    assert sorted(event["properties"]["number"] for event in events["Ordered"]) == list(range(ORDERS))
    assert len(events["Shop opened"]) == 1
    assert len({event["properties"]["pid"] for event in events["Ordered"]}) > 1


def test_workers_that_are_recycled_lose_nothing(shop, start_gunicorn, network):
    """Workers that end after a few requests each, as with --max-requests, send what they have before they go."""
    organization, environment = shop
    gunicorn, url = start_gunicorn("shop:app", "--preload", "--workers", "2", "--max-requests", "10", **environment)
    for number in range(RECYCLED):
        assert network.send(Request(method="POST", url=f"{url}/orders/{number}", timeout_s=30)).status == 200
    assert gunicorn.stop() == 0
    ordered = events_of(organization)["Ordered"]
    assert sorted(event["properties"]["number"] for event in ordered) == list(range(RECYCLED))
    assert len({event["properties"]["pid"] for event in ordered}) >= RECYCLED // 20


def test_a_threaded_connector_and_the_platform_talk_over_http(start_gunicorn, start_platform, network):
    """A platform and a connector in processes of their own finish the round trip, and both end cleanly on SIGTERM."""
    gunicorn, connector_url = start_gunicorn(
        "scorer:app", "--worker-class", "gthread", "--threads", "8", HULL_ALLOWED_ORGANIZATIONS="127.0.0.1"
    )
    platform, ready = start_platform(host="acme.hullapp.test", connectors=[{"url": connector_url}])
    (credentials,) = ready["organizations"][0]["connectors"]
    address = ready["url"].removeprefix("http://").rstrip("/")
    client = Client(id=credentials["id"], secret=credentials["secret"], organization=address)
    for number in range(CUSTOMERS):
        client.as_user({"external_id": f"customer-{number}"}).traits({"visits": number})
    assert client.flush(20).sent == CUSTOMERS
    idle = f"{ready['url'].rstrip('/')}/_platform/idle?timeout_ms={IDLE_TIMEOUT_MS}"
    assert network.send(Request(method="GET", url=idle, timeout_s=30)).status == 200
    scores = {
        number: client.as_user({"external_id": f"customer-{number}"}).get("me/user_report")["traits_score"]
        for number in range(CUSTOMERS)
    }
    client.close()
    assert scores == {number: 10 * number for number in range(CUSTOMERS)}
    assert (gunicorn.stop(), platform.stop()) == (0, 0)
    assert "Traceback" not in "".join([*gunicorn.stderr, *platform.stderr])
