"""The connector on a platform of its own, and a CRM that knows who is calling."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, request
from kitchen_sink.app import create_app

from hull_sdk.testing import Harness

TOKENS = {"access_token": "at-1", "token_type": "Bearer"}
CONNECTED = {"client_id": "hull", "client_secret": "hush", "oauth_tokens": TOKENS}


class FakeCrm:
    """Answers for the CRM and for its login page."""

    def __init__(self) -> None:
        self.contacts: dict[str, dict[str, Any]] = {}
        self.refuse: dict[str, int] = {}
        self.fields_asked = 0
        self.api = Flask("crm")
        self.api.before_request(self._check)
        self.api.add_url_rule("/v1/contacts", "save", self._save, methods=["PUT"])
        self.api.add_url_rule("/v1/contacts", "list", self._list)
        self.api.add_url_rule("/v1/contacts/<contact_id>/notes", "notes", lambda contact_id: [{"about": contact_id}])
        self.api.add_url_rule("/v1/fields", "fields", self._fields)
        self.login = Flask("login")
        self.login.add_url_rule("/token", "token", lambda: {**TOKENS, "access_token": "at-2"}, methods=["POST"])

    def agree(self, location: str) -> str:
        """Agree as a person would, and return where the browser is sent back."""
        asked = parse_qs(urlsplit(location).query)
        return f"{urlsplit(asked['redirect_uri'][0]).path}?state={asked['state'][0]}&code=c-1"

    def _check(self) -> tuple[str, int] | None:
        known = request.headers.get("Authorization") in {"Bearer at-1", "Bearer at-2"}
        return None if known else ("who are you?", 401)

    def _save(self) -> Any:
        contact = request.get_json()
        if contact["email"] in self.refuse:
            return "no", self.refuse[contact["email"]]
        saved = {"id": f"c-{len(self.contacts) + 1}", **self.contacts.get(contact["email"], {}), **contact}
        self.contacts[contact["email"]] = saved
        return saved

    def _list(self) -> Any:
        return [each for each in self.contacts.values() if each.get("kind") == request.args["kind"]]

    def _fields(self) -> Any:
        self.fields_asked += 1
        return ["email", "name"]


@pytest.fixture
def crm() -> FakeCrm:
    """A CRM without contacts."""
    return FakeCrm()


@pytest.fixture
def sink(crm: FakeCrm) -> Iterator[Harness]:
    """The connector, connected."""
    with Harness(create_app({"host_secret": "a secret of the host for tests"}), private_settings=CONNECTED) as harness:
        harness.service("api.crm.example", crm.api)
        harness.service("login.crm.example", crm.login)
        yield harness


@pytest.fixture
def unset(crm: FakeCrm) -> Iterator[Harness]:
    """The connector with a client's credentials, but not connected yet."""
    settings = {"client_id": "hull", "client_secret": "hush"}
    with Harness(create_app({"host_secret": "a secret of the host for tests"}), private_settings=settings) as harness:
        harness.service("api.crm.example", crm.api)
        harness.service("login.crm.example", crm.login)
        yield harness
