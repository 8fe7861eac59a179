"""Files at addresses that somebody else chose: which are asked at all.

What a name leads to is checked again when the connection is made, by the network's own guard.
"""

from __future__ import annotations

from hull_sdk.core.exchange import Request
from hull_sdk.core.hosts import HostPatterns, host_of, is_loopback, is_public_address, split_host
from hull_sdk.core.masking import mask_url
from hull_sdk.errors import InvalidArgumentError

__all__ = ["file_request"]


def file_request(
    url: object, trusted: HostPatterns, *, what: str, way_out: str, timeout_s: float, max_bytes: int
) -> Request:
    """Return the request for a file, after a look at its address; nothing is sent.

    Args:
        url: From a request, so anybody may have written it.
        trusted: Hosts that may be private ones; on loopback also without https.
        what: What the address is, for the error, for example ``"the extract's address"``.
        way_out: What to do when a host of one's own is refused.
        timeout_s: Seconds to connect, and from one piece to the next.
        max_bytes: Largest file, as it travels.

    Returns:
        A request that connects to public addresses only, unless the host is trusted.

    Raises:
        InvalidArgumentError: The address is no https URL, or its host is neither trusted nor public.
    """
    host = host_of(url) if isinstance(url, str) else ""
    if not isinstance(url, str) or not host:
        raise InvalidArgumentError(f"{what} must be an absolute https URL without a user name")
    is_trusted = trusted.allows(host)
    if not url.lower().startswith("https://") and not (is_trusted and is_loopback(host)):
        raise InvalidArgumentError(f"{what} {mask_url(url)!r:.300} must be an https URL")
    if not is_trusted and _is_private(host):
        raise InvalidArgumentError(f"{what} {mask_url(url)!r:.300} is not public; {way_out}")
    return Request(
        method="GET",
        url=url,
        headers={"Accept-Encoding": "gzip"},
        timeout_s=timeout_s,
        max_bytes=max_bytes,
        public_only=not is_trusted,
    )


def _is_private(host: str) -> bool:
    """Tell whether a host is this machine by name, or a number that is not public; other names are not known yet."""
    parsed = split_host(host)
    bare = (host if parsed is None else parsed[0]).strip("[]")
    is_number = ":" in bare or bare.replace(".", "").isdigit()
    return is_loopback(host) or (is_number and not is_public_address(bare))
