"""Code that uses the shapes of ``hull_sdk.types``, which type checkers accept."""

from __future__ import annotations

from hull_sdk import Client, Connector, Context
from hull_sdk.types import (
    AccountClaims,
    AccountReport,
    AttributeOperation,
    Attributes,
    AttributesChanges,
    AttributeValue,
    Changes,
    ConnectorObject,
    Event,
    ExtractNotice,
    LegacyNotification,
    Manifest,
    ManifestSetting,
    MessageResponse,
    ObjectClaims,
    ObjectReport,
    RequestParts,
    Segment,
    SegmentChanges,
    SmartNotifierAnswer,
    StatusAnswer,
    UserClaims,
    UserMessage,
    UserReport,
    WireFlowControl,
)

ONE: AttributeOperation = {"operation": "inc", "value": 1}
SETTING: ManifestSetting = {"name": "api_key", "type": "string", "format": "password"}
MANIFEST: Manifest = {
    "name": "CRM",
    "tags": ["smart-notifier"],
    "subscriptions": [{"url": "/smart-notifier", "channels": ["user:update", {"channel": "account:update"}]}],
    "schedules": [{"url": "/sync", "type": "interval", "value": 5}],
    "private_settings": [SETTING],
}


def write(client: Client, user: UserClaims, account: AccountClaims) -> None:
    """Write with typed claims and attributes."""
    attributes: Attributes = {"plan": "pro", "visits": ONE, "tags": ["a", "b"], "left": None}
    client.as_user(user).traits(attributes)
    client.as_account(account).traits({"employees": 12})
    either: list[ObjectClaims] = [user, account]
    assert either


def read(ctx: Context, messages: list[UserMessage]) -> list[MessageResponse]:
    """Read messages and answer one by one."""
    found: list[MessageResponse] = []
    for message in messages:
        report: ObjectReport = message["user"]
        events: list[Event] = message["events"]
        changes: AttributesChanges = message["changes"].get("user", {})
        ctx.client.as_user(report).traits({"events": len(events), "changed": sorted(changes)})
        found.append({"message_id": message["message_id"], "status": "ok"})
    return found


def act(_ctx: Context, request: RequestParts) -> dict[str, str]:
    """Answer an action."""
    return {"all": str(request["query"].get("all"))}


def check(_ctx: Context) -> StatusAnswer:
    """Tell how the connector is."""
    return {"status": "warning", "messages": ["slow"]}


def answer(control: WireFlowControl, notice: ExtractNotice, legacy: LegacyNotification) -> SmartNotifierAnswer:
    """Put an answer together."""
    pause: float = control.get("in", 0)
    reason = f"{notice['format']} {legacy['subject']}"
    return {"flow_control": {"type": "next", "size": 10, "in": pause}, "metrics": [], "errors": [{"reason": reason}]}


def connector() -> Connector:
    """Pass a typed manifest."""
    return Connector(host_secret="long and random", manifest=MANIFEST)


def describe(ctx: Context, message: UserMessage) -> list[str]:
    """Name every shape that a message and its context consist of."""
    connector: ConnectorObject = ctx.ship
    user: UserReport = message["user"]
    account: AccountReport = message["account"]
    changes: Changes = message["changes"]
    moves: SegmentChanges = changes.get("segments", {})
    segments: list[Segment] = [*message["segments"], *moves.get("entered", [])]
    plan: AttributeValue = user["plan"]
    return [connector["name"], str(plan), str(account["domain"]), *(segment["name"] for segment in segments)]
