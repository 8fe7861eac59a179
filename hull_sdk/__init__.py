"""Build customer-data connectors for Hull, with the platform they talk to bundled in memory.

The names below are loaded when they are first used, so that a process which only sends data never pays for the
web framework or the platform.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from hull_sdk.lazy import lazy_names

if TYPE_CHECKING:
    from hull_sdk.client import Client
    from hull_sdk.connector import Connector
    from hull_sdk.context import Context, current_context
    from hull_sdk.flask_app import Middleware, incoming

__all__ = ["Client", "Connector", "Context", "Middleware", "__version__", "current_context", "incoming"]

__version__ = "0.1.0"

__getattr__ = lazy_names(
    __name__,
    {
        "Client": "hull_sdk.client.client",
        "Connector": "hull_sdk.connector",
        "Context": "hull_sdk.context",
        "Middleware": "hull_sdk.flask_app",
        "current_context": "hull_sdk.context",
        "incoming": "hull_sdk.flask_app",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
