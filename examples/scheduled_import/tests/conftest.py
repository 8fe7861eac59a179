"""The connector on a platform in memory, and a stand-in for the server of the file."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, abort, request
from import_connector.app import connect, create_app

from hull_sdk.testing import Harness

MANIFEST = Path(__file__).parents[1] / "import_connector" / "manifest.json"
URL = "https://files.example/people.csv"
USERS = {
    "url": URL,
    "id_column": "Id",
    "email_column": "E-mail",
    "attributes": {"plan": "Plan", "seats": "Seats"},
    "types": {"Seats": "number"},
    "notify": False,
}
PEOPLE = "Id,E-mail,Plan,Seats\n1,ann@acme.example,pro,5\n2,bob@acme.example,free,1\n"


class FakeServer:
    """Serves one file, which a test changes."""

    def __init__(self) -> None:
        self.body: bytes | None = PEOPLE.encode()
        self.headers: dict[str, str] = {"ETag": '"v1"'}
        #: What the next requests are answered instead.
        self.failures: list[int] = []
        self.requests = 0
        #: Called with the number of each request, before it is answered.
        self.before: Callable[[int], Any] = lambda _number: None
        self.app = Flask("stand_in_for_files")
        self.app.add_url_rule("/people.csv", view_func=self._serve)

    def put(self, text: str | bytes, mark: str) -> None:
        """Lay another file there."""
        self.body = text.encode() if isinstance(text, str) else text
        self.headers = {"ETag": mark}

    def _serve(self) -> Response:
        self.requests += 1
        self.before(self.requests)
        if self.failures:
            abort(self.failures.pop(0))
        if self.body is None:
            abort(404)
        if request.headers.get("Authorization") not in {None, "Bearer f1le-s3rver-key"}:
            abort(401)
        return Response(self.body, headers=self.headers, mimetype="text/csv")


@pytest.fixture
def server() -> FakeServer:
    """Where the file is."""
    return FakeServer()


@pytest.fixture
def installed(server: FakeServer) -> Iterator[Callable[..., Harness]]:
    """Install the connector with some settings."""
    open_ones: list[Harness] = []

    def install(settings: dict[str, Any] | None = None, *, nights_only: bool = False) -> Harness:
        app = create_app(connect(host_secret="a secret of the host for tests"))
        manifest = json.loads(MANIFEST.read_text())
        if nights_only:  # days pass without the calls of every few minutes
            manifest["schedules"].pop()
            manifest["status"] = {"url": "/status"}
        harness = Harness(app, manifest, private_settings=USERS if settings is None else settings)
        open_ones.append(harness)
        harness.service("files.example", server.app)
        harness.request("/status")
        return harness

    yield install
    for harness in open_ones:
        harness.close()
