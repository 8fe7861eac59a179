"""The connector's own settings, changed from inside."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.context import Context

__all__ = ["update_settings"]

#: How long an update waits for others, in seconds.
SETTINGS_WAIT_S: Final = 20.0


def update_settings(ctx: Context, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Change some of the connector's private settings; the others stay.

    Updates of one connector come one after the other, over all processes that share a cache, so that none of them
    undoes another.

    Args:
        ctx: The context; its ``ship`` and the cached one are replaced.
        settings: For example ``{"last_sync_at": "2024-01-05T10:00:00Z"}``.

    Returns:
        The connector after the change.

    Raises:
        InvalidArgumentError: ``settings`` is no mapping.
        CredentialsError: The context has no credentials.
        TransientError: The platform could not be reached, or other updates took too long.
    """
    # The client reads the settings afresh: the cached ones may be a minute old, and the platform replaces them all.
    with ctx.leases.holding(ctx.runs.scoped("leases"), "settings", wait_s=SETTINGS_WAIT_S):
        ship = ctx.client.utils.settings.update(settings)
        ctx.replace_connector(ship)
    return ship
