"""The named schemas of the API's description.

Rules: sections "REST", "Search", "Imports" and "Test controls" of ``docs/protocol.md``.
"""

from __future__ import annotations

from typing import Any, Final

from hull_sdk.platform.api.openapi_shapes import (
    ANYTHING,
    BOOLEAN,
    COUNT,
    MOMENT,
    OBJECT,
    TEXT,
    Shape,
    declared,
    extended,
    list_of,
    map_of,
    maybe,
    one_of,
    record,
    reference,
    settings_shape,
)
from hull_sdk.platform.attempts import UNTOLD, Delivery
from hull_sdk.platform.extract_jobs import ExtractRun
from hull_sdk.platform.faults import KINDS as FAULT_KINDS
from hull_sdk.platform.faults import TARGETS
from hull_sdk.platform.import_records import DATA_SETS
from hull_sdk.platform.lanes import LANES
from hull_sdk.platform.search import MAX_PER_PAGE
from hull_sdk.platform.settings import SettingsSchema
from hull_sdk.platform.store import KINDS
from hull_sdk.platform.trace import RecordState
from hull_sdk.wire.attributes import AttributeType
from hull_sdk.wire.entities import CLAIM_NAMES
from hull_sdk.wire.firehose import REJECTION_CODES, FirehoseMessage
from hull_sdk.wire.manifest import CONNECTOR_STATUSES
from hull_sdk.wire.notifications import ConnectorObject, Event, Segment
from hull_sdk.wire.rows import FORMATS

__all__ = ["SCHEMAS"]

_TEXTS: Final = list_of(TEXT)
_SETTINGS: Final = maybe(OBJECT)
_POSITIVE: Final[Shape] = {"type": "integer", "minimum": 1}
_SHORT: Final[Shape] = {"type": "string", "minLength": 1}
_OBJECT_ID: Final[Shape] = {"type": "string", "pattern": "^[0-9a-fA-F]{24}$"}
#: What a header can carry, without blanks at the ends.
_SECRET: Final[Shape] = {"type": "string", "pattern": "^[!-~]([ -~]*[!-~])?$"}
_HOSTS: Final = list_of({"type": "string", "pattern": r"^(\*\.)?[a-z0-9]+(\.[a-z0-9]+)*$"})
#: ISO 8601 text or Unix time.
_TIME: Final[Shape] = {"type": ["string", "number"]}
_QUERY: Final[Shape] = {**_SETTINGS, "description": 'See the section "Queries"; absent: everything.'}
_CLAIM: Final[Shape] = {"type": ["string", "number", "null"]}

_USER_CLAIMS: Final = record({}, dict.fromkeys(CLAIM_NAMES["user"], _CLAIM), open=True)
_ACCOUNT_CLAIMS: Final = record({}, dict.fromkeys(CLAIM_NAMES["account"], _CLAIM), open=True)

_REPORT: Final[dict[str, Shape]] = {
    "id": TEXT,
    "external_id": maybe(TEXT),
    "domain": maybe(TEXT),
    "anonymous_ids": _TEXTS,
    "segment_ids": _TEXTS,
    "updated_at": MOMENT,
    "indexed_at": MOMENT,
}
_PAGINATION: Final = record({"total": COUNT, "page": _POSITIVE, "pages": COUNT, "per_page": COUNT})
_FIELD: Final = record({"id": TEXT, "text": TEXT, "type": declared(AttributeType)})
_LINE_ERROR: Final = record({"line": _POSITIVE, "code": TEXT, "reason": TEXT})


