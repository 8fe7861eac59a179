"""Requests to the API: addresses, headers, tries and errors.

Rules: sections "REST" and "Status codes" of ``docs/protocol.md``. Credentials go to the organization's own host
and nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote, urlencode, urlsplit

from hull_sdk.client.answers import body_of, error_of, is_success
from hull_sdk.client.config import ClientConfig
from hull_sdk.client.delivery import platform_headers
from hull_sdk.client.encoding import encode, plain
from hull_sdk.core import json
from hull_sdk.core.exchange import Request
from hull_sdk.core.hosts import host_of, split_host
from hull_sdk.core.masking import mask_url
from hull_sdk.core.retry import RetryPolicy
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import HullError, InvalidArgumentError, NetworkError, TransientError
from hull_sdk.wire.firehose import HEADER_REQUEST_ID

__all__ = ["API_RETRY", "Transport"]

#: Pauses between the tries of a request to the API; its answer is waited for, so it gives up early.
API_RETRY: Final = RetryPolicy(base_s=0.5, cap_s=10.0, total_s=30.0)
#: A request is tried so often at most, whatever the policy.
MAX_TRIES: Final = 3

_METHODS: Final = ("GET", "POST", "PUT", "DELETE")
#: Statuses that say of a POST that nothing was done.
_NOT_DONE: Final = frozenset({429, 503})
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_URL_SAFE: Final = "/?&=:@!$'()*+,;~%-._[]|"


class Transport:
    """Sends requests to the API of one organization.

    GET, PUT and DELETE are repeated after network errors, 408, 425, 429 and 5xx; a POST only when nothing was
    done: after 429 and 503, or when no connection was made. There are three tries at most.

    Args:
        config: Whose API, and as whom.
        runtime: Clock, ids, waiting and network.
    """

    def __init__(self, config: ClientConfig, runtime: Runtime) -> None:
        self._config = config
        self._runtime = runtime

    def request(
        self,
        method: str,
        path: str,
        params: Mapping[str, Any] | None = None,
        *,
        token: str | None = None,
        timeout_s: float | None = None,
        retry: RetryPolicy | None = API_RETRY,
    ) -> Any:
        """Send one request and return the decoded answer.

        Args:
            method: ``"GET"``, ``"POST"``, ``"PUT"`` or ``"DELETE"``.
            path: Below the API's prefix, for example ``"app"``; or a URL on the organization's own host.
            params: Query of a GET, JSON body of the others.
            token: Access token; the connector's secret by default.
            timeout_s: Time for each try, in seconds; the client's by default.
            retry: Pauses between tries; ``None`` tries once.

        Returns:
            Decoded JSON, text when the answer is none, ``None`` when it is empty.

        Raises:
            CredentialsError: 401.
            OrganizationDisabledError: 402.
            RateLimitError: 429 to the last try.
            NetworkError: No answer to the last try.
            TransientError: 408, 425 or 5xx to the last try.
            ApiError: Any other answer that is no success.
            InvalidArgumentError: The path leads elsewhere, or the params are no JSON.
        """
        request = self._build(method, path, params, token, timeout_s)
        clock = self._runtime.clock
        started, tries = clock.monotonic(), 0
        while True:
            result, error = self._try(request)
            if error is None:
                return result
            tries += 1
            if retry is None or tries == MAX_TRIES or not _may_repeat(method, error):
                raise error
            delay = retry.delay(tries, self._runtime.ids, error.retry_after)
            if delay < (error.retry_after or 0.0) or clock.monotonic() + delay - started > retry.total_s:
                raise error
            self._runtime.tasks.sleep(delay)

    def _try(self, request: Request) -> tuple[Any, TransientError | None]:
        try:
            response = self._runtime.net.send(request)
        except NetworkError as err:
            return None, err
        if is_success(response):
            return body_of(response), None
        error: HullError = error_of(response, f"{request.method} {mask_url(request.url)}", self._runtime.clock)
        if isinstance(error, TransientError):
            return None, error
        raise error

    def _build(
        self, method: str, path: str, params: Mapping[str, Any] | None, token: str | None, timeout_s: float | None
    ) -> Request:
        if method not in _METHODS:
            raise InvalidArgumentError(f"method is {method!r}; use one of {', '.join(_METHODS)}")
        if params is not None and not isinstance(params, Mapping):
            raise InvalidArgumentError(f"params is {params!r}; pass a dict")
        url, body = self._url(path), None
        if method == "GET":
            url = _with_query(url, params)
        elif params is not None:
            body = encode(params, "params")
        headers = platform_headers(self._config, self._config.secret if token is None else token)
        if self._config.request_id is not None:
            headers[HEADER_REQUEST_ID] = self._config.request_id
        timeout = self._config.sending.timeout_s if timeout_s is None else timeout_s
        if timeout <= 0:
            raise InvalidArgumentError(f"timeout_s is {timeout_s!r}; pass seconds above 0")
        return Request(method=method, url=url, headers=headers, body=body, timeout_s=timeout)

    def _url(self, path: Any) -> str:
        if not isinstance(path, str) or not path.isprintable():
            raise InvalidArgumentError(f"path is {path!r}; pass text such as 'app' or 'search/user_reports'")
        if "://" not in path.partition("?")[0]:
            return quote(f"{self._config.api_base}/{path.removeprefix('/')}", safe=_URL_SAFE)
        allowed = {_origin(self._config.api_base), _origin(f"{self._config.scheme}://{self._config.organization}")}
        if _origin(path) not in allowed:
            raise InvalidArgumentError(
                f"{mask_url(path)!r} is not on {self._config.scheme}://{self._config.organization}; the client's "
                "credentials are sent there only, use ServiceSession for other addresses"
            )
        return quote(path, safe=_URL_SAFE)


def _origin(url: str) -> tuple[str, str, int] | None:
    parsed = split_host(host_of(url))
    if parsed is None:
        return None
    scheme = urlsplit(url).scheme
    return scheme, parsed[0], _DEFAULT_PORTS[scheme] if parsed[1] is None else parsed[1]


def _with_query(url: str, params: Mapping[str, Any] | None) -> str:
    if not params:
        return url
    query = urlencode({str(key): _text(value, str(key)) for key, value in params.items() if value is not None})
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{query}"


def _text(value: Any, name: str) -> str:
    value = plain(value, f"params[{name!r}]")
    return value if isinstance(value, str) else json.dumps(value).decode()


def _may_repeat(method: str, error: TransientError) -> bool:
    if method != "POST":
        return True
    return error.extra.get("status") in _NOT_DONE or error.extra.get("sent") is False
