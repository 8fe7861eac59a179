"""The rules of a manifest, key by key, as schemas.

Rules: section "Manifest" of ``docs/protocol.md``. Keys that are not listed are kept and not looked at, so that a
manifest written for a later platform stays valid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError
from marshmallow import INCLUDE, Schema, ValidationError, fields, validates_schema

from hull_sdk.core.checks import is_number, is_whole
from hull_sdk.wire.problems import Checked, Rule, rule_errors
from hull_sdk.wire.setting_values import SETTING_TYPES, value_problems

__all__ = [
    "CONNECTOR_STATUSES",
    "MAX_INTERVAL_MINUTES",
    "MIN_INTERVAL_MINUTES",
    "SETTING_LISTS",
    "ManifestSchema",
    "is_time",
    "is_time_zone",
    "known_keys",
    "near_key",
    "read_interval",
]

#: What a connector may say of itself, from good to bad.
CONNECTOR_STATUSES: Final = ("ok", "warning", "setupRequired", "error")

MIN_INTERVAL_MINUTES: Final = 1
MAX_INTERVAL_MINUTES: Final = 366 * 24 * 60

#: The keys of a manifest that declare settings.
SETTING_LISTS: Final = ("settings", "private_settings", "deployment_settings")

_PATH_HINT: Final = 'write a path on the connector, such as "/sync"'
_CRON_HINT: Final = 'write five fields, such as "*/5 * * * *"'
_INTERVAL_HINT: Final = f'write minutes from {MIN_INTERVAL_MINUTES} to {MAX_INTERVAL_MINUTES}, such as "5"'
_EVENTS_HINT: Final = 'such as ["private_settings.events_to_send"]'
_SEGMENTS_HINT: Final = 'such as {"user:update": ["private_settings.synchronized_segments"]}'
_METHODS: Final = ("GET", "POST", "PUT")
#: How alike two keys are of which one is a slip of the other, from 0 to 1.
_NEAR: Final = 0.8
_ANY_DATE: Final = datetime(2024, 1, 1, tzinfo=UTC)


def read_interval(value: Any) -> float | None:
    """Return the minutes of an interval, or ``None`` when it is no number from 1 to a year.

    Args:
        value: A number, or text such as ``"5"``.
    """
    try:
        minutes = float(value) if isinstance(value, str) or is_number(value) else 0.0
    except ValueError:
        return None
    return minutes if MIN_INTERVAL_MINUTES <= minutes <= MAX_INTERVAL_MINUTES else None


def is_time(kind: Any, value: Any) -> bool:
    """Tell whether a value says when a schedule is due.

    Args:
        kind: ``"cron"`` or ``"interval"``.
        value: A cron line, or minutes.
    """
    if kind == "interval":
        return read_interval(value) is not None
    try:
        CronSim(str(value).strip(), _ANY_DATE)
    except CronSimError:
        return False
    return True


def is_time_zone(value: Any) -> bool:
    """Tell whether a value is the name of a time zone in the IANA data base, such as ``"Europe/Paris"``."""
    if not _is_name(value):
        return False
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):  # unknown; a path; a folder such as "Europe"
        return False
    return True


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _are_names(value: Any) -> bool:
    return isinstance(value, list) and all(map(_is_name, value))


def _is_only(value: Any) -> bool:
    return isinstance(value, Mapping) and _are_names(value.get("only", []))


def _are_names_by_name(value: Any) -> bool:
    return isinstance(value, Mapping) and all(map(_are_names, value.values()))


def _of_type(name: str, hint: str = "") -> Checked:
    return Checked(*SETTING_TYPES[name], hint)


def _text() -> Checked:
    return _of_type("string")


def _path(*, required: bool = True) -> Checked:
    return Checked(_is_name, "a path", _PATH_HINT, required=required)


def _flag() -> Checked:
    return _of_type("boolean", "without quotes")


def _object() -> Checked:
    return _of_type("object")


def _number() -> Checked:
    return _of_type("number", "without quotes")


def _count() -> Checked:
    return Checked(lambda value: is_whole(value, 0), "a whole number from 0", "without quotes")


def _one_of(choices: Iterable[str], *, required: bool = False) -> Checked:
    known = tuple(choices)
    return Checked(
        lambda value: isinstance(value, str) and value in known, f"one of {', '.join(known)}", required=required
    )


def _texts(hint: str = "") -> fields.List[Any]:
    return fields.List(_text(), error_messages=rule_errors("a list of texts", hint))


def _list_of(schema: type[Schema], hint: str = "") -> fields.List[Any]:
    inner = fields.Nested(schema, error_messages=rule_errors("an object"))
    return fields.List(inner, error_messages=rule_errors("a list of objects", hint))


class _Open(Schema):
    """An object that may have further keys."""

    error_messages: dict[str, Any] = {"type": Rule("an object")}  # noqa: RUF012 - marshmallow's name

    class Meta:
        unknown = INCLUDE


class _Channel(fields.Field[Any]):
    """A channel's name, or an object that holds it under ``channel``."""

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> Any:
        name = value.get("channel") if isinstance(value, Mapping) else value
        if not _is_name(name):
            hint = 'write "user:update" or {"channel": "user:update"}'
            raise ValidationError([Rule("a channel's name, or an object that holds it", hint)])
        names = value.get("events-whitelist") if isinstance(value, Mapping) else None
        if names is not None and not _are_names(names):
            raise ValidationError({"events-whitelist": [Rule("a list of the names of settings", _EVENTS_HINT)]})
        return value