def _answers() -> dict[str, Shape]:
    return {
        "Error": record({"status": {"type": "integer"}, "message": TEXT}),
        "Accepted": record({"ok": {"const": True}}),
        "Organization": record({"id": TEXT, "name": TEXT, "domain": TEXT}),
        "Connector": extended(declared(ConnectorObject), {"manifest_url": TEXT, "status": reference("Status")}),
        "Platform": record(
            {
                "id": TEXT,
                "name": TEXT,
                "type": {"const": "platform"},
                "allowed_domains": _TEXTS,
                "settings": OBJECT,
                "created_at": MOMENT,
                "updated_at": MOMENT,
            },
            {"secret": TEXT},
        ),
        "Segment": extended(declared(Segment), {"query": OBJECT, "stats": map_of(COUNT)}),
        "AccountReport": record(_REPORT, open=True),
        "UserReport": record(
            {**_REPORT, "email": maybe(TEXT), "account": {"type": "object", "description": "Its report, or {}."}},
            open=True,
        ),
        "Event": declared(Event),
        "ReportHit": record(
            {"_id": TEXT, "_type": TEXT, "_index": TEXT, "_score": {"type": "null"}, "doctype": TEXT}, open=True
        ),
        "Deleted": record({"id": TEXT, "deleted": {"const": True}}),
        "Attribute": record(
            {
                "key": TEXT,
                "type": declared(AttributeType),
                "configurable": BOOLEAN,
                "visible": BOOLEAN,
                "track_changes": BOOLEAN,
            }
        ),
        "Tree": record(
            {"version": {"const": "new"}, "tree": list_of(record({"text": TEXT, "children": list_of(_CHILD)}))}
        ),
        "EventName": record(
            {"name": TEXT, "created_at": MOMENT, "updated_at": MOMENT, "properties": _TEXTS, "emitted": BOOLEAN}
        ),
        "FirehoseAnswer": record({"accepted": COUNT, "rejected": list_of(reference("Rejection"))}),
        "Rejection": record(
            {"index": COUNT, "message_id": maybe(TEXT), "code": one_of(REJECTION_CODES), "reason": TEXT}
        ),
        "Extract": record({"id": TEXT, "notification_id": TEXT, "object_type": one_of(_OBJECT_TYPES)}),
        "ImportJob": _import_job(),
        "LineErrors": record({"pagination": _PAGINATION, "data": list_of(_LINE_ERROR)}),
        "DeadLetter": record(
            {
                **dict.fromkeys(("id", "connector_id", "channel", "entity_id", "notification_id", "message_id"), TEXT),
                "lane": one_of(LANES),
                "message": OBJECT,
                "reason": TEXT,
                "at": MOMENT,
            }
        ),
        "Log": record(
            {
                "logs": list_of(record({"event": TEXT, "level": TEXT, "timestamp": MOMENT, "fields": OBJECT})),
                "total": COUNT,
            }
        ),
        "Settings": settings_shape(SettingsSchema()),
    }


def _bodies() -> dict[str, Shape]:
    return {
        "Status": record({"status": one_of(CONNECTOR_STATUSES)}, {"messages": _TEXTS}, open=True),
        "NewConnector": {
            "anyOf": [
                record({"url": TEXT}, {**_CONNECTOR, "manifest": maybe(reference("Manifest"))}),
                record({"manifest": reference("Manifest")}, {**_CONNECTOR, "url": {"type": "null"}}),
            ]
        },
        "Manifest": {"type": "object", "description": 'See the section "Manifest".'},
        "ConnectorChanges": record(
            {}, {"name": _SHORT, "settings": _SETTINGS, "private_settings": _SETTINGS}, open=True
        ),
        "NewPlatform": record({"name": _SHORT}, {"domains": _HOSTS, "id": _OBJECT_ID, "secret": _SECRET}),
        "NewSegment": {
            "anyOf": [
                record({"name": _SHORT, "query": OBJECT}, {"id": _SHORT}),
                record({"name": _SHORT, "predicate": OBJECT}, {"id": _SHORT}),
            ]
        },
        "Identities": record(
            {},
            {
                "main_identity": maybe(TEXT),
                "has_password": maybe(BOOLEAN),
                "identities": maybe(map_of(maybe(_IDENTITY))),
            },
        ),
        "Traits": {"type": "object", "description": "Values or operations by name of the attribute."},
        "ObjectChanges": {"type": "object", "description": "Of a connector or a segment; attributes of anybody else."},
        "TrackBody": record({"event": _SHORT}, open=True),
        "AliasBody": record({"anonymous_id": _SHORT}, open=True),
        "AttributeFlags": {**record({}, {"visible": BOOLEAN, "track_changes": BOOLEAN}), "minProperties": 1},
        "ConnectorLogs": record(
            {
                "logs": list_of(
                    record({}, dict.fromkeys(("message", "level", "data", "context", "timestamp"), ANYTHING), open=True)
                )
            },
            open=True,
        ),
        "Redrive": record({}, {"ids": maybe(_TEXTS)}, open=True),
        "Firehose": record({"batch": list_of(reference("Message"))}, open=True),
        "Message": {
            **declared(FirehoseMessage, open=True),
            "description": "What does not fit is listed in the answer as rejected; the other messages are applied.",
        },
        "Search": record(
            {},
            {
                "query": _QUERY,
                "raw": maybe(BOOLEAN),
                "page": maybe({"type": "integer", "minimum": 1, "maximum": 10**9}),
                "per_page": maybe({"type": "integer", "minimum": 0, "maximum": MAX_PER_PAGE}),
                "sort": maybe({"type": ["string", "object", "array"]}),
                "include": maybe(list_of(_SHORT)),
                "aggs": maybe(map_of(record({"filter": OBJECT}))),
            },
        ),
        "ExtractRequest": record(
            {"url": {"type": "string", "format": "uri"}},
            {"query": _QUERY, "format": one_of(FORMATS), "fields": maybe(list_of(_SHORT)), "gzip": BOOLEAN},
            open=True,
        ),
        "ImportRequest": record({"url": {"type": "string", "format": "uri"}}, _IMPORT_OPTIONS),
    }


