"""A platform with something of everything in it, for tests that call every operation of its API."""

from __future__ import annotations

import zlib
from typing import Any

from delivery_kit import FakeConnector, Sender

from hull_sdk.core.clock import VirtualClock
from hull_sdk.platform import Platform
from hull_sdk.platform.api import build_app

HOST = "acme.hullapp.test"
ADMIN_SECRET = "the operators secret"
PERSON = {"email": "ann@acme.test", "external_id": "ann"}


class ApiWorld:
    """One organization with a connector, a website, people, segments, an import, a dead letter and a traced message."""

    def __init__(self, signing_key: Any) -> None:
        self.platform = Platform(clock=VirtualClock(), seed=0, signing_key=signing_key)
        self.platform.test_controls = True
        self.acme = self.platform.create_organization(HOST, admin_secret=ADMIN_SECRET)
        self.app = build_app(self.platform)
        fake = FakeConnector()
        self.connector = self.acme.install(fake)
        website = self.acme.create_platform("Shop", domains=["shop.acme.test"])
        self.send = Sender(self.acme, self.connector)
        segments = [self.acme.create_segment(kind, "Everybody", query={}) for kind in ("user", "account")]
        fake.answer = self._give_up
        self.send.traits(PERSON, {"plan": "pro", "seats": 3, "born_at": "2000-01-01", "crm/tags": ["a", "b"]})
        self.send.account({"domain": "acme.test"}, {"size": 5})
        self.send.track(PERSON, "Ordered")
        message = self.send.message("traits", {"plan": "basic"}, user=PERSON, account={"domain": "acme.test"})
        self.acme.receive([message], self.connector)
        job = self.acme.request_import("users", {"url": "https://files.acme.test/people.json"}, self.connector)
        self.platform.run_until_idle()
        user, account = self.acme.user_report(PERSON), self.acme.account_report({"domain": "acme.test"})
        self.objects = [self.connector.id, user["id"], account["id"], segments[0]["id"], segments[1]["id"], job.id]
        self.objects += [website.id, self.connector.id, user["id"]]
        self.choices = {
            "object_id": self.objects,
            "job_id": [job.id],
            "message_id": [message["message_id"]],
            "name": ["plan", "size", "crm/tags"],
            "key_id": [self.platform.key_id],
        }

    @staticmethod
    def _give_up(notification: dict[str, Any]) -> dict[str, Any]:
        responses = [{"message_id": each["message_id"], "status": "error"} for each in notification["messages"]]
        return {"flow_control": {"type": "next", "size": 10, "in": 10}, "responses": responses}

    def aim(self, case: Any) -> None:
        """Have most requests name what exists, and messages carry a token; which, the request itself decides."""
        number = zlib.crc32(repr((case.method, case.path_parameters, case.body, case.query)).encode())
        for name in case.path_parameters or {}:
            known = self.choices.get(name)
            if known is not None and number % 8:
                case.path_parameters[name] = known[number % len(known)]
        body = case.body
        if isinstance(body, dict) and isinstance(body.get("batch"), list):
            for message in body["batch"]:
                if isinstance(message, dict):
                    message["headers"] = {"Hull-Access-Token": self.send.token(user=PERSON)}

    def headers(self, schemes: list[dict[str, list[str]]], *, number: int = 0) -> dict[str, str]:
        """Return credentials of one of the kinds that an operation takes."""
        known = {
            "connectorId": ("Hull-App-Id", self.connector.id),
            "connectorSecret": ("Hull-Access-Token", self.connector.secret),
            "userToken": ("Hull-Access-Token", self.send.token(user=PERSON)),
            "userId": ("Hull-User-Id", self.acme.user_report(PERSON)["id"]),
            "adminSecret": ("Hull-Access-Token", ADMIN_SECRET),
        }
        return dict(known[name] for name in (schemes[number % len(schemes)] if schemes else ()))

    def close(self) -> None:
        self.platform.close()
