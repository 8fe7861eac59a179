"""User agents: which browser, system and device a text names.

Rules: section "Events" of ``docs/protocol.md``. The tables are loaded with the first user agent that arrives, since
nobody else needs them.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any, Final

__all__ = ["parse_useragent"]

#: Longest user agent that is read; what follows says nothing more, and costs time.
_MAX_LENGTH: Final = 500


def parse_useragent(text: str) -> dict[str, dict[str, Any]]:
    """Read a user agent.

    Args:
        text: For example ``"Mozilla/5.0 (X11; Linux x86_64) ... Chrome/69.0.3497.100 Safari/537.36"``.

    Returns:
        ``{"browser": {"name", "major", "version"}, "os": {"name", "version"}, "device": {"name"}}``; what is not
        recognized is absent, and an unknown device is ``"Other"``.
    """
    browser, system, device = _parsed(text[:_MAX_LENGTH])
    return {"browser": dict(browser), "os": dict(system), "device": dict(device)}


@functools.lru_cache(maxsize=4096)
def _parsed(text: str) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    from ua_parser import parse  # noqa: PLC0415 - the tables take a while to load

    found = parse(text)
    agent, system, device = found.user_agent, found.os, found.device
    browser = {} if agent is None else _named(agent.family, [agent.major, agent.minor, agent.patch])
    if agent is not None and agent.major is not None and agent.major.isdecimal():
        browser["major"] = int(agent.major)
    parts = [] if system is None else [system.major, system.minor, system.patch, system.patch_minor]
    return (
        browser,
        {} if system is None else _named(system.family, parts),
        {"name": "Other" if device is None else device.family},
    )


def _named(name: str, parts: Sequence[str | None]) -> dict[str, Any]:
    version = ".".join(part for part in parts if part is not None)
    return {"name": name, "version": version} if version else {"name": name}
