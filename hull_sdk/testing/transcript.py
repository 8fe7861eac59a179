"""What happened in a harness as plain data that a person can read and a file can keep.

Left out is what every line of a connector repeats: organization, connector and request ids of log lines, the common
tags of metrics, headers that a library sets by itself, credentials and empty parts of notifications. Ids that the run
made are numbered, so that a text stays the same when another id is drawn before them.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qsl, urlsplit

from hull_sdk.core import json
from hull_sdk.core.logs import printable
from hull_sdk.core.net import Exchange, Response
from hull_sdk.infra.telemetry import EventRecord, MetricRecord
from hull_sdk.wire.signatures import HEADER_FLAG

if TYPE_CHECKING:
    from hull_sdk.testing.capture import CapturedLog, CapturedMessage

__all__ = [
    "Naming",
    "api_call",
    "event_line",
    "firehose_line",
    "incoming",
    "log_line",
    "metric_line",
    "outgoing",
    "pretty",
]

#: Widest line of a scenario file.
WIDTH: Final = 120

_QUIET_REQUEST: Final = frozenset({"accept-encoding", "connection", "content-length", "content-type"})
_QUIET_ANSWER: Final = frozenset({"content-length", "content-type", "vary"})
_LIBRARY_VALUES: Final = {"accept": "*/*", "user-agent": "python-requests/"}
_REPEATED_FIELDS: Final = frozenset({"organization", "id", "connector_name", "request_id"})

_ID = re.compile(
    r"(?<![0-9a-zA-Z])(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|[0-9a-f]{40}|[0-9a-f]{32}|[0-9a-f]{24})(?![0-9a-zA-Z])"
)
_SEALED = re.compile(r"gAAAA[\w-]{60,}={0,2}|eyJ[\w-]{10,}\.[\w-]+\.[\w-]+")


class Naming:
    """Gives ids that a run made names in the order of their appearance.

    Args:
        names: Names of some values from the start, for example ``{connector.secret: "<secret>"}``.
        is_made: Tells whether an id was made in the run; others stay as they are.
    """

    def __init__(self, names: Mapping[str, str], is_made: Callable[[str], bool]) -> None:
        self._names = dict(names)
        self._is_made = is_made
        self._count = 0

    def apply(self, value: Any) -> Any:
        """Return JSON-like data with names in the place of ids, in keys too."""
        if isinstance(value, str):
            return _ID.sub(self._name, _SEALED.sub("<token>", value))
        if isinstance(value, Mapping):
            return {self.apply(key): self.apply(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [self.apply(item) for item in value]
        return value

    def _name(self, found: re.Match[str]) -> str:
        known = self._names.get(found[0])
        if known is None:
            if not self._is_made(found[0]):
                return found[0]
            self._count += 1
            known = self._names[found[0]] = f"<id {self._count}>"
        return known


def incoming(exchange: Exchange) -> dict[str, Any]:
    """Return a request to the connector and its answer; of a notification what it tells, and not how."""
    request = exchange.request
    if HEADER_FLAG in request.headers:
        told = json.loads(request.body or b"{}")
        heard = {"notification": told.get("channel"), "messages": [_message(each) for each in told.get("messages", ())]}
    else:
        heard = _request(exchange, with_host=False)
    return {**heard, "answer": _answer(exchange.response)}


def outgoing(exchange: Exchange) -> dict[str, Any]:
    """Return a request to a third party and its answer, which is ``None`` when none came."""
    return {**_request(exchange, with_host=True), "answer": _answer(exchange.response)}


def api_call(exchange: Exchange) -> dict[str, Any]:
    """Return a request to the platform's API and the status of its answer."""
    status = None if exchange.response is None else exchange.response.status
    return {**_request(exchange, with_host=False, headers=False), "status": status}


def firehose_line(message: CapturedMessage) -> dict[str, Any]:
    """Return a firehose message; whom it is about is said where both a user and an account are named."""
    both = message["user"] is not None and message["account"] is not None
    return {name: value for name, value in message.items() if value is not None and (both or name != "subject_type")}


