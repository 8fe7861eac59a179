"""The file at its address: asked for, told apart from the one before, and read line by line as it arrives."""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

from requests import RequestException, Response
from urllib3.exceptions import HTTPError

from hull_sdk import Context
from hull_sdk.errors import ApiError, InvalidArgumentError, TransientError
from hull_sdk.service import ServiceSession
from import_connector.settings import PrivateSettings
from import_connector.table import MAX_ROW_BYTES, Table, TableError

__all__ = ["Source", "SourceFile", "shown"]

_GZIP: Final = b"\x1f\x8b"
#: Largest file, as it travels and unpacked, unless IMPORT_MAX_BYTES says otherwise.
MAX_BYTES: Final = 20 * 1024**3
#: Where an address may be signed, whatever its service calls that.
_QUERY: Final = re.compile(r"\?[^\s'\"]+")
#: What the libraries raise when what was packed is damaged.
_DAMAGED: Final = (HTTPError, zlib.error, OSError, EOFError)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that is being read.

    Args:
        mark: Differs when the file differs; empty when its server says nothing that would tell.
        table: Its rows.
    """

    mark: str
    table: Table


class Source:
    """Where the settings say that the file is.

    Args:
        ctx: The context of the connector.
        settings: Its private settings, with an address.
    """

    def __init__(self, ctx: Context, settings: PrivateSettings) -> None:
        # Whoever writes the settings has no business in the operator's network.
        trusted = [host.strip() for host in os.environ.get("IMPORT_TRUSTED_HOSTS", "").split(",") if host.strip()]
        self._max_bytes = int(os.environ.get("IMPORT_MAX_BYTES", MAX_BYTES))
        self._session = ServiceSession(
            timeout_s=30, runtime=ctx.runtime, metric=ctx.metric, trusted_hosts=trusted, max_bytes=self._max_bytes
        )
        if settings["authorization"]:
            self._session.headers["Authorization"] = settings["authorization"]
        self._settings = settings

    @contextmanager
    def open(self) -> Generator[SourceFile]:
        """Ask for the file; it is read as far as its rows are, and let go at the end of the block.

        Raises:
            TableError: It is not there, or no table.
            TransientError: It cannot be had now, or breaks off.
        """
        with self._answer() as answer:
            lines = _lines(answer.raw, self._max_bytes)
            table = Table(lines, encoding=self._settings["encoding"], delimiter=self._settings["delimiter"])
            yield SourceFile(_mark(answer.headers), table)

    def mark(self) -> str:
        """Return the mark of the file that is there now."""
        with self._answer() as answer:
            return _mark(answer.headers)

    def _answer(self) -> Response:
        try:
            return self._session.get(str(self._settings["url"]), stream=True)
        except ApiError as err:
            raise TableError(f"the file's server answers {err.status}") from err
        except TransientError as err:
            raise _unsigned(err) from None
        except (RequestException, InvalidArgumentError) as err:  # their texts hold the whole address
            raise TableError("the address in the settings cannot be asked; write it as https://host/path") from err


def shown(url: str | None) -> str:
    """Return what everybody may see of an address: its host and path, and no password, signature or token.

    Args:
        url: As the settings have it.
    """
    try:
        parts = urlsplit(url or "")
    except ValueError:
        return ""
    return f"{parts.hostname or ''}{parts.path}"


def _unsigned(err: TransientError) -> TransientError:
    """Return an error whose text holds no query of an address, for that is where a signature stands."""
    return TransientError(_QUERY.sub("", err.message), retry_after=err.retry_after)


def _mark(headers: Any) -> str:
    changed = " ".join(headers.get(name, "") for name in ("Last-Modified", "Content-Length"))
    return headers.get("ETag") or (changed if headers.get("Last-Modified") else "")


def _lines(raw: Any, max_bytes: int) -> Iterator[bytes]:
    """Cut the file into lines, unpacked where it is gzip by the header or by its first bytes."""
    raw.decode_content = True
    raw.auto_close = False  # else its end closes it while lines are still waiting in the buffer
    packed = io.BufferedReader(raw, 65_536)
    size = 0
    try:
        file: gzip.GzipFile | io.BufferedReader = (
            gzip.GzipFile(fileobj=packed) if packed.peek(2)[:2] == _GZIP else packed
        )
        while line := file.readline(MAX_ROW_BYTES + 1):
            size += len(line)
            if size > max_bytes:
                raise TableError(f"the file has more than {max_bytes} bytes; see IMPORT_MAX_BYTES")
            yield line
    except TransientError as err:
        raise _unsigned(err) from None
    except _DAMAGED as err:
        raise TransientError(f"the file is damaged, or ends too early: {err}") from err
