"""What the Node clients put on the wire is what the wire module reads, and what our client sends too.

Nothing of the platform runs here: a recorder answers.
"""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from hull_sdk.wire.tokens import AS_CLAIMS, CLAIM_CREATE, CLAIM_SUBJECT_TYPE, verify

pytestmark = [pytest.mark.interop, pytest.mark.timeout(600)]

ID = "5a7962e2793d3e942a03b29a"
USER_ID = "5a7962e2793d3e942a03b29b"
SECRET = "a connector's secret"


class Recorder(ThreadingHTTPServer):
    """Accepts everything and keeps it."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.requests: list[dict[str, Any]] = []

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.server_port}"

    @property
    def messages(self) -> list[dict[str, Any]]:
        return [message for request in self.requests for message in request["body"]["batch"]]

    def options(self) -> dict[str, Any]:
        return {
            "id": ID,
            "secret": SECRET,
            "organization": self.address,
            "protocol": "http",
            "firehoseUrl": f"http://{self.address}/api/v1/firehose",
        }


class Answer(BaseHTTPRequestHandler):
    server: Recorder

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append({"path": self.path, "headers": dict(self.headers), "body": json.loads(body)})
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"accepted": 1}')

    def log_message(self, *_args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def recorder():
    """A server that accepts everything and keeps it."""
    server = Recorder()
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, name="test-recorder")
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def claims_in(message, now):
    """Return the claims of a message's token, checked with the connector's secret."""
    return verify(message["headers"]["Hull-Access-Token"], SECRET, now)


def read(message):
    """Return type and body of a message with its claims, without what differs from run to run."""
    issued_at = now_of(message)
    claims = claims_in(message, issued_at)
    body = {name: value for name, value in message["body"].items() if name != "event_id"}
    kept = {
        name: claims[name] for name in (*AS_CLAIMS.values(), CLAIM_SUBJECT_TYPE, CLAIM_CREATE, "sub") if name in claims
    }
    assert claims["iss"] == ID
    return message["type"], body, kept


def now_of(message):
    """Return when a message was made, as the time against which its token is checked."""
    from hull_sdk.core.clock import parse_time

    return parse_time(message["timestamp"]).timestamp()


EXPECTED = [
    ("traits", {"plan": "pro"}, {AS_CLAIMS["user"]: {"email": "ann@acme.example"}, CLAIM_SUBJECT_TYPE: "user"}),
    (
        "track",
        {"ip": None, "url": None, "referer": None, "source": "shop", "properties": {"sku": "A1"}, "event": "Ordered"},
        {AS_CLAIMS["user"]: {"email": "ann@acme.example"}, CLAIM_SUBJECT_TYPE: "user"},
    ),
    ("alias", {"anonymous_id": "a-1"}, {AS_CLAIMS["user"]: {"email": "ann@acme.example"}, CLAIM_SUBJECT_TYPE: "user"}),
    (
        "unalias",
        {"anonymous_id": "a-1"},
        {AS_CLAIMS["user"]: {"email": "ann@acme.example"}, CLAIM_SUBJECT_TYPE: "user"},
    ),
    (
        "traits",
        {"employees": 12},
        {
            AS_CLAIMS["user"]: {"email": "ann@acme.example"},
            AS_CLAIMS["account"]: {"domain": "acme.example"},
            CLAIM_SUBJECT_TYPE: "account",
        },
    ),
    (
        "traits",
        {"visits": {"operation": "inc", "value": 2}},
        {AS_CLAIMS["account"]: {"external_id": "acc-1"}, CLAIM_CREATE: False, CLAIM_SUBJECT_TYPE: "account"},
    ),
]

ANN = ["asUser", {"email": "ann@acme.example", "name": "left out"}]
CHAINS = [
    [ANN, ["traits", {"plan": "pro"}]],
    [ANN, ["track", "Ordered", {"sku": "A1"}, {"source": "shop"}]],
    [ANN, ["alias", {"anonymous_id": "a-1"}]],
    [ANN, ["unalias", {"anonymous_id": "a-1"}]],
    [ANN, ["account", {"domain": "acme.example"}], ["traits", {"employees": 12}]],
    [
        ["asAccount", {"external_id": "acc-1"}, {"create": False}],
        ["traits", {"visits": {"operation": "inc", "value": 2}}],
    ],
]


def test_node_messages_are_read_by_the_wire_module(recorder, run_client):
    """The messages of both Node clients carry the types, bodies and token claims that the wire module knows."""
    run_client(recorder.options(), CHAINS)
    assert [read(message) for message in recorder.messages] == EXPECTED


def test_our_client_sends_the_same_messages(recorder):
    """Our client puts the same types, bodies and claims on the wire as the Node clients do."""
    from hull_sdk import Client

    client = Client(id=ID, secret=SECRET, organization=recorder.address, workers=1)
    ann = client.as_user({"email": "ann@acme.example", "name": "left out"})
    ann.traits({"plan": "pro"})
    ann.track("Ordered", {"sku": "A1"}, {"source": "shop"})
    ann.alias({"anonymous_id": "a-1"})
    ann.unalias({"anonymous_id": "a-1"})
    ann.account({"domain": "acme.example"}).traits({"employees": 12})
    account = client.as_account({"external_id": "acc-1"}, create=False)
    account.traits({"visits": {"operation": "inc", "value": 2}})
    client.close()
    assert [without_defaults(read(message)) for message in recorder.messages] == EXPECTED


def without_defaults(message):
    """Return a message without the claims that say what would be assumed anyway."""
    kind, body, claims = message
    return kind, body, {name: value for name, value in claims.items() if (name, value) != (CLAIM_CREATE, True)}


def test_node_headers_are_the_ones_of_the_wire_module(recorder, run_client):
    """Both Node clients name organization, connector and secret in the headers that our side reads."""
    run_client(recorder.options(), CHAINS[:1])
    (request,) = recorder.requests
    assert request["path"] == "/api/v1/firehose"
    assert (
        request["headers"].items()
        >= {
            "Hull-Organization": recorder.address,
            "Hull-App-Id": ID,
            "Hull-Access-Token": SECRET,
            "Content-Type": "application/json",
        }.items()
    )


def test_a_user_named_by_id_alone_is_the_subject_of_the_token(recorder, run_client):
    """Given a bare id, the Node clients name the user in ``sub`` and send no claims beside it."""
    run_client(recorder.options(), [[["asUser", USER_ID], ["traits", {"plan": "pro"}]]])
    assert [read(message)[2] for message in recorder.messages] == [{"sub": USER_ID, CLAIM_SUBJECT_TYPE: "user"}]


def test_node_messages_have_no_id(recorder, run_client):
    """The Node clients send no message_id, so that a repeated request of theirs cannot be told from a new one."""
    run_client(recorder.options(), CHAINS)
    assert [message for message in recorder.messages if "message_id" in message] == []