def _searches() -> dict[str, Shape]:
    def page(hit: Shape) -> Shape:
        return record(
            {
                "pagination": _PAGINATION,
                "data": list_of(hit),
                "aggregations": map_of(record({"doc_count": COUNT})),
            }
        )

    return {"ReportPage": page(reference("ReportHit")), "EventPage": page({"anyOf": [reference("Event"), _EVENT_PART]})}


def _controls() -> dict[str, Shape]:
    return {
        "Clock": record({"now": MOMENT}),
        "Advance": record({"advance_ms": {"type": "number", "minimum": 0}}, open=True),
        "Idle": record({"idle": BOOLEAN, "pending": COUNT}),
        "Delivery": extended(
            declared(Delivery, without=UNTOLD), {"messages": declared(list[dict[str, Any]]), "at": MOMENT}
        ),
        "ExtractRun": extended(declared(ExtractRun), {"at": MOMENT}),
        "Trace": record(
            {
                "organization": TEXT,
                "message_id": maybe(TEXT),
                "type": maybe(TEXT),
                "state": _STATES,
                "reason": maybe(TEXT),
                "entity": maybe(record({"type": one_of(KINDS), "id": maybe(TEXT)})),
                "connector_id": maybe(TEXT),
                "request_id": maybe(TEXT),
                "at": MOMENT,
                "idempotent": BOOLEAN,
                "repeats": COUNT,
                "notes": _TEXTS,
                "changes": list_of(_TRACED_CHANGE),
                "notifications": list_of(_TOLD),
            }
        ),
        "PreviewRequest": {
            "anyOf": [
                record({"claims": _USER_CLAIMS}, {"type": {"const": "user"}, "create": BOOLEAN}, open=True),
                record({"claims": _ACCOUNT_CLAIMS, "type": {"const": "account"}}, {"create": BOOLEAN}, open=True),
            ]
        },
        "Preview": record(
            {
                "kind": one_of(KINDS),
                "outcome": one_of(("found", "create", "ignored", "failed")),
                "id": maybe(TEXT),
                "merges": _TEXTS,
                "attaches": map_of(TEXT),
                "reason": maybe(TEXT),
                "notes": _TEXTS,
                "matches": map_of(_TEXTS),
                "why": _TEXTS,
                "warnings": _TEXTS,
            }
        ),
        "NewFault": record(
            {"target": one_of(TARGETS), "kind": one_of(FAULT_KINDS)},
            {
                "status": {"anyOf": [{"enum": [429, None]}, {"type": "integer", "minimum": 500, "maximum": 599}]},
                "times": maybe(_POSITIVE),
                "for_ms": maybe({"type": "number", "exclusiveMinimum": 0}),
                "delay_ms": maybe({"type": "number", "exclusiveMinimum": 0, "maximum": 600_000}),
                "retry_after_s": maybe(COUNT),
            },
        ),
        "Fault": record(
            {"target": one_of(TARGETS), "kind": one_of(FAULT_KINDS), "times": maybe(COUNT)},
            {"status": {"type": "integer"}, "retry_after_s": maybe(COUNT), "delay_ms": {"type": "number"}},
        ),
        "Snapshot": record({"organizations": map_of(OBJECT), "saved": maybe(TEXT)}),
    }


