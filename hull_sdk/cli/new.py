"""``hull new``: a connector to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from hull_sdk.errors import InvalidArgumentError
from hull_sdk.scaffold.project import project_names, write_project

__all__ = ["new"]


@click.command(short_help="Write a new connector.")
@click.argument("name")
@click.option("--into", type=click.Path(path_type=Path, file_okay=False), help="Folder; NAME in this one by default.")
def new(name: str, into: Path | None) -> None:
    """Write a connector with a manifest, a handler of each kind, and a test for each.

    NAME is lower case with dashes, such as acme-crm. Nothing is downloaded.
    """
    try:
        names = project_names(name)
        folder = Path(names.name) if into is None else into
        written = write_project(names, folder)
    except InvalidArgumentError as err:
        raise click.ClickException(err.message) from err
    click.echo(f"{folder}: {len(written)} files")
    click.echo(f"next: cd {folder} && python -m pytest")
