"""What ``hull`` writes for developers: a new connector, and types of a connector's settings."""

from __future__ import annotations

__all__: list[str] = []
