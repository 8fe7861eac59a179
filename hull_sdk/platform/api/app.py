"""The Flask application that holds all routes of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from flask import Flask

from hull_sdk.platform.api.admin import admin_routes
from hull_sdk.platform.api.apps import app_routes
from hull_sdk.platform.api.controls import control_routes
from hull_sdk.platform.api.errors import install_errors
from hull_sdk.platform.api.extracts import extract_routes, file_routes
from hull_sdk.platform.api.firehose import firehose_routes
from hull_sdk.platform.api.gate import Gate
from hull_sdk.platform.api.imports import import_routes
from hull_sdk.platform.api.keys import key_routes
from hull_sdk.platform.api.lists import list_routes
from hull_sdk.platform.api.logs import log_routes
from hull_sdk.platform.api.me import me_routes
from hull_sdk.platform.api.objects import object_routes
from hull_sdk.platform.api.openapi import description_routes
from hull_sdk.platform.api.search import search_routes
from hull_sdk.wire.firehose import MAX_BODY_BYTES

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["API", "ROUTES", "build_app"]

#: The topics of the API, each a function that returns its routes.
ROUTES = (
    firehose_routes,
    key_routes,
    admin_routes,
    app_routes,
    extract_routes,
    file_routes,
    import_routes,
    list_routes,
    log_routes,
    search_routes,
    me_routes,
    object_routes,
    control_routes,
    description_routes,
)


def build_app(platform: Platform) -> Callable[..., Iterable[bytes]]:
    """Return the API of a platform as a WSGI application.

    Args:
        platform: What it shows.
    """
    return Gate(API.wsgi_app, platform)


class _Api(Flask):
    def ensure_sync(self, func: Callable[..., Any]) -> Callable[..., Any]:
        return func  # no view here is async, which Flask asks for each request


def _build() -> Flask:
    app = _Api("hull_sdk.platform", static_folder=None)
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.url_map.strict_slashes = False
    install_errors(app)
    for routes in ROUTES:
        app.register_blueprint(routes())
    return app


#: The routes and their errors, built once: they are the same for every platform, and take longer than a test.
API: Final = _build()
