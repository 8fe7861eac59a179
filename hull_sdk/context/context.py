"""The context: everything that one request, notification or job may use, bound to its connector.

Rules: section "Credentials of a connector's endpoint" of ``docs/protocol.md``. Nothing here knows the web framework;
``hull_sdk.middleware`` fills a context in, and handlers receive it as their first argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any, Final, ParamSpec, TypeVar, cast

from hull_sdk.client import Client, Outbox, Settlement
from hull_sdk.client.config import for_request
from hull_sdk.client.exits import exits
from hull_sdk.context.credentials import MISSING_CREDENTIALS, Credentials, TokenPurpose
from hull_sdk.context.current import current
from hull_sdk.context.helpers import Helpers
from hull_sdk.context.response import SmartNotifierResponse
from hull_sdk.context.services import Services
from hull_sdk.core import json
from hull_sdk.core.ids import DerivedIds
from hull_sdk.core.net import HostPatterns
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Future, Lock
from hull_sdk.errors import CredentialsError, InvalidArgumentError
from hull_sdk.infra import Cache, Instrumentation, Metric, RateLimit
from hull_sdk.infra.instrumentation import connector_tags
from hull_sdk.infra.leases import Leases
from hull_sdk.infra.queues import DEFAULT_QUEUE
from hull_sdk.infra.rate_limit import WAIT_S
from hull_sdk.wire.notifications import Notification, Segment
from hull_sdk.wire.sns import LegacyMessage

__all__ = ["CONNECTOR_KEY", "Context"]

P = ParamSpec("P")
T = TypeVar("T")

#: Where the connector stands in ``internal_cache``, as ``{"connector": b"..."}``: JSON, since a context's own copy may
#: be changed.
CONNECTOR_KEY: Final = "connector"


@dataclass(frozen=True, slots=True, eq=False)
class _Sending:
    """A client and the record of what was sent through it."""

    client: Client
    outbox: Outbox


_scope: ContextVar[tuple[Context, _Sending] | None] = ContextVar("hull_sending_scope", default=None)


def _no_options(_notification: Any) -> dict[str, Any]:
    return {}


class Context:
    """What a request, a notification or a job may use, bound to one connector of one organization.

    ``request_id``, ``config``, ``token``, ``client``, ``ship`` (also ``connector``), ``hostname``, ``options``,
    ``connector_config``, ``segments``, ``users_segments``, ``accounts_segments``, ``cache``, ``enqueue``, ``metric``,
    ``helpers``, ``service``, ``message``, ``notification``, ``smart_notifier_response``, ``submit``, ``rate_limit``,
    ``attempt`` and ``is_batch``.

    Args:
        services: What the application shares.
        request_id: Goes into every log line and outgoing header.
        hostname: Host of the request, without a port.
        load_options: Returns the query merged with the decoded notification, if there is one, else with the JSON
            body; called when ``options`` is first read.
        attempt: Which try this is, from 1.
        is_batch: ``True`` while a batch extract is handled.
        timeout_s: Deadline in seconds from now; the application's when ``None``.
    """

    def __init__(
        self,
        services: Services,
        *,
        request_id: str | None = None,
        hostname: str = "",
        load_options: Callable[[Any], dict[str, Any]] = _no_options,
        attempt: int = 1,
        is_batch: bool = False,
        timeout_s: float | None = None,
    ) -> None:
        self._services = services
        self._load_options = load_options
        self._options: dict[str, Any] | None = None
        self._lock = Lock()
        self._sending: _Sending | None = None
        self._works: dict[str, DerivedIds] = {}
        self._token: str | None = None
        self._metric: Metric | None = None
        self._segments: Callable[[Context, str], list[Segment]] | None = None
        #: The handler's deadline, in seconds from the start.
        self.timeout_s: float = services.timeout_s if timeout_s is None else timeout_s
        self._deadline_at = services.runtime.clock.monotonic() + self.timeout_s
        self.request_id = request_id
        self.hostname = hostname
        self.attempt = attempt
        self.is_batch = is_batch
        #: Whose request this is; ``None`` when it came without credentials.
        self.config: Credentials | None = None
        #: The connector as the platform describes it, with ``settings`` and ``private_settings``; ``None`` without
        #: credentials.
        self.ship: Any = None
        #: A namespace for the connector's own objects, filled in ``Connector.use``.
        self.service: Any = SimpleNamespace()
        #: The envelope of a legacy notification, or ``None``.
        self.message: LegacyMessage | None = None
        #: The decoded smart notification, or ``None``; in handlers of legacy notifications their
        #: ``{"subject", "message", "timestamp"}``.
        self.notification: Notification | None = None
        self.smart_notifier_response: SmartNotifierResponse = SmartNotifierResponse()

    def __repr__(self) -> str:
        connector = None if self.config is None else self.config.id
        organization = None if self.config is None else self.config.organization
        return f"Context(connector={connector!r}, organization={organization!r}, request_id={self.request_id!r})"

    # -- credentials

    def authorize(self, credentials: Credentials) -> None:
        """Bind this context to a connector.

        Args:
            credentials: Whose context this is from now on.
        """
        self.config = credentials
        self._token = None
        self._metric = None
        self._sending = None

    def credentials(self) -> Credentials:
        """Return id, organization and secret.

        Raises:
            CredentialsError: The request came without them; answered with status 403.
        """
        if self.config is None:
            raise CredentialsError(MISSING_CREDENTIALS, status=403)
        return self.config

    @property
    def token(self) -> str | None:
        """The credentials, encrypted, for dashboard links; ``None`` without credentials or host secret."""
        if self._token is None and self.config is not None:
            self._token = self.token_for("dashboard")
        return self._token

    def token_for(self, purpose: TokenPurpose) -> str | None:
        """Return an encrypted token for one purpose.

        Args:
            purpose: ``"dashboard"`` for links (``hullToken`` or ``token`` in the query), ``"webhook"`` for addresses
                given to others (``token``, at views under ``takes_webhooks`` and handlers with ``webhook=True`` only),
                ``"oauth"`` for the ``state`` of an authorization, which counts at the callback of ``oauth_handler``
                only.

        Returns:
            The token, or ``None`` when the connector has no ``host_secret``.

        Raises:
            CredentialsError: The request came without credentials.
        """
        return self._services.seal(self.credentials(), purpose)

    # -- the platform

    @property
    def client(self) -> Client:
        """The client of this connector.

        Raises:
            CredentialsError: The request came without credentials; answered with status 403.
        """
        scope = _scope.get()
        if scope is not None and scope[0] is self:
            return scope[1].client
        with self._lock:  # of several threads at once, all get the one whose record is settled
            if self._sending is None:
                self._sending = self._open()
            return self._sending.client

    @property
    def connector(self) -> Any:
        """The connector as the platform describes it; another name of ``ship``."""
        return self.ship

    @property
    def connector_config(self) -> dict[str, Any]:
        """The options of the ``Connector``, without its secrets."""
        return self._services.connector_config

    @property
    def segments(self) -> list[Segment]:
        """Segments of users; each has ``filtered``: whether the segment filter setting names it."""
        return self.users_segments

    @property
    def users_segments(self) -> list[Segment]:
        """Segments of users; fetched through the cache when a notification did not bring them."""
        return [] if self._segments is None else self._segments(self, "users_segments")

    @property
    def accounts_segments(self) -> list[Segment]:
        """Segments of accounts; fetched through the cache when a notification did not bring them."""
        return [] if self._segments is None else self._segments(self, "accounts_segments")

    def replace_connector(self, ship: dict[str, Any]) -> None:
        """Take over a connector that has just been changed, here and in the cache.

        Args:
            ship: The connector as the platform answered it.
        """
        self.internal_cache.set(CONNECTOR_KEY, {"connector": json.dumps(ship).decode()})
        self.ship = ship

    def load_segments_with(self, load: Callable[[Context, str], list[Segment]]) -> None:
        """Say where segments come from.

        Args:
            load: Returns the segments of ``"users_segments"`` or ``"accounts_segments"``. It is given this context, and
                must not hold it: nothing shall keep a context, and a whole notification with it, beyond its use.
        """
        self._segments = load

    # -- the request

    @property
    def options(self) -> dict[str, Any]:
        """The query merged with the JSON body; the body wins."""
        if self._options is None:
            self._options = self._load_options(self.notification)
        return self._options

    # -- infrastructure

    @property
    def cache(self) -> Cache:
        """The part of the cache that belongs to this connector."""
        return self._services.cache.scoped("none" if self.config is None else self.config.namespace)

    @property
    def internal_cache(self) -> Cache:
        """The part of the cache where the SDK keeps what belongs to this connector, apart from ``cache``."""
        return self._services.cache.scoped("hull").scoped(self.credentials().namespace)

    @property
    def runs(self) -> Cache:
        """What became of this connector's notifications."""
        return self._services.runs.scoped(self.credentials().namespace)

    @property
    def leases(self) -> Leases:
        """Takes and renews leases among everything that shares ``runs``."""
        return self._services.leases

    def rate_limit(self, name: str, *, calls: int, per_s: float, wait_s: float = WAIT_S) -> RateLimit:
        """Return a limit for calls to another service, one for all connectors and processes of this application.

        Example::

            limit = ctx.rate_limit(f"crm/{workspace}", calls=100, per_s=1)
            ctx.service.crm = ServiceSession(BASE_URL, runtime=ctx.runtime, metric=ctx.metric, limit=limit)

        Args:
            name: Whom the service counts calls for, for example a workspace's id; no secret, it stands in errors.
            calls: How many calls.
            per_s: In how many seconds.
            wait_s: How long a call waits for its turn at most, in seconds.

        Returns:
            The limit, shared by all processes if they share a store; see ``docs/deploying.md``.

        Raises:
            InvalidArgumentError: A number is out of range.
        """
        limits = self._services.runs.scoped("rate-limits")
        return limits.rate_limit(name, calls=calls, per_s=per_s, wait_s=wait_s)

    @property
    def metric(self) -> Metric:
        """Metrics tagged with this connector and organization."""
        if self._metric is None:
            self._metric = self._services.instrumentation.metric(self.tags())
        return self._metric

    @property
    def instrumentation(self) -> Instrumentation:
        """Where metrics and unexpected errors go."""
        return self._services.instrumentation

    @property
    def runtime(self) -> Runtime:
        """Clock, ids, tasks and network of the application."""
        return self._services.runtime

    @property
    def trust(self) -> HostPatterns:
        """The trust root, the hosts that this connector may talk to."""
        return self._services.trust

    def tags(self) -> dict[str, str]:
        """Return what tells this context apart in metrics and reports of errors."""
        services, config = self._services, self.config
        return connector_tags(
            services.manifest,
            None if config is None else config.organization,
            None if config is None else config.id,
            services.instrumentation.environment,
        )

    @property
    def helpers(self) -> Helpers:
        """The functions of ``hull_sdk.helpers``, bound to this context."""
        # Not kept, since it holds this context.
        bound = {name: partial(function, self) for name, function in self._services.helpers.items()}
        return cast("Helpers", SimpleNamespace(**bound))

    def enqueue(
        self,
        job_name: str,
        payload: Any = None,
        *,
        delay_ms: float = 0,
        queue_name: str = DEFAULT_QUEUE,
        priority: int | None = None,
        ttl_ms: float | None = None,
    ) -> str:
        """Store a job; when this returns, the job will run.

        Args:
            job_name: Name under which ``Connector.worker`` knows the function.
            payload: JSON-like data for it.
            delay_ms: Earliest start, in milliseconds from now.
            queue_name: Whose workers run it, see ``Connector.start_worker``.
            priority: Among jobs that could start now the lowest number goes first; ``None`` is 0.
            ttl_ms: Give the job up when it has not begun within this time, in milliseconds; ``None``: never.

        Returns:
            The job's id.

        Raises:
            CredentialsError: The request came without credentials.
            InvalidArgumentError: There is no host secret, which jobs need to store credentials encrypted; or the
                payload cannot travel as JSON, or a number is not allowed.
        """
        token = self.token_for("job")
        if token is None:
            raise InvalidArgumentError("jobs store their credentials encrypted; pass Connector(host_secret=...)")
        stored = {"token": token, "hostname": self.hostname, "request_id": self.request_id}
        job_id = self._services.queue.enqueue(
            job_name,
            payload,
            context=stored,
            delay_ms=delay_ms,
            queue_name=queue_name,
            priority=priority,
            ttl_ms=ttl_ms,
        )
        exits.arm_for(self._services.runtime.tasks)
        return job_id

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start a function beside the request, with this context as the current one.

        Args:
            function: What to run.
            *args: Its arguments; the context is not added.
            **kwargs: Its named arguments.

        Returns:
            A Future with its result.
        """
        with self.active():
            return self._services.runtime.tasks.spawn(partial(function, *args, **kwargs), name="hull-submit")

    @contextmanager
    def active(self) -> Iterator[Context]:
        """Make this the current context for a ``with`` block."""
        token = current.set(self)
        try:
            yield self
        finally:
            current.reset(token)

    # -- delivery

    def remaining_s(self) -> float:
        """Return the seconds until the handler's deadline, 0 when it has passed."""
        return max(0.0, self._deadline_at - self._services.runtime.clock.monotonic())

    def begin_part(self) -> None:
        """Let the deadline count from now, and forget which work was done, as a job does before each of its parts."""
        self._deadline_at = self._services.runtime.clock.monotonic() + self.timeout_s
        self._works = {}

    def settle(self, timeout_s: float, *, here: bool = False) -> Settlement | None:
        """Wait until the platform has answered for everything that was sent through ``client``.

        Args:
            timeout_s: Longest wait in seconds.
            here: ``True`` sends in the calling thread, which must be one that nobody waits for beyond the deadline.

        Returns:
            What became of it, or ``None`` when nothing was sent.
        """
        return None if self._sending is None else self._sending.outbox.settle(timeout_s, here=here)

    @contextmanager
    def collect(self, work_id: str | None = None) -> Iterator[Outbox]:
        """Record apart what is sent through ``client`` within a ``with`` block.

        Args:
            work_id: What the block does, for example the id of the message that it handles: when the same is done
                again and sends the same again, the platform applies that once. ``None``: all that is sent is new.

        Yields:
            The record; settle it to learn what became of the block's messages.
        """
        sending = self._open(None if work_id is None else self._ids_of(work_id))
        token = _scope.set((self, sending))
        try:
            yield sending.outbox
        finally:
            _scope.reset(token)

    def _ids_of(self, work_id: str) -> DerivedIds:
        """Return the ids of one piece of work, the same ones for each block: a second block does more of it."""
        with self._lock:
            return self._works.setdefault(work_id, DerivedIds(f"{self.credentials().id}/{work_id}"))

    def _open(self, message_ids: DerivedIds | None = None) -> _Sending:
        services, credentials = self._services, self.credentials()
        outbox = Outbox(services.runtime)
        client = Client.from_config(
            for_request(services.client_config(credentials), self.request_id),
            runtime=services.runtime,
            senders=services.senders,
            outbox=outbox,
            message_ids=message_ids,
        )
        return _Sending(client, outbox)
