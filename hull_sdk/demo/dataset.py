"""The bundled data set: ten weeks of a small business that sells dashboards, as calls of the client.

``data/messages.jsonl`` holds one call a line, in the order of their sending: whose (``as_user``, ``as_account``, with
``account`` when it is about the user's company, ``{}`` for the one already known), and what (``traits``, ``track``,
``alias`` or ``unalias``). ``data/organization.json`` holds the organization's settings and segments. All names and
addresses are made up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, TypedDict

from hull_sdk.core import json
from hull_sdk.core.tasks import Future
from hull_sdk.errors import InvalidArgumentError

if TYPE_CHECKING:
    from hull_sdk import Client

__all__ = ["CHANGES", "Message", "changed", "load", "load_organization", "send"]

#: How :func:`changed` can spoil the data set, with an example of each.
CHANGES: Final = ("drop:17", "double:17", "swap:17:18")


class Message(TypedDict, total=False):
    """One call of the client, as a line of the data set holds it."""

    as_user: dict[str, str]
    as_account: dict[str, str]
    account: dict[str, str]
    create: bool
    traits: dict[str, Any]
    track: str
    properties: dict[str, Any]
    context: dict[str, Any]
    alias: dict[str, str]
    unalias: dict[str, str]


def load() -> list[Message]:
    """Return the messages in the order of their sending."""
    return [json.loads(line) for line in _read("messages.jsonl").splitlines()]


def load_organization() -> dict[str, Any]:
    """Return the organization: ``settings``, ``users_segments`` and ``accounts_segments``."""
    organization: dict[str, Any] = json.loads(_read("organization.json"))
    return organization


def send(client: Client, message: Message) -> Future[Any]:
    """Make the call that a message stands for.

    Args:
        client: A client with a connector's credentials.
        message: One of :func:`load`.

    Returns:
        The Future of the call.
    """
    if "as_account" in message:
        subject: Any = client.as_account(message["as_account"])
    else:
        subject = client.as_user(message.get("as_user", {}), create=message.get("create", True))
    if "account" in message:
        subject = subject.account(message["account"] or None)
    return _call(subject, message)()


def _call(subject: Any, message: Message) -> Callable[[], Future[Any]]:
    if "traits" in message:
        return partial(subject.traits, message["traits"])
    if "track" in message:
        return partial(subject.track, message["track"], message.get("properties", {}), message.get("context", {}))
    if "alias" in message:
        return partial(subject.alias, message["alias"])
    return partial(subject.unalias, message.get("unalias", {}))


def changed(messages: Sequence[Message], change: str) -> list[Message]:
    """Return a spoilt copy of the data set, to see that the comparison notices.

    Args:
        messages: The data set.
        change: ``"drop:17"`` leaves the 17th message out, ``"double:17"`` sends it twice,
            ``"swap:17:18"`` exchanges two.

    Returns:
        Another list of the same messages.

    Raises:
        InvalidArgumentError: The change is none of these, or there is no such message.
    """
    name, _, rest = change.partition(":")
    numbers = [int(part) if part.isdecimal() else 0 for part in rest.split(":")]
    wanted = {"drop": 1, "double": 1, "swap": 2}.get(name)
    if wanted != len(numbers) or not all(1 <= number <= len(messages) for number in numbers):
        raise InvalidArgumentError(
            f"{change!r} is no change of the data set; write one like {', '.join(CHANGES)}, "
            f"with numbers from 1 to {len(messages)}"
        )
    places = [number - 1 for number in numbers]
    copy = list(messages)
    if name == "drop":
        del copy[places[0]]
    elif name == "double":
        copy.insert(places[0], copy[places[0]])
    else:
        copy[places[0]], copy[places[1]] = copy[places[1]], copy[places[0]]
    return copy


def _read(name: str) -> str:
    return files("hull_sdk.demo").joinpath("data", name).read_text(encoding="utf-8")
