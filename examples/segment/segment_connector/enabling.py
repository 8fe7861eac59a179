"""The button "Enable with Segment": an authorization, after which the connector registers itself as a destination.

The addresses and the client come from the environment; without them the button is not shown.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Final

from flask import Blueprint

from hull_sdk import Context
from hull_sdk.handlers import oauth_handler
from hull_sdk.service import ServiceSession
from segment_connector.admin import api_key, webhook_url
from segment_connector.settings import private_settings

__all__ = ["enabling", "is_available"]

_VARIABLES: Final = ("SEGMENT_AUTHORIZE_URL", "SEGMENT_TOKEN_URL", "SEGMENT_INSTALL_URL", "SEGMENT_CLIENT_ID")


def is_available(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether everything is configured that an authorization needs."""
    return all(environ.get(name) for name in _VARIABLES)


def enabling(environ: Mapping[str, str] = os.environ) -> Blueprint:
    """Return the pages of the authorization.

    Args:
        environ: ``SEGMENT_AUTHORIZE_URL``, ``SEGMENT_TOKEN_URL``, ``SEGMENT_INSTALL_URL`` (where the destination is
            registered), ``SEGMENT_CLIENT_ID`` and, if the client has one, ``SEGMENT_CLIENT_SECRET``.
    """
    install_url = environ["SEGMENT_INSTALL_URL"]

    def on_authorize(ctx: Context, tokens: dict[str, Any]) -> None:
        session = ServiceSession(runtime=ctx.runtime, metric=ctx.metric)
        session.headers["Authorization"] = f"Bearer {tokens['access_token']}"
        body = {"integration": "Hull", "settings": {"apiKey": api_key(ctx), "endpoint": webhook_url(ctx)}}
        session.post(install_url, json=body)
        # The grant has done its work: neither it nor the key is kept.
        ctx.helpers.update_settings({"enabled_with_segment": True})

    return oauth_handler(
        name="Segment",
        authorize_url=environ["SEGMENT_AUTHORIZE_URL"],
        token_url=environ["SEGMENT_TOKEN_URL"],
        client_id=environ["SEGMENT_CLIENT_ID"],
        client_secret=environ.get("SEGMENT_CLIENT_SECRET"),
        scope=environ.get("SEGMENT_SCOPE", "workspace:write"),
        is_setup=lambda ctx: private_settings(ctx)["enabled_with_segment"],
        on_authorize=on_authorize,
    )