class _ByName(fields.Field[Any]):
    """An object whose values follow one schema."""

    def __init__(self, schema: type[Schema]) -> None:
        self._schema = schema
        super().__init__(error_messages=rule_errors("an object of objects by name"))

    def _deserialize(self, value: Any, *_args: Any, **_kwargs: Any) -> Any:
        if not isinstance(value, Mapping):
            raise self.make_error("invalid")
        found = {name: self._schema().validate(inner) for name, inner in value.items()}
        errors = {name: messages for name, messages in found.items() if messages}
        if errors:
            raise ValidationError(errors)
        return value


class _Setting(_Open):
    name = Checked(_is_name, "the setting's name", 'for example "api_key"', required=True)
    type = _one_of(SETTING_TYPES)
    title = _text()
    description = _text()
    format = _text()
    default = fields.Raw(allow_none=True)
    options = _object()
    required = Checked(
        lambda value: isinstance(value, bool) or (isinstance(value, list) and all(map(_is_text, value))),
        "true, false or a list of names",
        "without quotes",
    )
    items = _object()
    enum = Checked(lambda value: isinstance(value, list) and bool(value), "a list of at least one value")
    url = _path(required=False)
    handler = _text()
    minimum = _number()
    maximum = _number()
    multipleOf = Checked(  # noqa: N815 - the name that the wire gives it
        lambda value: is_number(value, above=0), "a number above 0", "without quotes"
    )
    minItems = _count()  # noqa: N815 - as above
    uniqueItems = _flag()  # noqa: N815 - as above
    headerTemplate = _text()  # noqa: N815 - as above
    properties = _object()
    pattern = _text()

    @validates_schema
    def limits_leave_room(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse limits that no number can meet."""
        if data.get("minimum") is not None and data.get("maximum") is not None and data["minimum"] > data["maximum"]:
            raise ValidationError({"maximum": [Rule(f"a number of at least {data['minimum']}, the minimum")]})

    @validates_schema
    def default_will_do(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse a default value that the setting itself would refuse."""
        found = list(value_problems(data, data.get("default"), ""))
        if found:
            hint = "the default must be a value of the setting itself"
            raise ValidationError({"default": [Rule(problem.expected, hint) for problem in found]})


class _Section(_Open):
    title = _text()
    description = _text()
    properties = _texts('such as ["private_settings.api_key"]')
    step = _text()
    options = _object()


class _ChannelList(_Open):
    url = _path()
    channels = fields.List(
        _Channel(), error_messages=rule_errors("a list of channels", 'such as [{"channel": "user:update"}]')
    )


class _Conditions(_Open):
    channels = Checked(_is_only, 'an object that may hold a list under "only"', 'such as {"only": ["user:update"]}')
    segments = Checked(_are_names_by_name, "an object of lists of settings by channel", _SEGMENTS_HINT)


class _Subscription(_ChannelList):
    conditions = fields.Nested(_Conditions, error_messages=rule_errors("an object"))


class _Timed(_Open):
    """What is called again and again."""

    url = _path()
    type = _one_of(("cron", "interval"), required=True)
    value = Checked(lambda value: _is_name(value) or is_number(value), "text or a number", _CRON_HINT)
    value_from = Checked(_is_name, "the name of a setting", 'for example "private_settings.interval"')
    default = Checked(lambda value: _is_name(value) or is_number(value), "text or a number", _CRON_HINT)
    timezone = Checked(is_time_zone, "the name of a time zone", 'for example "Europe/Paris"; "UTC" when left out')
    timezone_from = Checked(_is_name, "the name of a setting", 'for example "private_settings.timezone"')
    handler = _text()
    options = _object()
    method = Checked(lambda value: _is_text(value) and value.upper() in _METHODS, f"one of {', '.join(_METHODS)}")

    @validates_schema
    def comes_again(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse times that are missing or cannot be read."""
        if "value" not in data and "value_from" not in data:
            raise ValidationError({"value": [_time_rule(data.get("type"))]})
        for key in ("value", "default"):
            if key in data and not is_time(data.get("type"), data[key]):
                raise ValidationError({key: [_time_rule(data.get("type"))]})


class _Status(_Timed):
    type = _one_of(("cron", "interval"))
    initial_value = _one_of(CONNECTOR_STATUSES)

    @validates_schema
    def comes_again(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse times that cannot be read; a status without any is asked for by the dashboard alone."""
        if "type" in data:
            super().comes_again(data)


class _Tab(_Open):
    title = _text()
    url = _path()
    size = _one_of(("small", "large"))
    setup = _flag()
    workspace = _flag()
    editable = _flag()
    handler = _text()


class _Json(_Open):
    name = _text()
    title = _text()
    description = _text()
    url = _path(required=False)
    handler = _text()
    format = _text()
    type = _text()
    options = _object()


class _Incoming(_Open):
    url = _path()
    handler = _text()
    description = _text()
    options = _object()
    type = _text()
    format = _text()


class _Mapping(_Open):
    incoming = _object()
    outgoing = _object()


class ManifestSchema(_Open):
    """A whole manifest."""

    error_messages: dict[str, Any] = {  # noqa: RUF012 - as above
        "type": Rule("an object", "serve the manifest as one JSON object")
    }

    name: Checked = _text()
    description: Checked = _text()
    version: Checked = Checked(_is_text, "text", 'with quotes, such as "1.0.0"')
    license: Checked = _text()
    source: Checked = _text()
    logo: Checked = _text()
    picture: Checked = _text()
    readme: Checked = _text()
    index: Checked = _text()
    type: Checked = _text()
    tags: fields.List[Any] = _texts('such as ["smart-notifier"]')
    settings: fields.List[Any] = _list_of(_Setting)
    private_settings: fields.List[Any] = _list_of(_Setting)
    deployment_settings: fields.List[Any] = _list_of(_Setting)
    settings_sections: fields.List[Any] = _list_of(_Section)
    subscriptions: fields.List[Any] = _list_of(_Subscription, 'such as [{"url": "/smart-notifier"}]')
    batches: fields.List[Any] = _list_of(_ChannelList, 'such as [{"url": "/batch"}]')
    schedules: fields.List[Any] = _list_of(_Timed, 'such as [{"url": "/sync", "type": "interval", "value": "5"}]')
    statuses: fields.List[Any] = _list_of(_Status, 'such as [{"url": "/status", "type": "interval", "value": "5"}]')
    status: fields.Nested = fields.Nested(_Status, error_messages=rule_errors("an object"))
    admin: Checked = _path(required=False)
    tabs: fields.List[Any] = _list_of(_Tab)
    html: fields.List[Any] = _list_of(_Tab)
    json: fields.List[Any] = _list_of(_Json)
    incoming: fields.List[Any] = _list_of(_Incoming, 'such as [{"url": "/webhook"}]')
    resources: Checked = _of_type("array")
    ui: Checked = _flag()
    mappings: _ByName = _ByName(_Mapping)

    @validates_schema(skip_on_field_errors=True)
    def names_are_distinct(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse two settings of one name in a list."""
        errors: dict[str, Any] = {}
        for key in SETTING_LISTS:
            seen: set[str] = set()
            for index, entry in enumerate(data.get(key, ())):
                if entry["name"] in seen:
                    rule = Rule("a name of its own", "rename one of the two", f"a second {entry['name']!r}")
                    errors.setdefault(key, {}).setdefault(index, {})["name"] = [rule]
                seen.add(entry["name"])
        if errors:
            raise ValidationError(errors)


def known_keys() -> list[str]:
    """Return the top-level keys of a manifest that have rules."""
    return list(ManifestSchema().fields)


def near_key(key: str) -> str | None:
    """Return the key of a manifest that a misspelt one was meant to be, or ``None``."""
    return next(iter(get_close_matches(key, known_keys(), n=1, cutoff=_NEAR)), None)


def _time_rule(kind: Any) -> Rule:
    return Rule("minutes", _INTERVAL_HINT) if kind == "interval" else Rule("a cron line", _CRON_HINT)
