"""Extracts: asked for, opened and read; nothing here knows the web framework.

Rules: section "Extracts" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import urlencode

from hull_sdk.context import Context
from hull_sdk.core.checks import is_whole
from hull_sdk.core.clock import Clock
from hull_sdk.core.files import file_request
from hull_sdk.core.masking import mask_url
from hull_sdk.core.net import Request, host_of
from hull_sdk.errors import InvalidArgumentError, NetworkError
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.extracts import extract_path
from hull_sdk.wire.rows import FORMATS, in_parts, plain_chunks, read_sized_rows

__all__ = ["ExtractFile", "download_request", "handle_extract", "open_extract", "request_extract"]

#: A part of a file ends with the row that reaches so many bytes, so that large rows do not pile up in memory.
PART_BYTES: Final = 1_000_000
#: Slowest file that is read, in bytes a second; a slower one would hold up the jobs of all connectors.
MIN_BYTES_PER_S: Final = 1000
#: Longest wait for the next piece of an extract's file, in seconds.
EXTRACT_TIMEOUT_S: Final = 60.0
#: Largest file of an extract that is read, in bytes as they travel.
MAX_EXTRACT_BYTES: Final = 64 * 1024**3

_OK: Final = 200


def request_extract(
    ctx: Context,
    *,
    segment: Mapping[str, Any] | str | None = None,
    format: str = "json",  # noqa: A002 - the name that the wire gives it
    path: str = "batch",
    fields: Iterable[str] = (),
    additional_query: Mapping[str, Any] | None = None,
    kind: EntityKind | None = None,
) -> Any:
    """Ask the platform for a file of users or accounts, which it brings to an endpoint of this connector.

    Example::

        ctx.helpers.request_extract(segment=ctx.segments[0], fields=["email", "traits_plan", "segment_ids"])

    The address that the platform calls back holds an encrypted token for it, or, without a ``host_secret``, the
    connector's credentials; see the section "Extracts" of ``docs/protocol.md``. It is never logged.

    Args:
        ctx: The context.
        segment: Whom to extract: a segment, or its id; everybody when ``None``. One without ``query`` is read first.
        format: ``"json"`` or ``"csv"``.
        path: The connector's endpoint, where a handler is mounted.
        fields: Report fields, for example ``["id", "email", "account.domain"]``; all when empty.
        additional_query: Further query parameters of the call.
        kind: ``"user"`` or ``"account"``; that of the segment when ``None``, else users.

    Returns:
        The platform's answer.

    Raises:
        CredentialsError: The context has no credentials.
        InvalidArgumentError: An argument breaks a rule, or the connector's own address is not known.
    """
    if format not in FORMATS:
        raise InvalidArgumentError(f"format is {format!r}; use one of {', '.join(FORMATS)}")
    if isinstance(fields, str):
        raise InvalidArgumentError(f"fields is {fields!r}; pass a list such as [{fields!r}]")
    found = _segment_with_query(ctx, segment)
    if kind is None:
        kind = "account" if found.get("type") == "accounts_segment" else "user"
    return ctx.client.post(
        extract_path(kind),
        {
            "query": found.get("query", {}),
            "format": format,
            "url": _callback(ctx, path, found.get("id"), additional_query),
            "fields": list(fields),
        },
    )


def handle_extract(
    ctx: Context,
    *,
    url: str,
    format: str,  # noqa: A002 - as above
    on_rows: Callable[[list[dict[str, Any]]], Any],
    batch_size: int = 100,
    batch_bytes: int = PART_BYTES,
) -> int:
    """Read a file of an extract while it arrives and hand its rows on, some at a time.

    Args:
        ctx: The context.
        url: Where the file lies: on an allowed organization's host, or on a public https address.
        format: ``"json"`` or ``"csv"``; gzip is recognized.
        on_rows: ``f(rows)``, called in order; the next rows are read when it returns.
        batch_size: Largest number of rows in a call.
        batch_bytes: A call gets no further row once its rows have so many bytes in the file, whichever comes first.

    Returns:
        How many rows there were.

    Raises:
        InvalidArgumentError: The address is not allowed, or the file is malformed.
        TransientError: The file could not be read to its end.
    """
    for option, value in (("batch_size", batch_size), ("batch_bytes", batch_bytes)):
        if not is_whole(value, 1):
            raise InvalidArgumentError(f"{option} is {value!r}; it must be a whole number of at least 1")
    count = 0
    with open_extract(ctx, url, format) as file:
        for rows in file.parts(batch_size, batch_bytes):
            on_rows(rows)
            count += len(rows)
    return count


@dataclass(frozen=True, slots=True)
class ExtractFile:
    """A file of an extract while it is read.

    Args:
        mark: Differs when the file differs, as far as its server says; empty when it says nothing.
        rows: The rows with their numbers of bytes, to be read once.
    """

    mark: str
    rows: Iterator[tuple[dict[str, Any], int]]

    def parts(self, max_rows: int, max_bytes: int = PART_BYTES, *, skip: int = 0) -> Iterator[list[dict[str, Any]]]:
        """Return the rows in parts, by number and by size, whichever is reached first.

        Args:
            max_rows: Most rows in a part.
            max_bytes: A part ends with the row that reaches so many bytes.
            skip: Rows at the start that are left out.
        """
        return in_parts(islice(self.rows, skip, None), max_rows, max_bytes)


@contextmanager
def open_extract(ctx: Context, url: str, file_format: str) -> Generator[ExtractFile]:
    """Open a file of an extract.

    Args:
        ctx: The context.
        url: As of :func:`handle_extract`.
        file_format: ``"json"`` or ``"csv"``.

    Raises:
        InvalidArgumentError: The address is not allowed.
        NetworkError: It did not answer with a file.
    """
    with ctx.runtime.net.stream(download_request(ctx, url)) as answer:
        if answer.status != _OK:
            raise NetworkError(f"the extract's file at {mask_url(url)} answered {answer.status}")
        mark = answer.headers.get("etag") or answer.headers.get("content-length", "")
        steady = _steady(answer.chunks, ctx.runtime.clock)
        chunks = plain_chunks(steady, answer.headers.get("content-encoding"))
        yield ExtractFile(mark, read_sized_rows(chunks, file_format))


def _steady(chunks: Iterator[bytes], clock: Clock) -> Iterator[bytes]:
    """Give up on a file that arrives too slowly; time that is spent between two chunks does not count."""
    size, waited_s = 0, 0.0
    while True:
        began = clock.monotonic()
        chunk = next(chunks, None)
        waited_s += clock.monotonic() - began
        if chunk is None:
            return
        size += len(chunk)
        if size < (waited_s - EXTRACT_TIMEOUT_S) * MIN_BYTES_PER_S:
            raise NetworkError(f"the extract's file comes too slowly: {size} bytes in {waited_s:.0f} s")
        yield chunk


def download_request(ctx: Context, url: str) -> Request:
    """Return the request for a file of an extract, after a look at its address.

    Args:
        ctx: The context, whose trust root decides.
        url: From a request, so anybody may have written it.

    Raises:
        InvalidArgumentError: It lies neither on an allowed host nor on a public https address.
    """
    return file_request(
        url,
        ctx.trust,
        what="the extract's address",
        way_out="if its host is yours, add it to allowed_organizations (or HULL_ALLOWED_ORGANIZATIONS)",
        timeout_s=EXTRACT_TIMEOUT_S,
        max_bytes=MAX_EXTRACT_BYTES,
    )


def _segment_with_query(ctx: Context, segment: Mapping[str, Any] | str | None) -> Mapping[str, Any]:
    if segment is None:
        return {}
    if isinstance(segment, Mapping) and isinstance(segment.get("query"), Mapping):
        return segment
    segment_id = segment.get("id") if isinstance(segment, Mapping) else segment
    if not isinstance(segment_id, str) or not segment_id:
        raise InvalidArgumentError(f"segment is {segment!r:.200}; pass a segment with an id, or an id")
    found = ctx.client.get(segment_id)
    if not isinstance(found, Mapping) or not isinstance(found.get("query"), Mapping):
        raise InvalidArgumentError(f"{segment_id!r} is no segment: it has no query")
    return found


def _callback(ctx: Context, path: str, segment_id: Any, additional_query: Mapping[str, Any] | None) -> str:
    own = (ctx.ship or {}).get("source_url") or (f"https://{ctx.hostname}" if ctx.hostname else "")
    if not host_of(own):
        raise InvalidArgumentError("the connector's own address is not known; it has no source_url and no hostname")
    query = {**_own_credentials(ctx), "source": "connector", **(additional_query or {})}
    if segment_id is not None:
        query["segment_id"] = segment_id
    return f"{own.rstrip('/')}/{path.strip('/')}?{urlencode(query)}"


def _own_credentials(ctx: Context) -> dict[str, str]:
    """Return what the connector knows itself by when it is called back; a token tells no log the secret."""
    token = ctx.token
    if token is not None:
        return {"token": token}
    credentials = ctx.credentials()
    return {"ship": credentials.id, "secret": credentials.secret, "organization": credentials.organization}
