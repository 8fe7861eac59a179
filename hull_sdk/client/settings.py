"""The connector's own settings, written from inside.

Rules: section "REST" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hull_sdk.client.transport import Transport
from hull_sdk.errors import ApiError, InvalidArgumentError

__all__ = ["Settings"]


class Settings:
    """``client.utils.settings``.

    Args:
        transport: Sends requests to the API.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def update(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Write some of the connector's private settings; the platform then notifies ``ship:update``.

        The others are read and written back, so of two updates at the same time one may be lost.

        Args:
            settings: For example ``{"synced_segments": ["5a79..."]}``.

        Returns:
            The connector after the update.

        Raises:
            InvalidArgumentError: ``settings`` is no dict.
            HullError: The platform refused or could not be reached.
        """
        if not isinstance(settings, Mapping):
            raise InvalidArgumentError(f"settings is {settings!r}; pass a dict of settings by name")
        connector = _connector(self._transport.request("GET", "app"))
        merged = {**(connector.get("private_settings") or {}), **settings}
        return _connector(self._transport.request("PUT", str(connector["id"]), {"private_settings": merged}))


def _connector(answer: Any) -> dict[str, Any]:
    if not isinstance(answer, dict) or "id" not in answer:
        raise ApiError("the platform did not answer with a connector", status=200, body=answer)
    return answer
