"""Applications in process: requests that run in the caller's thread, and what is recorded of them."""

from __future__ import annotations

import tracemalloc

import pytest

from hull_sdk.core import json
from hull_sdk.core.clock import VirtualClock
from hull_sdk.core.net import Exchange, HttpNetwork, Network, Request, Response, WsgiNetwork
from hull_sdk.errors import NetworkError


def get(url: str, **options) -> Request:
    """Return a request of the simplest form."""
    return Request(method="GET", url=url, **options)


def echo(environ, start_response):
    """Answer with what arrived."""
    body = environ["wsgi.input"].read()
    text = " ".join(
        [environ["REQUEST_METHOD"], environ["PATH_INFO"], environ["QUERY_STRING"], environ["HTTP_HOST"], body.decode()]
    )
    start_response("200 OK", [("Content-Type", environ.get("CONTENT_TYPE", "none")), ("X-Many", "a"), ("x-many", "b")])
    return [text.encode()]


@pytest.fixture
def virtual() -> WsgiNetwork:
    """Return a network of applications with one mounted."""
    network = WsgiNetwork(VirtualClock().time)
    network.mount("Acme.test", echo)
    return network


def test_both_networks_are_networks():
    """Either can stand where a network is asked for."""
    assert issubclass(HttpNetwork, Network)
    assert issubclass(WsgiNetwork, Network)


def test_a_mounted_application_is_held_to_the_limit_too(virtual):
    """An answer that the network would refuse is refused within the process as well, and recorded as none."""
    size = len(virtual.send(get("https://acme.test/", max_bytes=1000)).body)
    assert len(virtual.send(get("https://acme.test/", max_bytes=size)).body) == size
    with pytest.raises(NetworkError, match=f"larger than {size - 1} bytes"):
        virtual.send(get("https://acme.test/", max_bytes=size - 1))
    assert virtual.exchanges[-1].response is None


def test_what_is_recorded_takes_the_room_of_its_bytes():
    """A recorded answer keeps no more memory than it has bytes, whatever the buffer that it was written into."""

    def answer(_environ, start_response):
        start_response("200 OK", [("Content-Type", "application/json")])
        return [json.dumps({"letters": "x" * 100})]

    network = WsgiNetwork(VirtualClock().time)
    network.mount("acme.test", answer)
    tracemalloc.start()
    try:
        for _ in range(100):
            network.send(get("https://acme.test/"))
        assert tracemalloc.get_traced_memory()[0] < 100 * 2000
    finally:
        tracemalloc.stop()


def test_a_mounted_application_answers_in_the_callers_thread(virtual):
    """The application gets method, decoded path, query, host, headers and body, and its answer comes back."""
    request = Request(
        method="PUT", url="https://acme.test/a%20b/%C3%A4?c=%20d", headers={"Content-Type": "text/x"}, body=b"hi"
    )
    response = virtual.send(request)
    assert response.body.decode() == "PUT /a b/Ã¤ c=%20d acme.test hi"
    assert (response.status, response.headers) == (200, {"content-type": "text/x", "x-many": "a, b"})


def test_every_exchange_is_recorded_with_its_time(virtual):
    """Requests, answers and failures are kept in order."""
    request, other = get("https://acme.test/"), get("https://other.test/")
    response = virtual.send(request)
    with pytest.raises(NetworkError):
        virtual.send(other)
    now = VirtualClock().time()
    assert virtual.exchanges == [Exchange(request, response, now), Exchange(other, None, now)]


def test_an_unknown_host_is_an_error_that_lists_the_known_ones(virtual):
    """Nothing leaves the process: what is not mounted cannot be reached, and the error says what is."""
    with pytest.raises(NetworkError, match=r"other\.test.*acme\.test") as caught:
        virtual.send(get("https://other.test/?secret=hunter2"))
    assert caught.value.extra["sent"] is False
    assert "hunter2" not in str(caught.value)


def test_an_error_of_an_application_reaches_the_caller(virtual):
    """An exception that an application lets out fails the test where it stands, and is recorded."""

    def broken(_environ, _start_response):
        raise RuntimeError("bug")

    virtual.mount("broken.test", broken)
    with pytest.raises(RuntimeError, match="bug"):
        virtual.send(get("https://broken.test/"))
    assert virtual.exchanges[0].response is None


def silent(_environ, _start_response):
    """End without an answer."""
    return []


def cut(_environ, start_response):
    """Announce more than is sent."""
    start_response("200 OK", [("Content-Length", "100")])
    return [b"only this"]


@pytest.mark.parametrize("app", [silent, cut])
def test_a_dropped_connection_is_a_network_error(virtual, app):
    """An application that does not answer, or not all, is a connection that was closed."""
    virtual.mount("broken.test", app)
    with pytest.raises(NetworkError, match="connection was closed"):
        virtual.send(get("https://broken.test/"))


def test_a_head_request_has_no_body(virtual):
    """The body that an application gives to HEAD is left out, as a server does."""
    assert virtual.send(Request(method="HEAD", url="https://acme.test/")).body == b""


def test_answers_are_closed(virtual):
    """The application's answer is closed once it was read, and text written the old way is kept."""
    closed = []

    class Body(list):
        def close(self) -> None:
            closed.append(True)

    def app(_environ, start_response):
        start_response("200 OK", [])(b"written, ")
        return Body([b"returned"])

    virtual.mount("old.test", app)
    assert virtual.send(get("https://old.test/")).body == b"written, returned"
    assert closed == [True]


def test_requests_and_answers_show_no_secrets():
    """The text forms of a request and its answer hold neither headers nor bodies nor secrets of the address."""
    request = Request(
        method="GET", url="https://a.test/?secret=hunter2", headers={"Hull-Access-Token": "hunter2"}, body=b"hunter2"
    )
    exchange = Exchange(request, Response(200, {"set-cookie": "hunter2"}, b"hunter2"), 0.0)
    assert "hunter2" not in repr(exchange)
    assert "GET https://a.test/?secret=***" in repr(exchange)
