"""The shapes that connectors write and read besides notifications, for annotations only.

Rules: sections "Claims", "Attributes", "Flow control", "Legacy notifications" and "Manifest" of ``docs/protocol.md``.
Nothing here is checked at run time; what checks these shapes stands beside their rules.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, NotRequired, TypedDict

from hull_sdk.wire.notifications import AccountReport, UserReport

__all__ = [
    "AccountClaims",
    "AttributeOperation",
    "AttributeValue",
    "Attributes",
    "AttributesChanges",
    "LegacyMessage",
    "LegacyNotification",
    "Manifest",
    "ManifestChannel",
    "ManifestSchedule",
    "ManifestSetting",
    "ManifestStatus",
    "ManifestSubscription",
    "MessageResponse",
    "ObjectClaims",
    "ObjectReport",
    "RequestParts",
    "ResultStatus",
    "SmartNotifierAnswer",
    "StatusAnswer",
    "UserClaims",
    "WireFlowControl",
]


class UserClaims(TypedDict, total=False):
    """Who a user is, for example ``{"email": "ann@acme.example"}``; at least one identifier."""

    id: str
    external_id: str
    email: str
    anonymous_id: str


class AccountClaims(TypedDict, total=False):
    """What an account is, for example ``{"domain": "acme.example"}``; at least one identifier."""

    id: str
    external_id: str
    domain: str
    anonymous_id: str


ObjectClaims = UserClaims | AccountClaims

#: A report of either kind.
ObjectReport = UserReport | AccountReport

#: What an attribute may hold; lists are lists of texts, or JSON when they hold objects.
AttributeValue = str | int | float | bool | Sequence[Any] | Mapping[str, Any] | None


class AttributeOperation(TypedDict):
    """A change of an attribute, for example ``{"operation": "inc", "value": 1}``."""

    operation: Literal["set", "setIfNull", "inc", "increment", "dec", "decrement"]
    value: NotRequired[AttributeValue]


#: What ``traits`` takes: values or operations by name.
Attributes = Mapping[str, AttributeValue | AttributeOperation]

#: ``[old, new]`` by name of the report's field.
AttributesChanges = dict[str, list[Any]]

ResultStatus = Literal["ok", "skip", "retry", "error"]

WireFlowControl = TypedDict(
    "WireFlowControl",
    {"type": Literal["next", "retry"], "size": int, "in": float, "at": float | str},
    total=False,
)
WireFlowControl.__doc__ = """A flow control as it travels, for example ``{"type": "next", "size": 100, "in": 100}``."""


class MessageResponse(TypedDict):
    """What became of one message, in the list that a handler returns."""

    message_id: str
    status: ResultStatus
    reason: NotRequired[str | None]


class SmartNotifierAnswer(TypedDict):
    """The whole answer to a notification."""

    flow_control: WireFlowControl
    metrics: list[dict[str, Any]]
    errors: list[dict[str, Any]]
    responses: NotRequired[list[MessageResponse]]


class RequestParts(TypedDict):
    """What an action, a webhook's message and the third argument for batch extracts are."""

    body: Any
    query: dict[str, Any]


class LegacyMessage(TypedDict):
    """The envelope as SNS sends it; ``Message`` holds the payload as JSON text."""

    Type: str
    MessageId: NotRequired[str]
    TopicArn: NotRequired[str]
    Subject: NotRequired[str]
    Message: NotRequired[str]
    Timestamp: NotRequired[str]
    Token: NotRequired[str]
    SubscribeURL: NotRequired[str]
    UnsubscribeURL: NotRequired[str]
    SignatureVersion: NotRequired[str]
    Signature: NotRequired[str]
    SigningCertURL: NotRequired[str]


class LegacyNotification(TypedDict):
    """``ctx.notification`` of a legacy notification; ``timestamp`` is ``None`` when the envelope has none."""

    subject: str
    message: Any
    timestamp: datetime | None


class StatusAnswer(TypedDict):
    """What a check returns, and what the status endpoint answers."""

    status: Literal["ok", "warning", "setupRequired", "error"]
    messages: list[str]


class ManifestSetting(TypedDict, total=False):
    """An entry of ``settings``, ``private_settings`` or ``deployment_settings``; ``name`` must be there."""

    name: str
    type: Literal["string", "number", "integer", "boolean", "array", "object"]
    title: str
    description: str
    format: str
    default: Any
    options: dict[str, Any]
    required: bool | list[str]
    items: dict[str, Any]
    enum: list[Any]
    url: str
    handler: str
    minimum: float
    maximum: float
    multipleOf: float
    minItems: int
    uniqueItems: bool
    headerTemplate: str
    properties: dict[str, Any]
    pattern: str


class ManifestChannel(TypedDict):
    """A channel of a subscription or a batch."""

    channel: str
    handler: NotRequired[str]
    options: NotRequired[dict[str, Any]]


class ManifestSubscription(TypedDict):
    """Where notifications go; all channels without ``channels``. Batches are declared likewise."""

    url: str
    channels: NotRequired[Sequence[str | ManifestChannel]]
    conditions: NotRequired[dict[str, Any]]


class ManifestSchedule(TypedDict):
    """What the platform calls again and again; the time is ``value``, or in the setting that ``value_from`` names."""

    url: str
    type: Literal["cron", "interval"]
    value: NotRequired[str | float]
    value_from: NotRequired[str]
    default: NotRequired[str | float]
    timezone: NotRequired[str]
    timezone_from: NotRequired[str]
    handler: NotRequired[str]
    options: NotRequired[dict[str, Any]]
    method: NotRequired[str]


class ManifestStatus(TypedDict):
    """Where the platform asks how the connector is."""

    url: str
    type: NotRequired[Literal["cron", "interval"]]
    value: NotRequired[str | float]
    value_from: NotRequired[str]
    default: NotRequired[str | float]
    timezone: NotRequired[str]
    timezone_from: NotRequired[str]
    handler: NotRequired[str]
    initial_value: NotRequired[Literal["ok", "warning", "setupRequired", "error"]]


class Manifest(TypedDict, total=False):
    """A connector's description of itself; every key is optional."""

    name: str
    description: str
    version: str
    license: str
    source: str
    type: str
    logo: str
    picture: str
    readme: str
    index: str
    tags: list[str]
    settings: list[ManifestSetting]
    private_settings: list[ManifestSetting]
    deployment_settings: list[ManifestSetting]
    settings_sections: list[dict[str, Any]]
    subscriptions: list[ManifestSubscription]
    batches: list[ManifestSubscription]
    schedules: list[ManifestSchedule]
    statuses: list[ManifestStatus]
    status: ManifestStatus
    admin: str
    tabs: list[dict[str, Any]]
    html: list[dict[str, Any]]
    json: list[dict[str, Any]]
    incoming: list[dict[str, Any]]
    resources: list[Any]
    ui: bool
    mappings: dict[str, Any]
