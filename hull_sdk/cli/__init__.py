"""The command ``hull``: one module per subcommand, loaded when it is called."""

from __future__ import annotations

import importlib
from typing import Final

import click

__all__ = ["COMMANDS", "main"]

#: Subcommands and their modules; each module has a click command of the subcommand's name.
COMMANDS: Final = {
    "deadletters": "hull_sdk.cli.deadletters",
    "demo": "hull_sdk.cli.demo",
    "doctor": "hull_sdk.cli.doctor",
    "new": "hull_sdk.cli.new",
    "platform": "hull_sdk.cli.platform",
    "trace": "hull_sdk.cli.trace",
    "types": "hull_sdk.cli.types",
}


class _LazyGroup(click.Group):
    """A group that imports a subcommand's module when the subcommand is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of the subcommands."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Return a subcommand, or ``None`` when there is no such name."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[cmd_name]), cmd_name)
        return command


@click.group(cls=_LazyGroup)
@click.version_option(package_name="hull-sdk")
def main() -> None:
    """Build and try customer-data connectors for Hull."""
