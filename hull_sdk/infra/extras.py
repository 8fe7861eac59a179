"""Optional libraries: loaded when a feature needs them, with one clear error when they are missing."""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from hull_sdk.errors import MissingExtraError

__all__ = ["load", "require"]


def require(feature: str, module: str, extra: str) -> None:
    """Check that an optional library is installed, without loading it.

    Args:
        feature: What needs it, as the developer wrote it, for example ``"redis_url"``.
        module: Top-level module of the library, for example ``"redis"``.
        extra: The extra that brings it, for example ``"redis"``.

    Raises:
        MissingExtraError: It is not installed; the message is the command that installs it.
    """
    if importlib.util.find_spec(module) is None:
        raise MissingExtraError(feature, extra)


def load(feature: str, module: str, extra: str) -> Any:
    """Load an optional library.

    Args:
        feature: What needs it.
        module: Top-level module of the library.
        extra: The extra that brings it.

    Returns:
        The module.

    Raises:
        MissingExtraError: It is not installed.
    """
    require(feature, module, extra)
    return importlib.import_module(module)
