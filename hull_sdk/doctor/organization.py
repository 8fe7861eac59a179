"""The organization that is played: a whole platform in memory, which writes down what it is asked.

Its answers can be held back or be errors, as those of an organization on a bad day are.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Literal

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from hull_sdk.core import json
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Condition
from hull_sdk.platform import Connector, Platform
from hull_sdk.platform.server import RunningServer, serve_app
from hull_sdk.wire.firehose import HEADER_APP_ID
from hull_sdk.wire.signatures import generate_key, public_pem

__all__ = ["Asked", "Organization"]

Kind = Literal["firehose", "api", "key"]

#: Beginning of the paths of keys.
_KEYS: Final = "/api/v1/notification_keys/doctor-"
#: Longest time for which an answer is held back, in seconds.
_MAX_HOLD_S: Final = 120.0
#: What connectors write that is no effect of a handler.
_NO_EFFECTS: Final = ("/logs", "/status")
_MAX_BODY_BYTES: Final = 8 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Asked:
    """A request to the organization.

    Args:
        kind: ``"firehose"``, ``"api"`` or ``"key"``.
        method: For example ``"GET"``.
        path: Without query.
        connector_id: Who asked; ``""`` when the request does not say.
        messages: How many messages of the firehose, or other writes, it carries.
    """

    kind: Kind
    method: str
    path: str
    connector_id: str
    messages: int


class Organization:
    """The organization; :meth:`start` has it answer.

    Args:
        runtime: Real time, threads and sockets.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._platform = Platform(runtime=runtime)
        self._changed = Condition()
        self._asked: list[Asked] = []
        self._held: frozenset[Kind] = frozenset()
        self._refusal: int | None = None
        self._server: RunningServer | None = None
        self.key: RSAPrivateKey = generate_key()
        self._key_id = runtime.ids.object_id()
        #: ``host:port`` as connectors dial it.
        self.host = ""

    def start(self, host: str, port: int) -> None:
        """Begin to answer.

        Args:
            host: Address to listen on, under which the connector reaches it.
            port: Port; 0 for a free one.

        Raises:
            InvalidArgumentError: The address cannot be listened on.
        """
        self._platform.load_app()
        self._server = serve_app(self._answer, self._runtime.tasks, host, port)
        self.host = self._server.address
        self._platform.address = self.host
        self._platform.create_organization(self.host)

    def close(self) -> None:
        """Stop answering; what is held back is let go."""
        self._hold(frozenset())
        if self._server is not None:
            self._server.close()
        self._platform.close()

    def install(self, url: str, private_settings: Mapping[str, Any]) -> Connector:
        """Create credentials for the connector; the platform does not call it by itself.

        Args:
            url: Its address.
            private_settings: As its owner would have filled them in.
        """
        organization = self._platform.organizations[self.host]
        return organization.install(url, manifest={}, private_settings=dict(private_settings), name="Hull doctor")

    def key_url(self, name: str = "1") -> str:
        """Return where the public key is; each name is another address of the same key.

        Connectors keep keys by their address, also beyond an examination, so that no address comes twice.
        """
        return f"http://{self.host}{_KEYS}{self._key_id}-{name}"

    @property
    def asked(self) -> list[Asked]:
        """What was asked so far."""
        with self._changed:
            return list(self._asked)

    def asked_by(self, connector: Connector) -> list[Asked]:
        """Return what one connector asked."""
        return [each for each in self.asked if each.connector_id == connector.id]

    def effects(self, connector: Connector) -> int:
        """Return how many messages and other writes of a connector have come."""
        return sum(each.messages for each in self.asked_by(connector))

    def wait_for(self, condition: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something is so, which is looked at after each request.

        Args:
            condition: Looks at the organization.
            timeout_s: Longest wait in seconds.

        Returns:
            Whether it was so in time.
        """
        until = self._runtime.clock.monotonic() + timeout_s
        while not condition():
            left_s = until - self._runtime.clock.monotonic()
            if left_s <= 0:
                return False
            with self._changed:
                self._changed.wait(min(left_s, 0.1))
        return True

    @contextmanager
    def holding(self, *kinds: Kind) -> Iterator[None]:
        """Hold the answers to some kinds of requests back."""
        self._hold(frozenset(kinds))
        try:
            yield
        finally:
            self._hold(frozenset())

    @contextmanager
    def refusing(self, status: int) -> Iterator[None]:
        """Answer all requests but those for keys with an error."""
        self._refusal = status
        try:
            yield
        finally:
            self._refusal = None

    def _hold(self, kinds: frozenset[Kind]) -> None:
        with self._changed:
            self._held = kinds
            self._changed.notify_all()

    def _answer(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        body = environ["wsgi.input"].read(_MAX_BODY_BYTES)
        environ["wsgi.input"] = io.BytesIO(body)
        asked = _read(environ, body)
        self._note(asked)
        self._wait(asked.kind)
        if asked.kind == "key":
            start_response("200 OK", [("Content-Type", "text/plain")])
            return [public_pem(self.key).encode()]
        if self._refusal is not None:
            start_response(f"{self._refusal} No", [("Content-Type", "application/json")])
            return [json.dumps({"status": self._refusal, "message": "the organization refuses this"})]
        return self._platform.wsgi_app(environ, start_response)

    def _note(self, asked: Asked) -> None:
        with self._changed:
            self._asked.append(asked)
            self._changed.notify_all()

    def _wait(self, kind: Kind) -> None:
        until = self._runtime.clock.monotonic() + _MAX_HOLD_S
        with self._changed:
            while kind in self._held and self._runtime.clock.monotonic() < until:
                self._changed.wait(1.0)


def _read(environ: Mapping[str, Any], body: bytes) -> Asked:
    method, path = environ["REQUEST_METHOD"], environ["PATH_INFO"]
    connector_id = environ.get("HTTP_HULL_APP_ID", "")
    if path.startswith(_KEYS):
        return Asked("key", method, path, "", 0)
    batch = _batch(body) if method == "POST" else None
    if batch:
        return Asked("firehose", method, path, connector_id or _sender(batch[0]), len(batch))
    writes = method != "GET" and not path.endswith(_NO_EFFECTS)
    return Asked("api", method, path, connector_id, int(writes))


def _sender(message: Any) -> str:
    """Return who sent a message of the firehose; some clients say so with each message only."""
    headers = message.get("headers") if isinstance(message, Mapping) else None
    found = headers.get(HEADER_APP_ID) if isinstance(headers, Mapping) else None
    return found if isinstance(found, str) else ""


def _batch(body: bytes) -> list[Any] | None:
    try:
        value = json.loads(body)
    except ValueError:
        return None
    batch = value.get("batch") if isinstance(value, Mapping) else None
    return batch if isinstance(batch, list) else None
