"""Keeping secrets out of logs, errors and pages: the one place that knows what a secret looks like."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

__all__ = ["MASK", "is_secret_name", "mask", "mask_text", "mask_url"]

#: What stands where a secret was.
MASK: Final = "***"

_SECRET_NAMES = re.compile(
    r"(^|[_\-.])(secret|password|passwd|token|api_?key|apikey|access_?key|write_?key|private_?key|authorization"
    r"|credentials?|signature|cookie|hulltoken|state|conf)$",
    re.IGNORECASE,
)
_JWT = re.compile(r"\beyJ[\w-]{4,}\.[\w-]{4,}\.[\w-]*")
_FERNET = re.compile(r"\bgAAAA[\w-]{20,}={0,2}")
_PAIR = re.compile(
    r"(?i)\b((?:hull-access-token|[\w-]*(?:secret|password|token|api_?key|authorization))"
    r"[\"']?\s*[=:]\s*[\"']?)(?:(?:bearer|basic)\s+)?([^\s\"'&,;}\]]+)"
)
_USERINFO = re.compile(r"(?<=://)[^/@\s]+@")
_MAX_DEPTH: Final = 12


def is_secret_name(name: str) -> bool:
    """Tell whether a key or parameter of this name holds a secret, for example ``"api_key"``."""
    return _SECRET_NAMES.search(name) is not None


def mask_text(text: str) -> str:
    """Replace what looks like a secret inside a text.

    Args:
        text: Any text: tokens, ``secret=...`` pairs, header lines and user names in URLs are found.

    Returns:
        The text with ``***`` in their place.
    """
    text = _JWT.sub(MASK, text)
    text = _FERNET.sub(MASK, text)
    text = _USERINFO.sub(f"{MASK}@", text)
    return _PAIR.sub(rf"\1{MASK}", text)


def mask_url(url: str) -> str:
    """Return a URL whose secret query parameters and user names are masked; the rest stays readable."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return mask_text(url)
    query = urlencode(
        [(k, MASK if is_secret_name(k) else mask_text(v)) for k, v in parse_qsl(parts.query, keep_blank_values=True)],
        safe="*",
    )
    return _USERINFO.sub(f"{MASK}@", urlunsplit(parts._replace(query=query)))


def mask(value: Any, depth: int = 0) -> Any:
    """Return a copy of a JSON-like value without its secrets.

    Args:
        value: Dicts, lists and scalars. Values under a secret name are replaced whole, other strings are
            searched by :func:`mask_text`.
        depth: How deep the value sits; below twelve levels everything is replaced.

    Returns:
        The masked copy.
    """
    if isinstance(value, str):
        return mask_text(value)
    if depth >= _MAX_DEPTH:
        return MASK
    if isinstance(value, Mapping):
        return {
            key: MASK if isinstance(key, str) and item is not None and is_secret_name(key) else mask(item, depth + 1)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [mask(item, depth + 1) for item in value]
    if isinstance(value, bytes):
        return f"<{len(value)} bytes>"
    return value
