"""The client: sends data to Hull and asks it questions.

It is all that a process which only sends data has to load. Credentials never leave for another host than the
organization's, and no message is dropped quietly. The names below are loaded when they are first used.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hull_sdk.lazy import lazy_names

if TYPE_CHECKING:
    from hull_sdk.client.capture import FirehoseEvent, LogLine
    from hull_sdk.client.client import Client
    from hull_sdk.client.config import ClientConfig, SendingOptions
    from hull_sdk.client.current_user import current_user_id
    from hull_sdk.client.entities import AccountClient, ApiClient, UserClient
    from hull_sdk.client.logs import ConnectorLogger, logger
    from hull_sdk.client.outbox import Outbox, Settlement
    from hull_sdk.client.platform_logs import PlatformLogHandler
    from hull_sdk.client.pool import SenderPool
    from hull_sdk.client.sender import FlushResult, Sender
    from hull_sdk.client.traits import group_traits, normalize_traits
    from hull_sdk.core.logs import JsonFormatter

__all__ = [
    "AccountClient",
    "ApiClient",
    "Client",
    "ClientConfig",
    "ConnectorLogger",
    "FirehoseEvent",
    "FlushResult",
    "JsonFormatter",
    "LogLine",
    "Outbox",
    "PlatformLogHandler",
    "Sender",
    "SenderPool",
    "SendingOptions",
    "Settlement",
    "UserClient",
    "current_user_id",
    "group_traits",
    "logger",
    "normalize_traits",
]

__getattr__ = lazy_names(
    __name__,
    {
        "AccountClient": "hull_sdk.client.entities",
        "ApiClient": "hull_sdk.client.entities",
        "Client": "hull_sdk.client.client",
        "ClientConfig": "hull_sdk.client.config",
        "ConnectorLogger": "hull_sdk.client.logs",
        "FirehoseEvent": "hull_sdk.client.capture",
        "FlushResult": "hull_sdk.client.sender",
        "JsonFormatter": "hull_sdk.core.logs",
        "LogLine": "hull_sdk.client.capture",
        "Outbox": "hull_sdk.client.outbox",
        "PlatformLogHandler": "hull_sdk.client.platform_logs",
        "Sender": "hull_sdk.client.sender",
        "SenderPool": "hull_sdk.client.pool",
        "SendingOptions": "hull_sdk.client.config",
        "Settlement": "hull_sdk.client.outbox",
        "UserClient": "hull_sdk.client.entities",
        "current_user_id": "hull_sdk.client.current_user",
        "group_traits": "hull_sdk.client.traits",
        "logger": "hull_sdk.client.logs",
        "normalize_traits": "hull_sdk.client.traits",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
