"""Calls to the other service: a ``requests.Session`` with limits, typed errors and metrics.

Every request goes through the runtime's network, so in a test nothing leaves the process.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable
from contextlib import suppress
from typing import Any, Final, Self
from urllib.parse import quote, urlsplit

import requests

from hull_sdk.core import json
from hull_sdk.core.checks import is_whole
from hull_sdk.core.exchange import MAX_RESPONSE_BYTES
from hull_sdk.core.hosts import HostPatterns
from hull_sdk.core.logs import emit
from hull_sdk.core.masking import mask_text, mask_url
from hull_sdk.core.retry import RetryPolicy, is_retryable, parse_retry_after
from hull_sdk.core.runtime import Runtime
from hull_sdk.core.session import NetworkAdapter
from hull_sdk.errors import (
    ApiError,
    ConfigurationError,
    HullError,
    InvalidArgumentError,
    NetworkError,
    RateLimitError,
    TransientError,
)
from hull_sdk.infra.instrumentation import Metric
from hull_sdk.infra.rate_limit import RateLimit

__all__ = ["ServiceSession", "UrlTemplate"]

#: Repeating these is harmless by their meaning.
_IDEMPOTENT: Final = frozenset({"GET", "HEAD", "OPTIONS", "PUT", "DELETE", "TRACE"})
_IDEMPOTENCY_KEY: Final = "Idempotency-Key"
_UNAUTHORIZED: Final = (401, 403)
#: What follows a redirect to another host; services take their keys in headers of any other name.
_HARMLESS_HEADERS: Final = frozenset(
    {"accept", "accept-encoding", "accept-language", "connection", "content-length", "content-type", "user-agent"}
)
_EXCERPT_CHARS: Final = 300
_BASE_URL = re.compile(r"https?://[^/?#\s]+(/[^?#\s]*)?", re.IGNORECASE)
_VARIABLE_SEGMENT = re.compile(r".*[@%].*|(?!v\d+$).*\d.*|.{32,}")

_PLACE = re.compile(r"\{\{(\w+)\}\}|\{(\w+)\}")
#: Values that would lead to another path than the template's.
_ESCAPING: Final = frozenset({"", ".", ".."})

_log = logging.getLogger(__name__)


class UrlTemplate(str):
    """An address with variables, of which metrics see the template only: one endpoint is one series.

    Example::

        session.get(UrlTemplate("/contacts/{id}/notes", id=contact_id))

    It is the address itself, each value escaped so that it stays one part of the path.

    Args:
        template: Relative or absolute, with ``{name}`` (or ``{{name}}``) for each variable.
        **variables: Their values; numbers and texts.

    Raises:
        InvalidArgumentError: A variable is missing or not in the template, or its value would change the path.
    """

    __slots__ = ("template", "variables")

    #: The address as it was written.
    template: str
    #: The values by name.
    variables: dict[str, Any]

    def __new__(cls, template: str, /, **variables: Any) -> Self:
        """Fill in a template."""
        names = {first or second for first, second in _PLACE.findall(template)}
        if names != variables.keys():
            wrong = ", ".join(sorted(names ^ variables.keys()))
            raise InvalidArgumentError(f"{template!r} has the variables {sorted(names)}; give just these, see {wrong}")
        filled = super().__new__(cls, _PLACE.sub(lambda place: _escaped(variables, place[1] or place[2]), template))
        filled.template, filled.variables = template, variables
        return filled


class ServiceSession(requests.Session):
    """A session for the API of the third party.

    Example::

        session = ServiceSession("https://api.example.com/v1", metric=ctx.metric)
        session.headers["Authorization"] = f"Bearer {ctx.ship['private_settings']['api_key']}"
        contact = session.post("/contacts", json={"email": "ann@acme.test"}).json()

    Write addresses with ids as :class:`UrlTemplate`. Of others metrics see ``:id`` in the place of each part with
    digits, ``@`` or ``%``, which is a guess.

    An answer of status 400 or more raises, by default: 401 and 403 ``ConfigurationError``, 429
    ``RateLimitError`` with its ``retry_after``, 408, 425 and 5xx ``TransientError``, others
    ``ApiError``. A service that cannot be reached raises ``NetworkError``, a
    ``TransientError``; before that GET, HEAD, OPTIONS, PUT and DELETE are tried again, and so is every
    request with an ``Idempotency-Key`` header and every one that cannot have been seen, because no connection
    was made. Statuses are never retried here: the notification is.

    Answers are read whole; with ``stream=True`` the body of a success is read as it arrives, in bounded memory::

        with session.get("/export.csv", stream=True) as answer:
            for chunk in answer.iter_content(65_536):
                ...

    A body that breaks off raises ``NetworkError`` then, also where retries are left: they end with the headers.

    User names from ``.netrc`` and proxies of the session are not used; the environment's proxies are.

    Args:
        base_url: Prefix of relative addresses, for example ``"https://api.example.com/v1"``.
        timeout_s: Seconds to connect, and seconds in which the whole answer has to arrive, for each try; of a body that
            is read as it arrives, seconds from one piece to the next.
        retries: Further tries after a network failure.
        runtime: Clock, ids, tasks and network; the machine's own by default. May be assigned later.
        metric: Where calls are measured, usually ``ctx.metric``. May be assigned later.
        raise_errors: ``False`` returns answers of every status, as requests does.
        configuration_statuses: Statuses that say that the settings are wrong; ``()`` makes them an ``ApiError``, for
            services that answer 403 for a single record.
        limit: Each try waits for a turn of it, usually of ``ctx.rate_limit(...)``; an answer of 429 holds it for its
            ``Retry-After``, else for the limit's own time. A turn that comes too late raises ``RateLimitError``.
        trusted_hosts: For addresses that come from settings: only https to public addresses is let through, redirects
            included, and what leads to one of these hosts (``"files.acme.lan"``, ``"*.acme.lan"``), on loopback over
            http too; anything else is a ``ConfigurationError``. ``None``: every address but link-local ones.
        max_bytes: Largest answer, in bytes as it travels and as it unpacks; a larger one raises ``NetworkError``.

    Raises:
        InvalidArgumentError: ``base_url`` is no http or https address, a trusted host is no host, or a number is out of
            range.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        timeout_s: float = 10.0,
        retries: int = 2,
        runtime: Runtime | None = None,
        metric: Metric | None = None,
        raise_errors: bool = True,
        configuration_statuses: Collection[int] = _UNAUTHORIZED,
        limit: RateLimit | None = None,
        trusted_hosts: Iterable[str] | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        super().__init__()
        _check(base_url, timeout_s, retries, max_bytes)
        self.base_url = base_url
        self.timeout_s = timeout_s
        self.retries = retries
        self.runtime: Runtime = Runtime.system() if runtime is None else runtime
        self.metric = metric
        self.raise_errors = raise_errors
        self.configuration_statuses: frozenset[int] = frozenset(configuration_statuses)
        self.limit = limit
        self.trust_env = False
        trusted = None if trusted_hosts is None else HostPatterns(trusted_hosts)
        adapter = _ServiceAdapter(self, trusted, max_bytes)
        for scheme in ("https://", "http://", ""):  # the network has one answer for every other scheme, too
            self.mount(scheme, adapter)

    def prepare_request(self, request: requests.Request) -> requests.PreparedRequest:
        """Prepare a request, below ``base_url`` when its address is relative.

        Args:
            request: What to send.

        Raises:
            InvalidArgumentError: The address is relative and there is no ``base_url``.
        """
        url = request.url
        request.url = self._absolute(str(url))
        prepared: Any = super().prepare_request(request)
        if isinstance(url, UrlTemplate):
            prepared.hull_template = (self._absolute(url.template), url.variables)
        checked: requests.PreparedRequest = prepared
        return checked

    def send(self, request: requests.PreparedRequest, **kwargs: Any) -> requests.Response:
        """Send a prepared request.

        Args:
            request: What :meth:`prepare_request` returned.
            **kwargs: Options of ``requests.Session.send``.

        Returns:
            The answer.

        Raises:
            NetworkError: The service could not be reached, or its answer is packed wrongly or redirects without end.
            HullError: The answer's status is 400 or more; see the class for which.
        """
        try:
            response = super().send(request, **kwargs)
            failed = self.raise_errors and response.status_code >= 400
            error = self._error(response) if failed else None
        except HullError:
            raise
        except (requests.RequestException, ValueError) as err:
            told = f"{request.method} {mask_url(request.url or '')}: the answer cannot be read or followed"
            raise NetworkError(f"{told}: {mask_text(str(err)):.{_EXCERPT_CHARS}}", {"sent": True}) from err
        if error is not None:
            raise error
        return response

    def rebuild_auth(self, prepared_request: requests.PreparedRequest, response: requests.Response) -> None:
        """Drop what may be a key when a redirect leads to another host.

        Args:
            prepared_request: The request to the new address.
            response: The redirect.
        """
        library: Any = super()  # its stubs leave these two without types
        library.rebuild_auth(prepared_request, response)
        if library.should_strip_auth(response.request.url or "", prepared_request.url or ""):
            for name in [each for each in prepared_request.headers if each.lower() not in _HARMLESS_HEADERS]:
                del prepared_request.headers[name]

    def _absolute(self, url: str) -> str:
        if "://" in url.partition("?")[0]:
            return url
        if self.base_url is None:
            raise InvalidArgumentError(f"{url!r} is relative; give the session a base_url or pass a whole address")
        return f"{self.base_url.rstrip('/')}/{url.lstrip('/')}" if url else self.base_url

    def _error(self, response: requests.Response) -> HullError:
        status = response.status_code
        call = f"{response.request.method} {mask_url(response.url)}"
        extra = {"status": status, "method": response.request.method, "url": mask_url(response.url)}
        if status in self.configuration_statuses:
            return ConfigurationError(f"{call} answered {status}; check the credentials in the settings", extra)
        message = f"{call} answered {status}: {mask_text(_text(response, _EXCERPT_CHARS))}"
        retry_after = parse_retry_after(response.headers.get("Retry-After"), self.runtime.clock)
        if status == 429:
            return RateLimitError(message, extra, retry_after=retry_after)
        if is_retryable(status):
            return TransientError(message, extra, retry_after=retry_after)
        return ApiError(message, status=status, body=_decoded(response))


