"""A connector and the platform in one process, in one thread, on one virtual clock.

Nothing here opens a socket, starts a thread or waits: requests run as WSGI calls in both directions, and time
passes only when a test lets it pass. The same calls give the same run.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self
from urllib.parse import urlencode

from hull_sdk.client import Client
from hull_sdk.core import json
from hull_sdk.core.collector import looking_rarely
from hull_sdk.core.net import Exchange, HostPatterns, Request, Response, WsgiNetwork, host_of
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.virtual_tasks import VirtualTasks
from hull_sdk.errors import HullError, InvalidArgumentError
from hull_sdk.flask_app import app_extension
from hull_sdk.infra import RecordingInstrumentation
from hull_sdk.infra.telemetry import EventRecord, MetricRecord
from hull_sdk.platform import Platform
from hull_sdk.platform.loops import MAX_ATTEMPTS
from hull_sdk.testing.addresses import CONNECTOR_HOST, ORGANIZATION_HOST
from hull_sdk.testing.announcing import announcement
from hull_sdk.testing.capture import CapturedLog, CapturedMessage, LogCapture, messages_in
from hull_sdk.testing.ids import RememberedIds
from hull_sdk.testing.keys import signing_key

if TYPE_CHECKING:
    from flask import Flask

    from hull_sdk.platform import Connector as InstalledConnector
    from hull_sdk.platform import Delivery, Organization

__all__ = ["Harness", "virtual_platform"]

_TRUST: Final = "*.hullapp.test"


def virtual_platform(seed: int = 0) -> Platform:
    """Return a platform on a virtual clock and a virtual network.

    Args:
        seed: Seed of all ids, for example ``0``.
    """
    runtime = Runtime.virtual(seed)
    runtime.ids = RememberedIds(seed)
    return Platform(runtime=runtime, signing_key=signing_key())


class Harness:
    """Installs a connector on a platform of its own and lets a test drive both.

    Use it as a context manager, or call :meth:`close`; afterwards the application is as it was.

    Args:
        app: The application, after ``Connector.setup_app``.
        manifest: The manifest; read from the application's ``/manifest.json`` when ``None``.
        seed: Seed of all ids; the same seed gives the same run.
        private_settings: Values of the connector's private settings, over the manifest's defaults.
        settings: Values of its settings.
        platform: A platform on a virtual runtime to install it on; a fresh one when ``None``.
        organization: An organization of that platform; a fresh one when ``None``.

    Raises:
        InvalidArgumentError: The application was not set up, or the platform runs on real time.
    """

    def __init__(
        self,
        app: Flask,
        manifest: Mapping[str, Any] | None = None,
        seed: int = 0,
        *,
        private_settings: Mapping[str, Any] | None = None,
        settings: Mapping[str, Any] | None = None,
        platform: Platform | None = None,
        organization: Organization | None = None,
    ) -> None:
        self.app = app
        self.platform: Platform = virtual_platform(seed) if platform is None else platform
        self._tasks, self._net = _virtual_doors(self.platform.runtime)
        self._extension = app_extension(app)
        self.organization: Organization = (
            self.platform.create_organization(ORGANIZATION_HOST) if organization is None else organization
        )
        self._net.mount(CONNECTOR_HOST, app)
        self._instrumentation = RecordingInstrumentation()
        self._restore = self._extension.use_doubles(
            runtime=self.platform.runtime,
            trust=HostPatterns([_TRUST, self.organization.host]),
            instrumentation=self._instrumentation,
        )
        self._capture = LogCapture("hull_sdk", app.import_name.partition(".")[0])
        self._capture.start()
        #: The connector as the platform knows it, with ``id`` and ``secret``.
        self.connector: InstalledConnector = self.organization.install(
            f"https://{CONNECTOR_HOST}",
            manifest=manifest,
            private_settings=private_settings,
            settings=settings,
        )
        #: A client with the connector's credentials.
        self.client: Client = Client(
            id=self.connector.id,
            secret=self.connector.secret,
            organization=self.organization.host,
            runtime=self.platform.runtime,
        )
        #: The hosts at which the platform answers.
        self.platform_hosts: frozenset[str] = frozenset(
            {self.organization.host, host_of(self.client.configuration()["firehose_url"])}
        )
        for host in self.platform_hosts:
            self._net.mount(host, self.platform.wsgi_app)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the run and give the application its own clock, network and instrumentation back."""
        self.client.close()
        self._restore()
        self.platform.close()
        self._capture.stop()

    def advance(self, **duration: float) -> None:
        """Let time pass; deliveries, schedules and retries that fall due meanwhile happen.

        Meanwhile Python's garbage collector looks less often, unless it was set to that or switched off.

        Args:
            **duration: As for ``datetime.timedelta``, for example ``hours=1`` or ``days=90``.
        """
        with looking_rarely():
            self._tasks.sleep(timedelta(**duration).total_seconds())

    def run_until_idle(self, max_deliveries: int = 10_000, *, max_attempts: int = MAX_ATTEMPTS) -> None:
        """Let everything happen that is under way, without waiting for schedules; garbage as in :meth:`advance`.

        Args:
            max_deliveries: Deliveries after which the run counts as a loop.
            max_attempts: Tries of one message after which it counts as stuck.

        Raises:
            HullError: The connector and the platform keep each other busy (the message names connector, entity and
                attribute), or a message is stuck, for example because the handler raises each time (it quotes the
                last answer, and its ``__cause__`` is the last unexpected error).
        """
        known = len(self._instrumentation.exceptions)
        try:
            with looking_rarely():
                self.platform.run_until_idle(max_deliveries=max_deliveries, max_attempts=max_attempts)
        except HullError as err:
            raise err from next((record.error for record in self._instrumentation.exceptions[known:][-1:]), None)

    def service(self, host: str, app: Callable[..., Any]) -> None:
        """Answer a third party's host with a WSGI application, for example a small Flask app.

        Args:
            host: For example ``"api.crm.example"``.
            app: Any WSGI application.
        """
        self._net.mount(host, app)

    def request(
        self,
        path: str,
        *,
        method: str = "POST",
        body: Any = None,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        credentials: bool = True,
    ) -> Response:
        """Call an endpoint of the connector with its credentials in the query, as the platform does.

        Args:
            path: For example ``"/status"``.
            method: HTTP method.
            body: JSON to send, or ``bytes`` to send as they are, or ``None``.
            query: Further query parameters.
            headers: Further headers, for example ``{"Authorization": "Bearer abc"}``.
            credentials: ``False`` leaves the credentials out, as a third party does.

        Returns:
            Status, headers and body of the answer.
        """
        parameters = {
            "ship": self.connector.id,
            "organization": self.organization.host,
            "secret": self.connector.secret,
        }
        whole_query = urlencode({**(parameters if credentials else {}), **(query or {})})
        as_json = body is not None and not isinstance(body, bytes)
        return self._net.send(
            Request(
                method=method,
                url=f"https://{CONNECTOR_HOST}/{path.lstrip('/')}{'?' if whole_query else ''}{whole_query}",
                headers={**({"Content-Type": "application/json"} if as_json else {}), **(headers or {})},
                body=json.dumps(body) if as_json else body,
            )
        )

    def notify(self, channel: str, messages: Sequence[Mapping[str, Any]]) -> Response:
        """Send the connector a notification of your own words, signed as by the platform.

        The platform knows nothing of it: whatever the answer, it is not sent again.

        Args:
            channel: For example ``"user:update"``.
            messages: What each says, for example ``[{"user": {"email": "ann@acme.example"}, "changes": {"is_new":
                True}}]``; other parts of a user's or account's message are added, empty.

        Returns:
            Status, headers and body of the answer.

        Raises:
            InvalidArgumentError: The connector has no subscription to the channel.
        """
        return self._net.send(announcement(self.platform, self.organization, self.connector, channel, messages))

    def user(self, claims: Mapping[str, Any] | str) -> dict[str, Any] | None:
        """Return the report of the user that claims resolve to, or ``None``.

        Args:
            claims: For example ``{"email": "ann@acme.example"}``.
        """
        return self.organization.user_report(claims)

    def account(self, claims: Mapping[str, Any] | str) -> dict[str, Any] | None:
        """Return the report of the account that claims resolve to, or ``None``.

        Args:
            claims: For example ``{"domain": "acme.example"}``.
        """
        return self.organization.account_report(claims)

    def events(self, claims: Mapping[str, Any] | str) -> list[dict[str, Any]]:
        """Return the events of the user that claims resolve to, oldest first, those of the platform included.

        Args:
            claims: For example ``{"email": "ann@acme.example"}``.

        Returns:
            For example ``[{"event": "Ordered", "properties": {"sku": "A1"}, ...}]``; empty when there is no such user.
        """
        report = self.user(claims)
        return [] if report is None else self.organization.events(report["id"])

    @property
    def deliveries(self) -> list[Delivery]:
        """Every try to deliver a notification, in order."""
        return self.platform.deliveries

    @property
    def firehose(self) -> list[CapturedMessage]:
        """Every firehose message that was sent, in order, with the claims of its token."""
        return messages_in(e for e in self._net.exchanges if host_of(e.request.url) in self.platform_hosts)

    @property
    def outgoing(self) -> list[Exchange]:
        """Every request to somebody else than the platform and the connector, in order."""
        known = {*self.platform_hosts, CONNECTOR_HOST}
        return [e for e in self._net.exchanges if host_of(e.request.url) not in known]

    @property
    def exchanges(self) -> list[Exchange]:
        """Every request of platform, connector and test, to whomever it went, in the order of their answers."""
        return self._net.exchanges

    @property
    def logs(self) -> list[CapturedLog]:
        """Every log record of the package and of the application, in order, from the debug level up."""
        return self._capture.records

    @property
    def metrics(self) -> list[MetricRecord]:
        """Every metric, in order."""
        return self._instrumentation.metrics

    @property
    def metric_events(self) -> list[EventRecord]:
        """Every event of ``ctx.metric.event``, in order: ``name``, ``text``, ``properties``, ``tags``."""
        return self._instrumentation.events

    def snapshot(self) -> bytes:
        """Return the platform's state and the trace of deliveries as bytes that repeat with the seed."""
        trace = [delivery.to_dict() for delivery in self.deliveries]
        return json.dumps_sorted({"state": self.platform.state(), "deliveries": trace})


def _virtual_doors(runtime: Runtime) -> tuple[VirtualTasks, WsgiNetwork]:
    if not isinstance(runtime.tasks, VirtualTasks) or not isinstance(runtime.net, WsgiNetwork):
        raise InvalidArgumentError(
            f"the platform runs on {type(runtime.tasks).__name__}; a harness needs one from virtual_platform()"
        )
    return runtime.tasks, runtime.net
