"""The checked-in list of features is what the npm packages offer."""

from __future__ import annotations

import pytest
from node_features import KEYS_FILE, npm_features, render_keys

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]


def test_the_list_of_features_is_what_the_packages_offer(node_environment):
    """Asking the packages again gives the list as it is checked in."""
    assert KEYS_FILE.read_text(encoding="utf-8") == render_keys(npm_features(node_environment))
