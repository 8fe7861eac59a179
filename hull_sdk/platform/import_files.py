"""The files of imports: which addresses are asked, fetching into a temporary file, and cutting into lines.

Rules: section "Imports" of ``docs/protocol.md``. A file is fetched whole before its first line is applied, so that a
transfer that breaks off leaves nothing half done. Memory is bounded by one line and one chunk.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Final

from hull_sdk.core.files import file_request
from hull_sdk.core.hosts import HostPatterns
from hull_sdk.core.net import Network, Request
from hull_sdk.core.retry import is_retryable
from hull_sdk.errors import InvalidArgumentError, NetworkError
from hull_sdk.wire.firehose import MAX_MESSAGE_BYTES
from hull_sdk.wire.rows import plain_chunks

__all__ = ["MAX_FILE_BYTES", "FileRefusedError", "ImportFile", "checked_address", "fetch"]

#: Largest file that is fetched, as it travels.
MAX_FILE_BYTES: Final = 2 * 1024**3
#: Seconds to connect, and from one piece to the next.
_TIMEOUT_S: Final = 60.0
#: Files up to this size stay in memory.
_SPOOL_BYTES: Final = 4 * 1024**2
_CHUNK_BYTES: Final = 65_536
_BOM: Final = b"\xef\xbb\xbf"


class FileRefusedError(InvalidArgumentError):
    """Raised when a file's server refuses it for good; ask for the import again with an address that is valid."""


@dataclass(frozen=True, slots=True)
class ImportFile:
    """A file that has been fetched.

    Args:
        content: Its bytes, as they travelled.
        encoding: The header ``Content-Encoding``, or ``None``.
    """

    content: IO[bytes]
    encoding: str | None

    def lines(self) -> Iterator[bytes | None]:
        """Cut the file into lines, decompressed where it is gzip by its header or its first bytes.

        Yields:
            Each line without its end; ``None`` for one that is larger than a message may be.

        Raises:
            InvalidArgumentError: The encoding is unknown, or the gzip is damaged.
            TransientError: The gzip ends too early.
        """
        return _lines(plain_chunks(iter(lambda: self.content.read(_CHUNK_BYTES), b""), self.encoding))

    def close(self) -> None:
        """Delete the file."""
        self.content.close()


def checked_address(url: object, hosts: Iterable[str]) -> Request:
    """Check the address of a file; nothing is sent.

    Args:
        url: An https address; on a host of the list http is allowed on loopback, and addresses that are not public.
        hosts: Hosts that are trusted beside public ones: the connector's own and those of the organization's settings.

    Returns:
        The request that fetches it; it connects to public addresses only, unless the host is on the list.

    Raises:
        InvalidArgumentError: The address breaks the rule.
    """
    return file_request(
        url,
        HostPatterns(hosts),
        what="the import's url",
        way_out="if its host is yours, have the operator add it to import_hosts in the organization's settings",
        timeout_s=_TIMEOUT_S,
        max_bytes=MAX_FILE_BYTES,
    )


def fetch(net: Network, request: Request) -> ImportFile:
    """Fetch a file into a temporary one, following no redirects.

    Args:
        net: What to ask.
        request: See :func:`checked_address`.

    Returns:
        The file, to be closed by the caller.

    Raises:
        NetworkError: It could not be fetched now; trying again may help.
        FileRefusedError: The server answered that it has no such file, or not for us.
    """
    content = tempfile.SpooledTemporaryFile(_SPOOL_BYTES)  # noqa: SIM115 - it is handed on, and closed after the import
    try:
        with net.stream(request) as answer:
            if not 200 <= answer.status < 300:
                reason = f"the file's server answered {answer.status}"
                raise NetworkError(reason) if is_retryable(answer.status) else FileRefusedError(reason)
            for chunk in answer.chunks:
                content.write(chunk)
            encoding = answer.headers.get("content-encoding")
    except BaseException:
        content.close()
        raise
    content.seek(0)
    return ImportFile(content, encoding)


def _lines(chunks: Iterable[bytes]) -> Iterator[bytes | None]:
    rest, skipping, first = b"", False, True
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield None if skipping or len(line) > MAX_MESSAGE_BYTES else line.removeprefix(_BOM if first else b"")
            skipping = first = False
        if len(rest) > MAX_MESSAGE_BYTES:
            rest, skipping = b"", True
    if rest or skipping:
        yield None if skipping else rest.removeprefix(_BOM if first else b"")
