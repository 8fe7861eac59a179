"""Tokens that are still good: refreshed once, however many threads and processes find them expired."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from hull_sdk.context import Context
from hull_sdk.core.checks import is_number
from hull_sdk.errors import ConfigurationError
from hull_sdk.handlers.oauth_client import NoTokenError, OAuthClient, PerConnector, require_library
from hull_sdk.helpers import update_settings
from hull_sdk.infra import Cache

__all__ = ["fresh_tokens"]

#: How long one waits for another one's refresh, in seconds.
REFRESH_WAIT_S: Final = 20.0
#: How long tokens that could not be saved are kept for the next try, in seconds.
UNSAVED_S: Final = 86_400.0

#: What a service says when a refresh token is not good any more, or the client is not.
_FINAL: Final = frozenset({"invalid_grant", "invalid_client", "unauthorized_client"})


def fresh_tokens(
    ctx: Context,
    *,
    token_url: PerConnector,
    client_id: PerConnector,
    client_secret: PerConnector | None = None,
    setting: str = "oauth_tokens",
    rejected: str | None = None,
    leeway_s: float = 60.0,
    token_endpoint_auth_method: str | None = None,
) -> dict[str, Any]:
    """Return the tokens of the other service, refreshed when they expire.

    Example::

        def open_service(ctx):
            tokens = fresh_tokens(ctx, token_url=TOKEN_URL, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)
            ctx.service.crm = ServiceSession("https://api.crm.example", runtime=ctx.runtime, metric=ctx.metric)
            ctx.service.crm.headers["Authorization"] = f"Bearer {tokens['access_token']}"

    Of all threads and processes that share a cache one refreshes, the others wait and get what it got. The tokens are
    saved through ``update_settings``; a refresh token that the service exchanges is never lost to a failing save.

    Args:
        ctx: The context.
        token_url: As of ``oauth_handler``, like the next two.
        client_id: As the other service knows the connector.
        client_secret: ``None`` for clients without one.
        setting: The private setting in which ``on_authorize`` keeps its tokens, for example with
            ``ctx.helpers.update_settings({"oauth_tokens": tokens})``.
        rejected: An access token that the service has just refused: it is refreshed whatever its age.
        leeway_s: Tokens that expire within so many seconds count as expired; those without ``expires_at`` never do.
        token_endpoint_auth_method: As of ``oauth_handler``.

    Returns:
        ``access_token``, and ``refresh_token``, ``expires_at`` (Unix seconds) and others if the service sends them.

    Raises:
        ConfigurationError: There are no tokens, or the service refuses to refresh them: somebody has to connect again.
        TransientError: The service or the platform could not be reached, or another one's refresh took too long.
        MissingExtraError: authlib is not installed.
    """
    require_library()
    client = OAuthClient(
        token_url=token_url,
        client_id=client_id,
        client_secret=client_secret,
        token_endpoint_auth_method=token_endpoint_auth_method,
    )
    tokens = _stored(ctx, setting)
    if _is_good(ctx, tokens, rejected, leeway_s):
        return tokens
    kept = ctx.runs.scoped("oauth-tokens").scoped(setting)
    with ctx.leases.holding(kept, "refresh", wait_s=REFRESH_WAIT_S):
        # Another one may have refreshed them meanwhile, here or elsewhere.
        ctx.replace_connector(ctx.client.get("app"))
        tokens = _recovered(ctx, setting, kept)
        if not _is_good(ctx, tokens, rejected, leeway_s):
            old = _refresh_token(setting, tokens)
            tokens = {**tokens, **_asked(ctx, client, setting, old)}
            kept.set("unsaved", {"instead_of": old, "tokens": tokens}, UNSAVED_S)
            _save(ctx, setting, tokens, kept)
        return tokens


def _recovered(ctx: Context, setting: str, kept: Cache) -> dict[str, Any]:
    """Return the stored tokens, or those that an earlier try was handed out for them and could not save."""
    tokens = _stored(ctx, setting)
    unsaved = kept.get("unsaved")
    if unsaved is None or unsaved["instead_of"] != tokens.get("refresh_token"):
        return tokens
    found: dict[str, Any] = unsaved["tokens"]
    _save(ctx, setting, found, kept)
    return found


def _save(ctx: Context, setting: str, tokens: dict[str, Any], kept: Cache) -> None:
    update_settings(ctx, {setting: tokens})
    kept.delete("unsaved")


def _refresh_token(setting: str, tokens: Mapping[str, Any]) -> str:
    found = tokens.get("refresh_token")
    if not isinstance(found, str) or not found:
        raise _disconnected(setting, "have expired and hold no refresh_token")
    return found


def _asked(ctx: Context, client: OAuthClient, setting: str, refresh_token: str) -> dict[str, Any]:
    try:
        return client.ask(ctx, "refresh_token", refresh_token=refresh_token)
    except NoTokenError as err:
        if err.reason in _FINAL:
            raise _disconnected(setting, f"were refused with {err.reason}") from err
        raise


def _stored(ctx: Context, setting: str) -> dict[str, Any]:
    ctx.credentials()
    tokens = ((ctx.ship or {}).get("private_settings") or {}).get(setting)
    if not isinstance(tokens, Mapping) or not tokens.get("access_token"):
        raise _disconnected(setting, "are missing")
    return dict(tokens)


def _is_good(ctx: Context, tokens: Mapping[str, Any], rejected: str | None, leeway_s: float) -> bool:
    if rejected is not None and tokens["access_token"] == rejected:
        return False
    expires_at = tokens.get("expires_at")
    if not is_number(expires_at):
        return True
    return ctx.runtime.clock.time() + leeway_s < expires_at


def _disconnected(setting: str, what: str) -> ConfigurationError:
    return ConfigurationError(
        f"the tokens in the private setting {setting!r} {what}; somebody has to open the connector's page and connect "
        "it again"
    )
