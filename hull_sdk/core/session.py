"""A door of requests to our network: an adapter for ``requests.Session`` that sends through :class:`Network`.

Mounted on a session, every request of that session passes the same address guard, limits and recording as all
others, and stays inside the process on a virtual network. Certificates and proxies are the network's business.
What an answer unpacks to is held to the limit of answers, too. With ``stream=True`` an answer is read as it arrives.
"""

from __future__ import annotations

import email.message
import http.client
import io
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import requests
import urllib3
from requests import cookies
from requests.adapters import BaseAdapter
from requests.structures import CaseInsensitiveDict
from requests.utils import get_encoding_from_headers

from hull_sdk.core.exchange import CHUNK_BYTES, MAX_RESPONSE_BYTES, Network, Request, Response, check_size
from hull_sdk.core.files import file_request
from hull_sdk.core.hosts import HostPatterns
from hull_sdk.errors import ConfigurationError, InvalidArgumentError

__all__ = ["NetworkAdapter"]

_SUCCESS = range(200, 300)
#: How much of a refusal is read of an answer that was to be streamed: enough for its reason.
_REFUSAL_BYTES = 65_536


class NetworkAdapter(BaseAdapter):
    """Sends the requests of a session through a network.

    Args:
        network: Asked at each request, so that the network can be exchanged.
        timeout_s: Used for requests that name no timeout, in seconds.
        trusted: For addresses that somebody else chose: hosts that may be private ones; ``None`` for any address.
        max_bytes: Largest answer, as it travels and as it unpacks.
    """

    def __init__(
        self,
        network: Callable[[], Network],
        timeout_s: float = 10.0,
        *,
        trusted: HostPatterns | None = None,
        max_bytes: int = MAX_RESPONSE_BYTES,
    ) -> None:
        super().__init__()
        self._network = network
        self._timeout_s = timeout_s
        self._trusted = trusted
        self._max_bytes = max_bytes

    def send(  # noqa: PLR0917 - the signature is the library's
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - as above
        timeout: Any = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002 - as above
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,  # noqa: ARG002 - the network takes them from the environment
    ) -> requests.Response:
        """Send one prepared request.

        Args:
            request: What to send.
            stream: ``True`` leaves the body of a success to be read as it arrives; closing the answer ends it.
            timeout: Seconds, or a pair of connect and read seconds of which the larger counts; for a body that is read
                as it arrives the time from one piece to the next.
            verify: Must be ``True``.
            cert: Must be ``None``.
            proxies: Ignored.

        Returns:
            The answer.

        Raises:
            NetworkError: Nothing or not all came back.
            ConfigurationError: The address is neither public nor trusted.
            InvalidArgumentError: Certificates are to be ignored, or a client certificate is given.
        """
        if verify is not True or cert is not None:
            raise InvalidArgumentError(
                "verify= and cert= are not supported; add the certificate to the system's store or to SSL_CERT_FILE"
            )
        asked = self._asked(request, self._seconds(timeout))
        answer, body = self._streamed(asked) if stream else self._whole(asked)
        return _response(request, answer, self, _Body(asked, answer, body))

    def close(self) -> None:
        """Do nothing: the network belongs to the runtime."""

    def _asked(self, request: requests.PreparedRequest, timeout_s: float) -> Request:
        asked = Request(
            method=request.method or "GET",
            url=request.url or "",
            headers={str(name): _text(value) for name, value in request.headers.items()},
            body=_bytes(request.body),
            timeout_s=timeout_s,
            max_bytes=self._max_bytes,
        )
        return asked if self._trusted is None else _guarded(asked, self._trusted)

    def _whole(self, asked: Request) -> tuple[Response, io.BufferedIOBase]:
        answer = self._network().send(asked)
        return answer, io.BytesIO(answer.body)

    def _streamed(self, asked: Request) -> tuple[Response, io.BufferedIOBase]:
        with ExitStack() as stack:
            stream = stack.enter_context(self._network().stream(asked))
            answer = Response(stream.status, stream.headers, b"")
            if answer.status not in _SUCCESS:
                return answer, io.BytesIO(_beginning(stream.chunks))
            return answer, io.BufferedReader(_Arriving(stream.chunks, stack.pop_all()), CHUNK_BYTES)

    def _seconds(self, timeout: Any) -> float:
        if isinstance(timeout, tuple):
            given = [float(part) for part in timeout if part is not None]
            return max(given, default=self._timeout_s)
        return self._timeout_s if timeout is None else float(timeout)


