"""OAuth 2: the authorization code flow with PKCE, from the dashboard to the other service and back.

The state is an encrypted token of the connector. It is good for one callback, in the browser that asked for it, within
ten minutes. Tokens are refreshed by ``fresh_tokens``, see ``hull_sdk.handlers.oauth_tokens``.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from flask import Blueprint, Response, request, url_for
from flask.typing import ResponseReturnValue

from hull_sdk.context import Context
from hull_sdk.core.net import host_of, is_loopback
from hull_sdk.errors import InvalidArgumentError, LogicError, TransientError
from hull_sdk.flask_app import request_context
from hull_sdk.handlers.endpoint import call, check_callable, endpoint
from hull_sdk.handlers.oauth_client import (
    NoTokenError,
    OAuthClient,
    PerConnector,
    checked_address,
    require_library,
    resolve,
)
from hull_sdk.handlers.oauth_views import DEFAULT_REASON, REASONS, checked_views, no_trace, page
from hull_sdk.infra import Cache
from hull_sdk.middleware import run_within_deadline, settle
from hull_sdk.middleware.marks import takes_state
from hull_sdk.middleware.tokens import OAUTH_TTL_S
from hull_sdk.outcomes import judge, report

__all__ = ["oauth_handler"]

_COOKIE: Final = "hull_oauth_"
_RESERVED: Final = frozenset(
    {"response_type", "client_id", "redirect_uri", "scope", "state", "code_challenge", "code_challenge_method"}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    name: str
    authorize_url: PerConnector
    client: OAuthClient
    is_setup: Callable[..., Any]
    on_authorize: Callable[..., Any]
    on_login: Callable[..., Any] | None
    token_in_url: bool
    views: Mapping[str, str]


def oauth_handler(
    *,
    name: str,
    authorize_url: PerConnector,
    token_url: PerConnector,
    client_id: PerConnector,
    client_secret: PerConnector | None = None,
    scope: PerConnector | None = None,
    is_setup: Callable[..., Any],
    on_authorize: Callable[..., Any],
    on_login: Callable[..., Any] | None = None,
    token_in_url: bool = True,
    token_endpoint_auth_method: str | None = None,
    views: Mapping[str, str] | None = None,
) -> Blueprint:
    """Return a blueprint that connects a connector with an account of the other service.

    Example::

        def on_authorize(ctx, tokens):
            ctx.helpers.update_settings({"access_token": tokens["access_token"]})

        handler = oauth_handler(
            name="CRM",
            authorize_url="https://crm.example/oauth/authorize",
            token_url="https://crm.example/oauth/token",
            client_id=lambda ctx: ctx.ship["private_settings"]["client_id"],
            client_secret=lambda ctx: ctx.ship["private_settings"]["client_secret"],
            is_setup=lambda ctx: "access_token" in ctx.ship["private_settings"],
            on_authorize=on_authorize,
        )
        app.register_blueprint(handler, url_prefix="/auth")

    ``/`` shows the page ``home`` or ``login``; ``/login`` leads to the other service, or, when a page of another site
    leads there, to the page ``login`` first; the other service leads back to ``/callback`` below the connector's public
    address; from there it goes on to ``/success`` or ``/failure``, and nowhere else. The callback's address to register
    with the other service is ``https://{connector}/{prefix}/callback``.

    Args:
        name: Shown on the pages, for example ``"CRM"``.
        authorize_url: Where the other service asks for the permission, over https except on loopback.
        token_url: Where it hands out tokens, likewise.
        client_id: As the other service knows the connector. This and the other values may be functions of the context.
        client_secret: ``None`` for clients without one.
        scope: For example ``"contacts.read contacts.write"``.
        is_setup: ``f(ctx)``: whether the connector is connected. A dict is shown to the page ``home`` as ``setup``;
            a ``TransientError``, ``ConfigurationError`` or ``LogicError`` means that it is not.
        on_authorize: ``f(ctx, tokens)``: keeps the tokens: ``access_token``, and ``refresh_token``, ``expires_at``
            (Unix seconds) and others if the other service sends them.
        on_login: ``f(ctx)``, called before the other service is asked; may return a dict of further parameters for it.
        token_in_url: ``True`` passes an encrypted token to ``/success`` and ``/failure``, so that ``Connector.use`` and
            templates have a context with credentials there. The other service never gets one.
        token_endpoint_auth_method: ``"client_secret_basic"`` (with a secret the default), ``"client_secret_post"`` or
            ``"none"``.
        views: Templates of the application instead of the built-in ones, by page (``home``, ``login``, ``success``,
            ``failure``), for example ``{"home": "connected.html"}``; they get ``name``, ``urls`` (``home``, ``login``)
            and, on their pages, ``setup`` and ``reason``.

    Returns:
        A blueprint; mount it with ``url_prefix``. The connector needs a ``host_secret``.

    Raises:
        MissingExtraError: authlib is not installed.
        InvalidArgumentError: An option breaks a rule.
    """
    require_library()
    check_callable(is_setup, "is_setup")
    check_callable(on_authorize, "on_authorize")
    if on_login is not None:
        check_callable(on_login, "on_login")
    options = _Options(
        name=name,
        authorize_url=checked_address(authorize_url, "authorize_url"),
        client=OAuthClient(
            token_url=checked_address(token_url, "token_url"),
            client_id=client_id,
            client_secret=client_secret,
            scope=scope,
            token_endpoint_auth_method=token_endpoint_auth_method,
        ),
        is_setup=is_setup,
        on_authorize=on_authorize,
        on_login=on_login,
        token_in_url=token_in_url,
        views=checked_views(views),
    )
    blueprint = endpoint("hull_oauth", partial(_home, options), ["GET", "POST"])
    pages = {
        "login": partial(_login, options),
        "callback": takes_state(partial(_callback, options)),
        "success": partial(_success, options),
        "failure": partial(_failure, options),
    }
    for rule, view in pages.items():
        methods = ["GET", "POST"] if rule == "login" else ["GET"]
        blueprint.add_url_rule(f"/{rule}", rule, view, methods=methods, strict_slashes=False)
    return blueprint


def _home(options: _Options) -> ResponseReturnValue:
    context = request_context()
    context.credentials()
    setup = run_within_deadline(context, partial(_setup, options, context))
    values = {"name": options.name, "urls": _urls(context)}
    if not setup:
        return page(options.views, "login", **values)
    return page(options.views, "home", setup=setup if isinstance(setup, Mapping) else {}, **values)


def _login(options: _Options) -> ResponseReturnValue:
    context = request_context()
    context.credentials()
    if request.headers.get("Sec-Fetch-Site") == "cross-site":
        # Somebody else's page must not connect the account of whoever looks at it with a connector of its choice.
        return page(options.views, "login", name=options.name, urls=_urls(context))
    state = _token(context, "oauth")
    parameters = run_within_deadline(context, partial(_login_parameters, options, context))
    ids = context.runtime.ids
    verifier, browser = ids.secret() + ids.secret(), ids.secret()
    callback = _callback_url(context)
    session = options.client.session(context, callback)
    address = resolve(options.authorize_url, context, "authorize_url")
    url, _ = session.create_authorization_url(address, state=state, code_verifier=verifier, **parameters)
    record = {"verifier": verifier, "browser": _digest(browser), "callback": callback}
    _states(context).set(_digest(state), record, OAUTH_TTL_S)
    response = _redirect(url)
    response.set_cookie(
        _cookie_name(state),
        browser,
        max_age=OAUTH_TTL_S,
        path=url_for(".callback"),
        secure=callback.startswith("https://"),
        httponly=True,
        samesite="Lax",
    )
    return response


def _callback(options: _Options) -> ResponseReturnValue:
    context = request_context()
    context.credentials()
    state = request.args.get("state", "").strip()
    reason = _authorize(options, context, state)
    response = _leave(options, context, "failure", reason) if reason else _leave(options, context, "success")
    response.delete_cookie(_cookie_name(state), path=url_for(".callback"))
    return response


def _success(options: _Options) -> ResponseReturnValue:
    return page(options.views, "success", name=options.name, urls=_urls(request_context()))


def _failure(options: _Options) -> ResponseReturnValue:
    reason = REASONS.get(request.args.get("reason", ""), DEFAULT_REASON)
    return page(options.views, "failure", name=options.name, urls=_urls(request_context()), reason=reason)


def _setup(options: _Options, context: Context) -> Any:
    try:
        return call(options.is_setup, context)
    except (TransientError, LogicError):
        return False


def _login_parameters(options: _Options, context: Context) -> dict[str, Any]:
    result = None if options.on_login is None else call(options.on_login, context)
    settle(context, context.timeout_s)
    if not isinstance(result, Mapping):
        return {}
    own = sorted(_RESERVED & result.keys())
    if own:
        raise InvalidArgumentError(f"on_login returned {', '.join(own)}, which oauth_handler sets; leave it out")
    return dict(result)


def _authorize(options: _Options, context: Context, state: str) -> str | None:
    """Complete an authorization; return why it failed, or ``None``."""
    record = _take(context, state)
    if record is None:
        return "state"
    code = request.args.get("code", "")
    if not code:
        return "denied"
    try:
        run_within_deadline(context, partial(_complete, options, context, record, code))
    except NoTokenError as err:
        report(err, judge(err), context.instrumentation, context)
        return "token"
    except Exception as err:  # noqa: BLE001 - whoever looks at the browser gets a page; the error is reported
        report(err, judge(err), context.instrumentation, context)
        return "setup"
    return None


def _complete(options: _Options, context: Context, record: Mapping[str, str], code: str) -> None:
    tokens = options.client.ask(
        context, "authorization_code", record["callback"], code=code, code_verifier=record["verifier"]
    )
    call(options.on_authorize, context, tokens)
    settle(context, context.timeout_s)


def _take(context: Context, state: str) -> Mapping[str, str] | None:
    """Return what was kept for a state, once, and only for the browser that asked for it."""
    states, key = _states(context), _digest(state)
    record: Mapping[str, str] | None = states.get(key)
    if record is None:
        return None
    browser = request.cookies.get(_cookie_name(state), "")
    if not hmac.compare_digest(_digest(browser), record["browser"]):
        return None
    # Of several callbacks at once, exactly one succeeds.
    if not states.add(f"used:{key}", True, OAUTH_TTL_S):
        return None
    states.delete(key)
    return record


def _leave(options: _Options, context: Context, view: str, reason: str | None = None) -> Response:
    token = _token(context, "dashboard") if options.token_in_url else None
    return _redirect(url_for(f".{view}", token=token, reason=reason))


def _redirect(url: str) -> Response:
    return no_trace(Response(status=302, headers={"Location": url}))


def _callback_url(context: Context) -> str:
    """Return the callback's address below the connector's public one: what the platform knows, else the request's."""
    path = url_for(".callback")
    source = (context.ship or {}).get("source_url")
    if isinstance(source, str) and host_of(source):
        return f"{source.partition('?')[0].rstrip('/')}{path.removeprefix(request.script_root)}"
    scheme = "http" if is_loopback(request.host) else "https"
    return f"{scheme}://{request.host}{path}"


def _urls(context: Context) -> dict[str, str]:
    token = None if context.config is None else _token(context, "dashboard")
    return {name: url_for(f".{rule}", token=token) for name, rule in (("home", "handle"), ("login", "login"))}


def _token(context: Context, purpose: Any) -> str:
    token = context.token_for(purpose)
    if token is None:
        raise InvalidArgumentError("oauth_handler passes encrypted tokens: pass Connector(host_secret=...)")
    return token


def _states(context: Context) -> Cache:
    return context.runs.scoped("oauth")


def _cookie_name(state: str) -> str:
    return f"{_COOKIE}{_digest(state)[:16]}"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
