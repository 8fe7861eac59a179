"""The messages and the organization that the benchmarks of the platform share: made up, the same in every run."""

from __future__ import annotations

import random
import time
from collections.abc import Iterable
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.net import Request, call_wsgi
from hull_sdk.core.runtime import Runtime
from hull_sdk.platform import Platform
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.ingestion import apply_message
from hull_sdk.platform.messages import parse_message
from hull_sdk.platform.organization import Organization
from hull_sdk.wire.firehose import HEADER_ACCESS_TOKEN, HEADER_APP_ID
from hull_sdk.wire.tokens import build_claims, encode

__all__ = ["BATCH", "SECRET", "Shop", "credentials", "message", "traits"]

#: Messages in one request.
BATCH: Final = 500

HOST: Final = "acme.hullapp.test"
SECRET: Final = "the secret of the benchmark's connector"
_PLANS: Final = ("free", "starter", "pro", "enterprise")


def traits(number: int, version: int) -> dict[str, Any]:
    """Return six attributes of a user: texts, a number written as text, a date, a list, an operation.

    Args:
        number: Of the user.
        version: Four of the values change with it.
    """
    return {
        "first_name": f"Ann {number}",
        "plan": _PLANS[(number + version) % 4],
        "seats": str(number % 50),
        "last_order_at": 1_700_000_000 + 60 * version,
        "interests": ["sailing", f"topic {version % 7}"],
        "visits": {"operation": "inc", "value": 1},
    }


def credentials(connector_id: str, secret: str) -> dict[str, str]:
    """Return the headers of a connector's requests with JSON."""
    return {HEADER_APP_ID: connector_id, HEADER_ACCESS_TOKEN: secret, "Content-Type": "application/json"}


def message(connector_id: str, secret: str, number: int, user: dict[str, str], body: dict[str, Any]) -> dict[str, Any]:
    """Return a ``traits`` message with a token of its own.

    Args:
        connector_id: Who sends it.
        secret: The sender's.
        number: What its id is made of.
        user: The claims, for example ``{"external_id": "1"}``.
        body: The attributes.
    """
    claims = build_claims(issuer=connector_id, issued_at=time.time(), subject_type="user", user=user)
    return {
        "type": "traits",
        "body": body,
        "headers": {HEADER_ACCESS_TOKEN: encode(claims, secret)},
        "message_id": f"{number:032x}",
    }


class Shop:
    """An organization with segments and a connector that writes.

    Args:
        segments: How many segments there are.
        looking: How many of them ask for ``visits``, which every message changes; all when ``None``.
        seed: What its random choices begin with.
    """

    def __init__(self, *, segments: int = 10, looking: int | None = None, seed: int = 7) -> None:
        self.platform = Platform(runtime=Runtime.system())
        self.organization: Organization = self.platform.create_organization(HOST)
        self.writer: Connector = self.organization.install(None, name="Writer", secret=SECRET)
        self._random = random.Random(seed)
        self._version = 0
        self._message = 0
        concerned = segments if looking is None else looking
        for number in range(segments):
            self.organization.create_segment("user", f"Segment {number}", _predicate(number, asks=number < concerned))
        self.platform.load_app()

    def fill(self, users: int) -> None:
        """Create users 0 up to a number, many in one unit of work, past tokens, JSON and logs."""
        organization = self.organization
        for start in range(0, users, BATCH):
            with organization.lock:
                unit = organization._unit(time.time(), self.writer.id)
                for number in range(start, min(start + BATCH, users)):
                    body = {**traits(number, 0), "score": number % 100, "country": "FR"}
                    claims = {"io.hull.asUser": _claims(number)}
                    apply_message(unit, parse_message({"type": "traits", "body": body}, claims, unit.settings))
                organization._commit(organization._settle(unit))

    def bodies(self, numbers: Iterable[int]) -> list[bytes]:
        """Return requests of :data:`BATCH` messages, one message for each of these users."""
        self._version += 1
        messages = [self._one(number) for number in numbers]
        return [json.dumps({"batch": messages[start : start + BATCH]}) for start in range(0, len(messages), BATCH)]

    def some(self, count: int, users: int) -> list[int]:
        """Return the numbers of users who are drawn by chance."""
        return self._random.sample(range(users), count)

    def post(self, bodies: list[bytes]) -> int:
        """Send requests through the platform's own application, in this thread; return how many were accepted."""
        app, headers = self.platform.wsgi_app, credentials(self.writer.id, SECRET)
        accepted = 0
        for body in bodies:
            request = Request(method="POST", url=f"https://{HOST}/api/v1/firehose", headers=headers, body=body)
            accepted += int(json.loads(call_wsgi(app, request).body)["accepted"])
        return accepted

    @property
    def applied(self) -> int:
        """How many messages were applied since the beginning."""
        return self.organization.record_counts["applied"]

    def _one(self, number: int) -> dict[str, Any]:
        self._message += 1
        made = message(self.writer.id, SECRET, self._message, _claims(number), traits(number, self._version))
        return {**made, "timestamp": "2024-01-05T10:00:01.000Z"}


def _claims(number: int) -> dict[str, str]:
    return {"external_id": f"user-{number}", "email": f"ann.{number}@acme-{number % 1000}.example"}


def _predicate(number: int, *, asks: bool) -> dict[str, Any]:
    """Return a segment's definition: who has many visits, which every message counts, or a score that none changes."""
    field, bound = ("traits_visits", 3 * number + 3) if asks else ("traits_score", number % 100)
    return {"property": {"key": field}, "operator": "at_least", "options": {"value": [bound]}}
