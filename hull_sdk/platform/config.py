"""The configuration file of ``hull platform``: organizations with their connectors and segments, as JSON.

Rules: section "Configuration file" of ``docs/protocol.md``. Every error names the JSON path and the rule.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from marshmallow import RAISE, Schema, ValidationError, fields, validate, validates_schema

from hull_sdk.core import json
from hull_sdk.core.net import split_host
from hull_sdk.errors import HullError, InvalidArgumentError
from hull_sdk.platform.connectors import address, check_manifest, checked_id
from hull_sdk.platform.organization import Organization
from hull_sdk.platform.platform import Platform
from hull_sdk.platform.settings import load_settings

__all__ = ["check_config", "configure", "read_config", "ready_line"]


def _host(text: str) -> None:
    if split_host(text) is None:
        raise ValidationError(f"{text!r} is no host; write one such as 'acme.hullapp.test', without a scheme")


def _url(text: str) -> None:
    _as_validation(address, text)


def _id(text: str) -> None:
    _as_validation(checked_id, text)


def _settings(value: Any) -> None:
    _as_validation(load_settings, value)


def _manifest(value: Any) -> None:
    _as_validation(lambda manifest: check_manifest(manifest, None), value)


def _as_validation(check: Any, value: Any) -> None:
    try:
        check(value)
    except InvalidArgumentError as err:
        raise ValidationError(err.message) from err


class _Strict(Schema):
    class Meta:
        unknown = RAISE


class _Connector(_Strict):
    id = fields.String(validate=_id)
    secret = fields.String(validate=validate.Length(min=1))
    name = fields.String(validate=validate.Length(min=1))
    url = fields.String(validate=_url)
    manifest = fields.Dict(keys=fields.String(), validate=_manifest)
    settings = fields.Dict(keys=fields.String())
    private_settings = fields.Dict(keys=fields.String())

    @validates_schema
    def has_something(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse a connector that could neither be called nor write."""
        if "url" not in data and "manifest" not in data:
            raise ValidationError("a connector needs a url, or a manifest when it only writes", "url")


class _Segment(_Strict):
    id = fields.String(validate=validate.Length(min=1))
    name = fields.String(required=True, validate=validate.Length(min=1))
    predicate = fields.Dict(keys=fields.String())
    query = fields.Dict(keys=fields.String())

    @validates_schema
    def has_one_definition(self, data: Mapping[str, Any], **_: Any) -> None:
        """Refuse a segment without or with two definitions."""
        if ("predicate" in data) == ("query" in data):
            raise ValidationError("a segment needs either a predicate or a query", "predicate")


class _Organization(_Strict):
    host = fields.String(required=True, validate=_host)
    admin_secret = fields.String(validate=validate.Length(min=1))
    settings = fields.Dict(keys=fields.String(), validate=_settings)
    connectors = fields.List(fields.Nested(_Connector))
    users_segments = fields.List(fields.Nested(_Segment))
    accounts_segments = fields.List(fields.Nested(_Segment))


class _Config(_Strict):
    organizations = fields.List(fields.Nested(_Organization), required=True)


def read_config(path: str | Path) -> dict[str, Any]:
    """Read and check a configuration file.

    Args:
        path: Of a file in JSON.

    Returns:
        The configuration.

    Raises:
        InvalidArgumentError: The file cannot be read, is no JSON or breaks a rule; the message names the file, the
            JSON path and the rule.
    """
    try:
        value = json.loads(Path(path).read_bytes())
    except OSError as err:
        raise InvalidArgumentError(f"{path}: {err.strerror}; pass the path of a JSON file") from err
    except ValueError as err:
        raise InvalidArgumentError(f"{path}: no JSON: {err}") from err
    try:
        return check_config(value)
    except InvalidArgumentError as err:
        raise InvalidArgumentError(f"{path}: {err.message}") from err


