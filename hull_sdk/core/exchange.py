"""Requests and answers, and the port that every network implements."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final

from hull_sdk.core.masking import mask_url
from hull_sdk.errors import NetworkError

__all__ = [
    "CHUNK_BYTES",
    "MAX_RESPONSE_BYTES",
    "Network",
    "Request",
    "Response",
    "Stream",
    "check_size",
    "joined",
]

#: Largest response body that is read, in bytes, unless the request says otherwise.
MAX_RESPONSE_BYTES: Final = 32 * 1024 * 1024

#: Largest piece of an answer that is read at a time.
CHUNK_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One outgoing HTTP request.

    Args:
        method: For example ``"POST"``.
        url: Absolute http or https URL.
        headers: Header names and values.
        body: Bytes to send, or ``None``.
        timeout_s: Seconds to connect, and seconds in which the whole answer has to arrive.
        max_bytes: Largest answer that is accepted.
        public_only: ``True`` refuses addresses that are not public (loopback, private, link-local).
    """

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_s: float = 10.0
    max_bytes: int = MAX_RESPONSE_BYTES
    public_only: bool = False

    def __repr__(self) -> str:
        return f"Request({self.method} {mask_url(self.url)}, {len(self.body or b'')} bytes)"


@dataclass(frozen=True, slots=True)
class Response:
    """The answer to a :class:`Request`.

    Args:
        status: For example ``200``.
        headers: Names in lower case; the values of one that came several times are joined by ``", "``, those
            of ``set-cookie`` by line feeds, since they hold commas.
        body: As it arrived, not decompressed.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes

    def __repr__(self) -> str:
        return f"Response({self.status}, {len(self.body)} bytes)"


@dataclass(frozen=True, slots=True)
class Stream:
    """The answer to a :class:`Request` whose body is still arriving.

    Args:
        status: For example ``200``.
        headers: As those of a :class:`Response`.
        chunks: The body in pieces of 1 to 65,536 bytes, to be read once. Raises ``NetworkError`` when the body
            breaks off, grows beyond ``max_bytes``, or no piece comes within ``timeout_s``.
    """

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]

    def __repr__(self) -> str:
        return f"Stream({self.status})"


class Network(ABC):
    """Sends requests."""

    @abstractmethod
    def send(self, request: Request) -> Response:
        """Send one request and read the whole answer.

        Args:
            request: What to send.

        Returns:
            The answer, whatever its status.

        Raises:
            NetworkError: Nothing or not all came back: refused, unreachable, too slow, too large, or
                the address is not allowed. Its ``extra["sent"]`` is ``False`` when no connection was made,
                so that the other side cannot have seen the request.
        """

    @contextmanager
    def stream(self, request: Request) -> Iterator[Stream]:
        """Send one request and read the answer piece by piece, under the same guards.

        Example::

            with network.stream(Request(method="GET", url=url)) as answer:
                for chunk in answer.chunks:
                    ...

        Args:
            request: What to send. ``timeout_s`` is the time to connect and to the head of the answer, and after that
                the time from one piece to the next; ``max_bytes`` counts the whole body.

        Returns:
            A context manager with the answer; leaving it ends the transfer.

        Raises:
            NetworkError: On entering it, or while the body is read, as for :meth:`send`.
        """
        response = self.send(request)
        yield Stream(response.status, response.headers, _slices(response.body, request))

    def close(self) -> None:  # noqa: B027 - nothing to close by default
        """Close idle connections."""


def joined(headers: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return headers as a :class:`Response` has them.

    Args:
        headers: Names and values in the order of their coming.
    """
    found: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        separator = "\n" if key == "set-cookie" else ", "
        found[key] = f"{found[key]}{separator}{value}" if key in found else value
    return found


def check_size(size: int, request: Request) -> None:
    """Refuse an answer of which more bytes came than its request accepts, with a ``NetworkError``."""
    if size > request.max_bytes:
        raise NetworkError(
            f"{request.method} {mask_url(request.url)}: the answer is larger than {request.max_bytes} bytes",
            {"sent": True},
        )


def _slices(body: bytes, request: Request) -> Iterator[bytes]:
    check_size(len(body), request)
    for start in range(0, len(body), CHUNK_BYTES):
        yield body[start : start + CHUNK_BYTES]
