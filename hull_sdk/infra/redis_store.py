"""The connection to Redis or Valkey: opened when first used, with time limits, and one kind of error.

The credentials of the address are kept inside the driver: no error, log or text form of this module shows them.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from hull_sdk.core.masking import MASK, mask_text
from hull_sdk.errors import InvalidArgumentError, NetworkError
from hull_sdk.infra.extras import load

__all__ = ["TIMEOUT_S", "RedisStore"]

#: How long connecting, and every answer, may take unless it is told otherwise, in seconds.
TIMEOUT_S: Final = 2.0

#: Status of what could not be done because the store does not answer.
_UNAVAILABLE: Final = 503
#: A connection that was idle for so long is tried before it is used, in seconds.
_IDLE_S: Final = 30

_SCHEMES: Final = {
    "redis": "redis",
    "rediss": "rediss",
    "unix": "unix",
    "valkey": "redis",
    "valkeys": "rediss",
    "valkey+unix": "unix",
}


class RedisStore:
    """One Redis or Valkey server, for whoever keeps something there.

    Args:
        url: For example ``"redis://127.0.0.1:6379/0"``, ``"rediss://user:password@host:6380/0"`` or
            ``"unix:///run/valkey.sock?db=0"``; ``valkey://`` and ``valkeys://`` mean the same as ``redis://`` and
            ``rediss://``.
        timeout_s: How long connecting may take, in seconds.
        answer_s: How long every answer may take, in seconds; ``None`` for as long as it takes.

    Raises:
        MissingExtraError: redis-py is not installed.
        InvalidArgumentError: The address breaks a rule.
    """

    def __init__(self, url: str, *, timeout_s: float = TIMEOUT_S, answer_s: float | None = TIMEOUT_S) -> None:
        if not timeout_s > 0:
            raise InvalidArgumentError(f"timeout_s is {timeout_s!r}; it must be more than 0 seconds")
        self._redis = load("redis_url", "redis", "redis")
        self._timeout_s = timeout_s
        self._answer_s = answer_s
        self.url: str = _driver_url(url)
        self._shown = _shown_url(url)
        self._client: Any = self._connect()

    def __repr__(self) -> str:
        return f"RedisStore({self._shown!r})"

    @property
    def client(self) -> Any:
        """The driver's client; it connects when first used, and again in a forked child."""
        return self._client

    def script(self, source: str) -> Any:
        """Return a script that the server runs at one moment.

        Args:
            source: Lua; its keys and arguments are given to the call: ``script(keys=[...], args=[...])``.
        """
        return self._client.register_script(source)

    @contextmanager
    def reaching(self) -> Iterator[None]:
        """Turn the driver's errors within a block into one.

        Raises:
            NetworkError: The store could not be reached, did not answer in time, or refused (status 503).
        """
        try:
            yield
        except self._redis.exceptions.RedisError as err:
            # The chain is cut: the driver's own error may quote the address with its password.
            raise self._unavailable(err) from None

    def close(self) -> None:
        """Close the connections; a later use opens new ones."""
        self._client.connection_pool.disconnect()

    def _connect(self) -> Any:
        retry = load("redis_url", "redis.retry", "redis").Retry
        backoff = load("redis_url", "redis.backoff", "redis").NoBackoff
        errors = self._redis.exceptions
        try:
            # A connection that the server has dropped is opened once more; one that hangs is not waited for twice.
            client = self._redis.Redis.from_url(
                self.url,
                socket_connect_timeout=self._timeout_s,
                socket_timeout=self._answer_s,
                health_check_interval=_IDLE_S,
                retry=retry(backoff(), 1, supported_errors=(errors.ConnectionError,)),
            )
            client.connection_pool.make_connection()  # connects to nothing, but reads the parameters
        except (ValueError, TypeError) as err:
            raise InvalidArgumentError(f"redis_url {self._shown!r} is no address: {mask_text(str(err))}") from None
        return client

    def _unavailable(self, err: Exception) -> NetworkError:
        reason = mask_text(str(err)).replace(self.url, self._shown) or type(err).__name__
        return NetworkError(f"the store {self._shown} cannot be used now: {reason}", status=_UNAVAILABLE)


def _driver_url(url: Any) -> str:
    scheme, separator, rest = url.partition("://") if isinstance(url, str) else ("", "", "")
    known = _SCHEMES.get(scheme.lower())
    if known is None or not separator or not rest:
        shown = _shown_url(url) if isinstance(url, str) else type(url).__name__
        raise InvalidArgumentError(
            f"redis_url is {shown!r}; write an address such as redis://127.0.0.1:6379/0, rediss://... or unix://..."
        )
    return f"{known}://{rest}"


def _shown_url(url: str) -> str:
    """Return an address without user, password and parameters."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return MASK
    if not parts.scheme or not url.partition("://")[1]:
        return MASK
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "", ""))
