"""Settings as manifest.json declares them; written by ``hull types``, do not edit."""

from __future__ import annotations

from typing import Any, Final, Literal, TypedDict, cast

from hull_sdk import Context

__all__ = ["PrivateSettings", "private_settings"]


_PRIVATE_SETTINGS: Final[dict[str, Any]] = {
    "schedule": "0 3 * * *",
    "timezone": "UTC",
    "data_set": "users",
    "delimiter": ",",
    "encoding": "utf-8",
    "attributes": {},
    "types": {},
    "overwrite": True,
    "notify": True,
    "last_run": {},
    "last_file": {},
}


class PrivateSettings(TypedDict):
    """The connector's private settings."""

    #: For example https://files.acme.com/people.csv; a file packed with gzip will
    #: do.
    url: str | None
    #: Value of the header Authorization, for example Bearer abc; empty for none.
    authorization: str | None
    #: A cron line.
    schedule: str
    #: For example Europe/Paris.
    timezone: str
    #: The rows are
    data_set: Literal["users", "accounts", "events"]
    #: Cells are separated by
    delimiter: Literal[",", ";", "\t", "|"]
    #: Encoding
    encoding: Literal["utf-8", "windows-1252", "iso-8859-1"]
    #: Of the user, or of the account when the rows are accounts.
    id_column: str | None
    #: Column of the e-mail address
    email_column: str | None
    #: Its external id.
    account_id_column: str | None
    #: Or a name in quotes, for example "Paid".
    event_column: str | None
    #: Without it two equal rows are one event.
    event_id_column: str | None
    #: Event: column of the time
    time_column: str | None
    #: Columns by attribute, for example {"plan": "Plan"}; all columns when it is
    #: empty.
    attributes: dict[str, Any]
    #: number or boolean by column, for example {"Seats": "number"}.
    types: dict[str, Any]
    #: Replace what Hull has
    overwrite: bool
    #: Tell other connectors what changes
    notify: bool
    last_run: dict[str, Any]
    last_file: dict[str, Any]


def private_settings(ctx: Context) -> PrivateSettings:
    """Return the private settings of a context's connector."""
    stored = ctx.ship["private_settings"]
    given = {name: value for name, value in stored.items() if value is not None}
    found = {**_PRIVATE_SETTINGS, **given}
    values = {name: found.get(name) for name in PrivateSettings.__annotations__}
    return cast("PrivateSettings", values)
