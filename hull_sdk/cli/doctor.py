"""``hull doctor``: attacks a connector that is yours, and says what to mend."""

from __future__ import annotations

import sys
from typing import Any

import click

from hull_sdk.cli.logs import logs_to_stderr
from hull_sdk.core import json
from hull_sdk.core.hosts import host_of, is_loopback, split_host
from hull_sdk.core.masking import mask_url
from hull_sdk.doctor import Examination, Options, examine
from hull_sdk.errors import HullError

__all__ = ["doctor"]

_CANNOT_SAY = 2


def _attributes(ctx: click.Context, param: click.Parameter, value: str) -> dict[str, Any]:
    """Return a JSON object from the command line."""
    try:
        found = json.loads(value)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise click.BadParameter(f'{value!r} is no JSON object; write one such as \'{{"plan": "pro"}}\'', ctx, param)
    return found


@click.command(short_help="Attack a connector of yours.")
@click.argument("url", metavar="URL")
@click.option("--listen", default="127.0.0.1:8899", show_default=True, help="Where doctor's organization answers.")
@click.option("--setting", "settings", callback=_attributes, default="{}", help="Private settings, a JSON object.")
@click.option("--user", callback=_attributes, default="{}", help="Attributes of the person it is told of, likewise.")
@click.option("--account", callback=_attributes, default="{}", help="Attributes of the company, likewise.")
@click.option("--deadline", "limit_s", type=click.FloatRange(min=1), default=30.0, show_default=True, metavar="SECONDS")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option("--it-is-mine", is_flag=True, help="Examine a connector that is not on this machine.")
def doctor(
    url: str,
    *,
    listen: str,
    settings: dict[str, Any],
    user: dict[str, Any],
    account: dict[str, Any],
    limit_s: float,
    as_json: bool,
    it_is_mine: bool,
) -> None:
    """Attack the running connector at URL, and print what passes, what fails and how to mend it.

    Doctor plays an organization, at 127.0.0.1:8899 unless --listen says otherwise. Start the connector so that it
    allows that one for the run, HULL_ALLOWED_ORGANIZATIONS=127.0.0.1:8899; without that nothing is attacked. Made-up
    people and companies are sent to its handlers: use settings that lead to no service that matters.

    Exit code 0: nothing failed; 1: something did; 2: the connector could not be examined.
    """
    host, port = _checked(url, listen, it_is_mine=it_is_mine)
    options = Options(settings=settings, user=user, account=account, limit_s=limit_s)
    try:
        with logs_to_stderr(None):  # they are about doctor's own organization
            found = examine(url, host=host, port=port, options=options, tell=_tell)
    except HullError as err:
        _give_up(err.message, as_json=as_json)
    else:
        _show(found, as_json=as_json)


def _checked(url: str, listen: str, *, it_is_mine: bool) -> tuple[str, int]:
    place = split_host(listen)
    if place is None or place[1] is None:
        raise click.UsageError(f"--listen is {listen!r}; write a host and a port such as 127.0.0.1:8899")
    if not host_of(url):
        raise click.UsageError(f"{mask_url(url)!r} is no address; write one such as http://127.0.0.1:8082")
    if not is_loopback(host_of(url)) and not it_is_mine:
        raise click.UsageError(f"{host_of(url)} is not this machine; add --it-is-mine if the connector there is yours")
    return place[0], place[1]


def _tell(text: str) -> None:
    click.echo(f"  {text} ...", err=True)


def _show(found: Examination, *, as_json: bool) -> None:
    click.echo(json.dumps(found.to_dict()) if as_json else found.table())
    if not found.ok:
        sys.exit(1)


def _give_up(message: str, *, as_json: bool) -> None:
    click.echo(json.dumps({"ok": False, "error": message}) if as_json else f"Error: {message}", err=not as_json)
    sys.exit(_CANNOT_SAY)
