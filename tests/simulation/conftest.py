"""What the tests of the simulation share."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let the package log nothing: a run breaks hundreds of things on purpose."""
    logger = logging.getLogger("hull_sdk")
    level = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(level)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--seed``, run nothing here but the scenarios of that seed."""
    if config.getoption("seed") is None:
        return
    others = [
        item for item in items if "simulation" in item.path.parts and "seed" not in getattr(item, "fixturenames", ())
    ]
    config.hook.pytest_deselected(items=others)
    items[:] = [item for item in items if item not in others]
