"""The firehose: batches of messages, each with a token of its own.

Rules: section "Firehose" of ``docs/protocol.md``.
"""

from __future__ import annotations

from werkzeug.routing import Rule
from werkzeug.wrappers import Response

from hull_sdk.platform.api.access import authenticate
from hull_sdk.platform.api.body import read_json
from hull_sdk.platform.api.errors import json_response, refuse
from hull_sdk.platform.api.routing import present_request, rule
from hull_sdk.wire.firehose import HEADER_APP_ID, MAX_BODY_MESSAGES

__all__ = ["firehose_routes"]


def firehose_routes() -> list[Rule]:
    """Return the routes of the firehose: ``POST /`` and ``POST /api/v1/firehose``."""
    return [rule(path, _receive, "POST") for path in ("/", "/api/v1/firehose")]


def _receive() -> Response:
    request = present_request()
    caller = authenticate(request)
    if caller.connector is None:
        refuse(401, f"the firehose takes messages of connectors; send {HEADER_APP_ID} and its secret")
    body = read_json(request)
    batch = body.get("batch") if isinstance(body, dict) else None
    if not isinstance(batch, list):
        refuse(400, 'the body has no list of messages; send {"batch": [...]}')
    if len(batch) > MAX_BODY_MESSAGES:
        refuse(413, f"the batch has {len(batch)} messages, the limit is {MAX_BODY_MESSAGES}; send less at a time")
    accepted, rejections = caller.organization.receive(batch, caller.connector)
    return json_response({"accepted": accepted, "rejected": [each.to_wire() for each in rejections]})
