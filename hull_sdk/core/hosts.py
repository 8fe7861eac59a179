"""Hosts and addresses: how they are read, which are this machine, and which are allowed.

Nothing here opens a socket or looks up a name.
"""

from __future__ import annotations

import functools
import ipaddress
import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from hull_sdk.errors import InvalidArgumentError

__all__ = ["AMBIGUOUS", "HostPatterns", "host_of", "is_link_local", "is_loopback", "is_public_address", "split_host"]

_HOST = re.compile(
    r"(?P<host>[a-z0-9_](?:[a-z0-9_-]|\.(?=[a-z0-9_]))*(?<=[a-z0-9_])|\[[0-9a-f:.]+\])\.?(?::(?P<port>[0-9]{1,5}))?"
)
#: Readers of URLs disagree about these, so that one may see another host than the other.
AMBIGUOUS = re.compile(r"[\x00-\x20\x7f\\]")
#: Addresses of cloud machines' credentials that are not link-local.
_METADATA = frozenset(map(ipaddress.ip_address, ("fd00:ec2::254", "100.100.100.200")))
#: IPv6 networks whose last 32 bits are the IPv4 address that is meant.
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
#: Where all IPv6 addresses lie that everybody can reach. Others lead to this machine or network in some system or
#: other: ``::127.0.0.1``, ``::ffff:0:127.0.0.1``, ``fec0::/10`` and the local translations of ``64:ff9b:1::/48``.
_UNICAST = ipaddress.IPv6Network("2000::/3")
_LOOPBACK_NAMES = frozenset({"localhost", "ip6-localhost"})
#: Longest ``host:port``: 253 letters of a name, a dot at its end, a colon and five digits.
_MAX_LENGTH = 260


def split_host(text: str) -> tuple[str, int | None] | None:
    """Read ``host`` or ``host:port``.

    Args:
        text: For example ``"acme.hullapp.io"``, ``"localhost:3000"`` or ``"[::1]:80"``.

    Returns:
        Host in lower case without a trailing dot, and the port or ``None``; ``None`` when the text is
        anything else, such as a URL.
    """
    text = text.strip(" ")
    return _read_host(text) if len(text) <= _MAX_LENGTH else None


@functools.lru_cache(maxsize=1024)
def _read_host(text: str) -> tuple[str, int | None] | None:
    """Read a host; the same few are read again and again."""
    match = _HOST.fullmatch(text.lower()) if text.isascii() else None
    if match is None:
        return None
    port = None if match["port"] is None else int(match["port"])
    if port is not None and not 0 < port < 65_536:
        return None
    return match["host"], port


@functools.lru_cache(maxsize=64)  # a client, a connector and a platform are called at the same address again and again
def host_of(url: str) -> str:
    """Return host and, when it is written, port of a URL, for example ``"localhost:3000"``; ``""`` if none."""
    if AMBIGUOUS.search(url):
        return ""
    try:
        parts = urlsplit(url)
        name, port = parts.hostname, parts.port
    except ValueError:
        return ""
    if parts.scheme not in {"http", "https"} or not name or "@" in parts.netloc:
        return ""
    if ":" in name:
        name = f"[{name}]"
    return name if port is None else f"{name}:{port}"


def is_loopback(host: str) -> bool:
    """Tell whether a host, with or without a port, is this machine by name or number."""
    parsed = split_host(host)
    name = host if parsed is None else parsed[0].strip("[]")
    if name in _LOOPBACK_NAMES:
        return True
    address = _ip_address(name)
    return address is not None and address.is_loopback


def is_public_address(address: str) -> bool:
    """Tell whether an IP address is reachable by everybody: not private, loopback, link-local or reserved."""
    parsed = _ip_address(address.split("%", maxsplit=1)[0])
    if parsed is None or (isinstance(parsed, ipaddress.IPv6Address) and parsed not in _UNICAST):
        return False
    return parsed.is_global and not parsed.is_multicast


def _ip_address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return an address; one that only wraps an IPv4 address becomes that one."""
    if ":" not in text and not text[-1:].isdigit():
        return None  # a name, as most are; the parser below takes long to say so
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address


def is_link_local(text: str) -> bool:
    """Tell whether an address is one where cloud machines serve their credentials: link-local, or known for it.

    Args:
        text: For example ``"169.254.169.254"`` or ``"[fe80::1]"``; a name is none.
    """
    address = _ip_address(text.strip("[]").split("%", maxsplit=1)[0])
    return address is not None and (address.is_link_local or address in _METADATA)


class HostPatterns:
    """A list of allowed hosts: the trust root.

    Args:
        patterns: Hosts (``"acme.hullapp.io"``, ``"localhost:3000"``) or suffixes (``"*.hullapp.io"``, which
            does not match ``hullapp.io`` itself). An entry without a port matches any port.

    Raises:
        InvalidArgumentError: An entry is neither of the two.
    """

    def __init__(self, patterns: Iterable[str]) -> None:
        if isinstance(patterns, str):
            raise InvalidArgumentError(f"host patterns are {patterns!r}; pass a list of texts, not one text")
        self.patterns: tuple[str, ...] = tuple(pattern.strip().lower() for pattern in patterns)
        self._exact: set[tuple[str, int | None]] = set()
        self._suffixes: set[tuple[str, int | None]] = set()
        for pattern in self.patterns:
            parsed = split_host(pattern.removeprefix("*."))
            if parsed is None:
                raise InvalidArgumentError(
                    f"{pattern!r} is no host pattern; write a host such as 'acme.hullapp.io' or 'localhost:3000', "
                    "or a suffix such as '*.hullapp.io'"
                )
            (self._suffixes if pattern.startswith("*.") else self._exact).add(parsed)

    def __repr__(self) -> str:
        return f"HostPatterns({list(self.patterns)!r})"

    def allows(self, host: str) -> bool:
        """Tell whether a host, with or without a port, is on the list.

        Args:
            host: For example ``"acme.hullapp.io"``; anything that is not a plain host is refused.
        """
        parsed = split_host(host)
        if parsed is None:
            return False
        name, port = parsed
        if (name, None) in self._exact or (name, port) in self._exact:
            return True
        labels = name.split(".")
        return any(
            (suffix, None) in self._suffixes or (suffix, port) in self._suffixes
            for suffix in (".".join(labels[cut:]) for cut in range(1, len(labels)))
        )
