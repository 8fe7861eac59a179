"""The platform: organizations on one clock, with one signing key and one API.

Everything that a connector can observe of Hull, in memory. It runs on threads and sockets, or, on a virtual clock,
in the caller's thread without either.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from hull_sdk.core.clock import Clock, OffsetClock, VirtualClock
from hull_sdk.core.ids import SeededIds, SystemIds
from hull_sdk.core.net import HttpNetwork, WsgiNetwork, is_loopback, split_host
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.tasks import Lock, ThreadTasks
from hull_sdk.core.virtual_tasks import VirtualTasks
from hull_sdk.errors import HullError, InvalidArgumentError
from hull_sdk.platform.attempts import Delivery
from hull_sdk.platform.carrier import Carrier
from hull_sdk.platform.connectors import Connector, renewed
from hull_sdk.platform.event_contexts import Locator
from hull_sdk.platform.extract_jobs import ExtractFile, ExtractRun
from hull_sdk.platform.faults import Faults
from hull_sdk.platform.history import HISTORY
from hull_sdk.platform.loops import MAX_ATTEMPTS, LoopWatch
from hull_sdk.platform.organization import Organization
from hull_sdk.platform.schedules import ScheduleRun
from hull_sdk.wire.signatures import generate_key, public_pem

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey

__all__ = ["Platform"]

#: How often a platform on real time looks whether it is idle, in seconds.
_POLL_S: Final = 0.01
#: Where domain time ends, in Unix seconds: the year 9000, since dates end with 9999.
_LAST_MOMENT: Final = 221_845_392_000.0


class Platform:
    """An in-memory Hull.

    Args:
        clock: The clock to run on; a ``VirtualClock`` gives a platform without threads, sockets and waiting.
        seed: Seed of all ids; random ids on real time when ``None``.
        runtime: Clock, ids, tasks and network in one, instead of ``clock`` and ``seed``.
        signing_key: Key that signs notifications; made when it is first needed when ``None``.
        locator: Finds the location of events by their ``ip``; without one they have no location but their own.

    Example:
        >>> platform = Platform(clock=VirtualClock(), seed=0)
        >>> acme = platform.create_organization("acme.hullapp.test")
    """

    def __init__(
        self,
        clock: Clock | None = None,
        seed: int | None = None,
        *,
        runtime: Runtime | None = None,
        signing_key: RSAPrivateKey | None = None,
        locator: Locator | None = None,
    ) -> None:
        self.runtime: Runtime = _runtime(clock, seed) if runtime is None else runtime
        #: Domain time: the runtime's clock, plus what the test control ``clock`` added.
        self.clock: OffsetClock = OffsetClock(self.runtime.clock)
        #: Finds the location of events.
        self.locator: Locator | None = locator
        #: What to break on purpose.
        self.faults: Faults = Faults(self.runtime)
        self.carrier: Carrier = Carrier(self.runtime, self, self.faults)
        self.organizations: dict[str, Organization] = {}
        #: ``host:port`` when served over HTTP, else ``None``.
        self.address: str | None = None
        #: Whether ``/_platform`` answers.
        self.test_controls = False
        #: Saves a snapshot and returns its path, when there is a file for it.
        self.keeper: Callable[[], str] | None = None
        #: Held while a connector is installed, so that ids stay unique on the platform.
        self.installing: Lock = Lock()
        #: Deliveries, and calls of schedules and for extracts, that each organization keeps; all of them when ``None``.
        self.history = None if self.runtime.tasks.virtual else HISTORY
        self._signing_key = signing_key
        self._key_id: str | None = None
        self._old_keys: dict[str, RSAPrivateKey] = {}
        self._file_key: bytes | None = None
        self._lock = Lock()
        self._sequence = itertools.count(1)
        self._app: Callable[..., Iterable[bytes]] | None = None

    def __repr__(self) -> str:
        return f"Platform(organizations={sorted(self.organizations)!r})"

    def create_organization(
        self, host: str, settings: Mapping[str, Any] | None = None, admin_secret: str | None = None
    ) -> Organization:
        """Create an organization.

        Args:
            host: For example ``"acme.hullapp.test"``; one without a port matches any port.
            settings: External id patterns, rejected domains and limits.
            admin_secret: Secret of its operator; a fresh one when ``None``.

        Raises:
            InvalidArgumentError: The host is malformed or taken, or a setting breaks a rule.
        """
        if not isinstance(host, str) or split_host(host) is None:
            raise InvalidArgumentError(f"{host!r} is no host; write one such as 'acme.hullapp.test' without a scheme")
        host = host.strip().lower()
        organization = Organization(host, landlord=self, admin_secret=admin_secret, settings=settings)
        with self._lock:
            if host in self.organizations:
                raise InvalidArgumentError(f"the organization {host!r} exists already; choose another host")
            self.organizations[host] = organization
        return organization

    def find_connector(self, connector_id: str) -> tuple[Organization, Connector] | None:
        """Return a connector and its organization, or ``None``."""
        for organization in list(self.organizations.values()):
            connector = organization.connectors.get(connector_id)
            if connector is not None:
                return organization, connector
        return None

    def organization_at(self, host: str) -> Organization | None:
        """Return the organization of a host, with or without a port, or ``None``."""
        parsed = split_host(host)
        if parsed is None:
            return None
        name, port = parsed
        exact = None if port is None else self.organizations.get(f"{name}:{port}")
        return self.organizations.get(name) if exact is None else exact

    def is_own_address(self, host: str) -> bool:
        """Tell whether a host is the server's own address, which names no organization."""
        if self.address is None:
            return False
        if host.strip().lower() == self.address:
            return True
        named, own = split_host(host), split_host(self.address)
        return (
            named is not None and own is not None and named[1] == own[1] and is_loopback(host) and is_loopback(own[0])
        )

    def wsgi_app(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request: the whole API as a WSGI application.

        Args:
            environ: The WSGI environment.
            start_response: The WSGI callback.
        """
        return self.load_app()(environ, start_response)

    def load_app(self) -> Callable[..., Iterable[bytes]]:
        """Load the API, with Werkzeug, where it has not been loaded, so that no request has to."""
        if self._app is None:
            from hull_sdk.platform.api import build_app  # noqa: PLC0415 - loaded when somebody asks

            self._app = build_app(self)
        return self._app

    @property
    def signing_key(self) -> RSAPrivateKey:
        """The key that signs notifications."""
        with self._lock:
            if self._signing_key is None:
                self._signing_key = generate_key()
            return self._signing_key

    @property
    def key_id(self) -> str:
        """The id of the signing key, which is the beginning of its public half's digest."""
        if self._key_id is None:
            self._key_id = _key_id(public_pem(self.signing_key))
        return self._key_id

    def rotate_signing_key(self, key: RSAPrivateKey | None = None) -> str:
        """Sign notifications with another key from now on; the old ones' public halves are served as before.

        Connectors need not be told: the key's address is another one, and they fetch what they do not know.

        Args:
            key: The new key; made when ``None``.

        Returns:
            Its id.
        """
        old, old_id, new = self.signing_key, self.key_id, generate_key() if key is None else key
        with self._lock:
            self._old_keys[old_id] = old
            self._signing_key, self._key_id = new, _key_id(public_pem(new))
            return self._key_id

    def find_key(self, key_id: str) -> RSAPrivateKey | None:
        """Return the signing key, or one that was used before, by its id; ``None`` for any other."""
        return self.signing_key if key_id == self.key_id else self._old_keys.get(key_id)

    @property
    def file_key(self) -> bytes:
        """The key that signs the addresses of files; made when it is first needed."""
        with self._lock:
            if self._file_key is None:
                self._file_key = self.runtime.ids.secret().encode()
            return self._file_key

    def find_file(self, path: str, expires: str, signature: str) -> ExtractFile | None:
        """Return the file of an extract at a signed address, or ``None``.

        Args:
            path: The path, for example ``"/api/v1/extracts/user_report/2024-01-05/5a79.json"``.
            expires: The parameter ``expires`` of the address.
            signature: Its parameter ``signature``.
        """
        found = (organization.extracts.file(path, expires, signature) for organization in self._all())
        return next((file for file in found if file is not None), None)

    def key_url(self, organization_host: str) -> str:
        """Return where the public key is served for an organization.

        Args:
            organization_host: The host that connectors of the organization dial.
        """
        return f"{self._scheme}://{organization_host}/api/v1/notification_keys/{self.key_id}"

    def certificate_url(self, organization_host: str) -> str:
        """Return where the certificate of the key is served, which legacy notifications are signed with."""
        return f"{self._scheme}://{organization_host}/api/v1/notification_certificates/{self.key_id}"

    @property
    def _scheme(self) -> str:
        return "https" if self.address is None else "http"

    def next_sequence(self) -> int:
        """Return the next number of the platform's records."""
        return next(self._sequence)

    @property
    def deliveries(self) -> list[Delivery]:
        """The tries to deliver a notification, in order; on real time 10,000 of each organization at least."""
        found = [each for organization in self._all() for each in organization.dispatcher.deliveries]
        return sorted(found, key=lambda delivery: delivery.sequence)

    @property
    def schedule_runs(self) -> list[ScheduleRun]:
        """The calls of schedules, in order; on real time 10,000 of each organization at least."""
        found = [run for organization in self._all() for run in organization.schedules.runs]
        return sorted(found, key=lambda run: run.sequence)

    @property
    def extract_runs(self) -> list[ExtractRun]:
        """The calls that told a connector of a file, in order; on real time 10,000 of each organization at least."""
        found = [run for organization in self._all() for run in organization.extracts.runs]
        return sorted(found, key=lambda run: run.sequence)

    @property
    def pending(self) -> int:
        """How many entities and extracts a connector was not told of yet, and how many imports are not over."""
        return sum(each.dispatcher.pending() + each.extracts.pending() + each.imports.pending() for each in self._all())

    def run_until_idle(
        self, max_deliveries: int = 10_000, timeout_s: float = 60.0, *, max_attempts: int = MAX_ATTEMPTS
    ) -> None:
        """Let everything happen that is under way, without waiting for schedules.

        Args:
            max_deliveries: Tries after which the run counts as a loop.
            timeout_s: On real time, longest wait in seconds; a virtual clock needs none.
            max_attempts: Tries of one message after which it counts as stuck.

        Raises:
            HullError: A connector and the platform keep each other busy (the message names connector, entity
                and attribute), a message is stuck (it quotes the last answer), or something was still pending
                when the time ran out.
        """
        watch = LoopWatch(self._delivery_lists, max_deliveries=max_deliveries, max_attempts=max_attempts)
        if isinstance(self.runtime.tasks, VirtualTasks):
            self.runtime.tasks.run_until_idle(watch.caught)
        elif not self.wait_until_idle(timeout_s, watch.caught):
            self._check_loop(watch)
            raise HullError(f"{self.pending} entities were still to be told after {timeout_s:g} s: {self._waiting()}")
        self._check_loop(watch)

    def wait_until_idle(self, timeout_s: float, stop: Callable[[], bool] | None = None) -> bool:
        """Wait until every connector was told everything.

        Args:
            timeout_s: Longest wait in seconds.
            stop: Returns ``True`` to end the wait early.

        Returns:
            ``True`` when nothing is pending.
        """
        tasks = self.runtime.tasks
        deadline = self.runtime.clock.monotonic() + timeout_s
        while self.pending and self.runtime.clock.monotonic() < deadline:
            if stop is not None and stop():
                return False
            tasks.sleep(_POLL_S)
        return not self.pending

    def advance(self, **duration: float) -> None:
        """Let time pass; what falls due meanwhile happens.

        Args:
            **duration: As for ``datetime.timedelta``, for example ``hours=1``. On real time only domain time moves:
                due times of deliveries, schedules and dead letters, not tokens and signatures.
        """
        seconds = timedelta(**duration).total_seconds()
        if self.runtime.tasks.virtual:
            self.runtime.tasks.sleep(seconds)
        else:
            self.shift(seconds)

    def shift(self, seconds: float) -> None:
        """Move domain time forward at once and look at everything that waits for a time.

        Args:
            seconds: At least 0; not beyond the year 9000.

        Raises:
            InvalidArgumentError: Time would run backwards, or out of the calendar.
        """
        if seconds < 0:
            raise InvalidArgumentError(f"time cannot be moved by {seconds:g} s; it only runs forward")
        if not self.clock.time() + seconds < _LAST_MOMENT:
            raise InvalidArgumentError(f"time cannot be moved by {seconds:g} s; it ends with the year 9000")
        self.clock.shift(seconds)
        for organization in self._all():
            organization.wake()

    def reset(self) -> None:
        """Forget all data; organizations, connectors and segments stay, with their ids and secrets."""
        self.faults.clear()
        for host, old in list(self.organizations.items()):
            old.close()
            del self.organizations[host]
            new = self.create_organization(host, settings=old.settings.to_wire(), admin_secret=old.admin_secret)
            _copy_setup(old, new)

    def state(self) -> dict[str, Any]:
        """Return a dump of all organizations, in an order that repeats; without signatures and secrets."""
        return {"organizations": {host: each.state() for host, each in sorted(self.organizations.items())}}

    def packed(self) -> dict[str, Any]:
        """Return all that :meth:`restore` needs as plain data, secrets of organizations and connectors included."""
        return {
            "organizations": [organization.packed() for organization in self._all()],
            "offset_s": self.clock.offset_s,
            "file_key": self.file_key.decode(),
            "sequence": self.next_sequence(),
        }

    def restore(self, plain: Mapping[str, Any]) -> None:
        """Take in what was saved and go on with it; this platform is new and empty.

        Its ids must be others than those of the platform that was saved: without a seed they are.

        Args:
            plain: What :meth:`packed` returned.
        """
        self.clock.offset_s = plain["offset_s"]
        self._file_key = plain["file_key"].encode()
        self._sequence = itertools.count(plain["sequence"])
        for saved in plain["organizations"]:
            self.create_organization(saved["host"], admin_secret=saved["admin_secret"]).restore(saved)

    def pause(self, timeout_s: float = 5.0) -> bool:
        """Call no connector any more, and wait for the answers to the calls under way; then save, and close.

        Args:
            timeout_s: Longest wait.

        Returns:
            ``True`` when all of them were answered.
        """
        return self.carrier.pause(timeout_s)

    def close(self) -> None:
        """Stop delivering and calling; the data stay readable."""
        for organization in self._all():
            organization.close()

    def _all(self) -> list[Organization]:
        return list(self.organizations.values())

    def _delivery_lists(self) -> list[list[Delivery]]:
        return [organization.dispatcher.deliveries for organization in self._all()]

    def _check_loop(self, watch: LoopWatch) -> None:
        if watch.caught():
            raise HullError(watch.describe(self.deliveries))

    def _waiting(self) -> str:
        names = [c.name for o in self._all() for c in o.connectors.values() if c.url is not None and not c.ready]
        return f"no manifest yet from {', '.join(names)}" if names else "see Platform.deliveries for the last answers"


def _runtime(clock: Clock | None, seed: int | None) -> Runtime:
    if isinstance(clock, VirtualClock):
        tasks = VirtualTasks(clock)
        return Runtime(tasks=tasks, ids=SeededIds(0 if seed is None else seed), net=WsgiNetwork(clock.time))
    ids = SystemIds() if seed is None else SeededIds(seed)
    return Runtime(tasks=ThreadTasks(clock), ids=ids, net=HttpNetwork())


def _copy_setup(old: Organization, new: Organization) -> None:
    new.take_over([renewed(each, new.clock.time()) for each in old.connectors.values()])
    for segment in [*old.users_segments(), *old.accounts_segments()]:
        source = "predicate" if segment.get("predicate") is not None else "query"
        new.create_segment(segment["type"], segment["name"], id=segment["id"], **{source: segment[source]})


def _key_id(pem: str) -> str:
    return hashlib.sha256(pem.encode()).hexdigest()[:24]
