"""What a client and its scoped copies share: configuration, transport, sender and outbox."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from hull_sdk import __version__
from hull_sdk.client.backlog import FlushResult, Message
from hull_sdk.client.capture import FirehoseEvent, firehose_event
from hull_sdk.client.config import ClientConfig, Configuration
from hull_sdk.client.encoding import encode
from hull_sdk.client.logs import log_context
from hull_sdk.client.outbox import Outbox
from hull_sdk.client.pool import SenderPool
from hull_sdk.client.scope import Scope
from hull_sdk.client.sender import Sender, SenderClosedError
from hull_sdk.client.transport import Transport
from hull_sdk.core import json
from hull_sdk.core.clock import iso_millis
from hull_sdk.core.ids import DerivedIds
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Future
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.wire.firehose import MAX_MESSAGE_BYTES, MessageType, message_bytes, track_body

__all__ = ["Connection"]


class Connection:
    """A connector's line to the platform.

    Args:
        config: Who speaks, and where to.
        runtime: Clock, ids, background work and network; the machine's own when ``None``.
        senders: Senders shared with other clients; without them this line has a sender of its own.
        outbox: Collects the Futures of what is sent.
        message_ids: Makes the ids of messages from their contents; they are random when ``None``.
    """

    def __init__(
        self,
        config: ClientConfig,
        runtime: Runtime | None,
        *,
        senders: SenderPool | None,
        outbox: Outbox | None,
        message_ids: DerivedIds | None = None,
    ) -> None:
        self.config = config
        self.runtime: Runtime = Runtime.system() if runtime is None else runtime
        self.transport: Transport = Transport(config, self.runtime)
        self._owns_runtime = runtime is None
        self._source = Sender(config, self.runtime) if senders is None else senders
        self._outbox = outbox
        self._message_ids = message_ids
        self._request_id = None if config.request_id is None else json.dumps(config.request_id)
        self._captured = config.firehose_events

    def send(self, scope: Scope, kind: MessageType, body: Mapping[str, Any]) -> Future[str]:
        """Encode one message, queue it, and return the Future of its acceptance.

        Args:
            scope: For whom.
            kind: For example ``"traits"``.
            body: Its body.

        Returns:
            Resolves to the message's id once the platform has accepted the message.

        Raises:
            InvalidArgumentError: The body is no JSON or too large, or the client was closed.
            QueueFullError: The queue stayed full.
        """
        content = encode(body, kind)
        return self._queue(scope, kind, content, self._message_id(scope, kind, content))

    def track(self, scope: Scope, event: str, properties: Mapping[str, Any], context: Mapping[str, Any]) -> Future[str]:
        """Send an event; its id is the message's id unless the context names one."""
        draft = b""
        if self._message_ids is not None:
            draft = encode(track_body(event, properties, context, event_id=""), "track")
        message_id = self._message_id(scope, "track", draft)
        body = track_body(event, properties, context, event_id=message_id)
        return self._queue(scope, "track", encode(body, "track"), message_id)

    def _message_id(self, scope: Scope, kind: MessageType, content: bytes) -> str:
        if self._message_ids is None:
            return self.runtime.ids.uuid()
        whom = json.dumps([scope.subject_type, scope.user, scope.account, kind])
        return self._message_ids.uuid(whom + content)

    def _queue(self, scope: Scope, kind: MessageType, body: bytes, message_id: str) -> Future[str]:
        clock = self.runtime.clock
        now = clock.time()
        data = message_bytes(
            kind,
            body,
            token=scope.token(now).encode(),
            timestamp=iso_millis(now).encode(),
            message_id=message_id.encode(),
            request_id=self._request_id,
        )
        if len(data) > MAX_MESSAGE_BYTES:
            raise InvalidArgumentError(
                f"this {kind} message has {len(data)} bytes of JSON; send at most {MAX_MESSAGE_BYTES} in one call"
            )
        future: Future[str] = Future(self.runtime.tasks)
        if self._captured is not None:
            self._captured.append(self._as_data(scope, kind, body))
            future.set_result(message_id)
            return future
        sender = self._put(Message(data, future, message_id, clock.monotonic(), scope.key))
        if self._outbox is not None:
            self._outbox.add(future, sender)
        return future

    def configuration(self) -> dict[str, Any]:
        """Return the configuration as a new dict, the secret included; its ``repr`` hides that."""
        config = self.config
        found = {
            "id": config.id,
            "secret": config.secret,
            "organization": config.organization,
            "protocol": config.scheme,
            "prefix": config.prefix,
            "namespace": config.namespace,
            "domain": config.base_domain,
            "firehose_url": config.firehose,
            "api_url": config.api_base,
            "flush_at": config.sending.flush_at,
            "flush_after_ms": config.sending.flush_after_ms,
            "version": __version__,
            "request_id": config.request_id,
            "connector_name": config.connector_name,
            "logs": copy.deepcopy(config.logs),
            "firehose_events": copy.deepcopy(config.firehose_events),
        }
        return Configuration({name: value for name, value in found.items() if value is not None})

    def flush(self, timeout_s: float) -> FlushResult:
        """Send what waits now and wait for the outcome, ``timeout_s`` seconds at most."""
        return self._sender().flush(timeout_s)

    def close(self, timeout_s: float) -> FlushResult:
        """Flush, and close the sender and the connections unless they are shared."""
        result = self._source.close(timeout_s) if isinstance(self._source, Sender) else self.flush(timeout_s)
        if self._owns_runtime:
            self.runtime.net.close()
        return result

    def _sender(self) -> Sender:
        return self._source if isinstance(self._source, Sender) else self._source.get(self.config)

    def _as_data(self, scope: Scope, kind: MessageType, content: bytes) -> FirehoseEvent:
        return firehose_event(kind, content, log_context(self.config, scope), self.config.request_id)

    def _put(self, message: Message) -> Sender:
        while True:
            sender = self._sender()
            try:
                sender.put(message)
            except SenderClosedError:
                if isinstance(self._source, Sender) or self._source.is_closed:
                    raise
                # It was evicted and let go between the two calls above; the pool makes another one.
                continue
            return sender
