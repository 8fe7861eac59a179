"""A connector without this package, as somebody might write it in an afternoon: right, until a fault is planted."""

from __future__ import annotations

import hashlib
import json
from typing import Any
from urllib.parse import urlsplit

import jwt
from flask import Flask, Response, g, redirect, request

from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.core.tasks import Lock, ThreadTasks
from hull_sdk.errors import NetworkError
from hull_sdk.wire.signatures import HEADER_KEY_URL, HEADER_SIGNATURE

MAX_BYTES = 20 * 1024 * 1024
NEXT = {"flow_control": {"type": "next", "size": 10, "in": 10}}
RETRY = {"flow_control": {"type": "retry", "in": 1000}}
MANIFEST = {
    "name": "Sloppy",
    "tags": ["smart-notifier"],
    "admin": "/admin",
    "private_settings": [{"name": "api_key", "type": "string", "format": "password"}],
    "subscriptions": [{"url": "/notify"}],
    "schedules": [{"url": "/sync", "type": "interval", "value": "5"}],
    "status": {"url": "/status", "type": "interval", "value": "5"},
}


class RefusedError(Exception):
    """Raised for a request that is not believed."""


class Sloppy:
    """The connector.

    Args:
        faults: Names of the faults that are planted.
        allowed: The one organization that it knows, ``host:port``; may be set later.
    """

    def __init__(self, *faults: str, allowed: str = "") -> None:
        self.faults = faults
        self.allowed = allowed
        self.net = HttpNetwork()
        self.tasks = ThreadTasks()
        self.timeout_s = 600.0 if "no-deadline" in faults else 0.8
        self._lock = Lock()
        self._seen: set[str] = set()
        self.app = Flask("sloppy")
        self.app.config["PROPAGATE_EXCEPTIONS"] = False
        self.app.errorhandler(RefusedError)(lambda err: ({**RETRY, "errors": [{"reason": str(err)}]}, 401))
        self.app.errorhandler(NetworkError)(lambda err: ({**RETRY, "errors": [{"reason": str(err)}]}, 503))
        self.app.errorhandler(500)(self._broken)
        self.app.get("/manifest.json")(lambda: MANIFEST)
        self.app.post("/notify")(self.notify)
        self.app.route("/status", methods=["GET", "POST"])(self.status)
        self.app.route("/sync", methods=["GET", "POST"])(self.sync)
        self.app.get("/admin")(self.admin)

    def close(self) -> None:
        """Close idle connections."""
        self.net.close()

    def notify(self) -> Any:
        """Take a notification."""
        body = self._body()
        if body is None:
            return "too large", 413
        self._check_signature(body)
        notification = json.loads(body)
        configuration = notification["configuration"]
        self._check_organization(configuration["organization"])
        g.configuration = configuration
        if not self._is_first(notification["notification_id"]):
            return NEXT
        if notification["channel"] != "account:update":
            return NEXT
        if "next-before-flush" in self.faults:
            self.tasks.spawn(self._handle, notification, name="sloppy")
        else:
            self._handle(notification)
        return NEXT

    def status(self) -> Any:
        """Tell whether the key is there."""
        if "status-always-ok" in self.faults:
            return {"status": "ok"}
        ship = self._ship()
        return {"status": "ok" if len(ship["private_settings"].get("api_key") or "") == 3 else "error"}

    def sync(self) -> Any:
        """Do something on a schedule."""
        return {"name": self._ship()["name"]}

    def admin(self) -> Any:
        """Lead on after the settings were saved."""
        target = request.args.get("returnTo", "/")
        if "open-redirect" not in self.faults and (not target.startswith("/") or target[1:2] in ("/", "\\")):
            target = "/"
        return redirect(target)

    def _body(self) -> bytes | None:
        if "no-size-limit" in self.faults:
            return request.get_data()
        if (request.content_length or 0) > MAX_BYTES:
            return None
        body = request.stream.read(MAX_BYTES + 1)
        return body if len(body) <= MAX_BYTES else None

    def _check_signature(self, body: bytes) -> None:
        claims = self._claims(request.headers.get(HEADER_SIGNATURE, ""), request.headers.get(HEADER_KEY_URL, ""))
        if "unbound-body" in self.faults:
            return
        if claims.get("body_sha256") != hashlib.sha256(body).hexdigest():
            raise RefusedError("the body is not the one that was signed")
        if claims.get("jti") != json.loads(body)["notification_id"]:
            raise RefusedError("the signature is another notification's")

    def _claims(self, signature: str, key_url: str) -> dict[str, Any]:
        if "foreign-key-url" not in self.faults and urlsplit(key_url).netloc != self.allowed:
            raise RefusedError("the key is not where it should be")
        key = self._ask("GET", key_url.replace("\\", "/"))
        late = "replay" not in self.faults
        options = {"verify_exp": late, "verify_iat": late, "require": ["exp", "iat"]}
        try:
            if "alg-none" in self.faults and jwt.get_unverified_header(signature)["alg"] == "none":
                return jwt.decode(signature, options={"verify_signature": False})
            return jwt.decode(signature, key, algorithms=["RS256"], options=options)
        except (jwt.PyJWTError, ValueError) as err:
            raise RefusedError("the signature does not verify") from err

    def _check_organization(self, organization: Any) -> None:
        if "organization-ssrf" not in self.faults and organization != self.allowed:
            raise RefusedError("the organization is not allowed")

    def _is_first(self, notification_id: str) -> bool:
        with self._lock:
            first = notification_id not in self._seen
            self._seen.add(notification_id)
        return first or "double-run" in self.faults

    def _handle(self, notification: dict[str, Any]) -> None:
        configuration = notification["configuration"]
        if "next-before-flush" in self.faults:
            self.tasks.sleep(0.1)
        accounts = [message["account"]["domain"] for message in notification["messages"]]
        batch = [{"type": "traits", "body": {"sloppy": True}, "headers": {}, "about": each} for each in accounts]
        headers = {"Hull-App-Id": configuration["id"], "Content-Type": "application/json"}
        url = f"http://{configuration['organization']}/api/v1/firehose"
        try:
            self._ask("POST", url, headers, json.dumps({"batch": batch}).encode())
        except NetworkError:
            with self._lock:
                self._seen.discard(notification["notification_id"])
            raise

    def _ship(self) -> Any:
        found = {name: request.args.get(name, "") for name in ("ship", "organization", "secret")}
        if not all(found.values()):
            raise RefusedError("there are no credentials")
        self._check_organization(found["organization"])
        headers = {"Hull-App-Id": found["ship"], "Hull-Access-Token": found["secret"]}
        ship = json.loads(self._ask("GET", f"http://{found['organization']}/api/v1/{found['ship']}", headers))
        if "private_settings" not in ship:
            raise RefusedError("the organization knows no such connector")
        return ship

    def _ask(self, method: str, url: str, headers: Any = None, body: bytes | None = None) -> bytes:
        sent = Request(method=method, url=url, headers=headers or {}, body=body, timeout_s=self.timeout_s)
        return self.net.send(sent).body

    def _broken(self, _error: Exception) -> Response:
        told = str(g.get("configuration")) if "secret-in-error-page" in self.faults else "something went wrong"
        return Response(told, 500)
