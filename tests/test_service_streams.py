"""The session for the third party: answers that are read as they arrive, and addresses that somebody else chose."""

from __future__ import annotations

import gzip
import http.server
import threading
import tracemalloc
from contextlib import contextmanager

import pytest

from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import ApiError, ConfigurationError, InvalidArgumentError, NetworkError, TransientError
from hull_sdk.service import ServiceSession

PIECE = bytes(65_536)
PIECES = 400
SIZE = len(PIECE) * PIECES


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/whole")
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        for _ in range(PIECES if self.path == "/whole" else 1):
            self.wfile.write(PIECE)

    def log_message(self, *_args: object) -> None:
        """Stay silent."""


@pytest.fixture
def base():
    """Address of a server on a free loopback port."""
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def served():
    """Return how a session is made whose hosts are answered by applications."""

    def make(hosts, **options):
        runtime = Runtime.virtual()
        for host, app in hosts.items():
            runtime.net.mount(host, app)
        return ServiceSession(runtime=runtime, **options), runtime.net

    return make


def answering(body: bytes, status: str = "200 OK", **headers: str):
    """Return an application with one answer."""

    def app(_environ, start_response):
        start_response(status, [(name.replace("_", "-"), value) for name, value in headers.items()])
        return [body]

    return app


def test_a_large_answer_is_read_in_bounded_memory(base):
    """With ``stream=True`` an answer of 26 MB takes less than one."""
    session = ServiceSession(base, max_bytes=SIZE)
    tracemalloc.start()
    try:
        with session.get("/whole", stream=True) as answer:
            assert sum(len(chunk) for chunk in answer.iter_content(65_536)) == SIZE
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()
        session.runtime.net.close()


def test_an_answer_that_breaks_off_is_an_error(base):
    """What is missing at the end is never taken for the end."""
    session = ServiceSession(base)
    with session.get("/cut", stream=True) as answer, pytest.raises(NetworkError):
        list(answer.iter_content(65_536))
    session.runtime.net.close()


def test_lines_and_compression_work_on_streams(served):
    """An answer is unpacked while it arrives, and may be read line by line."""
    body = gzip.compress(b"a,b\n" * 50_000)
    session, _ = served({"files.test": answering(body, Content_Encoding="gzip", ETag='"v1"')})
    with session.get("https://files.test/x.csv", stream=True) as answer:
        assert answer.headers["ETag"] == '"v1"'
        assert sum(line == b"a,b" for line in answer.iter_lines()) == 50_000


def test_a_stream_is_held_to_the_limit_of_answers(served):
    """As it travels and as it unpacks; 10 MB of nothing fit into 10 KB."""
    session, _ = served(
        {
            "a.test": answering(b"x" * 2000),
            "b.test": answering(gzip.compress(bytes(10_000_000)), Content_Encoding="gzip"),
        },
        max_bytes=20_000,
    )
    with (
        session.get("https://b.test/", stream=True) as answer,
        pytest.raises(NetworkError, match="larger than 20000 bytes"),
    ):
        list(answer.iter_content(65_536))
    small, _ = served({"a.test": answering(b"x" * 2000)}, max_bytes=1000)
    with (
        pytest.raises(NetworkError, match="larger than 1000 bytes"),
        small.get("https://a.test/", stream=True) as answer,
    ):
        list(answer.iter_content(65_536))


def test_closing_ends_the_transfer(served):
    """Who has seen enough leaves the rest; the transfer is over then, and nothing more can be read."""
    session, network = served({"files.test": answering(b"x" * 200_000)})
    ended = []
    stream = network.stream

    @contextmanager
    def watched(request):
        with stream(request) as answer:
            yield answer
        ended.append(1)

    network.stream = watched
    with session.get("https://files.test/", stream=True) as answer:
        assert next(answer.iter_content(10)) == b"x" * 10
        assert ended == []
    assert ended == [1]


@pytest.mark.parametrize(("status", "kind"), [("404 Not Found", ApiError), ("503 Busy", TransientError)])
def test_a_refusal_of_a_stream_raises_with_its_reason(served, status, kind):
    """The errors are those of other calls; of a long refusal only the beginning is read."""
    body = b"no such file " + b"x" * 1_000_000
    session, _ = served({"files.test": answering(body, status, Content_Length=str(len(body)))})
    with pytest.raises(kind, match="no such file"):
        session.get("https://files.test/x.csv", stream=True)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("http://files.test/x.csv", "must be an https URL"),
        ("https://127.0.0.1/x.csv", "not public"),
        ("https://10.0.0.7/x.csv", "not public"),
        ("https://[::1]/x.csv", "not public"),
        ("https://localhost/x.csv", "not public"),
        ("https://user@files.test/x.csv", "without a user name"),
        ("file:///etc/passwd", "absolute https URL"),
    ],
)
def test_addresses_from_settings_lead_to_public_hosts_only(served, url, reason):
    """With ``trusted_hosts`` nothing else is let through, and the message names the way out."""
    session, network = served({}, trusted_hosts=())
    with pytest.raises(ConfigurationError, match=reason):
        session.get(url)
    assert network.exchanges == []


@pytest.mark.attack("SSRF through redirects")
def test_a_redirect_into_the_own_network_is_refused(served):
    """Each hop is looked at: a public server cannot lead to a private one."""
    moved = answering(b"", "302 Found", Location="https://127.0.0.1/keys")
    session, network = served({"files.test": moved, "127.0.0.1": answering(b"secret")}, trusted_hosts=())
    with pytest.raises(ConfigurationError, match="not public"):
        session.get("https://files.test/x.csv")
    assert len(network.exchanges) == 1


def test_a_name_that_leads_to_this_machine_is_refused(base, monkeypatch):
    """What a name leads to is checked when the connection is made; a trusted host may be anywhere."""
    port = base.rpartition(":")[2]
    own = [(2, 1, 6, "", ("127.0.0.1", int(port)))]
    monkeypatch.setattr("hull_sdk.core.net.socket.getaddrinfo", lambda *_args, **_options: own)
    session = ServiceSession(retries=0, trusted_hosts=())
    with pytest.raises(NetworkError, match="not a public address"):
        session.get(f"https://files.test:{port}/x.csv")


def test_the_operators_hosts_are_let_through(served, base):
    """By name or suffix, and over http on loopback."""
    session, _ = served(
        {"10.0.0.7": answering(b"a"), "nas.acme.lan": answering(b"b")}, trusted_hosts=["10.0.0.7", "*.lan"]
    )
    assert session.get("https://10.0.0.7/").content == b"a"
    assert session.get("https://nas.acme.lan/").content == b"b"
    real = ServiceSession(base, trusted_hosts=["127.0.0.1"], max_bytes=SIZE)
    assert len(real.get("/whole").content) == SIZE
    real.runtime.net.close()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"trusted_hosts": "nas.lan"}, "'nas.lan'"),
        ({"trusted_hosts": ["https://nas.lan"]}, "no host pattern"),
        ({"max_bytes": 0}, "max_bytes is 0"),
        ({"max_bytes": 1.5}, "max_bytes is 1.5"),
    ],
)
def test_wrong_limits_and_hosts_are_refused(options, text):
    """Options are checked when the session is made."""
    with pytest.raises(InvalidArgumentError, match=text):
        ServiceSession(**options)