class _Arriving(io.RawIOBase):
    """A body that is still under way, as a file."""

    def __init__(self, chunks: Iterator[bytes], transfer: ExitStack) -> None:
        self._chunks = chunks
        self._transfer = transfer
        self._rest = b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = chunk
        size = min(len(buffer), len(self._rest))
        buffer[:size], self._rest = self._rest[:size], self._rest[size:]
        return size

    def close(self) -> None:
        if not self.closed:
            self._transfer.close()
        super().close()


class _Body(urllib3.HTTPResponse):
    """An answer's body, unpacked piece by piece; what grows beyond the limit of answers is refused."""

    def __init__(self, request: Request, answer: Response, body: io.BufferedIOBase) -> None:
        # How long it is the network has looked at; of a refusal that was to be streamed only the beginning is here.
        headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
        super().__init__(
            body=io.BytesIO(b"") if request.method == "HEAD" else body,
            headers=headers,
            status=answer.status,
            preload_content=False,
            request_method=request.method,
        )
        self._asked = request

    def stream(  # the signature is the library's
        self,
        amt: int | None = CHUNK_BYTES,
        decode_content: bool | None = None,  # noqa: FBT001
    ) -> Generator[bytes]:
        """Give the pieces as they are unpacked."""
        size = 0
        for chunk in super().stream(amt, decode_content):
            size += len(chunk)
            check_size(size, self._asked)
            yield chunk


def _guarded(asked: Request, trusted: HostPatterns) -> Request:
    """Return a request that connects to public addresses only, unless its host is trusted."""
    try:
        checked = file_request(
            asked.url,
            trusted,
            what="the address",
            way_out="if its host is yours, add it to trusted_hosts",
            timeout_s=asked.timeout_s,
            max_bytes=asked.max_bytes,
        )
    except InvalidArgumentError as err:
        raise ConfigurationError(err.message) from err
    return replace(asked, public_only=checked.public_only)


def _beginning(chunks: Iterator[bytes]) -> bytes:
    found = b""
    while len(found) < _REFUSAL_BYTES and (chunk := next(chunks, None)) is not None:
        found += chunk
    return found


def _response(request: requests.PreparedRequest, answer: Response, adapter: BaseAdapter, raw: Any) -> requests.Response:
    # The library looks for cookies in the message object of the standard library's HTTP client.
    raw._original_response = SimpleNamespace(  # noqa: SLF001
        msg=_message(answer.headers), isclosed=lambda: True, close=lambda: None
    )
    response: Any = requests.Response()
    response.status_code = answer.status
    response.headers = CaseInsensitiveDict(answer.headers)
    response.encoding = get_encoding_from_headers(response.headers)
    response.raw = raw
    response.reason = http.client.responses.get(answer.status, "")
    response.url = request.url or ""
    response.request = request
    response.connection = adapter
    take_cookies: Any = cookies.extract_cookies_to_jar
    take_cookies(response.cookies, request, raw)
    checked: requests.Response = response
    return checked


def _message(headers: Mapping[str, str]) -> email.message.Message:
    message = email.message.Message()
    for name, value in headers.items():
        for line in value.split("\n"):
            message[name] = line
    return message


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else str(value)


def _bytes(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    if hasattr(body, "read"):
        return _bytes(body.read())
    if isinstance(body, Iterable):
        return b"".join(_bytes(part) or b"" for part in body)
    raise InvalidArgumentError(f"a request body is {type(body).__name__}; pass bytes, text, a file or chunks of bytes")
