"""What an operator should look at: settings that are missing, or that do not go together."""

from __future__ import annotations

from hull_sdk import Context
from hull_sdk.types import StatusAnswer
from segment_connector.settings import private_settings, settings

__all__ = ["settings_go_together"]


def settings_go_together(ctx: Context) -> StatusAnswer | None:
    """Return what the settings leave out; Hull as a destination works without any of them."""
    private, public = private_settings(ctx), settings(ctx)
    messages = []
    if private["synchronized_segments"] and not private["write_key"]:
        messages.append("Users are selected, but nothing is sent: the write key is missing.")
    if private["write_key"] and not private["synchronized_segments"]:
        messages.append("There is a write key, but nobody is sent: select segments, or ALL, in the user filter.")
    if private["write_key"] and private["forward_events"]:
        messages.append("Event forwarding is on: make sure that Hull is no destination of the same workspace.")
    if public["public_id_field"] != "external_id" or public["public_account_id_field"] != "external_id":
        messages.append("Ids of Hull are sent in the place of external ids.")
    if public["ignore_segment_userId"]:
        messages.append("The user ids of incoming calls are ignored.")
    return {"status": "warning", "messages": messages} if messages else None
