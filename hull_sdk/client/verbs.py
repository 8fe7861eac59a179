"""The verbs of the API as methods.

Rules: section "REST" of ``docs/protocol.md``.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from hull_sdk.client.transport import API_RETRY
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.errors import InvalidArgumentError

__all__ = ["Verbs"]


class Verbs(ABC):
    """Requests to the API, with a time limit and retries for each call."""

    __slots__ = ()

    def get(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        retry: RetryPolicy | None = API_RETRY,
    ) -> Any:
        """Send a GET to the API.

        Args:
            path: Below the API's prefix, for example ``"app"`` or ``"/users_segments"``; a URL is allowed on
                the organization's own host only.
            params: The query.
            timeout_s: Time for each try, in seconds; the client's by default.
            retry: Pauses between tries, three of which are made at most; ``None`` tries once.

        Returns:
            The decoded answer.

        Raises:
            CredentialsError: 401.
            OrganizationDisabledError: 402.
            RateLimitError: 429 to the last try.
            NetworkError: No answer to the last try.
            TransientError: 408, 425 or 5xx to the last try.
            ApiError: Any other refusal, 404 included.
            InvalidArgumentError: The path leads elsewhere, or the params are no JSON.
        """
        return self._request("GET", path, params, timeout_s, retry)

    def post(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        retry: RetryPolicy | None = API_RETRY,
    ) -> Any:
        """Send a POST with a JSON body; repeated only when the platform cannot have done it. See :meth:`get`."""
        return self._request("POST", path, params, timeout_s, retry)

    def put(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        retry: RetryPolicy | None = API_RETRY,
    ) -> Any:
        """Send a PUT with a JSON body. See :meth:`get`."""
        return self._request("PUT", path, params, timeout_s, retry)

    def delete(
        self,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        retry: RetryPolicy | None = API_RETRY,
    ) -> Any:
        """Send a DELETE. See :meth:`get`."""
        return self._request("DELETE", path, params, timeout_s, retry)

    def api(
        self,
        path: str,
        method: str = "GET",
        params: Mapping[str, Any] | None = None,
        *,
        timeout_s: float | None = None,
        retry: RetryPolicy | None = API_RETRY,
    ) -> Any:
        """Send a request with a method by its name, for example ``client.api("app", "get")``; see :meth:`get`."""
        if not isinstance(method, str):
            raise InvalidArgumentError(f"method is {method!r}; pass a name such as 'GET'")
        return self._request(method.upper(), path, params, timeout_s, retry)

    @abstractmethod
    def _request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None,
        timeout_s: float | None,
        retry: RetryPolicy | None,
    ) -> Any:
        """Send one request as whoever this client acts for."""
