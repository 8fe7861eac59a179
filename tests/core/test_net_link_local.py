"""Addresses at which machines keep credentials: nothing is ever sent there, whatever name leads to them."""

from __future__ import annotations

import socket

import pytest

from hull_sdk.core import net
from hull_sdk.core.hosts import is_link_local
from hull_sdk.core.net import HttpNetwork, Request
from hull_sdk.errors import NetworkError

METADATA = ["169.254.169.254", "[fe80::1]", "[fe80::1%25eth0]", "[::ffff:169.254.169.254]", "[fd00:ec2::254]", "100.100.100.200"]  # fmt: skip


@pytest.fixture
def network(monkeypatch):
    """A real network, without the machine's proxies."""
    for name in ("http_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    network = HttpNetwork()
    yield network
    network.close()


@pytest.mark.attack("SSRF to a machine's own credentials")
@pytest.mark.parametrize("public_only", [True, False])
@pytest.mark.parametrize("host", METADATA)
def test_they_are_never_dialled(network, host, public_only, monkeypatch):
    """An address that names one is refused before a connection is opened."""
    monkeypatch.setattr(socket, "socket", lambda *_a, **_k: pytest.fail("a socket was opened"))
    with pytest.raises(NetworkError, match="link-local") as caught:
        network.send(Request(method="GET", url=f"http://{host}/latest/meta-data/", public_only=public_only))
    assert caught.value.extra["sent"] is False


@pytest.mark.attack("SSRF to a machine's own credentials")
@pytest.mark.parametrize("host", ["localhost", "2130706433", "0x7f000001", "127.1"])
def test_a_name_that_leads_there_is_told_nothing(network, host, monkeypatch):
    """A name, or a number in another form, is known by the address that answers; no byte of the request leaves."""
    monkeypatch.setattr(net, "is_link_local", lambda address: address == "127.0.0.1")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://{host}:{server.getsockname()[1]}/latest/meta-data/"
        with pytest.raises(NetworkError, match="link-local") as caught:
            network.send(Request(method="GET", url=url, headers={"Authorization": "Bearer key"}))
        reached, _ = server.accept()
        with reached:
            assert reached.recv(1) == b""
    assert caught.value.extra["sent"] is False


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "8.8.8.8", "[::1]", "169.253.0.1", "metadata", "", "1"])
def test_other_addresses_are_others(host):
    """Private, public and loopback addresses and names are none of these."""
    assert not is_link_local(host)
