"""Shapes that are wrong; type checkers refuse each line that ends in a mark, and no other."""

from __future__ import annotations

from hull_sdk.types import (
    AttributeOperation,
    Event,
    Manifest,
    ManifestSchedule,
    ManifestSetting,
    MessageResponse,
    StatusAnswer,
    UserClaims,
    WireFlowControl,
)

ANN: UserClaims = {"mail": "ann@acme.example"}  # WRONG: no such identifier
TWICE: AttributeOperation = {"operation": "multiply", "value": 2}  # WRONG: no such operation
SIZE: ManifestSetting = {"name": "size", "type": "int"}  # WRONG: integer
CRM: Manifest = {"name": "CRM", "subscription": []}  # WRONG: subscriptions
DAILY: ManifestSchedule = {"url": "/sync", "type": "daily", "value": "1"}  # WRONG: cron or interval
BARE: ManifestSchedule = {"type": "cron", "value": "* * * * *"}  # WRONG: no url
DONE: MessageResponse = {"message_id": "m-1", "status": "done"}  # WRONG: ok
FINE: StatusAnswer = {"status": "fine", "messages": []}  # WRONG: ok
LATER: WireFlowControl = {"type": "later"}  # WRONG: next or retry


def read(event: Event) -> None:
    """Misread an event."""
    _: int = event["event"]  # WRONG: a name
    _ = event["props"]  # WRONG: properties