def log_line(record: CapturedLog) -> dict[str, Any]:
    """Return a log record without what all records of the connector share."""
    fields = {name: value for name, value in record["fields"].items() if name not in _REPEATED_FIELDS}
    if isinstance(fields.get("context"), Mapping):
        fields["context"] = {k: v for k, v in fields["context"].items() if k not in _REPEATED_FIELDS}
    kept = {name: printable(value) for name, value in fields.items() if value not in ({}, None)}
    return {"level": record["level"], "event": record["event"], **({"fields": kept} if kept else {})}


def metric_line(record: MetricRecord, common: Mapping[str, str]) -> list[Any]:
    """Return a metric as kind, name, value, and the tags that not all of the connector's metrics have."""
    tags = _uncommon(record.tags, common)
    return [record.kind, record.name, record.value, *([tags] if tags else [])]


def event_line(record: EventRecord, common: Mapping[str, str]) -> dict[str, Any]:
    """Return an event of ``ctx.metric.event``."""
    tags = _uncommon(record.tags, common)
    line = {"name": record.name, "text": record.text, "properties": printable(record.properties), "tags": tags}
    return {name: value for name, value in line.items() if value}


def pretty(value: Any, indent: int = 0, used: int = 0) -> str:
    """Return JSON in which whatever fits on a line stands on one.

    Args:
        value: JSON-like data.
        indent: Columns before it.
        used: Columns that its key takes.
    """
    flat = _flat(value)
    if indent + used + len(flat) <= WIDTH or not isinstance(value, dict | list) or not value:
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        keys = {key: f"{_flat(key)}: " for key in value}
        lines = [f"{inner}{text}{pretty(value[key], indent + 2, len(text))}" for key, text in keys.items()]
        return "{\n" + ",\n".join(lines) + "\n" + " " * indent + "}"
    return "[\n" + ",\n".join(f"{inner}{pretty(item, indent + 2)}" for item in value) + "\n" + " " * indent + "]"


def _flat(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_flat(key)}: {_flat(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_flat, value)) + "]"
    return json.dumps(value).decode()


def _message(message: dict[str, Any]) -> dict[str, Any]:
    changes = message.get("changes")
    shown = {**message, "changes": _filled(changes)} if isinstance(changes, dict) else message
    return _filled(shown)


def _filled(parts: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in parts.items() if value not in ({}, [])}


def _request(exchange: Exchange, *, with_host: bool, headers: bool = True) -> dict[str, Any]:
    request = exchange.request
    parts = urlsplit(request.url)
    told = {
        "method": request.method,
        **({"url": f"{parts.scheme}://{parts.netloc}{parts.path}"} if with_host else {"path": parts.path}),
        "query": dict(parse_qsl(parts.query, keep_blank_values=True)),
        "headers": _headers(request.headers.items(), _QUIET_REQUEST) if headers else {},
        "body": _body(request.body),
    }
    return {name: value for name, value in told.items() if value not in ({}, None)}


def _answer(response: Response | None) -> dict[str, Any] | None:
    if response is None:
        return None
    headers = _headers(response.headers.items(), _QUIET_ANSWER)
    told = {"status": response.status, "headers": headers, "body": _body(response.body)}
    return {name: value for name, value in told.items() if value not in ({}, None)}


def _headers(pairs: Iterable[tuple[str, Any]], quiet: frozenset[str]) -> dict[str, str]:
    shown = {}
    for name, raw in pairs:
        value = raw.decode("latin-1") if isinstance(raw, bytes) else str(raw)
        own = _LIBRARY_VALUES.get(name.lower())
        if name.lower() not in quiet and not (own and value.startswith(own)):
            shown[name] = _readable_basic(value) if name.lower() == "authorization" else value
    return shown


def _readable_basic(value: str) -> str:
    scheme, _, credentials = value.partition(" ")
    if scheme.lower() != "basic":
        return value
    try:
        return f"{scheme} {base64.b64decode(credentials, validate=True).decode()}"
    except ValueError:
        return value


def _body(body: bytes | None) -> Any:
    """Return a body as JSON, as text, or as its length in bytes; ``None`` when it is empty."""
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        pass
    try:
        return body.decode()
    except ValueError:
        return f"<{len(body)} bytes>"


def _uncommon(tags: Mapping[str, str], common: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in tags.items() if common.get(name) != value}
