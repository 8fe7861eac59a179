"""The demo on a virtual clock: no sockets, no threads, no waiting, and the same compared figures."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from hull_sdk import Client
from hull_sdk.core.clock import SystemClock
from hull_sdk.demo.connector import create_app
from hull_sdk.demo.dataset import Message, load
from hull_sdk.demo.progress import Progress, Silence
from hull_sdk.demo.report import Report
from hull_sdk.demo.stage import check_sent, create_organization, report_on, send_all
from hull_sdk.testing.addresses import ORGANIZATION_HOST
from hull_sdk.testing.harness import Harness, virtual_platform

__all__ = ["run_virtual"]

#: Virtual seconds between two handfuls of messages, so that notifications go out meanwhile.
_PACE_S: Final = 0.2
#: Virtual seconds in which everything must have been taken by the platform.
_PATIENCE_S: Final = 600.0


def run_virtual(
    messages: Sequence[Message] | None = None,
    *,
    faults: Sequence[Mapping[str, Any]] = (),
    progress: Progress | None = None,
    seed: int = 0,
) -> Report:
    """Run the demo in one thread on a virtual clock.

    Args:
        messages: What to send; the bundled data set when ``None``.
        faults: What to break, as for ``Platform.faults.add_wire``.
        progress: Where to tell how far it is.
        seed: Seed of all ids.

    Returns:
        Figures and comparison.

    Raises:
        HullError: A message did not reach the platform, or connector and platform keep each other busy.
    """
    told: Progress = Silence() if progress is None else progress
    wanted = load() if messages is None else messages
    clock = SystemClock()
    started = clock.monotonic()
    told.stage("starting platform and connector on a virtual clock")
    platform = virtual_platform(seed)
    organization, source = create_organization(platform, ORGANIZATION_HOST)
    app = create_app(platform.runtime.ids.secret(), [ORGANIZATION_HOST])
    with Harness(app, platform=platform, organization=organization):
        for fault in faults:
            platform.faults.add_wire(fault)
        told.stage(f"sending {len(wanted)} messages")
        with Client(
            id=source.id,
            secret=source.secret,
            organization=organization.host,
            workers=1,
            runtime=platform.runtime,
        ) as client:
            for number in send_all(client, wanted):
                told.update(f"{number} of {len(wanted)}")
                platform.advance(seconds=_PACE_S)
            check_sent(client.flush(_PATIENCE_S))
        told.stage("delivering notifications")
        platform.run_until_idle()
        told.finish()
        return report_on(
            platform,
            organization,
            source,
            mode="virtual",
            sent=len(wanted),
            elapsed_s=clock.monotonic() - started,
        )
