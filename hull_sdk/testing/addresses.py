"""Where a harness puts things."""

from __future__ import annotations

from typing import Final

__all__ = ["CONNECTOR_HOST", "ORGANIZATION_HOST"]

#: The organization that a harness makes.
ORGANIZATION_HOST: Final = "acme.hullapp.test"
#: Where its connector answers.
CONNECTOR_HOST: Final = "connector.test"
