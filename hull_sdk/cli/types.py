"""``hull types``: the settings of a manifest as a typed Python module."""

from __future__ import annotations

from pathlib import Path

import click

from hull_sdk.core import json
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.scaffold.typed_settings import settings_module
from hull_sdk.wire.manifest import load_manifest

__all__ = ["types"]


@click.command(short_help="Write typed settings from a manifest.")
@click.argument("manifest", type=click.Path(path_type=Path))
@click.option("-o", "--output", type=click.Path(path_type=Path, dir_okay=False), help="File to write; stdout without.")
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 when the file is not up to date.")
def types(manifest: Path, output: Path | None, *, check: bool) -> None:
    """Write a module with a TypedDict for the settings that MANIFEST declares.

    Run it after each change of the manifest: type checkers then find the code that uses a setting which has another
    name or type now. In CI, --check finds a forgotten run.
    """
    if check and output is None:
        raise click.UsageError("--check compares with a file; name it with -o FILE")
    try:
        text = settings_module(_read(manifest), manifest.name)
    except InvalidArgumentError as err:
        raise click.ClickException(f"{manifest}: {err.message}") from err
    if output is None:
        click.echo(text, nl=False)
    elif check:
        _compare(text, output, manifest)
    else:
        _write(text, output)


def _read(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as err:
        raise InvalidArgumentError(f"{err.strerror}; pass the path of a manifest") from err
    except ValueError as err:
        raise InvalidArgumentError(f"no JSON: {err}") from err
    return load_manifest(value)


def _compare(text: str, output: Path, manifest: Path) -> None:
    try:
        found = output.read_text(encoding="utf-8")
    except OSError:
        found = None
    if found != text:
        state = "is missing" if found is None else "is not what the manifest declares"
        raise click.ClickException(f"{output} {state}; run: hull types {manifest} -o {output}")


def _write(text: str, output: Path) -> None:
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as err:
        raise click.ClickException(f"{output}: {err.strerror}") from err
