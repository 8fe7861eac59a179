"""What all contexts of one application share."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from hull_sdk.client import SenderPool
from hull_sdk.client.config import ClientConfig, config_of
from hull_sdk.context.credentials import Credentials, TokenPurpose
from hull_sdk.core.net import HostPatterns
from hull_sdk.core.runtime import Runtime
from hull_sdk.infra import Cache, Instrumentation, Queue
from hull_sdk.infra.leases import Leases

__all__ = ["DEFAULT_TIMEOUT_S", "Services"]

#: Deadline of handlers, in seconds: the platform gives up soon after.
DEFAULT_TIMEOUT_S: Final = 25.0

#: Connectors whose client's configuration is kept.
_CONFIGS: Final = 256


def _no_token(credentials: Credentials, purpose: TokenPurpose) -> str | None:  # noqa: ARG001 - the shape of Services.seal
    return None


@dataclass(kw_only=True)
class Services:
    """What all contexts of one application share.

    Args:
        runtime: Clock, ids, tasks and network.
        senders: Senders of all connectors that this application serves.
        cache: Shared cache; each context sees a part of its own.
        runs: What became of notifications; apart from ``cache``, so that nothing else can push out a lease.
        leases: Takes and renews leases, in ``runs`` for example.
        instrumentation: Where metrics and unexpected errors go.
        queue: Where jobs go.
        seal: Encrypts credentials for a purpose; returns ``None`` when there is no host secret.
        client_options: Further options of ``Client``, for example ``{"flush_at": 10}``.
        connector_config: The connector's options without its secrets.
        manifest: The connector's manifest, empty when there is none.
        helpers: Functions whose first argument is the context, by name.
        timeout_s: Deadline of handlers, in seconds.
        trust: The trust root: organizations and key addresses must lie on these hosts.
        client_config: Returns the configuration of a connector's clients, but for the request's id.
    """

    runtime: Runtime
    senders: SenderPool
    cache: Cache
    runs: Cache
    leases: Leases
    instrumentation: Instrumentation
    queue: Queue
    seal: Callable[[Credentials, TokenPurpose], str | None] = _no_token
    client_options: Mapping[str, Any] = field(default_factory=dict)
    connector_config: dict[str, Any] = field(default_factory=dict)
    manifest: Mapping[str, Any] = field(default_factory=dict)
    helpers: Mapping[str, Callable[..., Any]] = field(default_factory=dict)
    timeout_s: float = DEFAULT_TIMEOUT_S
    trust: HostPatterns = field(default_factory=lambda: HostPatterns(()))
    client_config: Callable[[Credentials], ClientConfig] = field(init=False)

    def __post_init__(self) -> None:
        # Each request makes a client with the same options; only lists of what is captured are its own.
        captures = any(name.startswith("capture_") for name in self.client_options)
        kept = self._config if captures else functools.lru_cache(maxsize=_CONFIGS)(self._config)
        self.client_config = lambda credentials: kept(*credentials.items())

    def _config(self, *credentials: tuple[str, str]) -> ClientConfig:
        name = self.connector_config.get("connector_name")
        return config_of(**{"connector_name": name, **self.client_options, **dict(credentials)})
