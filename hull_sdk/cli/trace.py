"""``hull trace``: what became of a message, step by step."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

import click

from hull_sdk.core import json
from hull_sdk.core.hosts import host_of
from hull_sdk.core.masking import mask_url
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.errors import NetworkError

__all__ = ["trace"]

_TIMEOUT_S: Final = 10.0
_MAX_BYTES: Final = 64 * 1024 * 1024


@click.command(short_help="Show what became of a message.")
@click.argument("message_id", metavar="ID")
@click.option("--platform", "url", default="http://127.0.0.1:3000", show_default=True, help="Where it listens.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer of the platform as it is.")
def trace(message_id: str, url: str, *, as_json: bool) -> None:
    """Show what became of the message ID on a reference platform that was started with --test-controls.

    Prints its final state, what it changed, which notifications told of that, how they were answered, and what the
    connectors wrote in turn.
    """
    if not host_of(url):
        raise click.UsageError(f"--platform is {mask_url(url)!r}; write a URL such as http://127.0.0.1:3000")
    found = _fetch(f"{url.rstrip('/')}/_platform/trace/{quote(message_id, safe='')}", url)
    click.echo(json.dumps(found).decode() if as_json else "\n".join(_lines(found)))


def _fetch(address: str, url: str) -> dict[str, Any]:
    request = Request(method="GET", url=address, timeout_s=_TIMEOUT_S, max_bytes=_MAX_BYTES)
    try:
        response = HttpNetwork().send(request)
        value = json.loads(response.body)
    except NetworkError as err:
        raise click.ClickException(f"no platform answers at {mask_url(url)}: {err.message}") from err
    except ValueError as err:
        raise click.ClickException(f"what answers at {mask_url(url)} is no reference platform: {err}") from err
    if response.status != 200 or not isinstance(value, dict):
        told = value.get("message") if isinstance(value, Mapping) else None
        raise click.ClickException(f"status {response.status}: {told or 'the answer is no trace'}")
    return value


def _lines(found: Mapping[str, Any]) -> Iterator[str]:
    reason = "" if found["reason"] is None else f": {found['reason']}"
    yield f"{found['message_id']}  {found['type']}  {found['state']}{reason}"
    yield f"  at {found['at']} in {found['organization']}, from connector {found['connector_id']}"
    if found["repeats"]:
        yield f"  came again {found['repeats']} times, without effect"
    yield from (f"  note: {note}" for note in found["notes"])
    if found["entity"] is not None:
        yield f"  about {found['entity']['type']} {found['entity']['id']}"
    for change in found["changes"]:
        yield from _change_lines(change)
    for told in found["notifications"]:
        yield from _told_lines(told)


def _change_lines(change: Mapping[str, Any]) -> Iterator[str]:
    what = "created" if change["is_new"] else "gone" if change["is_gone"] else "changed"
    yield f"  {what}: {change['entity']['type']} {change['entity']['id']}"
    for name, (old, new) in change["fields"].items():
        yield f"    {name}: {_text(old)} -> {_text(new)}"
    for side, ids in change["segments"].items():
        yield from (f"    {side} segment {each}" for each in ids)
    yield from (f"    event {name!r}" for name in change["events"])


def _told_lines(told: Mapping[str, Any]) -> Iterator[str]:
    yield f"  told {told['connector_id']} on {told['channel']} in {told['notification_id']}"
    if not told["tries"]:
        yield "    not answered yet"
    for each in told["tries"]:
        answer = each["error"] if each["status"] is None else f"status {each['status']}"
        response = "" if each["response"] is None else f", {_text(each['response'])}"
        yield f"    try {each['attempt']} at {each['at']}: {answer}, {each['outcome']}{response}"
    if told["dead_letter"] is not None:
        yield f"    dead letter {told['dead_letter']['id']}: {told['dead_letter']['reason']}"
    for back in told["came_back"]:
        yield f"    came back: {back['message_id']}  {back['type']}  {back['state']}"


def _text(value: Any) -> str:
    return json.dumps(value).decode()
