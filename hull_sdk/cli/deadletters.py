"""``hull deadletters``: what was given up, and another try for it.

Two places keep such things: the platform, messages that a connector would not take; and the queue, jobs that failed.
Secrets come from the environment or a file, never from the command line, which every user of a host can read.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any, Final, TextIO, TypeVar
from urllib.parse import parse_qsl, urlsplit

import click

from hull_sdk.cli.dead_letter_sources import Jobs, Messages, Source
from hull_sdk.core import json
from hull_sdk.core.hosts import host_of
from hull_sdk.core.masking import mask_url
from hull_sdk.errors import HullError
from hull_sdk.infra.failed_jobs import FailedJobs
from hull_sdk.wire.firehose import HEADER_ACCESS_TOKEN, HEADER_APP_ID, HEADER_ORGANIZATION

__all__ = ["deadletters"]

_LIMIT: Final = 100
_REASON_CHARS: Final = 120
#: Stands for the address of the queue when ``--queue`` has none.
_FROM_ENVIRONMENT: Final = "HULL_REDIS_URL"

F = TypeVar("F", bound=Callable[..., Any])


@click.group(short_help="List dead letters and give them another try.")
def deadletters() -> None:
    """List, show and redrive what was given up.

    With --platform these are messages that a connector refused or did not take for 24 hours. Name the connector with
    --connector (or HULL_ID), and give its secret in HULL_SECRET, or the operator's in HULL_ADMIN_SECRET together with
    --organization (or HULL_ORGANIZATION).

    With --queue these are jobs that failed three times, on a Redis or Valkey. Without an address, --queue takes that
    of HULL_REDIS_URL, which may hold a password.
    """


def _with_source(function: F) -> F:
    """Add the options that say where, in the order in which help shows them."""
    options = [
        click.option("--platform", "url", metavar="URL", help="The platform, for example http://127.0.0.1:3000."),
        click.option(
            "--queue",
            "redis_url",
            metavar="[REDIS_URL]",
            is_flag=False,
            flag_value=_FROM_ENVIRONMENT,
            help="The store of the jobs, for example redis://127.0.0.1:6379/0; HULL_REDIS_URL without an address.",
        ),
        click.option("--connector", envvar="HULL_ID", metavar="ID", help="Whose messages; HULL_ID."),
        click.option("--organization", envvar="HULL_ORGANIZATION", metavar="HOST", help="Its host; HULL_ORGANIZATION."),
        click.option("--secret-file", type=click.File(errors="replace"), help="File with the secret, - for stdin."),
        click.option("--admin", is_flag=True, help="The secret is the operator's: HULL_ADMIN_SECRET, or the file's."),
        click.option("--queue-name", metavar="NAME", help="Only jobs of this queue."),
        click.option("--json", "as_json", is_flag=True, help="Print JSON."),
    ]
    for option in reversed(options):
        function = option(function)
    return function


@deadletters.command("list", short_help="List them, the oldest first.")
@_with_source
@click.option("--limit", default=_LIMIT, show_default=True, type=click.IntRange(1), help="How many at most.")
def list_letters(*, limit: int, as_json: bool, **where: Any) -> None:
    """List dead letters, the oldest first: id, time, what it is, and why it was given up."""
    with _failing(), closing(_source(**where)) as source:
        letters, total = source.summaries(limit)
        if as_json:
            click.echo(json.dumps({"dead_letters": letters, "total": total}).decode())
        else:
            click.echo("\n".join(_lines(letters, total)))


@deadletters.command(short_help="Show one of them.")
@click.argument("letter_id", metavar="ID")
@_with_source
def show(letter_id: str, *, as_json: bool, **where: Any) -> None:
    """Show the dead letter ID with its content; secrets in it are masked."""
    with _failing(), closing(_source(**where)) as source:
        letter = source.show(letter_id)
        click.echo(json.dumps(letter).decode() if as_json else "\n".join(_shown(letter)))


@deadletters.command(short_help="Give some, or all, another try.")
@click.argument("ids", metavar="[ID]...", nargs=-1)
@_with_source
@click.option("--all", "all_letters", is_flag=True, help="All there are, of --queue-name if that is given.")
def redrive(ids: tuple[str, ...], *, all_letters: bool, as_json: bool, **where: Any) -> None:
    """Give the dead letters ID another try: a message is delivered again, a job is run again.

    When one of the ids is no dead letter, none is touched.
    """
    if bool(ids) == all_letters:
        raise click.UsageError("name the ids to redrive, or write --all; `hull deadletters list` shows what there is")
    with _failing(), closing(_source(**where)) as source:
        count = source.redrive(None if all_letters else ids)
        click.echo(json.dumps({"redriven": count}).decode() if as_json else f"{count} redriven")


def _source(
    *,
    url: str | None,
    redis_url: str | None,
    connector: str | None,
    organization: str | None,
    secret_file: TextIO | None,
    admin: bool,
    queue_name: str | None,
) -> Source:
    if (url is None) == (redis_url is None):
        raise click.UsageError("say where: --platform URL for messages, or --queue REDIS_URL for jobs")
    if redis_url is not None:
        return Jobs(FailedJobs(_address(redis_url)), queue_name)
    if queue_name is not None:
        raise click.UsageError("--queue-name goes with --queue")
    if url is None or not host_of(url):
        raise click.UsageError(f"--platform is {mask_url(url or '')!r}; write a URL such as http://127.0.0.1:3000")
    if connector is None:
        raise click.UsageError("whose messages? Name the connector with --connector ID, or set HULL_ID")
    secret, is_admin = _secret(secret_file, admin=admin)
    headers = {HEADER_ACCESS_TOKEN: secret} if is_admin else {HEADER_ACCESS_TOKEN: secret, HEADER_APP_ID: connector}
    if organization is not None:
        headers[HEADER_ORGANIZATION] = organization
    return Messages(url.rstrip("/"), connector, headers)


def _address(redis_url: str) -> str:
    if redis_url != _FROM_ENVIRONMENT:
        _refuse_password(redis_url)
        return redis_url
    found = os.environ.get(_FROM_ENVIRONMENT)
    if not found:
        raise click.UsageError(f"--queue has no address, and {_FROM_ENVIRONMENT} is not set; give one of them")
    return found


def _refuse_password(redis_url: str) -> None:
    try:
        parts = urlsplit(redis_url)
    except ValueError:
        return  # the driver says what is wrong with it
    if parts.password is not None or "password" in dict(parse_qsl(parts.query)):
        raise click.UsageError(
            "the address of --queue holds a password, which every user of this host can read while the command runs; "
            f"set {_FROM_ENVIRONMENT} to the address, and write --queue without one"
        )


def _secret(secret_file: TextIO | None, *, admin: bool) -> tuple[str, bool]:
    """Return the secret, and whether it is the operator's."""
    if secret_file is not None:
        return _header_value(secret_file.read(), "the file of --secret-file"), admin
    found = None if admin else os.environ.get("HULL_SECRET")
    if found:
        return _header_value(found, "HULL_SECRET"), False
    found = os.environ.get("HULL_ADMIN_SECRET")
    if not found:
        wanted = "HULL_ADMIN_SECRET" if admin else "HULL_SECRET (the connector's) or HULL_ADMIN_SECRET (the operator's)"
        raise click.UsageError(f"no secret: set {wanted}, or name a file with --secret-file")
    return _header_value(found, "HULL_ADMIN_SECRET"), True


def _header_value(text: str, where: str) -> str:
    value = text.strip()
    if not value or not value.isascii() or not value.isprintable():
        raise click.UsageError(f"{where} holds no secret: it must be one line of printable ASCII")
    return value


@contextmanager
def _failing() -> Iterator[None]:
    """Turn the errors of a source into one line and exit code 1."""
    try:
        yield
    except HullError as err:
        raise click.ClickException(err.message) from err


def _lines(letters: list[dict[str, Any]], total: int) -> Iterator[str]:
    for each in letters:
        what = each.get("name") or each.get("channel")
        about = each.get("queue") or each.get("entity_id")
        yield f"{each['id']}  {each['at']}  {what}  {about}  {_one_line(each['reason'])}"
    if total > len(letters):
        yield f"... {total} in all; --limit {total} shows them"
    if not total:
        yield "none"


def _one_line(reason: Any) -> str:
    text = " ".join(str(reason).split())
    return text if len(text) <= _REASON_CHARS else f"{text[:_REASON_CHARS]}..."


def _shown(letter: Mapping[str, Any]) -> Iterator[str]:
    for name, value in letter.items():
        yield f"{name}: {value if isinstance(value, str) else json.dumps(value).decode()}"
