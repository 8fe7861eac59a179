"""The network door: real HTTP on loopback, and the guard over it."""

from __future__ import annotations

import http.server
import logging
import os
import socket
import threading
from collections.abc import Iterator

import pytest

from hull_sdk.core import net
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.errors import NetworkError, TransientError

WAIT_S = 10


class Handler(http.server.BaseHTTPRequestHandler):
    """Answers by the path of the request."""

    protocol_version = "HTTP/1.1"
    server: Server

    def setup(self) -> None:
        super().setup()
        self.server.connections += 1

    def do_GET(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        body = self.rfile.read(length)
        self.server.seen.append((self.command, self.path, dict(self.headers), body))
        getattr(self, "answer_" + self.path.strip("/").partition("?")[0], self.answer_ok)()

    do_POST = do_HEAD = do_GET  # noqa: N815 - the library's names

    def answer_ok(self, status: int = 200, body: bytes = b"ok", headers: tuple = ()) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def answer_missing(self) -> None:
        self.answer_ok(404, b"no such thing")

    def answer_moved(self) -> None:
        self.answer_ok(302, b"", (("Location", "/elsewhere"),))

    def answer_twice(self) -> None:
        self.answer_ok(headers=(("X-Many", "a"), ("X-Many", "b"), ("Set-Cookie", "a=1, x"), ("Set-Cookie", "b=2")))

    def answer_gzip(self) -> None:
        self.answer_ok(body=b"\x1f\x8bnot unpacked", headers=(("Content-Encoding", "gzip"),))

    def answer_large(self) -> None:
        self.answer_ok(body=b"x" * 100_000)

    def answer_chunked(self) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"3\r\nabc\r\n4\r\ndefg\r\n0\r\n\r\n")

    def answer_drop(self) -> None:
        self.close_connection = True

    def answer_cut(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100")
        self.end_headers()
        self.wfile.write(b"only this")
        self.close_connection = True

    def answer_silent(self) -> None:
        self.server.closing.wait(WAIT_S)
        self.close_connection = True

    def answer_drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "1000000")
        self.end_headers()
        while not self.server.closing.wait(0.02):
            try:
                self.wfile.write(b"x")
            except OSError:
                break
        self.close_connection = True

    def log_message(self, *_args: object) -> None:
        """Stay silent."""


class Server(http.server.ThreadingHTTPServer):
    """A server on a free loopback port that remembers what it saw."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.connections = 0
        self.seen: list[tuple] = []
        self.closing = threading.Event()
        self.url = f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, *_args: object) -> None:
        """Stay silent about clients that go away."""


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch) -> None:
    """Keep the machine's proxies out of the tests."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.fixture
def server() -> Iterator[Server]:
    """Return a running server."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.closing.set()
    server.shutdown()
    thread.join(WAIT_S)
    server.server_close()


@pytest.fixture
def network() -> Iterator[HttpNetwork]:
    """Return a real network; its connections end with the test."""
    network = HttpNetwork()
    yield network
    network.close()


def get(url: str, **options) -> Request:
    """Return a request of the simplest form."""
    return Request(method="GET", url=url, **{"timeout_s": WAIT_S, **options})


# Real HTTP


def test_a_request_arrives_whole_and_its_answer_comes_back(server, network):
    """Method, path, headers and body arrive; status, lower-case headers and body come back."""
    response = network.send(Request(method="POST", url=f"{server.url}/a?b=c", headers={"X-One": "1"}, body=b"\x00\xff"))
    method, path, headers, body = server.seen[0]
    assert (method, path, headers["X-One"], body) == ("POST", "/a?b=c", "1", b"\x00\xff")
    assert (response.status, response.body, response.headers["content-length"]) == (200, b"ok", "2")


@pytest.mark.parametrize(("path", "status"), [("missing", 404), ("moved", 302)])
@pytest.mark.attack("SSRF through redirects")
def test_every_status_is_an_answer_and_redirects_are_not_followed(server, network, path, status):
    """A refusal is returned, not raised, and a redirect is the caller's business."""
    assert network.send(get(f"{server.url}/{path}")).status == status
    assert len(server.seen) == 1


def test_connections_are_kept_and_used_again(server, network):
    """Requests one after the other share one connection, bodies of every kind included."""
    for path in ("ok", "chunked", "large", "missing", "ok"):
        network.send(get(f"{server.url}/{path}"))
    network.send(Request(method="HEAD", url=f"{server.url}/ok"))
    network.send(Request(method="POST", url=f"{server.url}/ok", body=b"x"))
    assert server.connections == 1


