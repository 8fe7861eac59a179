"""The platform's side of a connector in processes of its own: makes notifications, and delivers them as the test says."""

from __future__ import annotations

import json
import time
from pathlib import Path

from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.wire.signatures import sign_notification, signature_headers

#: Seconds that an answer may take.
PATIENCE_S = 20.0

Notification = tuple[str, bytes]


class PlatformSide:
    """Delivers notifications, and keeps what the connector sends back.

    Args:
        platform: A platform that is served; takes what the connector sends.
        ledger: A file into which the connector writes what it does.
    """

    def __init__(self, platform, ledger: Path) -> None:
        self.platform = platform
        self.organization = platform.create_organization("acme.hullapp.test")
        self.connector = self.organization.install("http://127.0.0.1:9", manifest={"name": "Ledger"})
        self.network = HttpNetwork()
        self._ledger = ledger
        self._ledger.touch()

    def environ(self, valkey) -> dict[str, str]:
        """Return the variables for the connector's processes."""
        return {
            "HULL_REDIS_URL": valkey.url,
            "HULL_ALLOWED_ORGANIZATIONS": "127.0.0.1",
            "LEDGER": str(self._ledger),
        }

    def notification(self, number: int, *, part: int = 0, **attributes) -> Notification:
        """Return the id and the bytes of a notification about one user, or of one that delivers its message anew."""
        notification_id = f"n-{number}-{part}" if part else f"n-{number}"
        message = {
            "message_id": f"m-{number}",
            "user": {"id": f"{number:024x}", **attributes},
            "account": {},
            "segments": [],
            "events": [],
            "changes": {},
        }
        body = {
            "notification_id": notification_id,
            "configuration": {
                "id": self.connector.id,
                "organization": self.platform.address,
                "secret": self.connector.secret,
            },
            "connector": {"id": self.connector.id, "private_settings": {}, "settings": {}},
            "channel": "user:update",
            "messages": [message],
            "users_segments": [],
            "accounts_segments": [],
        }
        return notification_id, json.dumps(body).encode()

    def deliver(self, url: str, notification: Notification) -> tuple[int, str]:
        """Deliver a notification once; return the status and the type of the flow control."""
        status, body = self.answer(url, notification)
        return status, body["flow_control"]["type"]

    def answer(self, url: str, notification: Notification) -> tuple[int, dict]:
        """Deliver a notification once; return the status and the decoded answer."""
        notification_id, body = notification
        signature = sign_notification(self.platform.signing_key, notification_id, body, time.time())
        headers = signature_headers(signature, self.platform.key_url(self.platform.address))
        request = Request(
            method="POST",
            url=f"{url}/smart-notifier",
            headers={"Content-Type": "application/json", **headers},
            body=body,
            timeout_s=PATIENCE_S,
        )
        response = self.network.send(request)
        return response.status, json.loads(response.body)

    def ledger(self) -> list[list[str]]:
        """Return what was written down: ``[what, id, pid]``, in order."""
        return [line.split() for line in self._ledger.read_text(encoding="utf-8").splitlines()]

    def events(self) -> list[str]:
        """Return of which messages the platform has an event, in order."""
        events = self.organization.state()["events"]
        return sorted(event["properties"]["of"] for event in events if event["event"] == "Handled")

    def renew_connections(self) -> None:
        """Close all connections, so that the next delivery opens one."""
        self.network.close()
        self.network = HttpNetwork()

    def close(self) -> None:
        """Close the connections."""
        self.network.close()


def overlaps(ledger: list[list[str]], killed: tuple[int, ...] = ()) -> list[str]:
    """Return the ids of work that was begun while a living process was still at it."""
    running: dict[str, str] = {}
    found = []
    for what, work_id, pid in ledger:
        if what == "begin":
            if work_id in running and int(running[work_id]) not in killed:
                found.append(work_id)
            running[work_id] = pid
        elif what == "end":
            running.pop(work_id, None)
    return found