class _ServiceAdapter(NetworkAdapter):
    """Adds retries and metrics to each single exchange."""

    def __init__(self, session: ServiceSession, trusted: HostPatterns | None, max_bytes: int) -> None:
        super().__init__(lambda: session.runtime.net, session.timeout_s, trusted=trusted, max_bytes=max_bytes)
        self._session = session
        self._policy = RetryPolicy(base_s=0.2, cap_s=2.0)

    def send(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        attempt = 1
        while True:
            if self._session.limit is not None:
                self._session.limit.acquire()
            try:
                return self._measured(request, *args, **kwargs)
            except NetworkError as err:
                if attempt > self._session.retries or not _is_repeatable(request, err):
                    raise
            runtime = self._session.runtime
            runtime.tasks.sleep(self._policy.delay(attempt, runtime.ids))
            attempt += 1

    def _measured(self, request: requests.PreparedRequest, *args: Any, **kwargs: Any) -> requests.Response:
        clock = self._session.runtime.clock
        began = clock.monotonic()
        status = 0
        try:
            response = super().send(request, *args, **kwargs)
            status = response.status_code
        finally:
            self._record(request, status, (clock.monotonic() - began) * 1000)
        if status == 429 and self._session.limit is not None:
            self._hold(self._session.limit, response)
        return response

    def _hold(self, limit: RateLimit, response: requests.Response) -> None:
        pause = parse_retry_after(response.headers.get("Retry-After"), self._session.runtime.clock)
        with suppress(NetworkError):  # the answer says more than a store that is away, which the next call will tell
            limit.hold(limit.per_s if pause is None else pause)

    def _record(self, request: requests.PreparedRequest, status: int, elapsed_ms: float) -> None:
        url, variables = _template(request)
        fields = {"method": request.method, "url": mask_url(url), "status": status, "response_time_ms": elapsed_ms}
        emit(_log, logging.DEBUG, "connector.service_api.call", {**fields, "vars": variables})
        metric = self._session.metric
        if metric is None:
            return
        tags = _call_tags(request, status)
        metric.increment("ship.service_api.call", 1, tags)
        metric.value("connector.service_api.response_time", elapsed_ms, tags)
        if not 0 < status < 400:
            metric.increment("connector.service_api.error", 1, tags)


def _escaped(variables: dict[str, Any], name: str) -> str:
    value = variables[name]
    text = "" if value is None else str(value)
    if text in _ESCAPING:
        raise InvalidArgumentError(f"the variable {name!r} is {value!r}; that would lead to another address")
    return quote(text, safe="")


def _template(request: requests.PreparedRequest) -> tuple[str, dict[str, Any]]:
    """Return a request's address as it was written, and the values of its variables."""
    found: tuple[str, dict[str, Any]] = getattr(request, "hull_template", (request.url or "", {}))
    return found


def _call_tags(request: requests.PreparedRequest, status: int) -> dict[str, str]:
    url, variables = _template(request)
    parts = urlsplit(url)
    path = parts.path if variables else _guessed(parts.path)
    method = request.method or ""
    return {
        "method": method,
        "url": f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{path}",
        "status": str(status),
        "statusGroup": f"{status // 100}xx" if status else "none",
        "endpoint": f"{method} {path}",
    }


def _guessed(path: str) -> str:
    return "/".join(":id" if _VARIABLE_SEGMENT.fullmatch(part) else part for part in path.split("/"))


def _is_repeatable(request: requests.PreparedRequest, err: NetworkError) -> bool:
    harmless = request.method in _IDEMPOTENT or _IDEMPOTENCY_KEY in request.headers
    return harmless or err.extra.get("sent") is False


def _decoded(response: requests.Response) -> Any:
    try:
        return json.loads(response.content)
    except ValueError:
        return _text(response)


def _text(response: requests.Response, chars: int | None = None) -> str:
    """Return a body as its header says, else as UTF-8: guessing takes long, and often guesses wrong."""
    body = response.content if chars is None else response.content[: chars * 4]
    try:
        return body.decode(response.encoding or "utf-8", "replace")[:chars]
    except LookupError:
        return body.decode("utf-8", "replace")[:chars]


def _check(base_url: str | None, timeout_s: float, retries: int, max_bytes: int) -> None:
    if base_url is not None and _BASE_URL.fullmatch(base_url) is None:
        raise InvalidArgumentError(f"base_url is {base_url!r}; write an address such as 'https://api.example.com/v1'")
    if not timeout_s > 0:
        raise InvalidArgumentError(f"timeout_s is {timeout_s!r}; it must be more than 0 seconds")
    if retries < 0:
        raise InvalidArgumentError(f"retries is {retries!r}; it must be 0 or more")
    if not is_whole(max_bytes, 1):
        raise InvalidArgumentError(f"max_bytes is {max_bytes!r}; it must be a whole number of at least 1")