def test_many_threads_share_a_network(server, network):
    """Threads may send through one network at once; each gets its own answer."""
    results = []

    def run(number: int) -> None:
        results.extend(network.send(get(f"{server.url}/n{number}")).status for _ in range(10))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
    assert results == [200] * 80
    assert server.connections <= 8


def test_chunked_answers_are_put_together(server, network):
    """An answer in chunks comes back as one body."""
    assert network.send(get(f"{server.url}/chunked")).body == b"abcdefg"


def test_repeated_headers_keep_all_their_values(server, network):
    """Values of a repeated header are joined with commas, cookies with line feeds."""
    headers = network.send(get(f"{server.url}/twice")).headers
    assert (headers["x-many"], headers["set-cookie"]) == ("a, b", "a=1, x\nb=2")


def test_bodies_are_not_unpacked(server, network):
    """A compressed body comes back as it travelled, so that a small one cannot grow in memory."""
    assert network.send(get(f"{server.url}/gzip")).body == b"\x1f\x8bnot unpacked"


def test_an_answer_over_the_limit_is_refused(server, network):
    """An answer larger than max_bytes is an error that names the limit; one of exactly that size is fine."""
    with pytest.raises(NetworkError, match="larger than 99999 bytes"):
        network.send(get(f"{server.url}/large", max_bytes=99_999))
    assert len(network.send(get(f"{server.url}/large", max_bytes=100_000)).body) == 100_000


@pytest.mark.parametrize(("path", "reason"), [("silent", "timed out"), ("drip", "not complete within 0.3 s|timed out")])
@pytest.mark.attack("slow bodies and files")
def test_the_whole_answer_has_to_arrive_in_time(server, network, path, reason):
    """Neither a silent server nor one that sends a byte now and then holds a request beyond its time."""
    began = net.time.monotonic()
    with pytest.raises(NetworkError, match=reason) as caught:
        network.send(get(f"{server.url}/{path}", timeout_s=0.3))
    assert net.time.monotonic() - began < 2
    assert caught.value.extra["sent"] is True


@pytest.mark.parametrize("path", ["drop", "cut"])
def test_an_answer_that_breaks_off_is_an_error(server, network, path):
    """A connection closed before or within the answer is an error, and the request may have been seen."""
    with pytest.raises(NetworkError) as caught:
        network.send(get(f"{server.url}/{path}"))
    assert caught.value.extra["sent"] is True
    assert network.send(get(f"{server.url}/ok")).status == 200


