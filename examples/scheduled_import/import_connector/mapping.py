"""From a row to a record of Hull's Import API; pure functions."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from import_connector.table import TableError

__all__ = ["check_columns", "record"]

_EMAIL: Final = re.compile(r"[^@\s]{1,200}@[^@\s.]{1,63}(?:\.[^@\s.]{1,63})+")
_TRUE: Final = frozenset({"true", "yes", "y", "1"})
_FALSE: Final = frozenset({"false", "no", "n", "0"})
#: Settings that name a column.
_PLACES: Final = (
    "id_column",
    "email_column",
    "account_id_column",
    "event_column",
    "event_id_column",
    "time_column",
)


def check_columns(columns: Iterable[str], settings: Mapping[str, Any]) -> None:
    """Look whether a file has the columns that the settings name.

    Args:
        columns: Of the file.
        settings: The connector's private settings.

    Raises:
        TableError: One is missing, or nothing says whom the rows are about.
    """
    there = list(columns)
    named = [settings[place] for place in _PLACES if settings[place] and not _is_fixed(settings[place])]
    named += [*settings["attributes"].values(), *settings["types"]]
    missing = sorted({str(name) for name in named if name not in there})
    if missing:
        raise TableError(f"the file has no column {', '.join(map(repr, missing))}; it has {there!r:.500}")
    unknown = {str(kind) for kind in settings["types"].values() if str(kind) not in _TYPES}
    if unknown:
        raise TableError(f"the settings know no type {sorted(unknown)}; write number or boolean")
    if not settings["id_column"] and (settings["data_set"] == "accounts" or not settings["email_column"]):
        raise TableError("the settings name no column that says whom a row is about")
    if settings["data_set"] == "events" and not settings["event_column"]:
        raise TableError("the settings name no column of the event's name")


def record(cells: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a row says.

    Args:
        cells: By column; an empty one leaves what Hull has.
        settings: The connector's private settings.

    Returns:
        For example ``{"userId": "42", "traits": {"email": "ann@acme.example", "plan": "pro"}}``.

    Raises:
        ValueError: The row names nobody, or a cell is not what its column holds.
    """
    return _RECORDS[settings["data_set"]](cells, settings)


def _user(cells: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    user_id, email = _user_ids(cells, settings)
    traits = _values(cells, settings)
    found = {"userId": user_id, "accountId": _cell(cells, settings["account_id_column"])}
    return {**_present(found), "traits": traits if email is None else {**traits, "email": email}}


def _account(cells: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    account_id = _cell(cells, settings["id_column"])
    if account_id is None:
        raise ValueError(f"it names no account: {settings['id_column']!r} is empty")
    return {"accountId": account_id, "traits": _values(cells, settings)}


def _event(cells: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    user_id, email = _user_ids(cells, settings)
    place = settings["event_column"]
    name = place[1:-1].strip() if _is_fixed(place) else _cell(cells, place)
    if not name:
        raise ValueError(f"it names no event: {place!r} is empty")
    properties = _values(cells, settings)
    found = {
        "event": name,
        "userId": user_id,
        "eventId": _cell(cells, settings["event_id_column"]) or _fingerprint(cells),
        "timestamp": _cell(cells, settings["time_column"]),
    }
    return {**_present(found), "properties": properties if email is None else {**properties, "email": email}}


def _user_ids(cells: Mapping[str, str], settings: Mapping[str, Any]) -> tuple[str | None, str | None]:
    user_id, email = _cell(cells, settings["id_column"]), _cell(cells, settings["email_column"])
    if email is not None and not _EMAIL.fullmatch(email):
        raise ValueError(f"{settings['email_column']!r} is {email!r:.100}; that is no e-mail address")
    if user_id is None and email is None:
        raise ValueError("it names nobody: there is neither an external id nor an e-mail address")
    return user_id, email


def _values(cells: Mapping[str, str], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return attributes or properties: those of the settings, else all columns but those of identifiers."""
    identifiers = {settings[place] for place in _PLACES}
    names = settings["attributes"] or {name: name for name in cells if name not in identifiers}
    types = settings["types"]
    found = {name: _typed(_cell(cells, column), column, types.get(column)) for name, column in names.items()}
    return _present(found)


def _typed(text: str | None, column: str, kind: str | None) -> Any:
    return text if text is None or kind is None else _TYPES[kind](text, column)


def _number(text: str, column: str) -> int | float:
    try:
        value = int(text) if text.removeprefix("-").isdecimal() else float(text)
        is_number = math.isfinite(value) and "_" not in text
    except (ValueError, OverflowError):  # the latter for whole numbers beyond all that a float holds
        is_number = False
    if not is_number:
        raise ValueError(f"{column!r} is {text!r:.100}; write a number such as 12 or 9.5")
    return value


def _boolean(text: str, column: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise ValueError(f"{column!r} is {text!r:.100}; write true or false, yes or no, 1 or 0")
    return text.lower() in _TRUE


def _fingerprint(cells: Mapping[str, str]) -> str:
    # The same row has the same id in every file, so an event that is in the file of each night is one event.
    return hashlib.sha256(json.dumps(cells, sort_keys=True).encode()).hexdigest()[:40]


def _cell(cells: Mapping[str, str], column: str | None) -> str | None:
    return cells[column].strip() or None if column else None


def _is_fixed(place: str | None) -> bool:
    return bool(place) and len(str(place)) > 1 and str(place)[0] == str(place)[-1] == '"'


def _present(found: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value is not None}


_TYPES: Final[dict[str, Callable[[str, str], Any]]] = {"number": _number, "boolean": _boolean}
_RECORDS: Final[dict[str, Callable[[Mapping[str, str], Mapping[str, Any]], dict[str, Any]]]] = {
    "users": _user,
    "accounts": _account,
    "events": _event,
}
