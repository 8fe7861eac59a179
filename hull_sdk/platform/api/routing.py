"""Tables of routes: each topic of the API is a visible list of method, path and function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Blueprint, Request

from hull_sdk.platform.api.errors import json_response
from hull_sdk.platform.api.gate import present_request

__all__ = ["Route", "add_routes", "created"]

#: Method, path, and a function of the caller (or the platform) and the path's parameters that returns JSON.
Route = tuple[str, str, Callable[..., Any]]


class created(dict[str, Any]):  # noqa: N801 - reads as a word in a view: return created(...)
    """An answer with the status 201."""


def add_routes(blueprint: Blueprint, table: Iterable[Route], subject: Callable[[Request], Any]) -> Blueprint:
    """Add a table of routes to a blueprint.

    Args:
        blueprint: What to add them to.
        table: The routes.
        subject: Called with each request for the first argument of the function: the checked caller, for example.

    Returns:
        The blueprint.
    """
    for method, path, view in table:
        name = f"{method} {path}".replace(".", "_")
        blueprint.add_url_rule(path, name, _answering(view, subject), methods=[method])
    return blueprint


def _answering(view: Callable[..., Any], subject: Callable[[Request], Any]) -> Callable[..., Any]:
    def answer(**parameters: str) -> Any:
        value = view(subject(present_request()), **parameters)
        return json_response(value, 201 if isinstance(value, created) else 200)

    return answer
