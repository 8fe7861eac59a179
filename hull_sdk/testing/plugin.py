"""The pytest plugin: fixtures for testing a connector, found without an import.

Define a fixture ``hull_app`` that returns your application; ``hull_harness`` then drives it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from hull_sdk.platform import Organization, Platform
    from hull_sdk.testing.harness import Harness
    from hull_sdk.testing.scenario import Scenario

__all__ = [
    "HullScenario",
    "hull_app",
    "hull_harness",
    "hull_organization",
    "hull_platform",
    "hull_scenario",
    "pytest_addoption",
    "pytest_load_initial_conftests",
]

_OPTION = "--update-scenarios"
#: Its short form, where neither the project nor another plugin has an option of this name.
_SHORT = "--update"
_UNSAFE = re.compile(r"[^\w.=+-]+")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that has scenario files written."""
    help_text = "write the files of hull_scenario with what happens, instead of comparing"
    _add_option(parser, _OPTION, help_text)


@pytest.hookimpl(hookwrapper=True)
def pytest_load_initial_conftests(parser: pytest.Parser) -> Iterator[None]:
    """Add the short form of the option, unless the conftest files that were just loaded have one of this name."""
    yield
    with suppress(pytest.UsageError):  # somebody's, that wants a value
        if _SHORT in parser.parse_known_and_unknown_args([_SHORT])[1]:
            _add_option(parser, _SHORT, f"the same as {_OPTION}")


def _add_option(parser: pytest.Parser, name: str, help_text: str) -> None:
    group = parser.getgroup("hull", "hull-sdk")
    group.addoption(name, dest="update_scenarios", action="store_true", default=False, help=help_text)


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
    from hull_sdk.testing.addresses import ORGANIZATION_HOST  # noqa: PLC0415 - a plugin must load in no time

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


class HullScenario:
    """Makes the scenarios of one test, whose files stand beside it.

    Args:
        path: The test's file, for example ``tests/test_crm.py``.
        test: The test's name, for example ``"test_signup[free]"``.
        update: ``True`` writes the files.
    """

    def __init__(self, path: Path, test: str, *, update: bool) -> None:
        self._folder = path.parent / "scenarios" / path.stem.removeprefix("test_")
        self._test = _UNSAFE.sub("-", test.removeprefix("test_")).strip("-")
        self._update = update
        self._used: set[str] = set()

    def __call__(self, harness: Harness, name: str = "", *, settle: bool = True) -> Scenario:
        """Return a context manager that compares all that happens in its block with the test's file.

        Args:
            harness: What is watched.
            name: Tells several scenarios of one test apart.
            settle: ``False`` compares without letting things that are under way happen.

        Returns:
            The scenario; ``tests/test_crm.py::test_signup[free]`` has its file in
            ``tests/scenarios/crm/signup-free.json``, with the name ``"again"`` in ``signup-free-again.json``.
        """
        from hull_sdk.testing.scenario import Scenario  # noqa: PLC0415 - a plugin must load in no time

        file = f"{self._test}-{_UNSAFE.sub('-', name)}.json" if name else f"{self._test}.json"
        if file in self._used:
            pytest.fail(
                f"two scenarios of this test would share the file {file}; give one a name: hull_scenario(harness, name)"
            )
        self._used.add(file)
        return Scenario(harness, self._folder / file, update=self._update, settle=settle)


@pytest.fixture
def hull_scenario(request: pytest.FixtureRequest) -> HullScenario:
    """Makes scenarios that state everything; see :class:`HullScenario`."""
    return HullScenario(request.path, request.node.name, update=bool(request.config.getoption(_OPTION)))
