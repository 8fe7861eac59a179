"""The client: sends data to Hull and asks it questions.

It is all that a process which only sends data has to load. Credentials never leave for another host than the
organization's, and no message is dropped quietly.
"""

from __future__ import annotations

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
