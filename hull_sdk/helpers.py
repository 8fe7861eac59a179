"""Functions for connectors that take the context first; on a context they are bound: ``ctx.helpers``."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final
from urllib.parse import urlencode

from hull_sdk.context import Context
from hull_sdk.core.masking import mask_url
from hull_sdk.core.net import Request, host_of, is_loopback, is_public_address
from hull_sdk.errors import InvalidArgumentError, NetworkError
from hull_sdk.wire.entities import EntityKind
from hull_sdk.wire.extracts import extract_path
from hull_sdk.wire.rows import FORMATS, plain_chunks, read_rows

__all__ = [
    "BOUND_HELPERS",
    "DEFAULT_FILTER_SETTINGS",
    "ExtractFile",
    "download_request",
    "filter_notification",
    "handle_extract",
    "is_selected",
    "matches_filter",
    "open_extract",
    "request_extract",
    "segment_selection",
    "update_settings",
]

#: Private settings that hold the ids of the segments which a connector handles.
DEFAULT_FILTER_SETTINGS: Final[dict[EntityKind, str]] = {
    "user": "synchronized_segments",
    "account": "synchronized_account_segments",
}

#: Ids that stand for everybody.
_EVERYBODY: Final = frozenset({"ALL", "all_segments"})

#: Longest wait for the next piece of an extract's file, in seconds.
EXTRACT_TIMEOUT_S: Final = 60.0
#: Largest file of an extract that is read, in bytes as they travel.
MAX_EXTRACT_BYTES: Final = 64 * 1024**3

_OK: Final = 200


def update_settings(ctx: Context, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Change some of the connector's private settings; the others stay.

    Args:
        ctx: The context; its ``ship`` and the cached one are replaced.
        settings: For example ``{"last_sync_at": "2024-01-05T10:00:00Z"}``.

    Returns:
        The connector after the change.

    Raises:
        InvalidArgumentError: ``settings`` is no mapping.
        CredentialsError: The context has no credentials.
    """
    # The client reads the settings afresh: the cached ones may be a minute old, and the platform replaces them all.
    ship = ctx.client.utils.settings.update(settings)
    ctx.replace_connector(ship)
    return ship


def filter_notification(ctx: Context, message: Mapping[str, Any], setting: str | None = None) -> bool:
    """Tell whether a message is about somebody in the segments that the connector handles.

    Args:
        ctx: The context.
        message: A message of ``user:update`` or ``account:update``.
        setting: Name of the private setting with the segments' ids; the connector's
            ``segment_filter_setting`` when ``None``, else ``synchronized_segments`` for users and
            ``synchronized_account_segments`` for accounts.

    Returns:
        ``True`` when the setting is missing, or holds ``"ALL"``, or one of the entity's segments; ``False`` when it
        is empty or the message names nobody.
    """
    kind: EntityKind = "user" if "user" in message else "account"
    entity = message.get(kind)
    if not isinstance(entity, Mapping) or not entity.get("id"):
        return False
    return matches_filter(ctx, message, kind, setting)


def matches_filter(ctx: Context, message: Mapping[str, Any], kind: EntityKind, setting: str | None = None) -> bool:
    """Tell whether a message's segments are among those that the connector handles.

    Args:
        ctx: The context.
        message: A message of ``user:update`` or ``account:update``.
        kind: ``"user"`` looks at its ``segments``, ``"account"`` at its ``account_segments``.
        setting: As of :func:`filter_notification`.
    """
    selection = segment_selection(ctx, kind, setting)
    if selection is None:
        return True
    segments = message.get("segments" if kind == "user" else "account_segments") or []
    return is_selected(selection, [segment.get("id") for segment in segments], everybody=True)


def segment_selection(ctx: Context, kind: EntityKind, setting: str | None = None) -> frozenset[str] | None:
    """Return the ids of the segments that the connector handles.

    Args:
        ctx: The context.
        kind: ``"user"`` or ``"account"``.
        setting: As of :func:`filter_notification`.

    Returns:
        The ids, or ``None`` when the connector has no such setting, which means everybody.
    """
    if setting is None:
        setting = ctx.connector_config.get("segment_filter_setting")
    name = DEFAULT_FILTER_SETTINGS[kind] if setting is None else setting
    private = (ctx.ship or {}).get("private_settings") or {}
    ids = private.get(name)
    return frozenset(map(str, ids)) if isinstance(ids, list) else None