@pytest.fixture
def closed_port():
    """A port on which nobody listens, and nobody else can begin to while the test runs."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def test_a_refused_connection_is_one_clear_error_without_secrets(network, closed_port):
    """Nobody listening: the error names method, address without its secrets, and reason; nothing was sent."""
    with pytest.raises(NetworkError, match="refused") as caught:
        network.send(get(f"http://ann:hunter2@127.0.0.1:{closed_port}/a?secret=hunter2&page=2"))
    text = str(caught.value)
    assert text.startswith("GET http://***@127.0.0.1:")
    assert "page=2" in text
    assert "hunter2" not in text
    assert caught.value.extra["sent"] is False
    assert isinstance(caught.value, TransientError)


def test_the_log_of_the_library_below_shows_no_secrets(server, network, caplog):
    """Whoever listens to everything finds the address of each request, without its secrets."""
    with caplog.at_level(logging.DEBUG):
        network.send(get(f"{server.url}/sync?ship=5a79&secret=hunter2"))
    assert "/sync?ship=5a79&secret=***" in caplog.text
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    "url",
    ["", "/path", "a.test", "ftp://a.test/", "file:///etc/passwd", "http://", "http://[::1", "http://127.0.0.1:0/", "http://127.0.0.1:99999/",
     "http://127.0.0.1\\@a.test/", "http://127.0.0.1/a b", "http://127.0.0.1/\r\nX: y", "http://a.test\n.b.test/"],
)  # fmt: skip
def test_what_is_no_web_address_is_refused_before_anything_is_opened(network, url, monkeypatch):
    """Other schemes, relative, broken and ambiguous addresses are refused without a connection."""
    monkeypatch.setattr(socket, "socket", lambda *_: pytest.fail("a socket was opened"))
    with pytest.raises(NetworkError) as caught:
        network.send(get(url))
    assert caught.value.extra["sent"] is False


def test_a_letter_that_no_header_can_carry_is_one_clear_error(server, network):
    """It is an error of the network like all others, names the letter, and the connection is good for the next one."""
    with pytest.raises(NetworkError, match=r"\\u2603"):
        network.send(get(f"{server.url}/ok", headers={"Authorization": "Bearer \u2603"}))
    assert network.send(get(f"{server.url}/ok")).status == 200


@pytest.mark.parametrize("headers", [{"X-Key": "hunter2\r\nX-Evil: 1"}, {"X\r\nEvil": "1"}, {"X-Key": "hunter2\n"}])
@pytest.mark.attack("header and log injection")
def test_headers_cannot_smuggle_lines(server, network, headers):
    """A line break in a header is refused by name, without showing its value."""
    with pytest.raises(NetworkError, match="line break") as caught:
        network.send(get(f"{server.url}/ok", headers=headers))
    assert "hunter2" not in str(caught.value)
    assert server.seen == []


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_public_only_refuses_this_machine(server, network, host):
    """With public_only a loopback address is refused by name and by number, and nothing is sent."""
    with pytest.raises(NetworkError, match="not a public address") as caught:
        network.send(get(f"http://{host}:{server.server_port}/", public_only=True))
    assert caught.value.extra["sent"] is False
    assert server.seen == []


@pytest.mark.attack("SSRF through another answer of the DNS")
def test_public_only_refuses_a_name_with_one_private_address(network, monkeypatch):
    """A name is refused when any of its addresses is not public, whatever the others are."""
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in ("8.8.8.8", "169.254.169.254")]
    monkeypatch.setattr(net.socket, "getaddrinfo", lambda *_, **__: answers)
    with pytest.raises(NetworkError, match="not a public address"):
        network.send(get("http://metadata.test/", public_only=True))


@pytest.mark.attack("SSRF through another answer of the DNS")
def test_public_only_connects_to_the_address_that_was_checked(network, monkeypatch):
    """The checked address is the one connected to; a name that changes its answer meanwhile gains nothing."""
    tried = []

    def connect(address, *_args, **_kwargs):
        tried.append(address)
        raise OSError("unreachable")

    addresses = ["8.8.8.8", "9.9.9.9"]
    answers = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 80)) for address in addresses]
    monkeypatch.setattr(net.socket, "getaddrinfo", lambda *_, **__: answers)
    monkeypatch.setattr(net.urllib3_connection, "create_connection", connect)
    with pytest.raises(NetworkError, match="unreachable"):
        network.send(get("http://public.test/", public_only=True))
    assert tried == [("8.8.8.8", 80), ("9.9.9.9", 80)]


def test_a_child_process_opens_its_own_connections(server, network, monkeypatch):
    """After a fork the parent's connections are not used by the child."""
    network.send(get(f"{server.url}/ok"))
    monkeypatch.setattr(net.os, "getpid", lambda: -2)
    network.send(get(f"{server.url}/ok"))
    assert server.connections == 2


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_parent_and_child_do_not_mix_their_answers(server, network):
    """A real fork: both sides go on sending, each on a connection of its own."""
    network.send(get(f"{server.url}/ok"))
    pid = os.fork()
    if pid == 0:
        os._exit(0 if network.send(get(f"{server.url}/missing")).status == 404 else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert network.send(get(f"{server.url}/ok")).status == 200
    assert server.connections == 2


def test_proxies_of_the_environment_are_used_but_not_for_loopback(server, network, monkeypatch):
    """A proxy is asked for other hosts, with its user name; requests to this machine go straight."""
    monkeypatch.setenv("http_proxy", f"http://ann:p%40ss@127.0.0.1:{server.server_port}")
    assert network.send(get("http://a.test/x")).status == 200
    network.send(get(f"{server.url}/direct"))
    (_, through, headers, _), (_, direct, _, _) = server.seen
    assert (through, direct) == ("http://a.test/x", "/direct")
    assert headers["proxy-authorization"] == "Basic YW5uOnBAc3M="


def test_public_only_ignores_proxies(server, network, monkeypatch):
    """A proxy could lead anywhere, so guarded downloads go straight."""
    monkeypatch.setenv("http_proxy", server.url)
    with pytest.raises(NetworkError, match="not a public address"):
        network.send(get("http://localhost/", public_only=True))
    assert server.seen == []
