"""Every error of the package, sorted by what should happen next.

The tree::

    HullError
    ├── TransientError                 try again later
    │   ├── RateLimitError             ... after the stated pause
    │   ├── ConfigurationError         ... once somebody has mended the settings
    │   ├── RecoverableError           ... after both sides have been reconciled
    │   ├── NetworkError               ... the other side could not be reached
    │   └── QueueFullError             ... once the sender has caught up
    │       └── MessageDroppedError    ... the same; the message was queued and dropped
    ├── LogicError                     handle it in the connector; never retry
    ├── CredentialsError               mend id, secret, token or trust root
    │   ├── OrganizationDisabledError  the organization has been switched off
    │   └── ConnectorNotFoundError     the connector has been uninstalled
    ├── NotificationError              the notification itself is bad
    ├── ApiError                       the platform refused one request
    ├── RejectedError                  the platform refused one firehose message for good
    ├── InvalidArgumentError           a call or an option is wrong; mend the code
    └── MissingExtraError              an optional library is not installed

``hull_sdk.outcomes`` turns them into answers; see the section "Errors and outcomes" of ``docs/protocol.md``.
"""

from __future__ import annotations

from typing import Any

__all__ = [
    "ApiError",
    "ConfigurationError",
    "ConnectorNotFoundError",
    "CredentialsError",
    "HullError",
    "InvalidArgumentError",
    "LogicError",
    "MessageDroppedError",
    "MissingExtraError",
    "NetworkError",
    "NotificationError",
    "OrganizationDisabledError",
    "QueueFullError",
    "RateLimitError",
    "RecoverableError",
    "RejectedError",
    "TransientError",
]


class HullError(Exception):
    """Root of all errors that this package raises on purpose.

    Args:
        message: What happened, the rule that was broken and the way out.
    """

    code = "HULL_ERR"

    def __init__(self, message: str = "") -> None:
        super().__init__(message)
        self.message = message

    def __reduce__(self) -> tuple[Any, ...]:
        # Errors cross process borders, and most constructors ask for more than the message.
        return _restore, (type(self), self.args), self.__dict__


def _restore(kind: type[HullError], args: tuple[Any, ...]) -> HullError:
    return kind.__new__(kind, *args)


class TransientError(HullError):
    """Raised when a later try may succeed; a notification is then delivered again.

    Args:
        message: What failed.
        extra: Data for logs and metrics, for example ``{"endpoint": "/contacts"}``.
        status: HTTP status of the answer, when it should differ from 400.
        retry_after: Pause in seconds before the next try, for example ``30``.
    """

    code = "HULL_ERR_TRANSIENT"

    def __init__(
        self,
        message: str = "",
        extra: dict[str, Any] | None = None,
        *,
        status: int | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(message)
        self.extra: dict[str, Any] = {} if extra is None else extra
        self.status = status
        self.retry_after = retry_after


class RateLimitError(TransientError):
    """Raised when the other service asks for a pause; set ``retry_after`` when it says how long."""

    code = "HULL_ERR_RATE_LIMIT"


class ConfigurationError(TransientError):
    """Raised when a setting of the connector is missing or wrong; an operator has to mend it."""

    code = "HULL_ERR_CONFIGURATION"


class RecoverableError(TransientError):
    """Raised when both sides are out of step; reconcile them, then let the retry happen."""

    code = "HULL_ERR_RECOVERABLE"


class NetworkError(TransientError):
    """Raised when an address could not be reached or did not answer in time."""

    code = "HULL_ERR_NETWORK"


class QueueFullError(TransientError):
    """Raised when the sender's queue stayed full for the stated time; what was queued before is still there."""

    code = "HULL_ERR_QUEUE_FULL"


class MessageDroppedError(QueueFullError):
    """Raised by the Future of a message that a full queue dropped, as ``Client(overflow=...)`` asked for."""

    code = "HULL_ERR_MESSAGE_DROPPED"


class LogicError(HullError):
    """Raised for a known failure that a retry cannot mend; catch it in the handler and log it.

    Args:
        message: What failed.
        action: What was tried, for example ``"contact.update"``.
        payload: The data it was tried with.
    """

    code = "HULL_ERR_LOGIC"

    def __init__(self, message: str = "", action: str | None = None, payload: Any = None) -> None:
        super().__init__(message)
        self.action = action
        self.payload = payload


class CredentialsError(HullError):
    """Raised when id, secret, token or organization are missing, wrong or not allowed.

    Args:
        message: Which of them, and how to mend it. Never holds the secret itself.
        status: HTTP status of the answer; 401 by default, 403 when none were given.
    """

    code = "HULL_ERR_CREDENTIALS"

    def __init__(self, message: str = "", *, status: int = 401) -> None:
        super().__init__(message)
        self.status = status


class OrganizationDisabledError(CredentialsError):
    """Raised when the platform answers 402: the organization has been switched off."""

    code = "HULL_ERR_ORGANIZATION_DISABLED"

    def __init__(self, message: str = "Organization is disabled", *, status: int = 402) -> None:
        super().__init__(message, status=status)


class ConnectorNotFoundError(CredentialsError):
    """Raised when the platform answers 404 for the connector: it has been uninstalled."""

    code = "HULL_CONNECTOR_NOT_FOUND"

    def __init__(self, message: str = "Connector not found", *, status: int = 404) -> None:
        super().__init__(message, status=status)


class NotificationError(HullError):
    """Raised when a notification is malformed, too large or not signed by the platform.

    Args:
        code: One of the codes of the section "Refused notifications" of ``docs/protocol.md``, for
            example ``"INVALID_SIGNATURE"``.
        reason: Why, in words that an operator understands.
        status: HTTP status of the answer: 400, 401 or 413.
        size: Number of messages that the platform should send next time; 1 after a 413.
    """

    def __init__(self, code: str, reason: str, *, status: int = 400, size: int | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.status = status
        self.size = size


class ApiError(HullError):
    """Raised when the platform refuses a request and a retry cannot help.

    Args:
        message: The platform's own words.
        status: HTTP status of its answer, for example ``404``.
        body: Its decoded answer, or ``None``.
    """

    code = "HULL_ERR_API"

    def __init__(self, message: str, *, status: int, body: Any = None) -> None:
        super().__init__(message)
        self.status = status
        self.body = body


class RejectedError(HullError):
    """Raised by a message's Future when the platform refused that message for good.

    Args:
        code: The platform's code, for example ``"TOO_LARGE"``.
        reason: Its reason.
        message_id: The id of the refused message.
    """

    def __init__(self, code: str, reason: str, *, message_id: str | None = None) -> None:
        super().__init__(f"message {message_id!r} was refused: {code}: {reason}")
        self.code = code
        self.reason = reason
        self.message_id = message_id


class InvalidArgumentError(HullError, ValueError):
    """Raised when a call or an option breaks a rule; the message names value, rule and way out."""

    code = "HULL_ERR_INVALID_ARGUMENT"


class MissingExtraError(HullError, ImportError):
    """Raised when a feature needs a library that is not installed.

    Args:
        feature: What was asked for, for example ``"redis_url"``.
        extra: The extra that brings the library, for example ``"redis"``.
    """

    code = "HULL_ERR_MISSING_EXTRA"

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(f'{feature} needs an optional library: python -m pip install "hull-sdk[{extra}]"')
        self.feature = feature
        self.extra = extra
