"""Snapshots: the whole state of a platform in a file, from which another one goes on.

Rules: section "Snapshots" of ``docs/protocol.md``. The file has two lines: a header with format, version and
digest, and the state. It holds the secrets of organizations and connectors, so only its owner may read it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.platform import Platform

__all__ = ["Keeper", "load_snapshot", "save_snapshot"]

_FORMAT: Final = "hull-platform-snapshot"
_VERSION: Final = 1
_WAY_OUT: Final = "move it away to start empty, or put back a copy"

#: What a state raises that is not of the shape that was saved.
_UNREADABLE: Final = (
    LookupError,
    TypeError,
    ValueError,
    AttributeError,
    StopIteration,
    ArithmeticError,
    RecursionError,
)


class Keeper:
    """Saves a platform to its file whenever it is asked to.

    Args:
        platform: What to save.
        path: Where.
    """

    def __init__(self, platform: Platform, path: Path) -> None:
        self.path = path
        self._platform = platform

    def __call__(self) -> str:
        """Save, and return the file's path."""
        save_snapshot(self._platform, self.path)
        return str(self.path)


def save_snapshot(platform: Platform, path: str | Path) -> None:
    """Write the state of a platform to a file, which has the old contents or the new ones at any moment.

    Args:
        platform: What to save; it may go on meanwhile.
        path: Of the file; only its owner may read it (mode 0600).

    Raises:
        InvalidArgumentError: The file cannot be written; an old one is as it was.
    """
    path = Path(path)
    body = json.dumps(platform.packed())
    header = {"format": _FORMAT, "version": _VERSION, "sha256": hashlib.sha256(body).hexdigest()}
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{platform.next_sequence()}")
    try:
        _write(temporary, json.dumps(header) + b"\n" + body + b"\n")
        temporary.replace(path)
    except OSError as err:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise InvalidArgumentError(f"{path}: {err.strerror}; the snapshot was not written") from err


def load_snapshot(platform: Platform, path: str | Path) -> bool:
    """Have a new platform go on from a file.

    Args:
        platform: Where to; it has no organizations yet.
        path: Of the file.

    Returns:
        ``False`` when there is no such file.

    Raises:
        InvalidArgumentError: The file cannot be read, is no snapshot, is damaged, or was written by a version that is
            not understood.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        return False
    except OSError as err:
        raise InvalidArgumentError(f"{path}: {err.strerror}; pass the path of a snapshot") from err
    header, _, body = data.partition(b"\n")
    _check(path, _decoded(header), body.rstrip(b"\n"))
    try:
        platform.restore(json.loads(body))
    except _UNREADABLE as err:
        raise InvalidArgumentError(f"{path}: the snapshot cannot be read: {err!r:.200}; {_WAY_OUT}") from err
    return True


def _write(path: Path, data: bytes) -> None:
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _decoded(header: bytes) -> Any:
    try:
        return json.loads(header)
    except ValueError:
        return None


def _check(path: str | Path, header: Any, body: bytes) -> None:
    if not isinstance(header, Mapping) or header.get("format") != _FORMAT:
        raise InvalidArgumentError(f"{path}: this is no snapshot of a platform; pass another path to --data")
    if header.get("version") != _VERSION:
        raise InvalidArgumentError(
            f"{path}: the snapshot has version {header.get('version')!r:.20}, this platform reads version {_VERSION}; "
            "use the platform that wrote it, or move it away to start empty"
        )
    if header.get("sha256") != hashlib.sha256(body).hexdigest():
        raise InvalidArgumentError(f"{path}: the snapshot is damaged, its digest is another one; {_WAY_OUT}")
