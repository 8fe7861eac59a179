"""What schemathesis makes of the API: whatever is sent, no answer that the description does not know."""

from __future__ import annotations

import re

import pytest
import schemathesis
from api_world import HOST, ApiWorld
from hypothesis import HealthCheck, Phase, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from werkzeug.test import Client

from hull_sdk.platform.api.openapi import description

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
#: Random requests of each operation, beside those that cover its schemas; fifty times as many in nightly runs.
EXAMPLES = settings.default.max_examples // 20

API = schemathesis.openapi.from_dict(description())
API.config.generation.update(with_security_parameters=False)
API.config.phases.coverage.unexpected_methods = set()


GUARDED = [
    (method.upper(), path)
    for path, operations in description()["paths"].items()
    for method, operation in operations.items()
    if operation["security"]
]


@pytest.mark.parametrize(("method", "path"), GUARDED, ids=" ".join)
def test_whoever_has_no_valid_credentials_is_refused(signing_key, method, path):
    """Without credentials, and with wrong ones, an operation that lists security schemes answers 401."""
    world = ApiWorld(signing_key)
    client = Client(world.app)
    address = re.sub(r"{\w+}", world.connector.id, path)
    for headers in (
        {},
        {"Hull-Access-Token": "wrong"},
        {"Hull-App-Id": world.connector.id, "Hull-Access-Token": "eyJ"},
    ):
        response = client.open(address, method=method, json={}, base_url=f"https://{HOST}", headers=headers)
        assert response.status_code == 401
    world.close()


class Worlds:
    """Lends a world to one request after the other, each as if it were new: making one takes longer than most."""

    def __init__(self, signing_key) -> None:
        self._signing_key = signing_key
        self._unchanged: ApiWorld | None = None

    def lend(self) -> ApiWorld:
        """Return a world that no request has changed."""
        world, self._unchanged = self._unchanged, None
        return ApiWorld(self._signing_key) if world is None else world

    def take_back(self, world: ApiWorld, *, changed: bool) -> None:
        """Keep a world for the next request if this one changed nothing."""
        if changed:
            world.close()
        else:
            self._unchanged = world

    def close(self) -> None:
        """Close the world that is left."""
        if self._unchanged is not None:
            self._unchanged.close()


@pytest.fixture
def worlds(signing_key):
    """Worlds for the requests of one operation."""
    worlds = Worlds(signing_key)
    yield worlds
    worlds.close()


@API.parametrize()
@settings(
    max_examples=EXAMPLES,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
def test_every_answer_is_one_that_the_description_knows(case, worlds):
    """Valid and invalid requests get no 5xx, no undocumented status, and answers of the described shape."""
    world, changed = worlds.lend(), True
    world.aim(case)
    credentials = world.headers(case.operation.definition.raw.get("security", []))
    try:
        response = case.call_and_validate(base_url=f"https://{HOST}", app=world.app, headers=credentials, checks=CHECKS)
        changed = case.method != "GET" and response.status_code < 400
    finally:
        worlds.take_back(world, changed=changed)