def check_config(value: Any) -> dict[str, Any]:
    """Check a decoded configuration.

    Args:
        value: ``{"organizations": [{"host", "admin_secret"?, "settings"?, "connectors": [{"id"?, "secret"?, "name"?,
            "url", "manifest"?, "settings"?, "private_settings"?}], "users_segments": [{"id"?, "name", "predicate" |
            "query"}], "accounts_segments": [...]}]}``.

    Returns:
        The same.

    Raises:
        InvalidArgumentError: A rule is broken; the message names each JSON path and its rule.
    """
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(f"$: it is {type(value).__name__}; it must be an object with 'organizations'")
    try:
        loaded: Any = _Config().load(value)
    except ValidationError as err:
        raise InvalidArgumentError("; ".join(_problems(err.messages, "$"))) from err
    return dict(loaded)


def configure(platform: Platform, config: Mapping[str, Any]) -> None:
    """Create what a configuration says.

    Args:
        platform: Where.
        config: What :func:`read_config` returned. Manifests of connectors that are not up yet are read when they
            answer.

    An organization that the platform went on with from a snapshot is as it was: only connectors and segments with ids
    that it does not know are added.

    Raises:
        InvalidArgumentError: Two hosts or ids are equal, or a segment cannot be read; the message names the JSON
            path.
    """
    going_on = dict(platform.organizations)
    for index, entry in enumerate(config["organizations"]):
        path = f"$.organizations[{index}]"
        known = going_on.get(entry["host"].strip().lower())
        organization = known
        if organization is None:
            organization = _at(
                path, platform.create_organization, entry["host"], entry.get("settings"), entry.get("admin_secret")
            )
        _fill(organization, entry if known is None else _unknown_in(known, entry), path)


def ready_line(platform: Platform, url: str) -> dict[str, Any]:
    """Return what ``hull platform`` prints once it accepts connections.

    Args:
        platform: The platform.
        url: Its address, for example ``"http://127.0.0.1:3000"``.
    """
    return {
        "event": "platform.ready",
        "url": url,
        "organizations": [
            {
                "host": organization.host,
                "admin_secret": organization.admin_secret,
                "connectors": [
                    {"id": each.id, "secret": each.secret, "name": each.name}
                    for each in organization.connectors.values()
                ],
                "users_segments": [_short(each) for each in organization.users_segments()],
                "accounts_segments": [_short(each) for each in organization.accounts_segments()],
            }
            for organization in platform.organizations.values()
        ],
    }


def _fill(organization: Organization, entry: Mapping[str, Any], path: str) -> None:
    # Segments first: they are there when the first connector hears of anybody, and nobody hears of their making.
    for key, kind in (("users_segments", "user"), ("accounts_segments", "account")):
        for index, segment in enumerate(entry.get(key, ())):
            options = dict(segment)
            _at(f"{path}.{key}[{index}]", organization.create_segment, kind, options.pop("name"), **options)
    for index, connector in enumerate(entry.get("connectors", ())):
        options = dict(connector)
        where = options.pop("url", None)
        _at(f"{path}.connectors[{index}]", organization.install, where, wait=False, **options)


def _unknown_in(organization: Organization, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a configuration adds to an organization; what has no id of its own was there from the start."""
    connectors = [
        each for each in entry.get("connectors", ()) if each.get("id") not in {None, *organization.connectors}
    ]
    segments = {
        key: [each for each in entry.get(key, ()) if "id" in each and organization.segment(each["id"]) is None]
        for key in ("users_segments", "accounts_segments")
    }
    return {"connectors": connectors, **segments}


def _at(path: str, create: Any, *args: Any, **options: Any) -> Any:
    try:
        return create(*args, **options)
    except HullError as err:
        raise InvalidArgumentError(f"{path}: {err.message}") from err


def _short(segment: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": segment["id"], "name": segment["name"]}


def _problems(messages: Any, path: str) -> list[str]:
    if isinstance(messages, Mapping):
        return [
            problem
            for key, item in messages.items()
            for problem in _problems(item, f"{path}[{key}]" if isinstance(key, int) else f"{path}.{key}")
        ]
    return [f"{path}: {message}" for message in (messages if isinstance(messages, list) else [messages])]
