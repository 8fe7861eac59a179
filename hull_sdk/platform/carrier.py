"""Carrying a request to a connector: signing, faults, the network, and reading what comes back.

Rules: section "Signatures" of ``docs/protocol.md``. Nothing here holds a lock while a request is under way, so a
connector may call the platform from inside its handler.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Protocol

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

from hull_sdk.core import json
from hull_sdk.core.forks import lazy
from hull_sdk.core.logs import emit
from hull_sdk.core.net import Request, Response, WsgiNetwork, call_wsgi
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock
from hull_sdk.errors import NetworkError
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.faults import Fault, Faults
from hull_sdk.platform.legacy import push_request
from hull_sdk.wire.signatures import sign_notification, signature_headers
from hull_sdk.wire.sns import sign_message

__all__ = ["ANSWER_BYTES", "Carrier", "Reply", "Signer"]

_log = logging.getLogger(__name__)

#: Longest wait for a connector, in seconds; its own deadline is shorter, so that it can still answer.
TIMEOUT_S: Final = 30.0
#: While requests under way are waited for, how often to look, in seconds.
_LOOK_S: Final = 0.02
#: Largest answer that is read.
ANSWER_BYTES: Final = 4 * 1024 * 1024


class Signer(Protocol):
    """Whoever holds the platform's signing key."""

    @property
    def signing_key(self) -> RSAPrivateKey:
        """The key."""
        ...

    def key_url(self, organization_host: str) -> str:
        """Return where an organization's connectors find the public half."""
        ...

    def certificate_url(self, organization_host: str) -> str:
        """Return where they find its certificate."""
        ...


@dataclass(frozen=True)
class Reply:
    """What came back from a connector.

    Args:
        status: HTTP status; ``None`` when nothing came back.
        data: The body as it came.
        error: Why nothing came back, in words.
        headers: Header names in lower case.
    """

    status: int | None
    data: bytes = b""
    error: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @lazy
    def body(self) -> Any:
        """The decoded JSON; ``None`` when there was none. Of schedules nobody asks for it."""
        try:
            return json.loads(self.data)
        except ValueError:
            return None


class Carrier:
    """Sends requests to connectors.

    Args:
        runtime: Clock, tasks and network.
        signer: Whoever holds the signing key.
        faults: What to break on the way.
    """

    def __init__(self, runtime: Runtime, signer: Signer, faults: Faults) -> None:
        self._runtime = runtime
        self._signer = signer
        self._faults = faults
        self._lock = Lock()
        self._paused = False
        self._turns = 0

    @contextmanager
    def turn(self) -> Iterator[bool]:
        """Take a turn at preparing a request, sending it, and noting its answer.

        Yields:
            ``False`` when nothing more may be sent.
        """
        with self._lock:
            admitted = not self._paused
            self._turns += admitted
        try:
            yield admitted
        finally:
            with self._lock:
                self._turns -= admitted

    def pause(self, timeout_s: float) -> bool:
        """Let nobody begin a turn any more, and wait for those that have begun.

        Args:
            timeout_s: Longest wait.

        Returns:
            ``True`` when all of them are over.
        """
        with self._lock:
            self._paused = True
        until = self._runtime.clock.monotonic() + timeout_s
        while self._turns and self._runtime.clock.monotonic() < until:
            self._runtime.tasks.sleep(_LOOK_S)
        return not self._turns

    def notify(self, connector: Connector, url: str, notification_id: str, body: bytes, host: str) -> Reply:
        """Send one try of a notification, signed afresh.

        Args:
            connector: Whom to.
            url: Absolute URL on the connector's host.
            notification_id: What the signature is bound to.
            body: The bytes.
            host: The organization's host, for the key's address.

        Returns:
            What came back; never raises for what happens on the way.
        """
        return self._deliver(connector, self._signed(url, notification_id, body, host))

    def push(self, connector: Connector, url: str, envelope: Mapping[str, Any], host: str) -> Reply:
        """Send one try of a legacy notification, signed.

        Args:
            connector: Whom to.
            url: Absolute URL on the connector's host, with its credentials.
            envelope: What it says, still without signature.
            host: The organization's host, for the certificate's address.

        Returns:
            What came back; never raises for what happens on the way.
        """
        named = {**envelope, "SigningCertURL": self._signer.certificate_url(host)}
        signed = sign_message(named, self._signer.signing_key)
        return self._deliver(connector, push_request(url, signed, timeout_s=TIMEOUT_S, max_bytes=ANSWER_BYTES))

    def _deliver(self, connector: Connector, request: Request) -> Reply:
        fault = self._faults.take("delivery")
        if fault is None:
            return self.send(connector, request)
        return self._faults.strike(fault, partial(self.send, connector, request), refuse=_refused, cut=_cut)

    def send(self, connector: Connector, request: Request) -> Reply:
        """Send a request to a connector and return what came back."""
        try:
            response = self._respond(connector, request)
        except NetworkError as err:
            return Reply(None, error=err.message)
        except Exception as err:  # noqa: BLE001 - an application in this process may raise anything; it is a lost answer
            emit(_log, logging.ERROR, "delivery.crashed", {"connector_id": connector.id}, exc_info=err)
            return Reply(None, error=f"the connector raised {type(err).__name__}: {err}")
        return Reply(response.status, response.body, headers=response.headers)

    def _respond(self, connector: Connector, request: Request) -> Response:
        # An application that was handed over in person is called in this thread, whatever the network is.
        if connector.app is None or isinstance(self._runtime.net, WsgiNetwork):
            return self._runtime.net.send(request)
        return call_wsgi(connector.app, request)

    def _signed(self, url: str, notification_id: str, body: bytes, host: str) -> Request:
        now = self._runtime.clock.time()
        signature = sign_notification(self._signer.signing_key, notification_id, body, now)
        headers = signature_headers(signature, self._signer.key_url(host))
        return Request(
            method="POST",
            url=url,
            headers={**headers, "Content-Type": "application/json"},
            body=body,
            timeout_s=TIMEOUT_S,
            max_bytes=ANSWER_BYTES,
        )


def _refused(fault: Fault) -> Reply:
    return Reply(fault.status, error=f"answered {fault.status} (fault)", headers=fault.headers)


def _cut() -> Reply:
    return Reply(None, error="the connection was closed without an answer (fault)")
