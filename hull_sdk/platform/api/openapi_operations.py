"""What every request of the API takes and answers: a line of this table for each line of the routes' tables.

Rules: sections "REST" and "Test controls" of ``docs/protocol.md``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

from hull_sdk.platform.api.openapi_shapes import COUNT, OBJECT, TEXT, Shape, list_of, record, reference
from hull_sdk.platform.log_queries import LOG_FILTERS, MOST_LINES
from hull_sdk.platform.search import MAX_PER_PAGE

__all__ = ["OPERATIONS", "Access", "Operation"]

#: Whose credentials a request asks for: a connector's or the operator's, a connector's alone, the operator's, a user's.
Access = Literal["secret", "connector", "operator", "user", "nobody"]

_JSON: Final = "application/json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Operation:
    """One request.

    Args:
        summary: What it does, in a few words.
        topic: The group that it is listed in.
        answer: The schema of its answer.
        access: Whose credentials it asks for.
        body: The schema of its body; ``None`` when it takes none.
        needs_body: ``False`` when a missing body is as good as ``{}``.
        query: Parameters of the address, by name; all are optional.
        checks_query: ``False`` when nothing that stands there is answered 400.
        status: That of an answer without error.
        errors: Statuses of errors, beside those that credentials, body and parameters bring with them.
        media: The types of its answer.
    """

    summary: str
    topic: str
    answer: Shape
    access: Access = "secret"
    body: Shape | None = None
    needs_body: bool = True
    query: Mapping[str, Shape] = field(default_factory=dict)
    checks_query: bool = True
    status: int = 200
    errors: tuple[int, ...] = ()
    media: tuple[str, ...] = (_JSON,)


Table = dict[tuple[str, str], Operation]


def _firehose() -> Table:
    operation = Operation(
        summary="Take a batch of messages",
        topic="Firehose",
        answer=reference("FirehoseAnswer"),
        access="connector",
        body=reference("Firehose"),
    )
    return {("POST", "/"): operation, ("POST", "/api/v1/firehose"): operation}


def _admin() -> Table:
    def create(what: str, body: str, answer: str) -> Operation:
        return Operation(
            summary=f"Create {what}",
            topic="Operator",
            answer=reference(answer),
            access="operator",
            body=reference(body),
            status=201,
        )

    settings: dict[str, Any] = {"topic": "Operator", "answer": reference("Settings"), "access": "operator"}
    return {
        ("POST", "/api/v1/connectors"): create("a connector", "NewConnector", "Connector"),
        ("POST", "/api/v1/platforms"): create("a website or an app with credentials", "NewPlatform", "Platform"),
        ("POST", "/api/v1/users_segments"): create("a segment of users", "NewSegment", "Segment"),
        ("POST", "/api/v1/accounts_segments"): create("a segment of accounts", "NewSegment", "Segment"),
        ("GET", "/api/v1/platforms"): Operation(
            summary="List websites and apps",
            topic="Operator",
            answer=list_of(reference("Platform")),
            access="operator",
        ),
        ("PUT", "/api/v1/{object_id}/identities"): Operation(
            summary="Set a user's identities at other services",
            topic="Operator",
            answer=reference("UserReport"),
            access="operator",
            body=reference("Identities"),
            needs_body=False,
        ),
        ("GET", "/api/v1/settings"): Operation(summary="Read the organization's settings", **settings),
        ("PUT", "/api/v1/settings"): Operation(
            summary="Change some of the organization's settings",
            body=reference("Settings"),
            needs_body=False,
            **settings,
        ),
    }


def _apps() -> Table:
    def about(summary: str, answer: Shape, **options: Any) -> Operation:
        return Operation(summary=summary, topic="Connectors", answer=answer, **options)

    app = {"anyOf": [reference("Connector"), reference("Platform")]}
    status = reference("Status")
    return {
        ("GET", "/api/v1/app"): about("Read the calling connector", app, errors=(400,)),
        ("PUT", "/api/v1/app"): about(
            "Change the calling connector", app, body=reference("ConnectorChanges"), needs_body=False
        ),
        ("PUT", "/api/v1/app/status"): about("Store the calling connector's status", status, body=status),
        ("PUT", "/api/v1/{object_id}/status"): about("Store a connector's status", status, body=status),
        ("POST", "/api/v1/{object_id}/update_manifest"): about(
            "Read a connector's manifest again", app, errors=(400, 502)
        ),
        ("POST", "/api/v1/{object_id}/logs"): about(
            "Keep lines of a connector's own log",
            record({"accepted": COUNT}),
            body=reference("ConnectorLogs"),
            errors=(403,),
        ),
        ("GET", "/api/v1/{object_id}/dead_letters"): about(
            "List the messages that were given up", list_of(reference("DeadLetter"))
        ),
        ("POST", "/api/v1/{object_id}/dead_letters/redrive"): about(
            "Send messages that were given up again",
            record({"redriven": COUNT}),
            body=reference("Redrive"),
            needs_body=False,
        ),
    }


def _extracts() -> Table:
    def extract(what: str) -> Operation:
        return Operation(
            summary=f"Have a file of {what} written",
            topic="Extracts",
            answer=reference("Extract"),
            body=reference("ExtractRequest"),
        )

    file = Operation(
        summary="Read a file at its signed address",
        topic="Extracts",
        answer=TEXT,
        access="nobody",
        query={"expires": TEXT, "signature": TEXT},
        errors=(403, 404),
        checks_query=False,
        media=("application/x-ndjson", "text/csv; charset=utf-8"),
    )
    address = "/api/v1/extracts/{object_type}/{date}/{name}"
    return {
        ("POST", "/api/v1/extract/user_reports"): extract("users"),
        ("POST", "/api/v1/extract/account_reports"): extract("accounts"),
        ("GET", address): file,
        ("POST", address): file,
    }


def _imports() -> Table:
    def start(what: str) -> Operation:
        return Operation(
            summary=f"Have a file of {what} applied",
            topic="Imports",
            answer=reference("ImportJob"),
            body=reference("ImportRequest"),
            status=201,
        )

    return {
        **{("POST", f"/api/v1/import/{what}"): start(what) for what in ("users", "accounts", "events")},
        ("GET", "/api/v1/imports"): Operation(
            summary="List all imports", topic="Imports", answer=list_of(reference("ImportJob"))
        ),
        ("GET", "/api/v1/{job_id}/errors"): Operation(
            summary="List the lines of an import that could not be taken",
            topic="Imports",
            answer=reference("LineErrors"),
            query={"page": _page(10**6), "per_page": _page(MAX_PER_PAGE)},
        ),
    }


def _lists() -> Table:
    def listing(summary: str, items: str) -> Operation:
        return Operation(summary=summary, topic="Segments and attributes", answer=list_of(reference(items)))

    def visibility(what: str) -> Operation:
        return Operation(
            summary=f"Show, hide or track an attribute of {what}",
            topic="Segments and attributes",
            answer=record({"name": TEXT, "visible": {"type": "boolean"}, "track_changes": {"type": "boolean"}}),
            body=reference("AttributeFlags"),
        )

    users = listing("List the segments of users", "Segment")
    return {
        ("GET", "/api/v1/segments"): users,
        ("GET", "/api/v1/users_segments"): users,
        ("GET", "/api/v1/accounts_segments"): listing("List the segments of accounts", "Segment"),
        ("GET", "/api/v1/users/schema"): listing("List the attributes of users", "Attribute"),
        ("GET", "/api/v1/accounts/schema"): listing("List the attributes of accounts", "Attribute"),
        ("PUT", "/api/v1/settings/user_traits/{name}"): visibility("users"),
        ("PUT", "/api/v1/settings/account_traits/{name}"): visibility("accounts"),
    }


def _search() -> Table:
    def search(what: str, page: str) -> Operation:
        return Operation(
            summary=f"Search {what}",
            topic="Search",
            answer=reference(page),
            body=reference("Search"),
            needs_body=False,
        )

    def tree(what: str) -> Operation:
        return Operation(summary=f"Read the attributes of {what} as a tree", topic="Search", answer=reference("Tree"))

    events = Operation(summary="List the names of events", topic="Search", answer=list_of(reference("EventName")))
    users, accounts = search("users", "ReportPage"), search("accounts", "ReportPage")
    happened = search("events", "EventPage")
    below = "/api/v1/search"
    return {
        ("POST", f"{below}/user_reports"): users,
        ("POST", f"{below}/user_report"): users,
        ("POST", f"{below}/account_reports"): accounts,
        ("POST", f"{below}/account_report"): accounts,
        ("POST", f"{below}/events"): happened,
        ("POST", f"{below}/event"): happened,
        ("GET", f"{below}/user_reports/bootstrap"): tree("users"),
        ("GET", f"{below}/account_reports/bootstrap"): tree("accounts"),
        ("GET", f"{below}/event/bootstrap"): events,
        ("GET", f"{below}/events/bootstrap"): events,
    }


def _me() -> Table:
    def own(summary: str, answer: Shape, **options: Any) -> Operation:
        return Operation(summary=summary, topic="Users", access="user", answer=answer, errors=(400,), **options)

    done = reference("Accepted")
    me = own("Read the user of the token", reference("UserReport"))
    traits = own("Write attributes of the user of the token", done, body=reference("Traits"), needs_body=False)
    return {
        ("GET", "/api/v1/me"): me,
        ("GET", "/api/v1/me/user_report"): me,
        ("GET", "/api/v1/me/segments"): own(
            "List the segments of the user of the token", list_of(reference("Segment"))
        ),
        ("PUT", "/api/v1/me/traits"): traits,
        ("POST", "/api/v1/me/traits"): traits,
        ("POST", "/api/v1/me/alias"): own("Add an anonymous_id", done, body=reference("AliasBody")),
        ("POST", "/api/v1/t"): own("Tell an event", done, body=reference("TrackBody")),
    }


def _objects() -> Table:
    def by_id(summary: str, answer: Shape, **options: Any) -> Operation:
        return Operation(summary=summary, topic="Objects", answer=answer, **options)

    reports = [reference("UserReport"), reference("AccountReport")]
    changeable = [reference("Connector"), reference("Platform"), reference("Segment"), *reports]
    traits = by_id(
        "Write attributes of a user or an account",
        {"anyOf": reports},
        body=reference("Traits"),
        needs_body=False,
    )
    return {
        ("GET", "/api/v1/"): by_id("Read the organization", reference("Organization")),
        ("GET", "/api/v1/{object_id}"): by_id(
            "Read an object by its id", {"anyOf": [*changeable, reference("ImportJob")]}
        ),
        ("PUT", "/api/v1/{object_id}"): by_id(
            "Change an object by its id", {"anyOf": changeable}, body=reference("ObjectChanges"), needs_body=False
        ),
        ("DELETE", "/api/v1/{object_id}"): by_id(
            "Delete an object by its id, or cancel an import", reference("Deleted"), errors=(400, 403)
        ),
        ("GET", "/api/v1/{object_id}/segments"): by_id(
            "List the segments that somebody is in", list_of(reference("Segment"))
        ),
        ("PUT", "/api/v1/{object_id}/traits"): traits,
        ("POST", "/api/v1/{object_id}/traits"): traits,
    }


def _open() -> Table:
    key = Operation(
        summary="Read the key that notifications are signed with",
        topic="Open to everybody",
        answer=TEXT,
        access="nobody",
        errors=(404,),
        media=("text/plain; charset=utf-8",),
    )
    return {
        ("GET", "/api/v1/notification_keys/{key_id}"): key,
        ("POST", "/api/v1/notification_keys/{key_id}"): key,
        ("GET", "/api/v1/notification_certificates/{key_id}"): replace(
            key, summary="Read the certificate that legacy notifications are signed with"
        ),
        ("GET", "/openapi.json"): Operation(
            summary="Read this description", topic="Open to everybody", answer=OBJECT, access="nobody"
        ),
    }


def _controls() -> Table:
    def control(summary: str, answer: Shape, **options: Any) -> Operation:
        # 404 is the answer of all of them where test controls are off.
        errors = (404, *options.pop("errors", ()))
        return Operation(
            summary=summary, topic="Test controls", answer=answer, access="nobody", errors=errors, **options
        )

    at = "/_platform"
    clock, faults = reference("Clock"), list_of(reference("Fault"))
    return {
        ("GET", f"{at}/clock"): control("Read domain time", clock),
        ("POST", f"{at}/clock"): control("Move domain time", clock, body=reference("Advance")),
        ("GET", f"{at}/idle"): control(
            "Wait until every connector was told everything",
            reference("Idle"),
            query={"timeout_ms": {"type": "number", "minimum": 0, "maximum": 600_000}},
        ),
        ("GET", f"{at}/deliveries"): control("List the latest deliveries", list_of(reference("Delivery"))),
        ("GET", f"{at}/extracts"): control("List the latest calls about extracts", list_of(reference("ExtractRun"))),
        ("GET", f"{at}/trace/{{message_id}}"): control("Read what became of a message", reference("Trace")),
        ("POST", f"{at}/identity/preview"): control(
            "Tell whom claims would find", reference("Preview"), body=reference("PreviewRequest")
        ),
        ("GET", f"{at}/faults"): control("List the faults on purpose", faults),
        ("POST", f"{at}/faults"): control(
            "Add a fault on purpose", reference("Fault"), body=reference("NewFault"), status=201
        ),
        ("DELETE", f"{at}/faults"): control("End all faults", {"type": "array", "maxItems": 0}),
        ("POST", f"{at}/reset"): control("Forget all data", record({"ok": {"const": True}})),
        ("POST", f"{at}/snapshot"): control("Read everything", reference("Snapshot")),
    }


def _logs() -> Table:
    filters = dict.fromkeys(LOG_FILTERS, TEXT)
    operation = Operation(
        summary="Find lines of the log",
        topic="Logs",
        answer=reference("Log"),
        query={**filters, "limit": _page(MOST_LINES)},
        errors=(403,),
    )
    return {("GET", "/api/v1/logs"): operation, ("GET", "/api/v1/{object_id}/logs"): operation}


def _page(most: int) -> Shape:
    return {"type": "integer", "minimum": 1, "maximum": most}


#: Every request by method and path.
OPERATIONS: Final[Table] = {
    **_firehose(),
    **_admin(),
    **_apps(),
    **_extracts(),
    **_imports(),
    **_lists(),
    **_logs(),
    **_search(),
    **_me(),
    **_objects(),
    **_controls(),
    **_open(),
}
