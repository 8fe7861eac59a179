"""The command ``hull platform --data``, stopped and started again while a connector is being told of many users."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from running_process import PLATFORM_READY

from hull_sdk import Client

ID, SECRET, PEOPLE = "5a7962e2793d3e942a03b29a", "a secret for tests", 30
MANIFEST = {
    "name": "Slow",
    "tags": ["smart-notifier"],
    "subscriptions": [{"url": "/notify", "channels": ["user:update"]}],
}


class Counting(BaseHTTPRequestHandler):
    """Takes one message at a time, with a pause between two, and counts whom it was told of."""

    told: Counter[str]
    enough: threading.Semaphore

    def do_POST(self):
        notification = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.told.update(message["user"]["external_id"] for message in notification["messages"])
        self.enough.release()
        answer = json.dumps({"flow_control": {"type": "next", "size": 1, "in": 30}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_args):
        """Say nothing."""


@pytest.fixture
def connector():
    """A counting connector, and what it counted."""
    handler = type("Handler", (Counting,), {"told": Counter(), "enough": threading.Semaphore(0)})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    handler.url = f"http://127.0.0.1:{server.server_port}"
    yield handler
    server.shutdown()
    server.server_close()
    thread.join(10)


@pytest.mark.process
def test_everybody_is_told_of_once_across_stops(start_process, connector, tmp_path):
    """Two graceful stops within a backlog cost no message and repeat none, and nothing but what was saved is needed."""
    config, data = tmp_path / "platform.json", tmp_path / "state"
    installed = {"id": ID, "secret": SECRET, "url": connector.url, "manifest": MANIFEST}
    config.write_text(json.dumps({"organizations": [{"host": "acme.test", "connectors": [installed]}]}))
    command = ("hull", "platform", "--port", "0", "--test-controls", "--config", str(config), "--data", str(data))
    for life in range(3):
        process = start_process(command)
        url = json.loads(process.wait_for(PLATFORM_READY).group())["url"]
        if life == 0:
            client = Client(id=ID, secret=SECRET, organization=url.removeprefix("http://"))
            for number in range(PEOPLE):
                client.as_user({"external_id": str(number)}).traits({"n": number})
            assert client.flush(timeout_s=20).sent == PEOPLE
            client.close()
        if life < 2:
            for _ in range(6):
                assert connector.enough.acquire(timeout=20)
        else:
            with urllib.request.urlopen(f"{url}/_platform/idle?timeout_ms=20000", timeout=30) as answer:
                assert json.load(answer) == {"idle": True, "pending": 0}
        assert process.stop() == 0, process.describe()
        assert life == 2 or 0 < len(connector.told) < PEOPLE
    assert connector.told == Counter({str(number): 1 for number in range(PEOPLE)})
