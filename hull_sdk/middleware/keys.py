"""The platform's public keys and certificates: fetched from allowed hosts only, once for many waiters, and kept.

Rules: sections "Signatures" and "Legacy notifications" of ``docs/protocol.md``. Anybody may write an address into a
request, so a key takes the place of others only after a signature has verified with it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, NewType, TypeVar

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

from hull_sdk.core.logs import emit
from hull_sdk.core.masking import mask_url
from hull_sdk.core.net import HostPatterns, Request, Response, host_of, is_loopback
from hull_sdk.core.runtime import Runtime
from hull_sdk.errors import NetworkError, NotificationError
from hull_sdk.infra import Cache
from hull_sdk.wire.signatures import load_public_key
from hull_sdk.wire.sns import is_certificate_url, is_sns_host, load_certificate

__all__ = ["KeyRing", "KeyUrl", "check_sns_url", "checked_key_url"]

K = TypeVar("K")
T = TypeVar("T")

#: The address of a key that :func:`checked_key_url` has let pass.
KeyUrl = NewType("KeyUrl", str)

#: How long a key is believed before it is fetched again, in seconds.
KEY_TTL_S: Final = 3600.0
#: How long a key may be used when its address does not answer any more, in seconds.
STALE_TTL_S: Final = 7 * 86_400.0
#: How long nothing is fetched after a failure that an old key bridged, in seconds.
STALE_PAUSE_S: Final = 60.0
#: How long a key with which nothing has verified yet is kept, in seconds.
STRANGER_TTL_S: Final = 60.0
MAX_KEYS: Final = 100
MAX_KEY_BYTES: Final = 65_536
FETCH_TIMEOUT_S: Final = 5.0

_OK: Final = 200
#: Statuses that say: ask by GET instead.
_ASK_BY_GET: Final = frozenset({404, 405})

_log = logging.getLogger(__name__)


class KeyRing:
    """Keeps public keys and certificates by their address.

    Args:
        runtime: Clock, tasks and network.
    """

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._proven = Cache(KEY_TTL_S, MAX_KEYS, runtime)
        self._strangers = Cache(STRANGER_TTL_S, MAX_KEYS, runtime)
        self._stale = Cache(STALE_TTL_S, MAX_KEYS, runtime)

    def check_with_key(
        self, url: KeyUrl, signature: str, check: Callable[[RSAPublicKey], T], *, before_asking: Callable[[], object]
    ) -> T:
        """Check something with the key at an address, and keep the key if it passes.

        Args:
            url: From the request's header, on a host that is allowed.
            signature: Sent along when the key is fetched.
            check: Raises when the signature does not verify with the key.
            before_asking: Called while nothing has verified with a key from there; raises when it must not be asked.

        Returns:
            What the check returned.

        Raises:
            NotificationError: ``INVALID_SIGNATURE``: the address gave no key, or what the check raised.
            Exception: What ``before_asking`` raised.
        """
        return self._check("key", url, lambda: self._fetch_key(url, signature), check, before_asking)

    def check_with_certificate(self, url: str, trust: HostPatterns, check: Callable[[x509.Certificate], T]) -> T:
        """Check something with the certificate at an address, and keep the certificate if it passes.

        Args:
            url: ``SigningCertURL`` of a legacy notification, so anybody may have written it.
            trust: Hosts where certificates may lie beside those of SNS.
            check: Raises when the signature does not verify with the certificate.

        Returns:
            What the check returned.

        Raises:
            NotificationError: ``INVALID_SIGNATURE``: the address is not allowed or gave no certificate, or what the
                check raised.
        """
        check_sns_url(url, trust, "SigningCertURL")
        if is_sns_host(url) and not is_certificate_url(url):
            raise _refused(f"the SigningCertURL {mask_url(url)!r} is no address of a certificate of SNS")
        return self._check("certificate", url, lambda: self._fetch_certificate(url), check)

    def _check(
        self,
        kind: str,
        url: str,
        fetch: Callable[[], K],
        check: Callable[[K], T],
        before_asking: Callable[[], object] | None = None,
    ) -> T:
        proven: K | None = self._proven.scoped(kind).get(url)
        if proven is not None:
            return check(proven)
        if before_asking is not None:
            before_asking()
        try:
            found = self._strangers.scoped(kind).wrap(url, fetch)
        except NotificationError as err:
            return check(self._old(kind, url, err))
        result = check(found)
        self._proven.scoped(kind).set(url, found)
        self._stale.scoped(kind).set(url, found)
        return result

    def _old(self, kind: str, url: str, err: NotificationError) -> Any:
        """Return what an address that fails now gave earlier, and leave the address alone for a while."""
        known = self._stale.scoped(kind).get(url)
        if known is None:
            raise err
        self._proven.scoped(kind).set(url, known, STALE_PAUSE_S)
        emit(_log, logging.WARNING, "connector.key.stale", {"url": mask_url(url), "reason": err.reason})
        return known

    def _fetch_key(self, url: str, signature: str) -> RSAPublicKey:
        response = self._ask("POST", url, signature.encode())
        if response.status in _ASK_BY_GET:
            response = self._ask("GET", url, None)
        return load_public_key(_body(url, response))

    def _fetch_certificate(self, url: str) -> x509.Certificate:
        return load_certificate(_body(url, self._ask("GET", url, None)))

    def _ask(self, method: str, url: str, body: bytes | None) -> Response:
        request = Request(
            method=method,
            url=url,
            headers={} if body is None else {"Content-Type": "text/plain"},
            body=body,
            timeout_s=FETCH_TIMEOUT_S,
            max_bytes=MAX_KEY_BYTES,
        )
        try:
            return self._runtime.net.send(request)
        except NetworkError as err:
            raise _refused(f"the signing key could not be fetched: {err}") from err


def checked_key_url(url: str, trust: HostPatterns) -> KeyUrl:
    """Refuse a key address that the connector's own configuration does not allow.

    Args:
        url: From the request's header, so anybody may have written it.
        trust: Hosts where keys may lie.

    Returns:
        The address.

    Raises:
        NotificationError: ``INVALID_SIGNATURE``.
    """
    host = host_of(url)
    if not trust.allows(host):
        raise _refused(
            f"the signing key's address {mask_url(url)!r} lies on no allowed host; if it is the platform's own, "
            "add its host to allowed_organizations (or HULL_ALLOWED_ORGANIZATIONS)"
        )
    if not url.lower().startswith("https://") and not is_loopback(host):
        raise _refused(f"the signing key's address {mask_url(url)!r} must use https")
    return KeyUrl(url)


def check_sns_url(url: str, trust: HostPatterns, field: str) -> None:
    """Refuse an address in a legacy notification that lies neither on a host of SNS nor on an allowed one.

    Args:
        url: From the message, so anybody may have written it.
        trust: Hosts that are allowed beside those of SNS.
        field: Where it stood, for example ``"SigningCertURL"``.

    Raises:
        NotificationError: ``INVALID_SIGNATURE``.
    """
    if is_sns_host(url):
        return
    host = host_of(url)
    if not trust.allows(host):
        raise _refused(
            f"the {field} {mask_url(url)!r} lies neither on sns.<region>.amazonaws.com over https nor on an allowed "
            "host; if it is the platform's own, add its host to allowed_organizations (or HULL_ALLOWED_ORGANIZATIONS)"
        )
    if not url.lower().startswith("https://") and not is_loopback(host):
        raise _refused(f"the {field} {mask_url(url)!r} must use https")


def _body(url: str, response: Response) -> bytes:
    if response.status != _OK:
        raise _refused(f"the signing key's address {mask_url(url)} answered {response.status}")
    return response.body


def _refused(reason: str) -> NotificationError:
    return NotificationError("INVALID_SIGNATURE", reason, status=401)