def is_selected(selection: frozenset[str], segment_ids: Iterable[Any], *, everybody: bool = False) -> bool:
    """Tell whether a selection holds one of some segments.

    Args:
        selection: What :func:`segment_selection` returned.
        segment_ids: Ids of the segments that somebody is in.
        everybody: ``True`` lets ``"ALL"`` select also who is in no segment.
    """
    ids = list(segment_ids)
    if not selection.isdisjoint(_EVERYBODY):
        return everybody or bool(ids)
    return not selection.isdisjoint(ids)


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

    The address that the platform calls back holds the connector's credentials in its query, as the section
    "Extracts" of ``docs/protocol.md`` says; it is never logged.

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
) -> int:
    """Read a file of an extract while it arrives and hand its rows on, some at a time.

    Args:
        ctx: The context.
        url: Where the file lies: on an allowed organization's host, or on a public https address.
        format: ``"json"`` or ``"csv"``; gzip is recognized.
        on_rows: ``f(rows)``, called in order; the next rows are read when it returns.
        batch_size: Largest number of rows in a call.

    Returns:
        How many rows there were.

    Raises:
        InvalidArgumentError: The address is not allowed, or the file is malformed.
        TransientError: The file could not be read to its end.
    """
    if isinstance(batch_size, bool) or not isinstance(batch_size, int) or batch_size < 1:
        raise InvalidArgumentError(f"batch_size is {batch_size!r}; it must be a whole number of at least 1")
    count = 0
    with open_extract(ctx, url, format) as file:
        while rows := list(islice(file.rows, batch_size)):
            on_rows(rows)
            count += len(rows)
    return count


@dataclass(frozen=True, slots=True)
class ExtractFile:
    """A file of an extract while it is read.

    Args:
        mark: Differs when the file differs, as far as its server says.
        rows: The rows, to be read once.
    """

    mark: str
    rows: Iterator[dict[str, Any]]


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
        chunks = plain_chunks(answer.chunks, answer.headers.get("content-encoding"))
        yield ExtractFile(mark, read_rows(chunks, file_format))


def download_request(ctx: Context, url: str) -> Request:
    """Return the request for a file of an extract, after a look at its address.

    Args:
        ctx: The context, whose trust root decides.
        url: From a request, so anybody may have written it.

    Raises:
        InvalidArgumentError: It lies neither on an allowed host nor on a public https address.
    """
    host = host_of(url)
    allowed = ctx.trust.allows(host)
    secure = url.lower().startswith("https://")
    if not host or not (secure or (allowed and is_loopback(host))):
        raise InvalidArgumentError(f"the extract's address {mask_url(url)!r:.300} must be an https URL")
    if not allowed and _is_private(host):
        raise InvalidArgumentError(
            f"the extract's address {mask_url(url)!r:.300} is not public; if its host is yours, add it to "
            "allowed_organizations (or HULL_ALLOWED_ORGANIZATIONS)"
        )
    return Request(
        method="GET",
        url=url,
        headers={"Accept-Encoding": "gzip"},
        timeout_s=EXTRACT_TIMEOUT_S,
        max_bytes=MAX_EXTRACT_BYTES,
        public_only=not allowed,
    )


def _is_private(host: str) -> bool:
    # Names are looked up when the connection is made, by the network's own guard; this one only saves the attempt.
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    bare = name.strip("[]")
    looks_like_number = ":" in bare or bare.replace(".", "").isdigit()
    return is_loopback(host) or (looks_like_number and not is_public_address(bare))


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
    credentials = ctx.credentials()
    own = (ctx.ship or {}).get("source_url") or (f"https://{ctx.hostname}" if ctx.hostname else "")
    if not host_of(own):
        raise InvalidArgumentError("the connector's own address is not known; it has no source_url and no hostname")
    query = {
        "ship": credentials.id,
        "secret": credentials.secret,
        "organization": credentials.organization,
        "source": "connector",
        **({} if additional_query is None else additional_query),
    }
    if segment_id is not None:
        query["segment_id"] = segment_id
    return f"{own.rstrip('/')}/{path.strip('/')}?{urlencode(query)}"


#: What ``ctx.helpers`` offers.
BOUND_HELPERS: Final[dict[str, Callable[..., Any]]] = {
    "filter_notification": filter_notification,
    "handle_extract": handle_extract,
    "request_extract": request_extract,
    "update_settings": update_settings,
}
