"""Tables of routes: each topic of the API is a visible list of method, path and function."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextvars import ContextVar
from typing import Any, Final

from werkzeug.routing import Rule
from werkzeug.wrappers import Request, Response

from hull_sdk.platform.api.errors import json_response

__all__ = ["PRESENT", "Route", "created", "present_request", "rule", "rules"]

#: Method, path, and a function of the caller (or the platform) and the path's parameters that returns JSON.
Route = tuple[str, str, Callable[..., Any]]

#: The request that is being answered in a thread.
PRESENT: Final[ContextVar[Request]] = ContextVar("request")

#: Returns the request that is being answered.
present_request: Final = PRESENT.get


class created(dict[str, Any]):  # noqa: N801 - reads as a word in a view: return created(...)
    """An answer with the status 201."""


def rules(prefix: str, table: Iterable[Route], subject: Callable[[Request], Any]) -> list[Rule]:
    """Return a table of routes as rules.

    Args:
        prefix: What all their paths begin with, for example ``"/api/v1"``.
        table: The routes.
        subject: Called with each request for the first argument of the function: the checked caller, for example.
    """
    return [rule(prefix + path, _answering(view, subject), method) for method, path, view in table]


def rule(path: str, view: Callable[..., Response], *methods: str) -> Rule:
    """Return one rule.

    Args:
        path: For example ``"/api/v1/notification_keys/<key_id>"``.
        view: Called with the path's parameters.
        *methods: For example ``"GET"``, which stands for ``HEAD`` too.
    """
    return Rule(path, endpoint=view, methods=[*methods, "OPTIONS"])


def _answering(view: Callable[..., Any], subject: Callable[[Request], Any]) -> Callable[..., Response]:
    def answer(**parameters: str) -> Response:
        value = view(subject(present_request()), **parameters)
        return json_response(value, 201 if isinstance(value, created) else 200)

    return answer
