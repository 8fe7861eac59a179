"""Puts everything together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, request

from hull_sdk import Connector, incoming
from hull_sdk.handlers import (
    action_handler,
    batcher_handler,
    notif_handler,
    oauth_handler,
    smart_notifier_handler,
    status_handler,
)
from kitchen_sink.crm import AUTHORIZE_URL, TOKEN_URL, client_id, client_secret, open_crm
from kitchen_sink.health import crm_answers, has_credentials
from kitchen_sink.inbound import count_hits, import_contacts, receive, save_contacts, webhook_address
from kitchen_sink.outbound import (
    connector_changed,
    forget_segment,
    learn_segment,
    legacy_segment,
    legacy_users,
    send_users,
    size_accounts,
)
from kitchen_sink.pages import pages
from kitchen_sink.reports import count_rows, export

__all__ = ["connect", "create_app"]


def connect(options: Mapping[str, Any] | None = None) -> Connector:
    """Return the connector, which goes with one application.

    Args:
        options: Options of ``Connector`` over those of the environment, for example ``{"host_secret": "..."}``.
    """
    connector = Connector(**(options or {}))
    connector.use(open_crm)
    connector.worker({"save-contacts": save_contacts})
    return connector


def create_app(options: Mapping[str, Any] | None = None, connector: Connector | None = None) -> Flask:
    """Return the application.

    Args:
        options: Options of ``Connector``, as in :func:`connect`.
        connector: The connector, if there is one already.
    """
    app = Flask(__name__)
    app.before_request(_name_request)
    outbound: dict[str, Callable[..., Any]] = {
        "user:update": send_users,
        "account:update": size_accounts,
        "ship:update": connector_changed,
        "users_segment:update": learn_segment,
        "users_segment:delete": forget_segment,
        "accounts_segment:update": learn_segment,
        "accounts_segment:delete": forget_segment,
    }
    blueprints = {
        "/smart-notifier": smart_notifier_handler(outbound, segment_filter_setting="sent_segments"),
        "/batch": smart_notifier_handler({"user:update": send_users}, max_size=50),
        "/batch-accounts": smart_notifier_handler({"account:update": size_accounts}, max_size=50),
        "/notify": notif_handler({"user:update": legacy_users, "segment:update": legacy_segment}),
        "/sync": action_handler(import_contacts),
        "/export": action_handler(export),
        "/count-rows": action_handler(count_rows),
        "/webhook": action_handler(receive, webhook=True, retry_status=503),
        "/webhook-address": action_handler(webhook_address),
        "/hits": batcher_handler(count_hits, max_size=500, max_time_ms=2_000),
        "/status": status_handler([has_credentials, crm_answers]),
        "/auth": oauth_handler(
            name="CRM",
            authorize_url=AUTHORIZE_URL,
            token_url=TOKEN_URL,
            client_id=client_id,
            client_secret=client_secret,
            scope="contacts",
            is_setup=lambda ctx: bool(ctx.ship["private_settings"].get("oauth_tokens")),
            on_authorize=lambda ctx, tokens: ctx.helpers.update_settings({"oauth_tokens": tokens}),
        ),
    }
    for prefix, blueprint in blueprints.items():
        app.register_blueprint(blueprint, url_prefix=prefix)
    app.register_blueprint(pages)
    return (connect(options) if connector is None else connector).setup_app(app)


def _name_request() -> None:
    """Take over the id that a proxy gave the request, so that its logs and ours can be put together."""
    proxy_id = request.headers.get("X-Amzn-Trace-Id")
    if proxy_id is not None:
        incoming.request_id = proxy_id
