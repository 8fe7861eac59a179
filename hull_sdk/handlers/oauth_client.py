"""A client of an OAuth 2 server, as the other service knows the connector: asks for tokens, and for nothing else."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import requests

from hull_sdk.context import Context
from hull_sdk.core.masking import mask_url
from hull_sdk.core.net import host_of, is_loopback
from hull_sdk.core.session import NetworkAdapter
from hull_sdk.errors import InvalidArgumentError, TransientError
from hull_sdk.infra.extras import load, require

__all__ = ["NoTokenError", "OAuthClient", "PerConnector", "checked_address", "require_library", "resolve"]

#: A value, or a function of the context that returns it.
PerConnector = str | Callable[[Context], str]

_FEATURE: Final = "oauth_handler"

#: What the library raises for an answer of another form than it expects.
_FOREIGN: Final = (ValueError, KeyError, TypeError, AttributeError, OverflowError)
#: Of a lifetime in seconds; more is no number that anybody means.
_MAX_DIGITS: Final = 12


class NoTokenError(TransientError):
    """Raised when the other service hands out no token.

    Args:
        message: Which service, and what kind of error.
        reason: The error's name where the service says one, for example ``"invalid_grant"``.
    """

    def __init__(self, message: str = "", reason: str = "") -> None:
        super().__init__(message)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class OAuthClient:
    """A client; values may be functions of the context.

    Args:
        token_url: Where tokens are handed out.
        client_id: As the other service knows the connector.
        client_secret: ``None`` for clients without one.
        scope: What is asked for.
        token_endpoint_auth_method: How the client says who it is.
    """

    token_url: PerConnector
    client_id: PerConnector
    client_secret: PerConnector | None = None
    scope: PerConnector | None = None
    token_endpoint_auth_method: str | None = None

    def session(self, context: Context, callback: str | None = None) -> Any:
        """Return the library's session, whose requests go through the runtime's network.

        Args:
            context: Whose client.
            callback: The callback's address, for the authorization code flow.
        """
        library = load(_FEATURE, "authlib.integrations.requests_client", "oauth")
        secret, scope = self.client_secret, self.scope
        session = library.OAuth2Session(
            client_id=resolve(self.client_id, context, "client_id"),
            client_secret=None if secret is None else resolve(secret, context, "client_secret"),
            scope=None if scope is None else resolve(scope, context, "scope"),
            redirect_uri=callback,
            code_challenge_method="S256",
            token_endpoint_auth_method=self.token_endpoint_auth_method,
        )
        session.trust_env = False
        adapter = NetworkAdapter(lambda: context.runtime.net)
        session.mount("https://", adapter)
        session.mount("http://", adapter)
        return session

    def ask(self, context: Context, grant_type: str, callback: str | None = None, **fields: str) -> dict[str, Any]:
        """Ask for tokens.

        Args:
            context: Whose client.
            grant_type: ``"authorization_code"`` or ``"refresh_token"``.
            callback: As of :meth:`session`.
            **fields: What the grant needs, for example ``refresh_token``.

        Returns:
            What the service handed out, with ``expires_at`` (Unix seconds) when it says how long that is good.

        Raises:
            NoTokenError: It handed out nothing, or could not be reached.
        """
        address = resolve(self.token_url, context, "token_url")
        session = self.session(context, callback)
        errors = load(_FEATURE, "authlib.common.errors", "oauth")
        try:
            found = session.fetch_token(address, grant_type=grant_type, allow_redirects=False, **fields)
        except (TransientError, *_FOREIGN, requests.RequestException, errors.AuthlibBaseError) as err:
            # Its text may quote what was sent; the kind of the error says enough.
            reason = str(getattr(err, "error", None) or "")
            raise NoTokenError(f"{mask_url(address)} handed out no token ({type(err).__name__})", reason) from None
        tokens = dict(found) if isinstance(found, Mapping) else {}
        if not tokens.get("access_token"):
            raise NoTokenError(f"{mask_url(address)} handed out no token")
        # The library reads the machine's clock for this; the connector's decides.
        tokens.pop("expires_at", None)
        lifetime = str(tokens.get("expires_in"))
        if len(lifetime) <= _MAX_DIGITS and lifetime.isascii() and lifetime.isdigit():
            tokens["expires_at"] = int(context.runtime.clock.time()) + int(lifetime)
        return tokens


def require_library() -> None:
    """Check that the library is installed.

    Raises:
        MissingExtraError: It is not.
    """
    require(_FEATURE, "authlib", "oauth")


def resolve(value: PerConnector, context: Context, option: str) -> str:
    """Return an option's value for a connector.

    Args:
        value: What the developer passed.
        context: Whose value.
        option: Its name.

    Raises:
        InvalidArgumentError: It is no text, empty, or no address that may be called.
    """
    found: Any = value(context) if callable(value) else value
    if not isinstance(found, str) or not found:
        raise InvalidArgumentError(f"{option} of {_FEATURE} is no text or empty; check the connector's settings")
    if option.endswith("_url"):
        checked_address(found, option)
    return found


def checked_address(value: PerConnector, option: str) -> PerConnector:
    """Refuse an address that is not https, except on loopback.

    Args:
        value: What the developer passed; functions are asked later.
        option: Its name.

    Raises:
        InvalidArgumentError: It is no such address.
    """
    if callable(value):
        return value
    host = host_of(value) if isinstance(value, str) else ""
    if not host or not (value.lower().startswith("https://") or is_loopback(host)):
        raise InvalidArgumentError(f"{option} is {value!r}; write an https address, or a function that returns one")
    return value
