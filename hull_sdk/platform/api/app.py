"""The application that holds all routes of the API."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from werkzeug.routing import Map, RequestRedirect, Rule
from werkzeug.wrappers import Request, Response

from hull_sdk.platform.api.admin import admin_routes
from hull_sdk.platform.api.apps import app_routes
from hull_sdk.platform.api.controls import control_routes
from hull_sdk.platform.api.errors import error_response
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
from hull_sdk.platform.api.routing import PRESENT
from hull_sdk.platform.api.search import search_routes
from hull_sdk.wire.firehose import MAX_BODY_BYTES

if TYPE_CHECKING:
    from hull_sdk.platform.platform import Platform

__all__ = ["API", "ROUTES", "Api", "build_app"]

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
    return Gate(API, platform)


class _Request(Request):
    max_content_length = MAX_BODY_BYTES


class Api:
    """The routes and their errors as a WSGI application, the same one for every platform.

    Args:
        rules: The routes.
    """

    def __init__(self, rules: Iterable[Rule]) -> None:
        self.rules = Map(rules, strict_slashes=False)

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        request = _Request(environ, populate_request=False)  # it would wait for the garbage collector
        token = PRESENT.set(request)
        try:
            response = self._response(request)
        finally:
            PRESENT.reset(token)
        return response(environ, start_response)

    def _response(self, request: Request) -> Response:
        try:
            routes = self.rules.bind_to_environ(request.environ)
            try:
                view, parameters = routes.match()
            except RequestRedirect as err:  # two slashes in a row
                return err.get_response()  # the error itself is an answer too, but would hold the request
            if request.method == "OPTIONS":
                return Response(headers={"Allow": ", ".join(sorted(routes.allowed_methods()))})
            response: Response = view(**parameters)
        except Exception as err:  # noqa: BLE001 - whatever it was, it has an answer
            return error_response(request, err)
        return response


#: Built once: it takes longer than a test.
API: Final = Api(rule for routes in ROUTES for rule in routes())
