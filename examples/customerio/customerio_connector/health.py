"""What an operator should look at: credentials that are wrong, and settings that do not go together."""

from __future__ import annotations

from customerio_connector.customerio_api import CustomerioApi
from customerio_connector.settings import PrivateSettings, private_settings
from hull_sdk import Context
from hull_sdk.errors import ConfigurationError
from hull_sdk.types import StatusAnswer

__all__ = ["credentials_are_right", "settings_go_together"]


def settings_go_together(ctx: Context) -> StatusAnswer | None:
    """Return what the settings leave out; e-mail activity comes in without any of them."""
    settings = private_settings(ctx)
    if not _has_credentials(settings):
        messages = ["Nobody is sent: enter the site ID and the API key."]
        return {"status": "warning" if settings["synchronized_segments"] else "ok", "messages": messages}
    if not settings["synchronized_segments"]:
        return {"status": "ok", "messages": ["Nobody is sent: whitelist segments, or ALL."]}
    return None


def credentials_are_right(ctx: Context) -> StatusAnswer | None:
    """Ask Customer.io whether it knows the credentials; a service that cannot be reached is an error as well."""
    settings = private_settings(ctx)
    if not _has_credentials(settings):
        return None
    try:
        CustomerioApi(ctx, settings).check()
    except ConfigurationError:
        message = f"Customer.io ({settings['region'].upper()}) refuses the site ID and the API key."
        return {"status": "error", "messages": [message]}
    return None


def _has_credentials(settings: PrivateSettings) -> bool:
    return bool(settings["site_id"] and settings["api_key"])
