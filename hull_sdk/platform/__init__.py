"""The reference platform, in memory: everything that a connector can observe of Hull.

It is a real server for any language over HTTP (``hull platform``), and an object in a test's own process. It knows the
wire and nothing else of the SDK.
"""

from hull_sdk.core.clock import VirtualClock
from hull_sdk.platform.attempts import Delivery
from hull_sdk.platform.connectors import Connector
from hull_sdk.platform.dead_letters import DeadLetter
from hull_sdk.platform.event_contexts import Locator
from hull_sdk.platform.faults import Fault, Faults
from hull_sdk.platform.organization import Organization
from hull_sdk.platform.platform import Platform
from hull_sdk.platform.schedules import ScheduleRun

__all__ = [
    "Connector",
    "DeadLetter",
    "Delivery",
    "Fault",
    "Faults",
    "Locator",
    "Organization",
    "Platform",
    "ScheduleRun",
    "VirtualClock",
]
