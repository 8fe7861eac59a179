"""The settings of an organization: which identifiers it believes, and how much an entity may hold.

Rules: section "Organization settings" of ``docs/protocol.md``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from marshmallow import Schema, ValidationError, fields, validate

from hull_sdk.core.hosts import HostPatterns
from hull_sdk.errors import InvalidArgumentError
from hull_sdk.platform.patterns import MAX_TEXT, check_pattern
from hull_sdk.wire.entities import EntityKind

__all__ = ["FREE_EMAIL_DOMAINS", "OrganizationSettings", "SettingsSchema", "load_settings"]

#: Domains at which anybody can have an address; they say nothing about a company.
FREE_EMAIL_DOMAINS: Final = frozenset(
    {
        "126.com",
        "163.com",
        "aim.com",
        "aol.com",
        "att.net",
        "bellsouth.net",
        "btinternet.com",
        "charter.net",
        "comcast.net",
        "cox.net",
        "daum.net",
        "earthlink.net",
        "email.com",
        "fastmail.com",
        "foxmail.com",
        "free.fr",
        "gmail.com",
        "gmx.at",
        "gmx.com",
        "gmx.de",
        "gmx.net",
        "googlemail.com",
        "guerrillamail.com",
        "hey.com",
        "hotmail.co.uk",
        "hotmail.com",
        "hotmail.fr",
        "hushmail.com",
        "icloud.com",
        "laposte.net",
        "libero.it",
        "live.co.uk",
        "live.com",
        "live.fr",
        "mac.com",
        "mail.com",
        "mail.ru",
        "mailinator.com",
        "me.com",
        "msn.com",
        "naver.com",
        "orange.fr",
        "outlook.com",
        "pm.me",
        "proton.me",
        "protonmail.com",
        "qq.com",
        "rediffmail.com",
        "rocketmail.com",
        "sbcglobal.net",
        "sfr.fr",
        "sina.com",
        "t-online.de",
        "tutanota.com",
        "verizon.net",
        "wanadoo.fr",
        "web.de",
        "yahoo.co.in",
        "yahoo.co.jp",
        "yahoo.co.uk",
        "yahoo.com",
        "yahoo.de",
        "yahoo.fr",
        "yandex.com",
        "yandex.ru",
        "ymail.com",
        "zoho.com",
    }
)


def _is_pattern(text: str) -> None:
    try:
        check_pattern(text)
    except InvalidArgumentError as err:
        raise ValidationError(err.message) from err


def _is_host(text: str) -> None:
    try:
        HostPatterns([text])
    except InvalidArgumentError as err:
        raise ValidationError(err.message) from err


class _Limits(Schema):
    attributes = fields.Integer(allow_none=True, strict=True, validate=validate.Range(min=1))
    value_bytes = fields.Integer(allow_none=True, strict=True, validate=validate.Range(min=1))


class SettingsSchema(Schema):
    """What somebody may write as the settings of an organization."""

    user_external_id_pattern = fields.String(allow_none=True, validate=_is_pattern)
    account_external_id_pattern = fields.String(allow_none=True, validate=_is_pattern)
    rejected_domains = fields.List(fields.String(validate=validate.Length(min=1)))
    free_email_domains = fields.List(fields.String(validate=validate.Length(min=1)))
    import_hosts = fields.List(fields.String(validate=_is_host))
    limits = fields.Nested(_Limits)
    json_attributes = fields.Boolean(truthy={True}, falsy={False})
    disabled = fields.Boolean(truthy={True}, falsy={False})


@dataclass(frozen=True, kw_only=True)
class OrganizationSettings:
    """What an operator decides for an organization.

    Args:
        user_external_id_pattern: Regular expression that a user's whole external_id must match.
        account_external_id_pattern: The same for accounts.
        rejected_domains: Domains ignored in account claims, for example ``{"example.com"}``.
        free_email_domains: Domains treated as free e-mail beside :data:`FREE_EMAIL_DOMAINS`.
        import_hosts: Hosts whose files may be imported although they are not public, for example
            ``("files.acme.internal", "127.0.0.1:9000")``.
        max_attributes: Most attributes of one entity; ``None`` is unlimited (the original allows 2000).
        max_value_bytes: Largest value in bytes of JSON; ``None`` is unlimited (the original allows 2048).
        json_attributes: ``False`` ignores objects, and lists with objects, in the values of attributes.
        disabled: The organization is switched off: its connectors' requests are answered 402.
    """

    user_external_id_pattern: str | None = None
    account_external_id_pattern: str | None = None
    rejected_domains: frozenset[str] = frozenset()
    free_email_domains: frozenset[str] = frozenset()
    import_hosts: tuple[str, ...] = ()
    max_attributes: int | None = None
    max_value_bytes: int | None = None
    json_attributes: bool = True
    disabled: bool = False

    def external_id_problem(self, kind: EntityKind, external_id: str) -> str | None:
        """Return why an external_id is not believed, or ``None``."""
        pattern = self.user_external_id_pattern if kind == "user" else self.account_external_id_pattern
        if pattern is None:
            return None
        if len(external_id) > MAX_TEXT:
            return f"the {kind} external_id has {len(external_id)} characters; with a pattern {MAX_TEXT} are allowed"
        if re.fullmatch(pattern, external_id):
            return None
        return f"the {kind} external_id {external_id!r} does not match the organization's pattern {pattern!r}"

    def domain_problem(self, domain: str) -> str | None:
        """Return why a domain names no company, or ``None``."""
        if domain in self.rejected_domains:
            return f"the domain {domain!r} is among the organization's rejected domains"
        if domain in FREE_EMAIL_DOMAINS or domain in self.free_email_domains:
            return f"the domain {domain!r} is a free e-mail domain"
        return None

    def to_wire(self) -> dict[str, Any]:
        """Return what :func:`load_settings` reads."""
        return {
            "user_external_id_pattern": self.user_external_id_pattern,
            "account_external_id_pattern": self.account_external_id_pattern,
            "rejected_domains": sorted(self.rejected_domains),
            "free_email_domains": sorted(self.free_email_domains),
            "import_hosts": list(self.import_hosts),
            "limits": {"attributes": self.max_attributes, "value_bytes": self.max_value_bytes},
            "json_attributes": self.json_attributes,
            "disabled": self.disabled,
        }


def load_settings(value: Mapping[str, Any] | OrganizationSettings | None) -> OrganizationSettings:
    """Check the settings that somebody wrote.

    Args:
        value: For example ``{"user_external_id_pattern": "[0-9]+", "rejected_domains": ["example.com"],
            "free_email_domains": [], "import_hosts": [], "limits": {"attributes": 2000, "value_bytes": 2048},
            "disabled": False}``; every key is optional.

    Returns:
        The settings; ``None`` gives the defaults.

    Raises:
        InvalidArgumentError: A key is unknown or a value breaks a rule; the message names both.
    """
    if value is None or isinstance(value, OrganizationSettings):
        return OrganizationSettings() if value is None else value
    if not isinstance(value, Mapping):
        raise InvalidArgumentError(f"the organization's settings are {value!r}; they must be a JSON object")
    try:
        loaded: Any = SettingsSchema().load(value)
    except ValidationError as err:
        known = ", ".join(SettingsSchema().fields)
        raise InvalidArgumentError(
            f"the organization's settings are invalid: {err.messages}; known are {known}"
        ) from err
    limits = loaded.pop("limits", {})
    for name in ("rejected_domains", "free_email_domains"):
        loaded[name] = frozenset(domain.strip().lower() for domain in loaded.get(name, ()))
    loaded["import_hosts"] = tuple(loaded.get("import_hosts", ()))
    return OrganizationSettings(
        **loaded, max_attributes=limits.get("attributes"), max_value_bytes=limits.get("value_bytes")
    )
