"""What the steps of the middleware work on: the request in plain data, and what the application set up.

Nothing here knows the web framework; ``hull_sdk.flask_app`` reads its request into :class:`RequestFacts` and runs
the steps of :data:`hull_sdk.middleware.DEFAULT_MIDDLEWARE` in order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol, Self

from hull_sdk.client import SenderPool
from hull_sdk.context import Context, Services
from hull_sdk.core.net import HostPatterns
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import InvalidArgumentError, NotificationError
from hull_sdk.helpers import BOUND_HELPERS
from hull_sdk.infra import Cache, Instrumentation, MemoryQueue, Queue, RedisCache
from hull_sdk.infra.leases import Leases
from hull_sdk.infra.queues import JobHandler
from hull_sdk.middleware.batches import Batches
from hull_sdk.middleware.keys import KeyRing
from hull_sdk.middleware.shutdown import DEFAULT_SHUTDOWN_S, Shutdown
from hull_sdk.middleware.tokens import ContextTokens, host_secrets

__all__ = [
    "DEFAULT_ORGANIZATIONS",
    "Arrival",
    "Extension",
    "Incoming",
    "RequestFacts",
    "Step",
    "trust_root",
]

#: Who may talk to a connector unless it says otherwise.
DEFAULT_ORGANIZATIONS: Final = ("*.hullapp.io",)

#: Notifications whose outcome is remembered: leases and finished answers.
MAX_RUNS: Final = 50_000

#: How long it is remembered that the platform refuses a connector, in seconds, so that a broken one does not hammer it.
REFUSAL_TTL_S: Final = 10.0
#: Refusals that are remembered.
MAX_REFUSALS: Final = 1000

#: Environment variable with the trust root, separated by commas.
TRUST_VARIABLE: Final = "HULL_ALLOWED_ORGANIZATIONS"
#: Environment variable with the host secret.
SECRET_VARIABLE: Final = "HULL_HOST_SECRET"  # noqa: S105 - a variable's name


@dataclass(slots=True)
class Incoming:
    """What the application itself knows about a request, set before the middleware runs.

    Args:
        config: ``{"id" or "ship", "organization", "secret"}``, instead of looking for them in the request.
        token: An encrypted token that came in another way than the query, for example in a cookie.
        request_id: Goes into every log line and outgoing header.
    """

    config: Mapping[str, Any] | None = field(default=None, repr=False)
    token: str | None = field(default=None, repr=False)
    request_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestFacts:
    """A request as plain data.

    Args:
        header: Returns a header by its name, whatever its case.
        query: The first value of each parameter.
        takes_state: ``True`` where an authorization comes back to: only there ``state`` may hold credentials.
        takes_webhooks: ``True`` where other services call: only there tokens of webhook addresses count.
        is_notification: ``True`` when the request says that it is a smart notification.
        is_legacy: ``True`` when it says that it is a legacy notification.
        body: The raw bytes of a notification of either generation; ``None`` for other requests.
        body_error: Why the bytes could not be read.
    """

    header: Callable[[str], str | None]
    query: Mapping[str, str] = field(default_factory=dict, repr=False)
    takes_state: bool = False
    takes_webhooks: bool = False
    is_notification: bool = False
    is_legacy: bool = False
    body: bytes | None = field(default=None, repr=False)
    body_error: NotificationError | None = None


@dataclass(kw_only=True)
class Extension(Services):
    """What an application shares, kept in ``app.extensions["hull"]``.

    Args:
        tokens: Encrypts and decrypts credentials.
        keys: The platform's public keys.
        batches: What endpoints collect for their functions.
        connector: The ``Connector``, or ``None`` under a bare ``Middleware``.
        skip_signature_validation: ``True`` believes every notification.
        accept_unbound_signatures: ``True`` accepts signatures that do not cover the body.
        accept_signed_tokens: ``True`` accepts the Node generation's tokens beside encrypted ones.
        segment_filter_setting: Private setting with the ids of the segments that the connector handles.
        uses: Functions of ``Connector.use``.
        shutdown_timeout_s: How long the end takes at most, in seconds.
        run_job: Runs the jobs of the queue in memory; ``None`` until ``Connector.worker`` was called.
    """

    tokens: ContextTokens
    keys: KeyRing
    batches: Batches
    connector: Any = None
    skip_signature_validation: bool = False
    accept_unbound_signatures: bool = False
    accept_signed_tokens: bool = False
    segment_filter_setting: str | None = None
    uses: list[Callable[[Context], Any]] = field(default_factory=list)
    shutdown_timeout_s: float = DEFAULT_SHUTDOWN_S
    run_job: JobHandler | None = None
    refusals: Cache = field(init=False)
    shutdown: Shutdown = field(init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        # Apart from the other caches, since strangers could fill it.
        self.refusals = Cache(REFUSAL_TTL_S, MAX_REFUSALS, self.runtime)
        self.shutdown = Shutdown(self)

    @classmethod
    def open(
        cls,
        *,
        environ: Mapping[str, str],
        host_secret: str | Iterable[str] | None,
        allowed_organizations: HostPatterns | Iterable[str] | None,
        cache: Cache | None = None,
        queue: Queue | None = None,
        instrumentation: Instrumentation | None = None,
        redis_url: str | None = None,
        **options: Any,
    ) -> Self:
        """Make what an application shares, with defaults for what is not given.

        Args:
            environ: Read for ``HULL_HOST_SECRET``, ``HULL_ALLOWED_ORGANIZATIONS`` and the instrumentation.
            host_secret: One secret, or several for rotation.
            allowed_organizations: The trust root.
            cache: ``None`` for one in memory.
            queue: ``None`` for one in memory.
            instrumentation: ``None`` for what the environment configures.
            redis_url: Where caches are shared with other processes; ``None`` for memory.
            **options: Further fields.

        Raises:
            InvalidArgumentError: A secret, a host pattern or the address breaks a rule.
            MissingExtraError: An option needs a library that is not installed.
        """
        runtime = Runtime.system()
        secret = environ.get(SECRET_VARIABLE) or None if host_secret is None else host_secret
        tokens = ContextTokens(host_secrets(secret), runtime)
        values, runs = _caches(cache, redis_url, runtime)
        return cls(
            runtime=runtime,
            senders=SenderPool(runtime),
            cache=values,
            runs=runs,
            leases=Leases(runtime),
            queue=_adopt(MemoryQueue() if queue is None else queue, runtime),
            instrumentation=_adopt(
                Instrumentation.from_env(environ) if instrumentation is None else instrumentation, runtime
            ),
            tokens=tokens,
            seal=tokens.encrypt,
            trust=trust_root(allowed_organizations, environ),
            keys=KeyRing(runtime),
            batches=Batches(runtime),
            helpers=BOUND_HELPERS,
            **options,
        )

    def use_doubles(
        self, *, runtime: Runtime, trust: HostPatterns, instrumentation: Instrumentation
    ) -> Callable[[], None]:
        """Put doubles in the place of clock, network, trust root and instrumentation, for a test.

        Args:
            runtime: Its doors are taken over.
            trust: The trust root of the test.
            instrumentation: A recording one.

        Returns:
            Call it to have the originals back.
        """
        doors = Runtime(tasks=self.runtime.tasks, ids=self.runtime.ids, net=self.runtime.net)
        before = (self.trust, self.instrumentation, self.senders, self.queue, self.batches, self.leases)
        self.runtime.become(runtime)
        self.trust: HostPatterns = trust
        self.instrumentation: Instrumentation = instrumentation
        # These hold on to background work, which must neither come from real threads nor outlive the test: what is
        # left of it stays with the doors of the test, and is not sent through the real ones.
        self.senders: SenderPool = SenderPool(runtime)
        self.batches = Batches(runtime)
        self.leases: Leases = Leases(runtime)
        if isinstance(self.queue, MemoryQueue):
            self.queue: Queue = MemoryQueue(runtime)
            self.work_on(self.run_job)

        def restore() -> None:
            self.batches.stop(0.0)
            self.leases.stop()
            self.senders.close()
            self.runtime.become(doors)
            self.trust, self.instrumentation, self.senders, self.queue, self.batches, self.leases = before

        return restore

    def work_on(self, run_job: JobHandler | None) -> None:
        """Have the jobs of the queue run in this process.

        Args:
            run_job: Runs one job; ``None`` changes nothing.
        """
        self.run_job = run_job
        if run_job is not None:
            self.queue.work(run_job)


@dataclass(kw_only=True)
class Arrival:
    """A request on its way through the middleware.

    Args:
        facts: The request.
        incoming: What the application set.
        extension: What the application shares.
        context: Filled in by the steps.
    """

    facts: RequestFacts
    incoming: Incoming
    extension: Extension
    context: Context


class Step(Protocol):
    """One step of the middleware."""

    def __call__(self, arrival: Arrival) -> None:
        """Fill in one part of the context.

        Args:
            arrival: The request and its context.

        Raises:
            HullError: The request is refused.
        """


def _caches(cache: Cache | None, redis_url: str | None, runtime: Runtime) -> tuple[Cache, Cache]:
    """Return the application's cache, and the one for what became of notifications; both shared if one can be."""
    store = None if redis_url is None else RedisCache(redis_url, runtime=runtime)
    values = cache
    if values is None:
        values = Cache() if store is None else store.scoped("cache")
    if store is None and getattr(values, "shared", False):
        return _adopt(values, runtime), values.scoped("runs")
    runs = Cache(max_items=MAX_RUNS, runtime=runtime) if store is None else store.scoped("runs")
    return _adopt(values, runtime), runs


def _adopt(component: Any, runtime: Runtime) -> Any:
    """Let a component follow the application's clock and threads, if it has any use for them."""
    if hasattr(component, "runtime"):
        component.runtime = runtime
    return component


def trust_root(allowed: Any, environ: Mapping[str, str]) -> HostPatterns:
    """Return the trust root.

    Args:
        allowed: The option ``allowed_organizations``: a list of hosts and suffixes, or ``None``.
        environ: Read for ``HULL_ALLOWED_ORGANIZATIONS`` when there is no option.

    Raises:
        InvalidArgumentError: An entry is no host pattern, or the list is a single text.
    """
    if allowed is None:
        written = [entry for entry in environ.get(TRUST_VARIABLE, "").split(",") if entry.strip()]
        return HostPatterns(written or DEFAULT_ORGANIZATIONS)
    if isinstance(allowed, str):
        raise InvalidArgumentError(f"allowed_organizations is {allowed!r}; pass a list such as [{allowed!r}]")
    return allowed if isinstance(allowed, HostPatterns) else HostPatterns(allowed)
