"""How many ``traits`` messages one process of the platform takes in, against tokens and JSON alone.

Every message has a token and a message id of its own and six attributes: texts, a number and a date to be cast, a list,
an operation. Five of ten segments look at what it changes. The platform runs in memory, requests reach it as WSGI
calls: what a socket and waitress cost is the matter of ``round_trip.py``. The floor decodes the same requests, checks
each token's signature and decodes its claims.

    python tests/benchmarks/platform_ingest.py [--messages 5000] [--users 10000]
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import logging
from collections.abc import Callable
from typing import Final

from method import Contender, Contest, Target, Turn, arguments, finish, measure
from traffic import SECRET, Shop

from hull_sdk.core.logs import JsonFormatter
from hull_sdk.wire.firehose import HEADER_ACCESS_TOKEN

FLOOR: Final = "floor: token and JSON"
KNOWN: Final = "users who are known"
NEW: Final = "users who are new"
LOGGED: Final = "known, a log line each"


def floor(bodies: list[bytes]) -> int:
    """Do what cannot be left out: decode, check each signature, decode its claims."""
    key, count = SECRET.encode(), 0
    for body in bodies:
        for message in json.loads(body)["batch"]:
            signed, _, signature = message["headers"][HEADER_ACCESS_TOKEN].rpartition(".")
            wanted = base64.urlsafe_b64encode(hmac.digest(key, signed.encode(), hashlib.sha256)).rstrip(b"=")
            claims = json.loads(base64.urlsafe_b64decode(signed.partition(".")[2] + "=="))
            count += hmac.compare_digest(wanted, signature.encode()) and "iss" in claims
    return count


class Contenders:
    """Who takes part, on one organization."""

    def __init__(self, messages: int, users: int) -> None:
        self.messages = messages
        self.users = users
        self.shop = Shop(segments=10, looking=5)
        self.shop.fill(users)
        self._next = users

    def known(self) -> list[bytes]:
        """Return requests about users of whom there are messages already."""
        return self.shop.bodies(self.shop.some(self.messages, self.users))

    def new(self) -> list[bytes]:
        """Return requests about users who do not exist yet."""
        first, self._next = self._next, self._next + self.messages
        return self.shop.bodies(range(first, self._next))

    def turn(self, bodies: Callable[[], list[bytes]]) -> Turn:
        """Take requests in, and see that every message was applied."""
        made, before = bodies(), self.shop.applied
        turn = measure(lambda: self.shop.post(made))
        if self.shop.applied - before != turn.count:
            raise SystemExit(f"{self.shop.applied - before} of {turn.count} messages were applied; no figures")
        return turn

    def logged(self) -> Turn:
        """Take requests in while each message is logged as ``hull platform`` does by default, to nowhere."""
        handler, logger = logging.StreamHandler(Nowhere()), logging.getLogger("hull_sdk")
        handler.setFormatter(JsonFormatter())
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        try:
            return self.turn(self.known)
        finally:
            logger.removeHandler(handler)
            logger.setLevel(logging.NOTSET)

    def floor(self) -> Turn:
        """Have the floor take the same requests."""
        made = self.known()
        return measure(lambda: floor(made))


class Nowhere:
    """A stream that forgets what is written."""

    def write(self, _text: str) -> None:
        """Forget it."""

    def flush(self) -> None:
        """Do nothing."""


def main() -> None:
    """Measure and print."""
    parser = arguments(__doc__)
    parser.add_argument("--messages", type=int, default=5_000, help="messages of a turn")
    parser.add_argument("--users", type=int, default=10_000, help="users who are known")
    options = parser.parse_args()
    all_of_them = Contenders(options.messages, options.users)
    turns: dict[str, Callable[[], Turn]] = {
        FLOOR: all_of_them.floor,
        KNOWN: lambda: all_of_them.turn(all_of_them.known),
        NEW: lambda: all_of_them.turn(all_of_them.new),
        LOGGED: all_of_them.logged,
    }
    contenders = [Contender(name, turn, options.messages) for name, turn in turns.items()]
    result = Contest("platform ingest", "message", contenders, ratio_of="cpu_s").run(options.rounds)
    finish(
        Target(
            what=f"messages in a second of processor time, {name}",
            value=1e6 / result.median(name, "cpu_us"),
            least=8_000,
        )
        for name in (KNOWN, NEW)
    )


if __name__ == "__main__":
    main()
