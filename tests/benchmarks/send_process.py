"""Those who send in the benchmark of sending, each in a process of its own.

python tests/benchmarks/send_process.py hull-sdk 20000 PORT
"""

from __future__ import annotations

import base64
import hmac
import http.client
import json
import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from method import Turn, answer_turns, measure, peak_mb

ID, SECRET = "5a7966bb8f3ea30000000001", "a secret of the benchmark"
BATCH = 100


def attributes(number: int) -> dict[str, object]:
    """Return what is written about a user."""
    return {"n": number, "plan": "enterprise", "visits": 17, "city": "Paris"}


def by_hull_sdk(count: int, port: int, workers: int) -> int:
    """Send with the client as it comes."""
    from hull_sdk import Client

    client = Client(id=ID, secret=SECRET, organization=f"127.0.0.1:{port}", workers=workers)
    for number in range(count):
        client.as_user({"external_id": f"user-{number}"}).traits(attributes(number))
    result = client.close(timeout_s=120)
    return result.sent if not result.failed and not result.pending else -1


def by_floor(dumps: Callable[[object], bytes]) -> Callable[[int, int, int], int]:
    """Return the least that does the same: one loop, one connection, one token by hand for each message."""
    head = base64.urlsafe_b64encode(b'{"typ":"JWT","alg":"HS256"}').rstrip(b"=") + b"."
    key = SECRET.encode()

    def token(number: int) -> str:
        claims = {"iat": int(time.time()), "iss": ID, "io.hull.subjectType": "user"}
        claims["io.hull.asUser"] = {"external_id": f"user-{number}"}
        signed = head + base64.urlsafe_b64encode(dumps(claims)).rstrip(b"=")
        digest = hmac.digest(key, signed, "sha256")
        return (signed + b"." + base64.urlsafe_b64encode(digest).rstrip(b"=")).decode()

    def messages(count: int) -> Iterator[dict[str, object]]:
        for number in range(count):
            yield {
                "type": "traits",
                "body": attributes(number),
                "headers": {"Hull-Access-Token": token(number)},
                "timestamp": datetime.now(UTC).isoformat(),
                "message_id": str(uuid.UUID(bytes=os.urandom(16), version=4)),
            }

    def send(count: int, port: int, _workers: int) -> int:
        connection, sent, batch = http.client.HTTPConnection("127.0.0.1", port), 0, []
        headers = {"Content-Type": "application/json", "Hull-App-Id": ID, "Hull-Access-Token": SECRET}
        for message in messages(count):
            batch.append(message)
            if len(batch) == BATCH:
                sent += _post(connection, dumps({"batch": batch}), headers, len(batch))
                batch = []
        connection.close()
        return sent

    return send


def _post(connection: http.client.HTTPConnection, body: bytes, headers: dict[str, str], count: int) -> int:
    connection.request("POST", "/api/v1/firehose", body, headers)
    answer = connection.getresponse()
    answer.read()
    return count if answer.status == 202 else 0


def _stdlib(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _orjson() -> Callable[[object], bytes]:
    import orjson

    return orjson.dumps


def main() -> None:
    """Take turns as the contender that is named."""
    who, count, port, workers = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    if who == "hull-sdk":
        sys.modules["orjson"] = None  # type: ignore[assignment] - as if it were not installed
    contenders = {
        "hull-sdk": lambda: by_hull_sdk,
        "hull-sdk[fast]": lambda: by_hull_sdk,
        "floor": lambda: by_floor(_stdlib),
        "floor with orjson": lambda: by_floor(_orjson()),
    }
    send = contenders[who]()

    def turn() -> Turn:
        return measure(lambda: send(count, port, workers), lambda: {"peak_mb": peak_mb()})

    answer_turns(turn)


if __name__ == "__main__":
    main()
