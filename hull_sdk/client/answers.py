"""What the platform's answers mean: the one table from HTTP status to error.

Rules: section "Status codes" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.core.clock import Clock
from hull_sdk.core.exchange import Response
from hull_sdk.core.masking import mask_text
from hull_sdk.core.retry import is_retryable, parse_retry_after
from hull_sdk.errors import (
    ApiError,
    CredentialsError,
    HullError,
    OrganizationDisabledError,
    RateLimitError,
    TransientError,
)

__all__ = ["body_of", "error_of", "is_success"]

_MAX_REASON: Final = 300
_TOO_MANY: Final = 429


def is_success(response: Response) -> bool:
    """Tell whether an answer has a status from 200 to 299."""
    return 200 <= response.status < 300


def body_of(response: Response) -> Any:
    """Return an answer's decoded JSON, its text when it is no JSON, or ``None`` when it is empty."""
    if not response.body.strip():
        return None
    try:
        return json.loads(response.body)
    except ValueError:
        return response.body.decode("utf-8", "replace")


def error_of(response: Response, what: str, clock: Clock) -> HullError:
    """Return the error that an answer stands for.

    Args:
        response: An answer that is no success.
        what: What was asked, for example ``"GET app"``.
        clock: What a date in ``Retry-After`` is compared with.
    """
    body = body_of(response)
    message = f"{what} was answered {response.status}: {_reason(body)}"
    if response.status == 401:
        return CredentialsError(f"{message}; check id, secret and organization of the connector")
    if response.status == 402:
        return OrganizationDisabledError(message)
    if is_retryable(response.status):
        kind = RateLimitError if response.status == _TOO_MANY else TransientError
        pause = parse_retry_after(response.headers.get("retry-after"), clock)
        return kind(message, {"status": response.status}, retry_after=pause)
    return ApiError(message, status=response.status, body=body)


def _reason(body: Any) -> str:
    if isinstance(body, Mapping):
        body = body.get("message") or body.get("error") or body.get("reason") or "no reason given"
    return mask_text(str(body if body is not None else "no reason given"))[:_MAX_REASON]
