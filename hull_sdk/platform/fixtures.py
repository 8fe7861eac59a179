"""Fixtures: users, accounts and events that are there before anything happens, an object a line.

Rules: section "Seed data" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.checks import check_known
from hull_sdk.platform.organization import Organization
from hull_sdk.platform.platform import Platform
from hull_sdk.wire.tokens import AS_CLAIMS, CLAIM_SUBJECT_TYPE

__all__ = ["load_fixtures"]

_EVENT_KEYS: Final = ("event", "event_id", "created_at", "properties", "context")
_KEYS: Final = ("organization", "user", "account", "traits", *_EVENT_KEYS)


def load_fixtures(platform: Platform, path: str | Path) -> int:
    """Apply a file of fixtures; connectors are not told of them.

    Args:
        platform: With its organizations.
        path: Of a file with an object a line, for example ``{"user": {"email": "ann@acme.test"}, "traits": {"plan":
            "pro"}}`` or ``{"user": {"email": "ann@acme.test"}, "event": "Ordered", "properties": {"total": 1}}``.

    Returns:
        How many lines were applied.

    Raises:
        InvalidArgumentError: The file cannot be read or a line breaks a rule; the message names file and line, and
            the lines before it have been applied.
    """
    try:
        lines = Path(path).read_bytes().splitlines()
    except OSError as err:
        raise InvalidArgumentError(f"{path}: {err.strerror}; pass the path of a file in JSON lines") from err
    numbered = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    for number, line in numbered:
        try:
            _apply(platform, line)
        except InvalidArgumentError as err:
            raise InvalidArgumentError(f"{path}:{number}: {err.message}") from err
    return len(numbered)


def _apply(platform: Platform, line: bytes) -> None:
    try:
        value = json.loads(line)
    except ValueError as err:
        raise InvalidArgumentError(f"no JSON: {err}") from err
    if not isinstance(value, dict):
        raise InvalidArgumentError(f"it is {type(value).__name__}; write an object with {', '.join(_KEYS)}")
    check_known(value, _KEYS)
    organization = _organization(platform, value.get("organization"))
    message, claims = _message(value)
    record = organization.ingest(message, claims, None, notify=False)
    if record.state in {"ignored", "failed"}:
        raise InvalidArgumentError(str(record.reason))


def _organization(platform: Platform, host: Any) -> Organization:
    if host is None and len(platform.organizations) == 1:
        return next(iter(platform.organizations.values()))
    found = platform.organizations.get(host) if isinstance(host, str) else None
    if found is None:
        raise InvalidArgumentError(
            f"the organization is {host!r:.100}; name one of {', '.join(sorted(platform.organizations))}"
        )
    return found


def _message(value: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    claims = {AS_CLAIMS[kind]: value[kind] for kind in AS_CLAIMS if kind in value}
    if "event" in value:
        body = {key: value[key] for key in _EVENT_KEYS[:-1] if key in value}
        context = value.get("context", {})
        if not isinstance(context, Mapping):
            raise InvalidArgumentError(f"the context is {context!r:.100}; it must be a JSON object")
        return {"type": "track", "body": {**context, **body}}, {**claims, CLAIM_SUBJECT_TYPE: "user"}
    kind = "user" if "user" in value else "account"
    return {"type": "traits", "body": value.get("traits", {})}, {**claims, CLAIM_SUBJECT_TYPE: kind}
