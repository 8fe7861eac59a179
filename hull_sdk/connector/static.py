"""What a connector serves beside its views: the manifest, its files, and the way to its readme.

Only paths that the application itself does not answer are served here, so an own ``/manifest.json`` wins.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from flask import Response, jsonify, redirect, request, send_from_directory
from flask.typing import ResponseReturnValue
from werkzeug.security import safe_join

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError

__all__ = ["MANIFEST_NAME", "read_manifest", "static_responder"]

MANIFEST_NAME: Final = "manifest.json"

_README: Final = "https://dashboard.hullapp.io/readme?url="
_FOLDERS: Final = ("assets", "dist")


def read_manifest(option: Mapping[str, Any] | str | Path | None, folders: list[Path]) -> dict[str, Any] | None:
    """Return the connector's manifest.

    Args:
        option: The manifest itself, or the path of its file; ``None`` looks for ``manifest.json``.
        folders: Where to look, in this order.

    Returns:
        The checked manifest, or ``None`` when nothing was given and nothing was found.

    Raises:
        InvalidArgumentError: The file is missing or no JSON, or the manifest breaks a rule.
    """
    if option is None:
        option = next((folder / MANIFEST_NAME for folder in folders if (folder / MANIFEST_NAME).is_file()), None)
    if option is None:
        return None
    # Its schemas are a fifth of all that a connector has to load, and not needed before it is set up.
    from hull_sdk.wire.manifest import load_manifest  # noqa: PLC0415 - as above

    return load_manifest(option if isinstance(option, Mapping) else _read(Path(option)))


def static_responder(manifest: Mapping[str, Any] | None, root: Path) -> Callable[[], ResponseReturnValue | None]:
    """Return a function that answers with what a connector serves, for requests that lead to no view.

    Args:
        manifest: Served at ``/manifest.json``.
        root: Folder whose ``assets`` and ``dist`` are served.
    """

    def respond() -> ResponseReturnValue | None:
        if request.path == f"/{MANIFEST_NAME}":
            return None if manifest is None else jsonify(manifest)
        if request.path in {"/", "/readme"}:
            return redirect(_README + quote(f"https://{request.host}", safe=""))
        return _file(root, request.path)

    return respond


def _file(root: Path, path: str) -> Response | None:
    name = path.lstrip("/").removeprefix("assets/")
    if not name or any(part.startswith(".") for part in name.split("/")):
        return None
    for folder in _FOLDERS:
        target = safe_join(str(root / folder), name)
        if target is not None and _is_file(Path(target)):
            return send_from_directory(root / folder, name)
    return None


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:  # longer than any file's name may be
        return False


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except OSError as err:
        raise InvalidArgumentError(f"the manifest {str(path)!r} cannot be read: {err.strerror}") from err
    except ValueError as err:
        raise InvalidArgumentError(f"the manifest {str(path)!r} is no JSON: {err}") from err
