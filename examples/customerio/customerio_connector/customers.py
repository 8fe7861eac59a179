"""From a user of Hull to a person in Customer.io; pure functions."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from customerio_connector.settings import PrivateSettings
from hull_sdk.infra import parse_time
from hull_sdk.types import UserMessage

__all__ = [
    "CUSTOMER_ATTRIBUTES",
    "SOURCE",
    "Customer",
    "anonymous_id",
    "attribute",
    "customer_id",
    "customer_of",
    "parts",
    "size",
    "unix_seconds",
]

#: Group of the attributes that are written back, and source of the events that come from Customer.io.
SOURCE: Final = "customerio"
#: Attributes that Customer.io takes in one request.
CUSTOMER_ATTRIBUTES: Final = 300
#: What an attribute is given that has no value any more: Customer.io then drops it.
_NOTHING: Final = ""
_DATE_ENDINGS: Final = ("_at", "_date")
#: Names under which Customer.io understands something else than an attribute; those that begin with ``_`` are commands.
_RESERVED: Final = frozenset({"cio_id"})
#: Attributes that every person has, whatever is selected.
_FIXED: Final = frozenset({"email", "created_at", "hull_segments", "anonymous_id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """A person as Customer.io shall have it.

    Args:
        id: What identifies it.
        attributes: Those with a value.
        cleared: Names of selected attributes without one.
        refused: Names that Customer.io would not take, each with the reason.
    """

    id: str
    attributes: Mapping[str, Any]
    cleared: tuple[str, ...] = ()
    refused: tuple[tuple[str, str], ...] = ()

    def fingerprint(self, site_id: str) -> str:
        """Return a text that is another one when the person, or the workspace that it is sent to, is.

        Args:
            site_id: Of the workspace.
        """
        told = [site_id, self.id, self.attributes]
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()


def customer_of(message: UserMessage, settings: PrivateSettings, identifier: str) -> Customer:
    """Return the person that a user is.

    Args:
        message: User, account and segments.
        settings: The connector's settings.
        identifier: What :func:`customer_id` returned.
    """
    found = {**_fixed(message, settings), **_selected(message, settings["synchronized_attributes"])}
    kept: dict[str, Any] = {}
    cleared, refused = [], []
    for name, value in found.items():
        reason = _reason_to_refuse(name, value, settings)
        if reason is not None:
            refused.append((name, reason))
        elif value is None:
            cleared.append(name)
        else:
            kept[name] = value
    return Customer(id=identifier, attributes=kept, cleared=tuple(cleared), refused=tuple(refused))


def parts(customer: Customer, *, is_known: bool) -> Iterator[dict[str, Any]]:
    """Return the attributes of a person in parts that Customer.io takes, one request each, in their order.

    Args:
        customer: The person.
        is_known: ``True`` when Customer.io has it: what has no value any more is then cleared there.
    """
    whole = {**customer.attributes, **(dict.fromkeys(customer.cleared, _NOTHING) if is_known else {})}
    names = list(whole)
    for start in range(0, max(1, len(names)), CUSTOMER_ATTRIBUTES):
        yield {name: whole[name] for name in names[start : start + CUSTOMER_ATTRIBUTES]}


def customer_id(user: Mapping[str, Any], settings: PrivateSettings) -> str | None:
    """Return what identifies a user in Customer.io, ``None`` when it has no such attribute."""
    value = attribute(user, settings["user_id_mapping"])
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    return str(value).strip() or None


def anonymous_id(user: Mapping[str, Any]) -> str:
    """Return what a user without an e-mail address is known by: the id of its latest browser, else Hull's own."""
    # Ids with a colon were made by connectors, the others by browsers.
    browsers = [str(each) for each in user.get("anonymous_ids") or () if each and ":" not in str(each)]
    return browsers[-1] if browsers else str(user["id"])


def attribute(user: Mapping[str, Any], name: str) -> Any:
    """Return an attribute of a user's report, where those of its own have a prefix."""
    value = user.get(name)
    return user.get(f"traits_{name.removeprefix('traits_')}") if value is None else value


def unix_seconds(value: Any) -> int | None:
    """Return a date as Unix seconds, ``None`` for what is none.

    Args:
        value: ISO 8601 text, or Unix seconds or milliseconds as a number or as text.
    """
    moment = parse_time(value)
    return None if moment is None else int(moment.timestamp())


def size(value: Any) -> int:
    """Return the bytes of a value: of a text in UTF-8, of others as JSON."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return len(text.encode(errors="surrogatepass"))


def _fixed(message: UserMessage, settings: PrivateSettings) -> dict[str, Any]:
    user: Mapping[str, Any] = message["user"]
    created_at = unix_seconds(user.get("created_at"))
    return {
        "email": user.get("email"),
        **({} if created_at is None else {"created_at": created_at}),
        "hull_segments": [segment["name"] for segment in message.get("segments") or () if segment.get("name")],
        # Customer.io gives a person the anonymous events that were sent under this id.
        **({"anonymous_id": anonymous_id(user)} if settings["anonymous_events"] else {}),
    }


def _selected(message: UserMessage, names: Iterable[str]) -> dict[str, Any]:
    account: Mapping[str, Any] = message.get("account") or {}
    found = {}
    for name in names:
        if name.startswith("account."):
            plain = name.removeprefix("account.")
            key, value = f"account_{plain.removeprefix('traits_')}", attribute(account, plain)
        else:
            plain = name.removeprefix("traits_")
            key, value = "hull_id" if plain == "id" else plain, attribute(message["user"], name)
        key = key.replace("/", "-")
        if key and key not in _FIXED:
            found[key] = _dated(key, value)
    return found


def _dated(name: str, value: Any) -> Any:
    """Return a date as Customer.io compares it, other values as they are."""
    seconds = unix_seconds(value) if name.endswith(_DATE_ENDINGS) else None
    return value if seconds is None else seconds


def _reason_to_refuse(name: str, value: Any, settings: PrivateSettings) -> str | None:
    if name.startswith(f"{SOURCE}-"):
        return "the connector writes it when it has sent the user, who would be sent for ever"
    if name in _RESERVED or name.startswith("_"):
        return "the name is reserved in Customer.io"
    longest_name, longest_value = settings["max_attribute_name_length"], settings["max_attribute_value_length"]
    if (length := size(name)) > longest_name:
        return f"the name has {length} bytes; Customer.io takes {longest_name}"
    if value is not None and (length := size(value)) > longest_value:
        return f"the value has {length} bytes; Customer.io takes {longest_value}"
    return None
