"""A client on the virtual clock, and sinks that play the firehose."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from client_sinks import FIREHOSE_HOST, HOST, ID, SECRET, HangingSink, Sink, served

from hull_sdk.client import Client
from hull_sdk.core.runtime import Runtime


@pytest.fixture
def runtime() -> Runtime:
    """Clock, ids and network of one test, all virtual."""
    return Runtime.virtual(seed=1)


@pytest.fixture
def sink(runtime: Runtime) -> Sink:
    """The firehose of the virtual network."""
    sink = Sink()
    runtime.net.mount(FIREHOSE_HOST, sink)
    return sink


@pytest.fixture
def make_client(runtime: Runtime, sink: Sink) -> Callable[..., Client]:
    """Make clients on the virtual clock; options may replace the defaults."""

    def make(**options: Any) -> Client:
        return Client(**{"id": ID, "secret": SECRET, "organization": HOST, "runtime": runtime, **options})

    return make


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    """A client with default options on the virtual clock."""
    return make_client()


class RealClients:
    """Makes clients with threads and sockets, and closes them."""

    def __init__(self) -> None:
        self.made: list[Client] = []

    def __call__(self, host: str, **options: Any) -> Client:
        """Return a client of the organization that the host serves."""
        self.made.append(Client(**{"id": ID, "secret": SECRET, "organization": host, **options}))
        return self.made[-1]

    def close(self) -> None:
        """Close what was made."""
        for client in self.made:
            client.close(timeout_s=5)
        self.made.clear()


@pytest.fixture
def real_client() -> Iterator[RealClients]:
    """Make clients with threads and sockets; they are closed after the test, before their server is."""
    clients = RealClients()
    yield clients
    clients.close()


@pytest.fixture
def http_sink(real_client: RealClients) -> Iterator[tuple[Sink, str]]:
    """A firehose on a real port, with its host."""
    sink = Sink()
    with served(sink) as host:
        yield sink, host
        real_client.close()


@pytest.fixture
def hanging_sink(real_client: RealClients) -> Iterator[tuple[HangingSink, str]]:
    """A firehose on a real port that does not answer, with its host."""
    sink = HangingSink()
    with served(sink) as host:
        yield sink, host
        sink.released.set()
        real_client.close()
