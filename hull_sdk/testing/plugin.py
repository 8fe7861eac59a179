"""The pytest plugin: fixtures for testing a connector, found without an import.

Define a fixture ``hull_app`` that returns your application; ``hull_harness`` then drives it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hull_sdk.platform import Organization, Platform
    from hull_sdk.testing.harness import Harness

__all__ = ["hull_app", "hull_harness", "hull_organization", "hull_platform"]


@pytest.fixture
def hull_platform() -> Iterator[Platform]:
    """A platform in memory, on a virtual clock, for one test."""
    from hull_sdk.testing.harness import virtual_platform  # noqa: PLC0415 - a plugin must load in no time

    platform = virtual_platform()
    yield platform
    platform.close()


@pytest.fixture
def hull_organization(hull_platform: Platform) -> Organization:
    """An organization on ``hull_platform``."""
    from hull_sdk.testing.harness import ORGANIZATION_HOST  # noqa: PLC0415 - a plugin must load in no time

    return hull_platform.create_organization(ORGANIZATION_HOST)


@pytest.fixture
def hull_app() -> Any:
    """Return your application; define a fixture of this name in your own ``conftest.py``."""
    pytest.fail(
        "the fixture hull_harness needs your application: define a fixture hull_app that returns it after "
        "Connector(...).setup_app(app)"
    )


@pytest.fixture
def hull_harness(hull_app: Any, hull_platform: Platform, hull_organization: Organization) -> Iterator[Harness]:
    """Your application, installed as a connector of ``hull_organization``."""
    from hull_sdk.testing.harness import Harness  # noqa: PLC0415 - a plugin must load in no time

    with Harness(hull_app, platform=hull_platform, organization=hull_organization) as harness:
        yield harness
