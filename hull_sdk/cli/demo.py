"""``hull demo``: platform and connector at work on a bundled data set, checked against a calculation of its own."""

from __future__ import annotations

import functools
import logging
import sys

import click

from hull_sdk.cli.logs import logs_to_stderr
from hull_sdk.core import json
from hull_sdk.demo.dataset import CHANGES, changed, load
from hull_sdk.demo.progress import StreamProgress
from hull_sdk.demo.report import Report
from hull_sdk.demo.run import DEADLINE_S, run
from hull_sdk.demo.stage import FAULTS
from hull_sdk.demo.virtual import run_virtual
from hull_sdk.errors import HullError

__all__ = ["demo"]


@click.command(short_help="Run platform and connector on bundled data.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of the table.")
@click.option("--virtual", is_flag=True, help="Run on a virtual clock, without sockets.")
@click.option("-v", "--verbose", is_flag=True, help="Write logs to stderr, one JSON object a line.")
@click.option("--deadline", "deadline_s", default=DEADLINE_S, type=click.FloatRange(min=0), hidden=True)
@click.option("--change", "changes", multiple=True, hidden=True, help=f"Spoil the data: {', '.join(CHANGES)}.")
@click.option("--bad-day", is_flag=True, hidden=True, help="Break connections and answer 500 for a while.")
def demo(
    *, as_json: bool, virtual: bool, verbose: bool, deadline_s: float, changes: tuple[str, ...], bad_day: bool
) -> None:
    """Send a small company's data through the platform to a lead-scoring connector.

    Both run in this process, on free local ports. At the end every figure is compared with a calculation that
    knows nothing of the platform: exit code 0 when all agree, 1 when not.
    """
    play = run_virtual if virtual else functools.partial(run, deadline_s=deadline_s)
    try:
        messages = functools.reduce(changed, changes, load())
        with logs_to_stderr(logging.INFO if verbose else None):
            report = play(messages, faults=FAULTS if bad_day else (), progress=StreamProgress(sys.stderr))
    except HullError as err:
        _fail(err, as_json=as_json)
    else:
        _show(report, as_json=as_json)


def _show(report: Report, *, as_json: bool) -> None:
    click.echo(json.dumps(report.to_dict()) if as_json else report.table())
    if not report.ok:
        sys.exit(1)


def _fail(error: HullError, *, as_json: bool) -> None:
    if not as_json:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps({"ok": False, "error": str(error)}))
    sys.exit(1)
