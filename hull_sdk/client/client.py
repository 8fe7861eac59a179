"""The client: a connector's way to write to Hull and to ask it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from hull_sdk.client.backlog import FlushResult
from hull_sdk.client.capture import FirehoseEvent, LogLine
from hull_sdk.client.config import ClientConfig, OverflowPolicy, SendingOptions, config_of
from hull_sdk.client.connection import Connection
from hull_sdk.client.entities import ApiClient
from hull_sdk.client.outbox import Outbox
from hull_sdk.client.pool import SenderPool
from hull_sdk.client.sender import FLUSH_TIMEOUT_S
from hull_sdk.core.ids import DerivedIds
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime

__all__ = ["Client"]

_SENDING = SendingOptions()


class Client(ApiClient):
    """Talks to one organization as one connector.

    Messages are encoded at the call and sent in the background, in batches, in order for each set of claims; a
    full queue blocks and then raises, nothing is dropped quietly. What is queued is sent at the end of the
    process, also by SIGTERM, and by each process of its own after a fork. Clients made apart have senders of
    their own, so make one and keep it.

    Args:
        id: Connector id, 24 hexadecimal characters.
        secret: The connector's secret.
        organization: Plain host, for example ``"acme.hullapp.io"`` or ``"localhost:3000"``.
        protocol: ``"http"`` or ``"https"``; by default http for this machine and https for all others.
        prefix: What stands before every path of the API.
        domain: Whose ``firehose.`` host messages are sent to; by default what follows the first label of the
            organization.
        firehose_url: Where messages are sent; ``https://firehose.{domain}/`` by default, and
            ``{organization}{prefix}/firehose`` for this machine and IP addresses.
        api_url: Base of the API, when it is not the organization's host.
        flush_at: Messages after which a worker sends.
        flush_after_ms: Age of the oldest message after which it sends, in milliseconds.
        workers: Requests in flight at most; 1 keeps the order of all calls.
        request_id: Sent along for tracing.
        connector_name: Stands in logs.
        timeout_s: Time for one request, in seconds.
        retry: Pauses between tries of a batch, and the time after which it is given up.
        queue_size: Messages that may wait.
        queue_bytes: Bytes that may wait.
        overflow: ``"raise"`` makes a call wait for room in a full queue and then raise; ``"drop_oldest"`` and
            ``"drop_newest"`` never wait: a message is dropped, fails its Future and is counted and logged.
        block_s: How long a call waits while the queue is full before it raises, in seconds.
        exit_timeout_s: How long the end of the process waits for what is queued, in seconds.
        runtime: Clock, ids, background work and network; the machine's own by default.
        capture_logs: ``True`` keeps the lines of ``logger``, from the debug level up, instead of logging them; read
            them as ``configuration()["logs"]``. For tests.
        logs: The same, in a list of yours.
        capture_firehose_events: ``True`` keeps messages instead of sending them; their Futures are resolved at once.
            Read them as ``configuration()["firehose_events"]``. For tests; no server is needed.
        firehose_events: The same, in a list of yours.
        senders: Senders to share with other clients.
        outbox: Collects the Futures of everything that is sent through this client and its scoped copies.
        message_ids: Makes the ids of messages from their contents, so that the platform applies what is sent again by
            the same work only once; random by default.

    Raises:
        InvalidArgumentError: An option is missing or breaks its rule.

    Example:
        ``Client(id="5a7962e2793d3e942a03b29a", secret="...", organization="acme.hullapp.io")``
    """

    __slots__ = ()

    def __init__(
        self,
        id: str | None = None,  # noqa: A002 - the wire's name
        secret: str | None = None,
        organization: str | None = None,
        *,
        protocol: str | None = None,
        prefix: str = "/api/v1",
        domain: str | None = None,
        firehose_url: str | None = None,
        api_url: str | None = None,
        flush_at: int = _SENDING.flush_at,
        flush_after_ms: float = _SENDING.flush_after_ms,
        workers: int = _SENDING.workers,
        request_id: str | None = None,
        connector_name: str | None = None,
        timeout_s: float = _SENDING.timeout_s,
        retry: RetryPolicy = _SENDING.retry,
        queue_size: int = _SENDING.queue_size,
        queue_bytes: int = _SENDING.queue_bytes,
        overflow: OverflowPolicy = _SENDING.overflow,
        block_s: float = _SENDING.block_s,
        exit_timeout_s: float = _SENDING.exit_timeout_s,
        capture_logs: bool = False,
        logs: list[LogLine] | None = None,
        capture_firehose_events: bool = False,
        firehose_events: list[FirehoseEvent] | None = None,
        runtime: Runtime | None = None,
        senders: SenderPool | None = None,
        outbox: Outbox | None = None,
        message_ids: DerivedIds | None = None,
    ) -> None:
        config = config_of(
            id=id,
            secret=secret,
            organization=organization,
            protocol=protocol,
            prefix=prefix,
            domain=domain,
            firehose_url=firehose_url,
            api_url=api_url,
            request_id=request_id,
            connector_name=connector_name,
            capture_logs=capture_logs,
            logs=logs,
            capture_firehose_events=capture_firehose_events,
            firehose_events=firehose_events,
            flush_at=flush_at,
            flush_after_ms=flush_after_ms,
            workers=workers,
            timeout_s=timeout_s,
            retry=retry,
            queue_size=queue_size,
            queue_bytes=queue_bytes,
            overflow=overflow,
            block_s=block_s,
            exit_timeout_s=exit_timeout_s,
        )
        super().__init__(Connection(config, runtime, senders=senders, outbox=outbox, message_ids=message_ids))

    @classmethod
    def from_config(
        cls,
        config: ClientConfig,
        *,
        runtime: Runtime | None = None,
        senders: SenderPool | None = None,
        outbox: Outbox | None = None,
        message_ids: DerivedIds | None = None,
    ) -> Self:
        """Return the client of a configuration, for example ``Client.from_config(ClientConfig.from_env())``.

        Args:
            config: Identity, addresses and sending options.
            runtime: As in the constructor.
            senders: As in the constructor.
            outbox: As in the constructor.
            message_ids: As in the constructor.
        """
        client = cls.__new__(cls)
        line = Connection(config, runtime, senders=senders, outbox=outbox, message_ids=message_ids)
        ApiClient.__init__(client, line)
        return client

    def close(self, timeout_s: float = FLUSH_TIMEOUT_S) -> FlushResult:
        """Send what waits and take no more; a shared sender is flushed and stays open.

        Args:
            timeout_s: Longest wait in seconds.

        Returns:
            As ``flush`` does.
        """
        return self._connection.close(timeout_s)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
