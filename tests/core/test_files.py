"""Which addresses of files are asked at all."""

from __future__ import annotations

import pytest

from hull_sdk.core.files import file_request
from hull_sdk.core.hosts import HostPatterns
from hull_sdk.errors import InvalidArgumentError

TRUSTED = HostPatterns(["files.acme.example", "127.0.0.1", "10.0.0.7"])


def ask(url):
    """Return the request for a file."""
    return file_request(url, TRUSTED, what="the list's url", way_out="name its host", timeout_s=5.0, max_bytes=100)


@pytest.mark.parametrize("url", ["https://cdn.example/a.csv", "https://8.8.8.8:8443/a.csv"])
def test_strangers_may_be_public_only(url):
    """A host that is not trusted is connected to at public addresses only, within the limits of the caller."""
    request = ask(url)
    assert (request.method, request.url, request.public_only) == ("GET", url, True)
    assert (request.timeout_s, request.max_bytes) == (5.0, 100)


@pytest.mark.parametrize(
    "url", ["https://files.acme.example/a", "http://127.0.0.1:3000/a", "https://10.0.0.7/a", "HTTPS://10.0.0.7/a"]
)
def test_trusted_hosts_may_be_private(url):
    """A trusted host is asked wherever it is, and on loopback also without https."""
    assert not ask(url).public_only


@pytest.mark.parametrize(
    ("url", "words"),
    [
        (None, "absolute https URL without a user name"),
        ("ftp://cdn.example/a", "absolute https URL"),
        ("https://user:pass@cdn.example/a", "absolute https URL without a user name"),
        ("http://cdn.example/a", "must be an https URL"),
        ("http://10.0.0.7/a", "must be an https URL"),
        ("http://localhost/a", "must be an https URL"),
        ("https://localhost/a", "not public; name its host"),
        ("https://10.0.0.8/a", "not public; name its host"),
        ("https://169.254.169.254/latest?token=abc", "not public; name its host"),
        ("https://[::1]:8443/a", "not public; name its host"),
        ("https://[fd00::1]/a", "not public; name its host"),
    ],
)
def test_other_addresses_are_refused_in_words(url, words):
    """The error says what it is, which rule it breaks and what to do, and shows no secret of the address."""
    with pytest.raises(InvalidArgumentError, match=words) as caught:
        ask(url)
    assert "the list's url" in caught.value.message
    assert "pass" not in caught.value.message
    assert "abc" not in caught.value.message
