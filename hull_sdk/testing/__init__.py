"""The test kit: a connector and the platform in one process, on one virtual clock."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hull_sdk.lazy import lazy_names

if TYPE_CHECKING:
    from hull_sdk.testing.capture import CapturedLog, CapturedMessage
    from hull_sdk.testing.harness import Harness, virtual_platform
    from hull_sdk.testing.local import serve_locally
    from hull_sdk.testing.plugin import HullScenario
    from hull_sdk.testing.scenario import Scenario

__all__ = ["CapturedLog", "CapturedMessage", "Harness", "HullScenario", "Scenario", "serve_locally", "virtual_platform"]

__getattr__ = lazy_names(
    __name__,
    {
        "CapturedLog": "hull_sdk.testing.capture",
        "CapturedMessage": "hull_sdk.testing.capture",
        "Harness": "hull_sdk.testing.harness",
        "HullScenario": "hull_sdk.testing.plugin",
        "Scenario": "hull_sdk.testing.scenario",
        "serve_locally": "hull_sdk.testing.local",
        "virtual_platform": "hull_sdk.testing.harness",
    },
)


def __dir__() -> list[str]:
    return sorted(__all__)
