"""What both kinds of run share: the organization before the first message, and the figures after the last."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from hull_sdk.demo.connector import ATTRIBUTES
from hull_sdk.demo.dataset import Message, load, load_organization, send
from hull_sdk.demo.fold import fold
from hull_sdk.demo.report import Report
from hull_sdk.errors import HullError

if TYPE_CHECKING:
    from hull_sdk import Client
    from hull_sdk.client import FlushResult
    from hull_sdk.platform import Connector, Organization, Platform

__all__ = ["FAULTS", "check_sent", "create_organization", "report_on", "send_all"]

#: A bad day: the firehose answers 500 for five seconds, then connections break after everything was applied, on
#: both sides, and one notification arrives twice at once.
FAULTS: Final[tuple[Mapping[str, Any], ...]] = (
    {"target": "firehose", "kind": "error", "status": 500, "for_ms": 5000},
    {"target": "firehose", "kind": "drop_after", "times": 2},
    {"target": "delivery", "kind": "drop_after", "times": 2},
    {"target": "delivery", "kind": "duplicate", "times": 1},
)

#: The sender of the data set: it writes and is told nothing.
_SOURCE_MANIFEST: Final = {"name": "Data set", "tags": [], "subscriptions": []}

#: Messages between two reports of progress.
_PROGRESS_STEP: Final = 50


def create_organization(platform: Platform, host: str) -> tuple[Organization, Connector]:
    """Create the organization of the data set with its segments, and a connector to send the data set with.

    Args:
        platform: Where.
        host: Its name, for example ``"demo.hullapp.test"``.

    Returns:
        The organization, and the sender's connector with ``id`` and ``secret``.
    """
    setup = load_organization()
    organization = platform.create_organization(host, settings=setup["settings"])
    for kind, segments in (("user", setup["users_segments"]), ("account", setup["accounts_segments"])):
        for segment in segments:
            organization.create_segment(kind, **segment)
    return organization, organization.install(None, manifest=_SOURCE_MANIFEST)


def send_all(client: Client, messages: Sequence[Message]) -> Iterator[int]:
    """Send messages, and say now and then how many are on their way.

    Args:
        client: The sender's client.
        messages: What to send, in order.
    """
    for number, message in enumerate(messages, 1):
        send(client, message)
        if number % _PROGRESS_STEP == 0:
            yield number


def report_on(
    platform: Platform, organization: Organization, source: Connector, *, mode: str, sent: int, elapsed_s: float
) -> Report:
    """Read off the figures and compare them with what the bundled data set has to come to.

    Args:
        platform: At rest.
        organization: Whose figures.
        source: The sender of the data set.
        mode: ``"http"`` or ``"virtual"``.
        sent: Number of messages that were sent.
        elapsed_s: Real seconds that the run took.
    """
    delivered = {d.notification_id: d.channel for d in platform.deliveries if d.outcome == "next"}
    return Report(
        mode=mode,
        sent=sent,
        figures=_figures(organization, source),
        expected=fold(load()),
        notifications=dict(sorted(Counter(delivered.values()).items(), reverse=True)),
        deliveries=len(platform.deliveries),
        writes=sum(record.connector_id != source.id for record in organization.records),
        elapsed_s=elapsed_s,
    )


def check_sent(result: FlushResult) -> None:
    """Check that everything reached the platform.

    Args:
        result: What the sender's flush returned.

    Raises:
        HullError: Something is missing; the message says how much and why.
    """
    if result.failed or result.pending:
        reasons = "; ".join(dict.fromkeys(str(error) for error in result.errors)) or "the time ran out"
        raise HullError(f"{result.failed} messages failed and {result.pending} were not sent: {reasons}")


def _figures(organization: Organization, source: Connector) -> dict[str, Any]:
    states = Counter(record.state for record in organization.records if record.connector_id == source.id)
    return {
        "messages": {
            "applied": states["applied"] + states["merged"],
            "merged": states["merged"],
            "ignored": states["ignored"],
            "failed": states["failed"],
        },
        "users": len(organization.entities("user")),
        "accounts": len(organization.entities("account")),
        "events": organization.tracked_events(),
        "segments": dict(_transitions(organization)),
        "written": {"users": _written(organization, "user"), "accounts": _written(organization, "account")},
        "dead_letters": sum(len(organization.dead_letters(each)) for each in organization.connectors),
    }


def _transitions(organization: Organization) -> Iterator[tuple[str, dict[str, int]]]:
    counts = organization.segment_transitions
    for segment in [*organization.users_segments(), *organization.accounts_segments()]:
        found = counts.get(segment["id"], {})
        yield segment["name"], {side: found.get(side, 0) for side in ("entered", "left")}


def _written(organization: Organization, kind: Any) -> dict[str, dict[str, Any]]:
    """Return what the connector wrote, by external_id, else e-mail or domain; people without either have no score."""
    found = {}
    for entity in organization.entities(kind):
        values = {name: entity.attributes[name] for name in ATTRIBUTES[kind] if name in entity.attributes}
        name = entity.external_id or entity.handle or (f"nobody ({entity.id})" if values else None)
        if name is not None:
            found[name] = values
    return found
