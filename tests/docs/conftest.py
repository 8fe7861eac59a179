"""The pages of the documentation as fixtures."""

from __future__ import annotations

import pytest
from doc_pages import PAGES, Page


@pytest.fixture(params=PAGES)
def page(request: pytest.FixtureRequest) -> Page:
    """Each page in turn."""
    return Page(request.param)


@pytest.fixture
def readme() -> Page:
    """The README."""
    return Page("README.md")


@pytest.fixture
def protocol() -> Page:
    """The page that describes the protocol."""
    return Page("docs/protocol.md")