def _import_job() -> Shape:
    return record(
        {
            **dict.fromkeys(("name", "connector_id", "reason", "import_id"), maybe(TEXT)),
            **dict.fromkeys(("schedule_at", "started_at", "finished_at"), maybe(MOMENT)),
            **dict.fromkeys(("notify", "emit_event", "overwrite"), BOOLEAN),
            "id": TEXT,
            "type": {"const": "import"},
            "data_set": one_of(DATA_SETS),
            "state": one_of(("queued", "running", "completed", "failed")),
            "attempts": COUNT,
            "progress": record(
                {
                    **dict.fromkeys(("lines", "applied", "skipped", "failed"), COUNT),
                    "size": maybe(COUNT),
                    "ratio": maybe({"type": "number", "minimum": 0, "maximum": 1}),
                }
            ),
            "errors": list_of(_LINE_ERROR),
            "part_number": maybe(COUNT),
            "created_at": MOMENT,
        }
    )


_STATES: Final = declared(RecordState)
_TRACED_CHANGE: Final = record(
    {
        "entity": record({"type": one_of(KINDS), "id": TEXT}),
        "is_new": BOOLEAN,
        "is_gone": BOOLEAN,
        "absorbed": _TEXTS,
        "fields": map_of(list_of(ANYTHING)),
        "segments": record({"entered": _TEXTS, "left": _TEXTS}),
        "events": _TEXTS,
    }
)
_TOLD: Final = record(
    {
        **dict.fromkeys(("connector_id", "channel", "notification_id", "message_id"), TEXT),
        "dead_letter": maybe(record({"id": TEXT, "reason": TEXT})),
        "tries": list_of(
            record(
                {
                    "notification_id": TEXT,
                    "attempt": _POSITIVE,
                    "at": MOMENT,
                    "status": maybe(COUNT),
                    "error": maybe(TEXT),
                    "outcome": TEXT,
                    "response": maybe(OBJECT),
                }
            )
        ),
        "came_back": list_of(record({"message_id": maybe(TEXT), "type": maybe(TEXT), "state": _STATES})),
    }
)
_CHILD: Final[Shape] = {
    "anyOf": [_FIELD, record({"text": TEXT, "children": list_of({"anyOf": [_FIELD, OBJECT]})})],
}
_EVENT_PART: Final[Shape] = {"type": "object", "description": "The indexed form, or the fields of include."}
_OBJECT_TYPES: Final = ("user_report", "account_report")
_IDENTITY: Final = record({"id": _SHORT}, {"username": maybe(TEXT), "connected_at": maybe(_TIME)})
_CONNECTOR: Final[dict[str, Any]] = {
    "name": maybe(_SHORT),
    "settings": _SETTINGS,
    "private_settings": _SETTINGS,
    "id": maybe(_OBJECT_ID),
    "secret": maybe(_SECRET),
}
_IMPORT_OPTIONS: Final[dict[str, Shape]] = {
    **dict.fromkeys(("notify", "emit_event", "emit_events", "overwrite"), maybe(BOOLEAN)),
    **dict.fromkeys(("name", "import_id"), maybe(TEXT)),
    **dict.fromkeys(("size", "part_number"), maybe(COUNT)),
    "format": {"const": "json"},
    "schedule_at": maybe(_TIME),
    "stats": maybe(record({}, {"size": maybe(COUNT)}, open=True)),
    "dedupe": ANYTHING,
}

#: All schemas by name.
SCHEMAS: Final[dict[str, Shape]] = {**_answers(), **_bodies(), **_searches(), **_controls()}
