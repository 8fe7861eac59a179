"""Hosts: how they are read, and which ones a list allows, against tricky spellings."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hull_sdk.core.hosts import HostPatterns, host_of, is_loopback, is_public_address, split_host
from hull_sdk.errors import InvalidArgumentError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("acme.hullapp.io", ("acme.hullapp.io", None)),
        ("ACME.HullApp.IO", ("acme.hullapp.io", None)),
        ("acme.hullapp.io.", ("acme.hullapp.io", None)),
        ("acme.hullapp.io.:443", ("acme.hullapp.io", 443)),
        (" acme.hullapp.io ", ("acme.hullapp.io", None)),
        ("localhost:3000", ("localhost", 3000)),
        ("a", ("a", None)),
        ("my_service-1.internal", ("my_service-1.internal", None)),
        ("xn--mnchen-3ya.test", ("xn--mnchen-3ya.test", None)),
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        ("[::1]:80", ("[::1]", 80)),
        ("[2001:DB8::1]", ("[2001:db8::1]", None)),
    ],
)
def test_plain_hosts_are_read(text, expected):
    """Names and numbers, with and without a port, in any case, with a trailing dot."""
    assert split_host(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "", " ", ".", "-", "-a.test", "a-.", "a..b", ".a.test", "a.test..", "https://a.test", "a.test/", "a.test/path", "a.test?q", "a.test#f",
        "user@a.test", "user:pw@a.test", "a.test:", "a.test:0", "a.test:65536", "a.test:99999", "a.test:-1", "a.test:80:80", "a.test:\uff18\uff10",
        "a test", "a.test\n", "\ta.test", "a.test\r\nHost: b.test", "a.test\x00", "a\\b", "münchen.test", "\u212aacme.test", "a。test", "*.a.test", "::1", "[::1",
        "[fe80::1%25eth0]", "a%2etest", "a,b", "a;b",
    ],
)  # fmt: skip
def test_anything_else_is_no_host(text):
    """Addresses, user names, broken ports, empty labels, other alphabets and control characters are refused."""
    assert split_host(text) is None
    assert not HostPatterns(["*.test", "a.test", "localhost"]).allows(text)


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://acme.hullapp.io/api?x=1", "acme.hullapp.io"),
        ("HTTPS://ACME.hullapp.io:8443/", "acme.hullapp.io:8443"),
        ("http://[::1]:3000/", "[::1]:3000"),
        ("http://[::1]/", "[::1]"),
        ("https://a.test#@b.test", "a.test"),
        ("https://a.test?@b.test", "a.test"),
        ("https://a.test/@b.test", "a.test"),
    ],
)
def test_the_host_of_an_address(url, host):
    """Host and written port of a web address, in lower case."""
    assert host_of(url) == host


@pytest.mark.parametrize(
    "url",
    [
        "", "acme.hullapp.io", "/path", "//a.test/x", "ftp://a.test", "file:///etc/passwd", "javascript:alert(1)", "https://", "https:///x",
        "https://user@a.test/", "https://user:pw@a.test/", "https://a.test@b.test/", "https://a.test\\@b.test/", "https://a.test\\.b.test/",
        "https://b.test\n.a.test/", "https://a.test\t/", " https://a.test/", "https://a.test:99999/", "https://a.test:x/", "https://[::1/",
    ],
)  # fmt: skip
def test_ambiguous_addresses_have_no_host(url):
    """Other schemes, user names, backslashes, control characters and broken ports give no host at all."""
    assert host_of(url) == ""


def test_a_host_pattern_matches_exactly():
    """A host allows itself in any spelling, not its parents, children or neighbours."""
    patterns = HostPatterns(["Acme.hullapp.io"])
    assert all(
        patterns.allows(host)
        for host in ("acme.hullapp.io", "ACME.hullapp.io", "acme.hullapp.io.", "acme.hullapp.io:8443")
    )
    assert not any(
        patterns.allows(host)
        for host in ("hullapp.io", "x.acme.hullapp.io", "xacme.hullapp.io", "acme.hullapp.io.evil.test")
    )


def test_a_suffix_matches_below_and_not_the_apex():
    """A suffix allows every name below it, at any depth, and neither the apex nor look-alikes."""
    patterns = HostPatterns(["*.hullapp.io"])
    assert all(
        patterns.allows(host)
        for host in ("acme.hullapp.io", "a.b.c.hullapp.io", "ACME.HULLAPP.IO.", "acme.hullapp.io:1")
    )
    assert not any(
        patterns.allows(host)
        for host in (
            "hullapp.io",
            "evilhullapp.io",
            "hullapp.io.evil.test",
            ".hullapp.io",
            "hullapp.io:443",
            "https://acme.hullapp.io",
            "user@acme.hullapp.io",
        )
    )


def test_an_entry_with_a_port_matches_that_port_only():
    """A port in an entry must match; an entry without one matches any."""
    patterns = HostPatterns(["localhost:3000", "*.acme.test:8443", "[::1]"])
    assert patterns.allows("localhost:3000")
    assert not patterns.allows("localhost")
    assert not patterns.allows("localhost:3001")
    assert patterns.allows("a.acme.test:8443")
    assert not patterns.allows("a.acme.test")
    assert patterns.allows("[::1]:9")


@pytest.mark.parametrize(
    "pattern",
    ["", "*", "*.", "*a.test", "a.*.test", "https://a.test", "a.test/", "user@a.test", "a.test:x", "münchen.test"],
)
def test_what_is_no_pattern_is_refused_with_an_example(pattern):
    """A wrong entry is named, with the two forms that are right."""
    with pytest.raises(InvalidArgumentError, match=r"\*\.hullapp\.io"):
        HostPatterns(["a.test", pattern])


def test_one_text_is_no_list_of_patterns():
    """A single text instead of a list is refused, instead of allowing hosts of one letter."""
    with pytest.raises(InvalidArgumentError, match="list"):
        HostPatterns("acme.test")


def test_no_pattern_allows_nothing():
    """An empty list allows no host."""
    assert not HostPatterns([]).allows("a.test")
    assert repr(HostPatterns([" A.test "])) == "HostPatterns(['a.test'])"


labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,8}[a-z0-9])?", fullmatch=True)
names = st.lists(labels, min_size=1, max_size=4).map(".".join)


@given(names, names)
def test_a_suffix_allows_exactly_the_names_that_end_with_a_dot_and_it(name, suffix):
    """For all names: allowed by the suffix means it ends with a dot and the suffix."""
    assert HostPatterns([f"*.{suffix}"]).allows(name) == name.endswith(f".{suffix}")
    assert HostPatterns([f"*.{suffix}"]).allows(f"{name}.{suffix}")
    assert HostPatterns([suffix]).allows(name) == (name == suffix)


@given(st.text(max_size=30))
def test_reading_a_host_never_raises_and_is_stable(text):
    """Whatever stands where a host is expected, it is read the same way a second time or refused."""
    parsed = split_host(text)
    if parsed is not None:
        host, port = parsed
        assert split_host(host if port is None else f"{host}:{port}") == parsed
    assert host_of(f"https://{text}") == "" or "@" not in host_of(f"https://{text}")
    assert is_loopback(text) in {True, False}


@pytest.mark.parametrize(
    "host",
    [
        "localhost",
        "LOCALHOST:3000",
        "127.0.0.1",
        "127.8.9.1:80",
        "[::1]",
        "[::1]:80",
        "::1",
        "[::ffff:127.0.0.1]",
        "localhost.",
    ],
)
def test_this_machine_is_known_by_name_and_number(host):
    """Loopback names and numbers, with and without a port."""
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host",
    [
        "",
        "localhost.evil.test",
        "127.0.0.1.evil.test",
        "128.0.0.1",
        "[::2]",
        "0.0.0.0",
        "127.1",
        "https://localhost",
        "user@localhost",
        "evil-localhost",
    ],
)
def test_other_hosts_are_not_this_machine(host):
    """Names that only begin like loopback are not it."""
    assert not is_loopback(host)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
)
def test_public_addresses(address):
    """Addresses that everybody can reach, also when IPv6 wraps them."""
    assert is_public_address(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "192.0.2.1",
        "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a00:1",
        "2002:7f00:1::", "2002:a00:1::", "::127.0.0.1", "::ffff:0:127.0.0.1", "64:ff9b:1::7f00:1", "fec0::1",
        "5f00::1", "4000::1", "", "localhost", "8.8.8", "2130706433",
    ],
)  # fmt: skip
def test_addresses_that_are_not_public(address):
    """Loopback, private, link-local, metadata, multicast and reserved addresses, also wrapped in IPv6, and no addresses."""
    assert not is_public_address(address)
