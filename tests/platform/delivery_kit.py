"""A connector made of plain WSGI and a sender of messages, for tests of delivery and API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hull_sdk.core import json
from hull_sdk.core.clock import iso_millis
from hull_sdk.wire import tokens

MANIFEST = {"name": "Fake", "tags": ["smart-notifier"], "subscriptions": [{"url": "/notify"}]}
NEXT = {"flow_control": {"type": "next", "size": 10, "in": 10}}


def decode(body: bytes) -> Any:
    """Return decoded JSON, or text."""
    try:
        return json.loads(body)
    except ValueError:
        return body.decode()


class FakeConnector:
    """Answers notifications with whatever ``answer`` returns and keeps each request."""

    def __init__(self, manifest: dict[str, Any] | None = None) -> None:
        self.manifest: Any = MANIFEST if manifest is None else manifest
        self.manifest_status = 200
        self.answer: Callable[[dict[str, Any]], Any] = lambda _notification: NEXT
        self.bodies: list[bytes] = []
        self.headers: list[dict[str, str]] = []
        self.calls: list[tuple[str, str, str]] = []

    def __call__(self, environ, start_response):
        method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
        self.calls.append((method, path, environ["QUERY_STRING"]))
        if path == "/manifest.json":
            return self._reply(start_response, self.manifest_status, self.manifest)
        body = environ["wsgi.input"].read()
        if path != "/notify":
            return self._reply(start_response, 200, "ok")
        self.bodies.append(body)
        self.headers.append({k: v for k, v in environ.items() if k.startswith("HTTP_X_HULL")})
        answer = self.answer(json.loads(body))
        status, value = answer if isinstance(answer, tuple) else (200, answer)
        return self._reply(start_response, status, value)

    def _reply(self, start_response, status, value):
        data = value if isinstance(value, bytes) else json.dumps(value)
        start_response(f"{status} X", [("Content-Type", "application/json"), ("Content-Length", str(len(data)))])
        return [data]

    @property
    def notifications(self) -> list[dict[str, Any]]:
        return [json.loads(body) for body in self.bodies]

    def messages(self, channel="user:update"):
        return [m for n in self.notifications if n["channel"] == channel for m in n["messages"]]

    def paths(self, path):
        return [call for call in self.calls if call[1] == path]


class Sender:
    """Sends firehose messages in a connector's name, straight into the organization."""

    def __init__(self, organization, connector) -> None:
        self.organization = organization
        self.connector = connector

    def token(self, *, user=None, account=None, subject="user", **options):
        claims = tokens.build_claims(
            issuer=self.connector.id,
            issued_at=self.organization.runtime.clock.time(),
            subject_type=subject,
            user=user,
            account=account,
            **options,
        )
        return tokens.encode(claims, self.connector.secret)

    def message(self, kind, body, **claims):
        return {
            "type": kind,
            "message_id": self.organization.runtime.ids.uuid(),
            "body": body,
            "headers": {"Hull-Access-Token": self.token(**claims)},
            "timestamp": iso_millis(self.organization.runtime.clock.time()),
        }

    def traits(self, user, body, **claims):
        self._send(self.message("traits", body, user=user, **claims))

    def account(self, account, body, **claims):
        self._send(self.message("traits", body, account=account, subject="account", **claims))

    def track(self, user, event, **claims):
        self._send(self.message("track", {"event": event, "properties": {}}, user=user, **claims))

    def people(self, count, start=0):
        for number in range(start, start + count):
            self.traits({"external_id": str(number)}, {"n": number})

    def _send(self, message):
        accepted, rejections = self.organization.receive([message], self.connector)
        assert (accepted, rejections) == (1, [])
