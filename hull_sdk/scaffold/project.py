"""A new connector: what it may be called, where it may go, and its files, from templates inside this package."""

from __future__ import annotations

import keyword
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from jinja2 import Environment, StrictUndefined

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.scaffold.typed_settings import settings_module
from hull_sdk.wire.manifest import load_manifest

__all__ = ["ProjectNames", "project_files", "project_names", "write_project"]

#: With a longer one the lines of the files would not fit.
MAX_NAME_CHARS: Final = 40

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_SUFFIX: Final = ".j2"
_PACKAGE: Final = "PACKAGE"
_DOT: Final = "dot."
#: Names of packages that would hide what a connector imports.
_TAKEN: Final = frozenset(
    {"hull", "hull_sdk", "flask", "gunicorn", "jinja2", "pytest", "requests", "tests", "conftest"}
)


@dataclass(frozen=True, slots=True)
class ProjectNames:
    """What a connector is called in its several places.

    Args:
        name: Of the distribution and its folder, for example ``"acme-crm"``.
        package: Of the package, for example ``"acme_crm"``.
        title: For people, for example ``"Acme Crm"``.
    """

    name: str
    package: str
    title: str


def project_names(name: str) -> ProjectNames:
    """Check a connector's name.

    Args:
        name: For example ``"acme-crm"``.

    Raises:
        InvalidArgumentError: It breaks a rule; the message has a name that would do, if one is near.
    """
    if len(name) > MAX_NAME_CHARS:
        raise InvalidArgumentError(
            f"the name {name[:MAX_NAME_CHARS]!r}… has {len(name)} characters; {MAX_NAME_CHARS} fit"
        )
    if _NAME.fullmatch(name) is None:
        near = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-0123456789")
        hint = f"; {near!r} would do" if _NAME.fullmatch(near) else ""
        raise InvalidArgumentError(
            f"the name {name!r} must be lower-case letters and digits, with dashes between words{hint}"
        )
    package = name.replace("-", "_")
    if package in _TAKEN or package in sys.stdlib_module_names or keyword.iskeyword(package):
        raise InvalidArgumentError(
            f"the name {name!r} would hide the Python module {package!r}; choose another, such as '{name}-connector'"
        )
    return ProjectNames(name, package, name.replace("-", " ").title())


def project_files(names: ProjectNames) -> dict[str, str]:
    """Return the files of a new connector, their texts by path.

    Args:
        names: What :func:`project_names` returned.
    """
    # No HTML is made here; a name is letters, digits and dashes.
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)  # noqa: S701
    values = {"name": names.name, "package": names.package, "title": names.title}
    texts = {
        path: environment.from_string(template.read_text(encoding="utf-8")).render(values)
        for path, template in _templates(files("hull_sdk.scaffold") / "templates", names.package)
    }
    manifest = load_manifest(json.loads(texts[f"{names.package}/manifest.json"]))
    texts[f"{names.package}/settings.py"] = settings_module(manifest)
    return dict(sorted(texts.items()))


def write_project(names: ProjectNames, folder: Path) -> list[Path]:
    """Write a new connector.

    Args:
        names: What :func:`project_names` returned.
        folder: Where; it is made if need be, and must be empty.

    Returns:
        The files.

    Raises:
        InvalidArgumentError: There is something already, or it cannot be written.
    """
    texts = project_files(names)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise InvalidArgumentError(f"the folder {str(folder)!r} is not empty; name another one with --into")
        return [_write(folder / path, text) for path, text in texts.items()]
    except OSError as err:
        raise InvalidArgumentError(f"{err.filename}: {err.strerror}; name another folder with --into") from err


def _write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def _templates(folder: Traversable, package: str, prefix: str = "") -> Iterator[tuple[str, Traversable]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            inner = package if entry.name == _PACKAGE else entry.name
            yield from _templates(entry, package, f"{prefix}{inner}/")
        elif entry.name.endswith(_SUFFIX):
            name = entry.name.removesuffix(_SUFFIX)
            yield prefix + (f".{name.removeprefix(_DOT)}" if name.startswith(_DOT) else name), entry
