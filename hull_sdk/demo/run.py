"""The demo over HTTP: platform and connector on free loopback ports, on threads of this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Final

from hull_sdk import Client
from hull_sdk.core.runtime import Runtime
from hull_sdk.demo.connector import create_app
from hull_sdk.demo.dataset import Message, load
from hull_sdk.demo.progress import Progress, Silence
from hull_sdk.demo.report import Report
from hull_sdk.demo.stage import check_sent, create_organization, report_on, send_all
from hull_sdk.errors import HullError
from hull_sdk.flask_app import app_extension
from hull_sdk.platform import Platform
from hull_sdk.platform.server import serve, serve_app

__all__ = ["DEADLINE_S", "run"]

#: Longest run, in seconds; one of a few seconds is usual.
DEADLINE_S: Final = 60.0

_ORGANIZATION_HOST: Final = "demo.hullapp.test"
_LOOPBACK: Final = "127.0.0.1"
#: Seconds between two reports of progress.
_TICK_S: Final = 0.1


def run(
    messages: Sequence[Message] | None = None,
    *,
    faults: Sequence[Mapping[str, Any]] = (),
    progress: Progress | None = None,
    deadline_s: float = DEADLINE_S,
) -> Report:
    """Run the demo with real sockets.

    Args:
        messages: What to send; the bundled data set when ``None``.
        faults: What to break, as for ``Platform.faults.add_wire``.
        progress: Where to tell how far it is.
        deadline_s: Seconds after which the run is given up.

    Returns:
        Figures and comparison.

    Raises:
        HullError: Not everything was sent and delivered in time; the message says what is missing.
    """
    told: Progress = Silence() if progress is None else progress
    wanted = load() if messages is None else messages
    runtime = Runtime.system()
    started = runtime.clock.monotonic()
    deadline = started + deadline_s
    with ExitStack() as stack:
        stack.callback(told.finish)
        told.stage("starting platform and connector")
        platform = stack.enter_context(_platform(runtime))
        connector_url = stack.enter_context(_connector(platform))
        told.stage(f"platform at http://{platform.address}, connector at {connector_url}")
        organization, source = create_organization(platform, _ORGANIZATION_HOST)
        organization.install(connector_url)
        for fault in faults:
            platform.faults.add_wire(fault)
        told.stage(f"sending {len(wanted)} messages")
        client = stack.enter_context(
            Client(id=source.id, secret=source.secret, organization=platform.address, workers=1, runtime=runtime)
        )
        # Whatever ends the run, the client can then hand over what it still holds, and no thread is left behind.
        stack.callback(platform.faults.clear)
        for number in send_all(client, wanted):
            told.update(f"{number} of {len(wanted)}")
        check_sent(client.flush(deadline - runtime.clock.monotonic()))
        told.stage("delivering notifications")
        _wait_until_idle(platform, deadline, told)
        elapsed_s = runtime.clock.monotonic() - started
        return report_on(platform, organization, source, mode="http", sent=len(wanted), elapsed_s=elapsed_s)


@contextmanager
def _platform(runtime: Runtime) -> Iterator[Platform]:
    platform = Platform(runtime=runtime)
    server = serve(platform)
    try:
        yield platform
    finally:
        platform.close()
        server.close()
        runtime.net.close()


@contextmanager
def _connector(platform: Platform) -> Iterator[str]:
    """Serve the connector as a process of its own would be: it shares nothing with the platform but the network."""
    app = create_app(platform.runtime.ids.secret(), [_LOOPBACK])
    server = serve_app(app, platform.runtime.tasks)
    try:
        yield server.url
    finally:
        server.close()
        app_extension(app).connector.close()


def _wait_until_idle(platform: Platform, deadline: float, progress: Progress) -> None:
    clock = platform.runtime.clock
    while not platform.wait_until_idle(_TICK_S):
        progress.update(f"{len(platform.deliveries)} delivered, {platform.pending} people and companies to go")
        if clock.monotonic() > deadline:
            raise HullError(
                f"{platform.pending} people and companies were still to be told about when the time ran out; "
                "the last answers were "
                + ", ".join(f"{d.channel} {d.status} {d.outcome}" for d in platform.deliveries[-3:])
            )
