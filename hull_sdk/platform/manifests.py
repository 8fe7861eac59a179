"""Reading connectors' manifests: at once where that works, and again and again where the connector is not up yet.

Rules: section "Manifest" of ``docs/protocol.md``.
"""

from __future__ import annotations

import functools
import itertools
import logging
from collections.abc import Callable, Iterator
from typing import Any, Final

from hull_sdk.core.logs import emit
from hull_sdk.core.net import Request
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import RLock, Worker
from hull_sdk.errors import InvalidArgumentError, NetworkError
from hull_sdk.platform.carrier import Carrier
from hull_sdk.platform.connectors import Connector, check_manifest

__all__ = ["Manifests"]

_log = logging.getLogger(__name__)

#: How often a manifest that could not be read yet is tried again.
_RETRY: Final = RetryPolicy(base_s=0.25, cap_s=5.0)
_TIMEOUT_S: Final = 10.0
_MAX_BYTES: Final = 2 * 1024 * 1024


class Manifests:
    """Reads the manifests of one organization's connectors.

    Args:
        runtime: Tasks and randomness.
        carrier: Sends the requests.
        lock: The organization's lock.
        is_installed: Tells whether a connector id is still there.
        follow: Called with a connector whose manifest was read late.
    """

    def __init__(
        self,
        runtime: Runtime,
        carrier: Carrier,
        lock: RLock,
        *,
        is_installed: Callable[[str], bool],
        follow: Callable[[Connector], None],
    ) -> None:
        self._runtime = runtime
        self._carrier = carrier
        self._lock = lock
        self._is_installed = is_installed
        self._follow = follow
        self._workers: dict[str, Worker] = {}

    def fetch(self, connector: Connector) -> Any:
        """Return the decoded manifest of a connector, unchecked.

        Raises:
            NetworkError: It did not answer 200 with JSON.
        """
        url = connector.url_of("/manifest.json")
        request = Request(method="GET", url=url, timeout_s=_TIMEOUT_S, max_bytes=_MAX_BYTES)
        reply = self._carrier.send(connector, request)
        if reply.status != 200 or reply.body is None:
            found = reply.error if reply.status is None else f"status {reply.status}"
            raise NetworkError(f"GET {url} brought no manifest: {found}")
        return reply.body

    def take(self, connector: Connector, value: Any, *, keep_name: bool) -> None:
        """Give a connector its manifest.

        Args:
            connector: Whose.
            value: The decoded manifest.
            keep_name: Whether the connector keeps its name instead of taking the manifest's.

        Raises:
            InvalidArgumentError: The manifest breaks a rule.
        """
        manifest = check_manifest(value, connector.url)
        with self._lock:
            connector.manifest = manifest
            if not keep_name and isinstance(manifest.get("name"), str) and manifest["name"]:
                connector.name = manifest["name"]

    def try_once(self, connector: Connector, *, keep_name: bool) -> None:
        """Read a manifest if the connector answers.

        Raises:
            InvalidArgumentError: The manifest breaks a rule.
        """
        try:
            self.take(connector, self.fetch(connector), keep_name=keep_name)
        except NetworkError as err:
            emit(_log, logging.DEBUG, "manifest.unreachable", {"connector_id": connector.id, "reason": err.message})

    def await_answer(self, connector: Connector, *, keep_name: bool) -> None:
        """Read a manifest in the background, again and again until the connector answers with a valid one."""
        emit(_log, logging.INFO, "manifest.awaited", {"connector_id": connector.id, "url": connector.url})
        step = functools.partial(self._step, connector, itertools.count(1), keep_name=keep_name)
        worker = self._runtime.tasks.worker(step, name=f"hull-manifest-{connector.id}", background=True)
        with self._lock:
            self._workers[connector.id] = worker
        worker.wake()

    def stop(self, connector_id: str) -> None:
        """Wait for a connector's manifest no more."""
        with self._lock:
            worker = self._workers.pop(connector_id, None)
        if worker is not None:
            worker.stop()

    def close(self) -> None:
        """Wait for no manifest any more."""
        for connector_id in list(self._workers):
            self.stop(connector_id)

    def _step(self, connector: Connector, attempts: Iterator[int], *, keep_name: bool) -> float | None:
        if connector.ready or not self._is_installed(connector.id):
            return None
        try:
            self.try_once(connector, keep_name=keep_name)
        except InvalidArgumentError as err:
            emit(_log, logging.ERROR, "manifest.invalid", {"connector_id": connector.id, "reason": err.message})
        if not connector.ready:
            return _RETRY.delay(next(attempts), self._runtime.ids)
        self._follow(connector)
        return None
