"""Answers that are read piece by piece, over HTTP on loopback and within the process."""

from __future__ import annotations

import http.server
import threading

import pytest

from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.net import HttpNetwork, Request, WsgiNetwork
from hull_sdk.errors import NetworkError

SIZE = 300_000


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by path."""

    def do_GET(self) -> None:
        self.send_response(302 if self.path == "/moved" else 200)
        self.send_header("Location", "/whole")
        self.send_header("Content-Length", str(SIZE))
        self.end_headers()
        self.wfile.write(b"x" * (SIZE if self.path == "/whole" else 10))
        if self.path == "/silent":
            self.server.closing.wait(10)

    def log_message(self, *_args: object) -> None:
        """Stay silent."""


@pytest.fixture
def base():
    """Address of a server on a free loopback port."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.closing = threading.Event()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.closing.set()
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def network():
    """A network of sockets."""
    network = HttpNetwork()
    yield network
    network.close()


def read(network, url, **options):
    """Read an answer to its end and return status and pieces."""
    with network.stream(Request(method="GET", url=url, **options)) as answer:
        return answer.status, list(answer.chunks)


def test_an_answer_comes_in_pieces(base, network):
    """No piece is larger than 64 KB, and together they are the body."""
    status, chunks = read(network, f"{base}/whole")
    assert status == 200
    assert b"".join(chunks) == b"x" * SIZE
    assert max(map(len, chunks)) <= 65_536


@pytest.mark.attack("SSRF through redirects")
def test_redirects_are_not_followed(base, network):
    """A redirect is an answer like any other."""
    with network.stream(Request(method="GET", url=f"{base}/moved")) as answer:
        assert answer.status == 302


@pytest.mark.parametrize(
    ("path", "options"), [("/cut", {}), ("/silent", {"timeout_s": 0.2}), ("/whole", {"max_bytes": 1000})]
)
def test_what_breaks_off_hangs_or_grows_is_an_error(base, network, path, options):
    """A body that ends early, stays away or is too large ends in a NetworkError."""
    with pytest.raises(NetworkError):
        read(network, f"{base}{path}", **options)


@pytest.mark.attack("SSRF through another answer of the DNS")
def test_public_only_holds_for_streams(base, network):
    """This machine's address is refused before anything is sent."""
    with pytest.raises(NetworkError) as caught:
        read(network, f"{base}/whole", public_only=True)
    assert caught.value.extra["sent"] is False


def test_a_mounted_application_streams_too():
    """Within the process the answer is cut into the same pieces, under the same limit."""

    def app(_environ, start_response):
        start_response("200 OK", [("ETag", "1")])
        return [b"y" * SIZE]

    network = WsgiNetwork(VirtualClock().time)
    network.mount("a.test", app)
    status, chunks = read(network, "https://a.test/")
    assert (status, b"".join(chunks), max(map(len, chunks))) == (200, b"y" * SIZE, 65_536)
    with pytest.raises(NetworkError, match="larger"):
        read(network, "https://a.test/", max_bytes=10)
